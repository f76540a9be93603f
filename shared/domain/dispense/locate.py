"""Finding JSON objects in whatever text a model wrote around them. Linear in the text; raises nothing."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

MAX_SCANNED_CHARS: Final = 65_536
"""No answer about a photo is longer; what stands behind is not looked at."""
MAX_DEPTH: Final = 16
_MAX_NUMBER_CHARS: Final = 40  # longer numbers are no quantities, and Python refuses to read integers of 4,300 digits
_END_OF_THOUGHT: Final = "</think>"
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|["{}]', re.DOTALL)

Pairs = list[tuple[str, Any]]  # the values are any JSON


class Unreadable(str):
    """A JSON value that stands for no quantity (NaN, Infinity, a number of absurd length), as it was written."""

    __slots__ = ()


def find_objects(text: str) -> Iterator[Pairs]:
    """Yield the text's outermost JSON objects in order, each as its pairs, so that doubled keys stay visible.

    Braces that enclose no JSON are passed over whole. An object that is not closed ends the search: a part of an answer
    that was cut off is not an answer.
    """
    text = text[:MAX_SCANNED_CHARS]
    position = text.find("{", max(text.rfind(_END_OF_THOUGHT), 0))
    while position >= 0:
        end = _closing(text, position)
        if end is None:
            return
        pairs = _decode(text[position:end])
        if pairs is not None:
            yield pairs
        position = text.find("{", end)


def _closing(text: str, start: int) -> int | None:
    """Return the position after the brace that closes the one at `start`; None if there is none or it is too deep."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        match token.group():
            case "{":
                depth += 1
                if depth > MAX_DEPTH:
                    return None
            case "}":
                depth -= 1
                if depth == 0:
                    return token.end()
            case '"':  # a string without an end
                return None
            case _:
                pass
    return None


def _decode(span: str) -> Pairs | None:
    try:
        value = json.loads(
            span,
            strict=False,  # raw line breaks inside strings are a common slip of models
            object_pairs_hook=_Object,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=Unreadable,
        )
    except (ValueError, RecursionError):  # arrays can nest where no brace shows it
        return None
    return value if isinstance(value, _Object) else None


class _Object(Pairs):
    """The pairs of an object, told apart from an array."""


def _integer(text: str) -> int | Unreadable:
    return int(text) if len(text) <= _MAX_NUMBER_CHARS else Unreadable(text[:_MAX_NUMBER_CHARS])


def _real(text: str) -> float | Unreadable:
    return float(text) if len(text) <= _MAX_NUMBER_CHARS else Unreadable(text[:_MAX_NUMBER_CHARS])
