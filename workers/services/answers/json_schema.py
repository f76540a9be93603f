"""Whether JSON is what a caller's schema describes. The schema is a stranger's, and may be hostile. Pure.

Not checked, on purpose: `pattern`, `patternProperties` and `format` (a regular expression can take for ever, and cannot
be interrupted), references to other documents (nothing is fetched), and what is no JSON schema to begin with. What this
lets through is not wrong for certain; what it refuses is.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from workers.providers.refusal import is_list, is_object
from workers.services.answers.json_kinds import (
    KINDS,
    bound,
    is_text,
    list_length,
    member_count,
    multiple,
    number_of,
    text_length,
)
from workers.services.answers.json_path import Place, inside

MAX_STEPS: Final = 100_000
"""Of one check, 0.1 s: alternatives within alternatives double with each level."""
MAX_DEPTH: Final = 120
"""Of values and references within each other; below what Python's stack has."""

Json: TypeAlias = Any  # any JSON
_Schema: TypeAlias = dict[str, Json]


class TooMuch(Exception):
    """The schema asks for more than is checked."""


_Rule: TypeAlias = Callable[["_Check", Json, _Schema, Place], str | None]


def first_problem(value: Json, schema: Json) -> str | None:
    """Return what is wrong with a value, beginning with where; None if nothing is.

    A null in the place of a property that may be left out counts as left out: strict schemas have no other way to.

    Raises:
        TooMuch: if it cannot be told within bounds.
    """
    return _Check(schema).of(value, schema, Place("$", 0))


class _Check:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._steps = 0

    def spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise TooMuch

    def of(self, value: Json, schema: Json, place: Place) -> str | None:
        self.spend(1)
        if place.depth > MAX_DEPTH:
            raise TooMuch
        if schema is False:
            return f"{place.path} is not allowed"
        if not is_object(schema):
            return None
        place = Place(place.path, place.depth + 1)
        return _first(rule(self, value, schema, place) for keyword, rule in _RULES.items() if keyword in schema)

    def fits(self, value: Json, schema: Json, place: Place) -> bool:
        return self.of(value, schema, place) is None

    def at(self, reference: str) -> Json:
        """Return the part of the schema that a reference means; True, which fits everything, where it has none."""
        if not reference.startswith("#"):
            return True
        found = self._root
        for name in reference[1:].split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            if is_object(found):
                found = found.get(name, True)
            elif is_list(found) and name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(found):
                found = found[int(name)]
            else:
                return True
        return found


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _type(_: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    kinds = schema["type"] if is_list(schema["type"]) else [schema["type"]]
    known = [kind for kind in kinds if isinstance(kind, str) and kind in KINDS]
    if len(known) < len(kinds) or any(KINDS[kind](value) for kind in known):
        return None
    return f"{place.path} is not of type {' or '.join(known)}"


def _enum(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    allowed = schema["enum"]
    if not is_list(allowed) or any(_same(check, value, one, place.depth) for one in allowed):
        return None
    return f"{place.path} is none of the values that are allowed"


def _const(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    return None if _same(check, value, schema["const"], place.depth) else f"{place.path} is not the value it must be"


def _same(check: _Check, one: Json, other: Json, depth: int) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, but not true."""
    check.spend(1)
    if depth > MAX_DEPTH:
        raise TooMuch
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(_same(check, *two, depth + 1) for two in zip(one, other, strict=True))
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(_same(check, one[name], other[name], depth + 1) for name in one)
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _required(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    names = schema["required"]
    if not is_object(value) or not is_list(names):
        return None
    check.spend(len(names))
    missing = next((name for name in names if isinstance(name, str) and name not in value), None)
    return None if missing is None else f"{inside(place.path, missing)} is missing"


def _properties(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    known = schema["properties"]
    if not is_object(value) or not is_object(known):
        return None
    required = schema.get("required")
    needed = set(filter(is_text, required)) if is_list(required) else set[str]()
    return _first(
        check.of(value[name], known[name], Place(inside(place.path, name), place.depth))
        for name in known.keys() & value.keys()
        if value[name] is not None or name in needed
    )


def _additional(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    if not is_object(value) or "patternProperties" in schema:
        return None
    known = schema.get("properties")
    names = value.keys() - known.keys() if is_object(known) else value.keys()
    wanted = schema["additionalProperties"]
    return _first(check.of(value[name], wanted, Place(inside(place.path, name), place.depth)) for name in names)


def _items(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    """Check a list's entries; where `items` is a list, as in older drafts, the first by that."""
    wanted = schema["items"]
    if "prefixItems" in schema:
        return None
    if is_list(wanted):
        return _entries(check, value, (wanted, schema.get("additionalItems", True)), place)
    return _entries(check, value, ([], wanted), place)


def _prefix_items(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    firsts = schema["prefixItems"]
    return _entries(check, value, (firsts if is_list(firsts) else [], schema.get("items", True)), place)


def _entries(check: _Check, value: Json, wanted: tuple[list[Json], Json], place: Place) -> str | None:
    firsts, others = wanted
    if not is_list(value):
        return None
    return _first(
        check.of(
            entry,
            firsts[index] if index < len(firsts) else others,
            Place(inside(place.path, index), place.depth),
        )
        for index, entry in enumerate(value)
    )


def _unique(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    if schema["uniqueItems"] is not True or not is_list(value):
        return None
    for index, entry in enumerate(value):
        if any(_same(check, entry, earlier, place.depth) for earlier in value[:index]):
            return f"{inside(place.path, index)} is there already"
    return None


def _any_of(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    choices = schema["anyOf"]
    if not is_list(choices) or any(check.fits(value, choice, place) for choice in choices):
        return None
    return f"{place.path} is nothing of what it may be"


def _one_of(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    choices = schema["oneOf"]
    if not is_list(choices) or sum(check.fits(value, choice, place) for choice in choices) == 1:
        return None
    return f"{place.path} is not exactly one of what it may be"


def _all_of(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    parts = schema["allOf"]
    return _first(check.of(value, part, place) for part in parts) if is_list(parts) else None


def _not(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    return f"{place.path} is what it must not be" if check.fits(value, schema["not"], place) else None


def _if(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    branch = "then" if check.fits(value, schema["if"], place) else "else"
    return check.of(value, schema.get(branch, True), place)


def _ref(check: _Check, value: Json, schema: _Schema, place: Place) -> str | None:
    reference = schema["$ref"]
    return check.of(value, check.at(reference), place) if isinstance(reference, str) else None


_RULES: Final[Mapping[str, _Rule]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "minProperties": bound("minProperties", member_count, is_least=True),
    "maxProperties": bound("maxProperties", member_count, is_least=False),
    "items": _items,
    "prefixItems": _prefix_items,
    "minItems": bound("minItems", list_length, is_least=True),
    "maxItems": bound("maxItems", list_length, is_least=False),
    "uniqueItems": _unique,
    "minLength": bound("minLength", text_length, is_least=True),
    "maxLength": bound("maxLength", text_length, is_least=False),
    "minimum": bound("minimum", number_of, is_least=True),
    "maximum": bound("maximum", number_of, is_least=False),
    "exclusiveMinimum": bound("exclusiveMinimum", number_of, is_least=True, may_equal=False),
    "exclusiveMaximum": bound("exclusiveMaximum", number_of, is_least=False, may_equal=False),
    "multipleOf": multiple,
    "$ref": _ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
}
