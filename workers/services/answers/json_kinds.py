"""What kinds of JSON there are, and how large a value is: the rules of a JSON schema about a value by itself. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard

from workers.providers.refusal import is_list, is_object
from workers.services.answers.json_path import Place

Json: TypeAlias = Any  # any JSON
Rule: TypeAlias = Callable[[object, Json, dict[str, Json], Place], str | None]


def bound(keyword: str, measure: Callable[[Json], float | None], *, is_least: bool, may_equal: bool = True) -> Rule:
    """Return the rule that something about a value is at least, or at most, so much."""
    words = ("below" if may_equal else "not above") if is_least else ("above" if may_equal else "not below")

    def rule(_: object, value: Json, schema: dict[str, Json], place: Place) -> str | None:
        bound, size = number_of(schema[keyword]), measure(value)
        if (
            bound is None
            or size is None
            or (may_equal and size == bound)
            or (size != bound and (size > bound) == is_least)
        ):
            return None
        return f"{place.path} is {words} its {keyword}"

    return rule


def multiple(_: object, value: Json, schema: dict[str, Json], place: Place) -> str | None:
    """Check that a number is a multiple: as near as floats come."""
    step, number = number_of(schema["multipleOf"]), number_of(value)
    if not step or number is None:
        return None
    try:
        if isinstance(step, int) and isinstance(number, int):
            is_multiple = number % step == 0
        else:
            times = number / step
            is_multiple = not math.isfinite(times) or math.isclose(times, round(times), rel_tol=1e-9)
    except OverflowError:
        return None
    return None if is_multiple else f"{place.path} is no multiple of what it must be"


def number_of(value: Json) -> float | None:
    """Return a number; None if it is none, as `true` is not."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text_length(value: Json) -> float | None:
    """Return how many characters a text has."""
    return len(value) if isinstance(value, str) else None


def list_length(value: Json) -> float | None:
    """Return how many entries a list has."""
    return len(value) if is_list(value) else None


def member_count(value: Json) -> float | None:
    """Return how many members an object has."""
    return len(value) if is_object(value) else None


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a string."""
    return isinstance(value, str)


KINDS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "object": is_object,
    "array": is_list,
    "string": is_text,
    "number": lambda value: number_of(value) is not None,
    "integer": lambda value: (
        (number := number_of(value)) is not None and (isinstance(number, int) or number.is_integer())
    ),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
