"""JSON in what a model wrote: alone, in a fence of Markdown, or between sentences. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

MAX_STARTS: Final = 100
"""Places in one text where JSON is tried to be read: each may cost a walk to the text's end."""

_FENCE: Final = re.compile(r"```[^\n`]*\n\s*")
_BRACKET: Final = re.compile(r"[{\[]")


class Found(NamedTuple):
    """One JSON value, as it was written and as it reads."""

    text: str
    value: Any  # any JSON


def json_in(text: str) -> Iterator[Found]:
    """Yield what a text may have been meant to say, the likeliest first; values inside others are not yielded.

    Bare strings, numbers and the like are found only where they are the whole text, or begin a fence: sentences are
    full of them.
    """
    whole = text.strip("\ufeff \t\r\n")
    found = _read(whole, 0)
    if found is not None and len(found.text) == len(whole):
        yield found
        return
    for opening in _first(_FENCE.finditer(whole)):
        found = _read(whole, opening.end())
        if found is not None:
            yield found
    position = 0
    for _ in range(MAX_STARTS):
        bracket = _BRACKET.search(whole, position)
        if bracket is None:
            return
        position = bracket.end()
        found = _read(whole, bracket.start())
        if found is not None:
            position = bracket.start() + len(found.text)
            yield found


def is_json(text: str) -> bool:
    """Return whether a text is one JSON value and nothing else, as its reader will see it."""
    whole = text.strip(" \t\r\n")
    found = _read(whole, 0)
    return found is not None and len(found.text) == len(whole)


def _first(openings: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    return (opening for _, opening in zip(range(MAX_STARTS), openings, strict=False))


def _read(text: str, start: int) -> Found | None:
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return Found(text[start:end], value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_decoder: Final = json.JSONDecoder(parse_constant=_refuse)
