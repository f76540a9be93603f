"""Where in a request the fault lies: pydantic's locations as paths a caller can find in what they sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

MAX_REPORTED: Final = 20
_BODY: Final = "body"
_OTHER_SOURCES: Final = frozenset({"query", "path", "header", "cookie"})

_Path: TypeAlias = tuple[str, ...]
_Branch: TypeAlias = tuple[_Path, str]
"""A member of a union that was tried: where, and which."""


class InvalidField(NamedTuple):
    """One fault: `field` is a path such as `input.messages.0.content`; empty for the document itself."""

    field: str
    message: str


class _Located(NamedTuple):
    path: _Path
    branches: tuple[_Branch, ...]
    message: str


def invalid_fields(errors: Sequence[Mapping[str, Any]], document: object) -> list[InvalidField]:
    """Return pydantic's errors as faults of the document, at most `MAX_REPORTED`.

    Where a value may have one of several shapes, only the shape it is nearest to is complained about: one whose faults
    lie inside the value rather than in its very type, then one with fewer faults.
    """
    located = [_locate(error, document) for error in errors]
    distance: dict[_Branch, tuple[bool, int]] = {}
    for one in located:
        for branch in one.branches:
            is_wrong_outside, faults = distance.get(branch, (False, 0))
            distance[branch] = (is_wrong_outside or one.path == branch[0], faults + 1)
    nearest: dict[_Path, tuple[bool, int]] = {}
    for (path, _), far in distance.items():
        nearest[path] = min(far, nearest.get(path, far))
    kept = (
        InvalidField(".".join(one.path), one.message)
        for one in located
        if all(distance[branch] == nearest[branch[0]] for branch in one.branches)
    )
    named = list(dict.fromkeys(kept)) or [InvalidField(".".join(one.path), one.message) for one in located]
    return named[:MAX_REPORTED]


def _locate(error: Mapping[str, Any], document: object) -> _Located:
    location = list(cast("Sequence[str | int]", error["loc"]))
    if location and location[0] in _OTHER_SOURCES:
        return _Located(tuple(map(str, location[1:])), (), _message(error))
    if location and location[0] == _BODY:
        del location[0]
    path: list[str] = []
    branches: list[_Branch] = []
    current = document
    for position, part in enumerate(location):
        is_last_and_absent = error["type"] == "missing" and position == len(location) - 1
        if location[position + 1 : position + 2] == [part] and _calls_itself(current, part):
            branches.append((tuple(path), str(part)))
            continue
        found, current = _step(current, part)
        if found or is_last_and_absent:
            path.append(str(part))
        else:  # pydantic names the member of a union it tried
            branches.append((tuple(path), str(part)))
    if error["type"].startswith("union_tag_"):
        path.append(str(error["ctx"]["discriminator"]).strip("'"))
    return _Located(tuple(path), tuple(branches), _message(error))


def _calls_itself(current: object, name: str | int) -> bool:
    """Whether this is a member of a tagged union, told by a name that one of its own members has as well."""
    return isinstance(current, dict) and cast("dict[Any, object]", current).get("type") == name


def _step(current: object, part: str | int) -> tuple[bool, object]:
    if isinstance(current, dict) and part in current:
        return True, cast("dict[Any, object]", current)[part]
    if isinstance(current, list) and isinstance(part, int) and part < len(cast("list[object]", current)):
        return True, cast("list[object]", current)[part]
    return False, cast("object", current)


def _message(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return "is required"
        case "extra_forbidden":
            return "is not known here"
        case "union_tag_invalid":
            return f"must be one of {error['ctx']['expected_tags']}"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")
