"""The most harmless JSON that a schema allows: nothing, none, zero, and what this is where it is text."""

import math
from typing import Any, Final, TypeGuard

from workers.providers.refusal import is_object

NOT_A_MODEL: Final = "demo: not a model"
_TEXTS: Final = {"container": "none", "volume": "0", "degree": "0"}
"""What an answer about a photo says where it is text: that nothing is poured."""
_FORMATS: Final = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "demo@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_MAX_VALUES: Final = 1000
"""A schema that refers to itself, or asks for more, is left unfilled beyond these."""
_MAX_DEPTH: Final = 20
_MAX_CHARS: Final = 1000
_MOST: Final = 2**53
"""Numbers beyond are not looked at."""
_SMALLEST: Final = 1e-9


def least(schema: dict[str, Any]) -> object:
    """Return a small value the schema allows, as far as it can be met by rule: patterns, for one, are not.

    Of an object's properties the required ones are given, or all where it does not say which are.
    """
    return _Filler(schema).value(schema, _MAX_DEPTH)


class _Filler:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def value(self, given: object, depth: int) -> object:
        self._left -= 1
        if depth == 0 or self._left < 0 or not is_object(given):
            return None
        schema = self._resolved(given)
        if "const" in schema:
            return schema["const"]
        if _is_list(values := schema.get("enum")) and values:
            return values[0]
        match _kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _string(schema)
            case "integer" | "number" as kind:
                return _number(schema, is_whole=kind == "integer")
            case "boolean":
                return False
            case _:
                return None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, object]:
        properties = _members(schema, "properties")
        required = schema.get("required")
        names = [name for name in required if isinstance(name, str)] if _is_list(required) else list(properties)
        others = schema.get("additionalProperties")
        return {name: self._field(name, properties.get(name, others), depth) for name in names}

    def _field(self, name: str, schema: object, depth: int) -> object:
        if name in _TEXTS and is_object(schema) and schema.get("type") == "string":
            values = schema.get("enum")
            if not _is_list(values) or _TEXTS[name] in values:
                return _TEXTS[name]
        return self.value(schema, depth - 1)

    def _array(self, schema: dict[str, Any], depth: int) -> list[object]:
        firsts = schema.get("prefixItems")
        items = list(firsts) if _is_list(firsts) else []
        size = min(_count(schema, "minItems"), max(self._left, 0))
        items += [schema.get("items")] * (size - len(items))
        return [self.value(item, depth - 1) for item in items]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with what it refers to, all of `allOf`, and the first of its alternatives."""
        for _ in range(_MAX_DEPTH):
            more = [
                self._referred(schema.get("$ref")),
                *_objects(schema, "allOf"),
                *_objects(schema, "anyOf")[:1],
                *_objects(schema, "oneOf")[:1],
            ]
            if not any(more):
                break
            schema = {name: it for name, it in schema.items() if name not in ("$ref", "allOf", "anyOf", "oneOf")}
            for other in more:
                schema = _merged(schema, other)
        return schema

    def _referred(self, reference: object) -> dict[str, Any]:
        if not (isinstance(reference, str) and reference.startswith("#")):
            return {}
        found: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if is_object(found) else None
        return found if is_object(found) else {}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = other | one
    for name in ("properties", "required"):
        first, second = other.get(name), one.get(name)
        if is_object(first) and is_object(second):
            merged[name] = first | second
        elif _is_list(first) and _is_list(second):
            merged[name] = list(dict.fromkeys(it for it in (*first, *second) if isinstance(it, str)))
    return merged


def _kind(schema: dict[str, Any]) -> object:
    kinds: object = schema.get("type")
    if _is_list(kinds) and kinds:
        return kinds[0]
    return "object" if kinds is None and is_object(schema.get("properties")) else kinds


def _string(schema: dict[str, Any]) -> str:
    known = schema.get("format")
    text = _FORMATS.get(known, NOT_A_MODEL) if isinstance(known, str) else NOT_A_MODEL
    text = text.ljust(_count(schema, "minLength"), ".")
    return text[: _count(schema, "maxLength")] if _is_number(schema.get("maxLength")) else text


def _number(schema: dict[str, Any], *, is_whole: bool) -> float:
    """Return zero, or what is next to a bound; zero also where nothing of that fits."""
    low = max(_bound(schema, "minimum", -_MOST), _bound(schema, "exclusiveMinimum", -_MOST))
    high = min(_bound(schema, "maximum", _MOST), _bound(schema, "exclusiveMaximum", _MOST))
    step = max(_bound(schema, "multipleOf", 1), _SMALLEST)
    grid = (math.ceil(low / step) * step, math.floor(high / step) * step)
    candidates = (0, low, high, (low + high) / 2, *grid, grid[0] + step, grid[1] - step)
    found = next((it for it in sorted(candidates, key=abs) if _fits(it, schema, is_whole=is_whole)), 0)
    return int(found) if is_whole else found


def _fits(value: float, schema: dict[str, Any], *, is_whole: bool) -> bool:
    return (
        _bound(schema, "minimum", -_MOST) <= value <= _bound(schema, "maximum", _MOST)
        and ("exclusiveMinimum" not in schema or value > _bound(schema, "exclusiveMinimum", -_MOST))
        and ("exclusiveMaximum" not in schema or value < _bound(schema, "exclusiveMaximum", _MOST))
        and value % (_bound(schema, "multipleOf", 0) or (1 if is_whole else value or 1)) == 0
        and (not is_whole or value == int(value))
    )


def _bound(schema: dict[str, Any], name: str, otherwise: float) -> float:
    bound = schema.get(name)
    return bound if _is_number(bound) and -_MOST <= bound <= _MOST else otherwise


def _count(schema: dict[str, Any], name: str) -> int:
    count = schema.get(name)
    return max(0, min(int(count), _MAX_CHARS)) if _is_number(count) and math.isfinite(count) else 0


def _members(schema: dict[str, Any], name: str) -> dict[str, Any]:
    members = schema.get(name)
    return members if is_object(members) else {}


def _objects(schema: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = schema.get(name)
    return [entry for entry in entries[:_MAX_DEPTH] if is_object(entry)] if _is_list(entries) else []


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
