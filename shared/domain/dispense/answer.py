"""Reading a model's answer about a photo. Never raises: what cannot be read is a problem for the envelope to judge.

Two forms are known. The *full* answer has the fields of `prompt.SCHEMA`. The *plain* answer of the first system has
only `volume`, `degree` and `type`; nothing else was ever asked of those models. An answer that has any of the fields
that only the full form has is a full answer, and what it lacks is unknown rather than not asked.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from shared.domain.dispense.locate import Pairs, find_objects
from shared.domain.dispense.quantities import read_degree, read_flag, read_fraction, read_volume, read_words

MAX_RAW_BYTES: Final = 2048
"""How much of the model's own words is kept with a result."""

Given: TypeAlias = str | int | float | bool | None
"""A value as the model gave it, shortened for people to read."""


class Problem(msgspec.Struct, frozen=True):
    """Something in an answer that could not be read. `field` is `answer` if it is the answer as a whole."""

    field: str
    reason: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of an answer; None is unknown. `given` has the values as the model wrote them."""

    volume_ml: float | None = None
    degree_c: float | None = None
    container: str = ""
    contents: str = ""
    receivable: bool | None = None
    child_present: bool | None = None
    fill_level: float | None = None
    confidence: float | None = None
    is_plain: bool = False
    given: dict[str, Given] = {}
    problems: tuple[Problem, ...] = ()
    raw: str = ""


_MEASURED: Final[dict[str, Callable[[Any], float | None]]] = {"volume": read_volume, "degree": read_degree}
_JUDGED: Final[dict[str, Callable[[Any], float | bool | None]]] = {
    "receivable": read_flag,
    "child_present": read_flag,
    "fill_level": read_fraction,
    "confidence": read_fraction,
}
_ONLY_FULL: Final = frozenset(_JUDGED) | {"container", "contents"}
_KNOWN: Final = _ONLY_FULL | frozenset(_MEASURED) | {"type"}


def parse_answer(text: str) -> Answer:
    """Read a model's answer, whatever stands around it.

    The first JSON object that has a field of ours counts. If a later one contradicts it, neither does: a photo's
    lettering that a model repeats must not win over the model's own answer, nor the other way round.
    """
    raw = _shortened(text)
    candidates = [fields for fields in map(_known_fields, find_objects(text)) if fields]
    if not candidates:
        return Answer(
            raw=raw, problems=(Problem("answer", "the model's answer holds no complete JSON object of ours"),)
        )
    if any(other != candidates[0] for other in candidates[1:]):
        return Answer(raw=raw, problems=(Problem("answer", "the model gave several answers that differ"),))
    return _read(candidates[0], raw)


def _known_fields(pairs: Pairs) -> dict[str, list[Any]]:
    """Collect every value given for each field of ours; names are taken in any case."""
    fields: dict[str, list[Any]] = {}
    for name, value in pairs:
        key = name.strip().casefold()
        if key in _KNOWN:
            fields.setdefault(key, []).append(value)
    return fields


def _read(fields: dict[str, list[Any]], raw: str) -> Answer:
    is_plain = not _ONLY_FULL & fields.keys()
    values = {name: given[0] for name, given in fields.items() if len(given) == 1}
    problems = [
        Problem(name, f"{name} is given {len(given)} times") for name, given in fields.items() if len(given) > 1
    ]
    read: dict[str, float | bool | None] = {}
    for name, reader in (_MEASURED if is_plain else _MEASURED | _JUDGED).items():
        read[name] = reader(values.get(name))
        if read[name] is None and len(fields.get(name, ())) <= 1:
            problems.append(Problem(name, f"{name} {_complaint(values.get(name))}"))
    return Answer(
        volume_ml=_number(read["volume"]),
        degree_c=_number(read["degree"]),
        container=read_words(values.get("container")) or read_words(values.get("type")),
        contents=read_words(values.get("contents")),
        receivable=_flag(read.get("receivable")),
        child_present=_flag(read.get("child_present")),
        fill_level=_number(read.get("fill_level")),
        confidence=_number(read.get("confidence")),
        is_plain=is_plain,
        given={name: _given(value) for name, value in values.items()},
        problems=tuple(problems),
        raw=raw,
    )


def _complaint(value: Any) -> str:
    if value is None:
        return "is missing"
    shown = _given(value)
    return "holds nothing readable" if shown == "" else f"cannot be read: {shown}"


def _number(value: float | bool | None) -> float | None:
    return None if value is None or isinstance(value, bool) else float(value)


def _flag(value: float | bool | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _given(value: Any) -> Given:
    """Return the value if it is short and harmless to repeat, else a description of it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else f"a number of {len(str(abs(value)))} digits"
    if isinstance(value, str):
        return read_words(value)
    return "a list or an object"


def _shortened(text: str) -> str:
    """Return the answer's beginning, at most MAX_RAW_BYTES of UTF-8, without what JSON or PostgreSQL cannot hold."""
    clean = text[:MAX_RAW_BYTES].replace("\0", "\ufffd").encode(errors="replace")
    return clean[:MAX_RAW_BYTES].decode(errors="ignore")
