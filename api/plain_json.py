"""What PostgreSQL keeps as text and as JSON, and what it does not: callers are told before it is."""

import math
from collections.abc import Iterable
from typing import Any, Final, cast

MAX_DEPTH: Final = 32
"""Levels of lists and objects within each other; a schema of a tool's answer has about ten."""


def check_text(text: str) -> str:
    """Return a text that can be kept.

    Raises:
        ValueError: if it holds NUL, or half of a surrogate pair, which JSON can spell and UTF-8 cannot.
    """
    if "\0" in text:
        raise ValueError("holds the character NUL, which no text has")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half of a surrogate pair, which is no character") from error
    return text


def check_plain(value: Any) -> Any:  # Any: JSON of the caller's own
    """Return JSON that can be kept.

    Raises:
        ValueError: if a text or name in it cannot, a number is none, or it is nested too deeply.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")


def _inside(value: object) -> Iterable[object]:
    match value:
        case str():
            check_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that JSON does not have")
        case dict():
            members = cast("dict[str, object]", value)
            return (*members.keys(), *members.values())
        case list():
            return cast("list[object]", value)
        case _:
            pass
    return ()
