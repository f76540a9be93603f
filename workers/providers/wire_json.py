"""JSON as it goes over the wire: nothing in it is null. Pure."""

from typing import Any, Final, TypeAlias, cast

from workers.providers.refusal import is_object

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
ALL_LEVELS: Final = 1000
"""More than any JSON has that was read here."""

_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
"""Keywords of JSON schemas whose values are no schemas."""


def without_nulls(value: Any, *, levels: int = ALL_LEVELS) -> Any:  # any JSON
    """Return JSON without the null members of its objects, down to so many levels of them.

    Deeper ones may belong to a schema, where a null means something.
    """
    if levels and is_object(value):
        return {name: without_nulls(it, levels=levels - 1) for name, it in value.items() if it is not None}
    if levels and isinstance(value, list):
        entries = cast("list[Any]", value)
        return [without_nulls(it, levels=levels) for it in entries if it is not None]
    return value


def closed(schema: Any, *, levels: int = ALL_LEVELS) -> Any:  # a JSON schema, or a part of one
    """Return a schema whose objects say of further members what they did before, or else that there are none."""
    if levels and isinstance(schema, list):
        return [closed(it, levels=levels - 1) for it in cast("list[Any]", schema)]
    if not levels or not is_object(schema):
        return schema
    inner = {name: it if name in _VALUES else closed(it, levels=levels - 1) for name, it in schema.items()}
    return {"additionalProperties": False} | inner if _is_of_objects(schema) else inner


def _is_of_objects(schema: Json) -> bool:
    """Return whether a schema is one of objects; `properties` may itself have a property of that name, or `type`."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)
