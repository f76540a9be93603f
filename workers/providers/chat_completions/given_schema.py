"""The schema in a caller's `response_format`: whether it is told as it came, made strict, or put into words. Pure."""

from typing import Any, Final

from shared.domain.commands import Parameters
from shared.domain.models import SchemaMode
from workers.providers.base import Prompt, ResponseSchema
from workers.providers.refusal import is_list, is_object
from workers.providers.wire_json import ALL_LEVELS, Json

LESS: Final[frozenset[SchemaMode]] = frozenset({"json_object", "prompt"})
"""Ways of asking for JSON that have no place for a schema."""
NAME: Final = "answer"
IN_WORDS: Final = "has no place for a schema, and is asked for it in words"
"""What a caller is told of a schema that became words."""
_MAPS: Final = ("properties", "$defs", "definitions")
_PARTS: Final = ("items", "anyOf", "allOf", "prefixItems")


def given_schema(parameters: Parameters) -> ResponseSchema | None:
    """Return the schema a caller gave; None where there is none."""
    wanted = parameters.response_format or {}
    named: object = wanted.get("json_schema") if wanted.get("type") == "json_schema" else None
    schema = named.get("schema") if is_object(named) else None
    return ResponseSchema(NAME, schema) if is_object(schema) else None


def schema_to_put(prompt: Prompt, mode: SchemaMode) -> ResponseSchema | None:
    """Return the schema to put to a provider in its own way: ours, or a caller's that it has no place for."""
    if prompt.response_schema is None and mode in LESS:
        return given_schema(prompt.parameters)
    return prompt.response_schema


def to_strict(schema: Any, *, levels: int = ALL_LEVELS) -> Any:  # a JSON schema, or a part of one
    """Return a schema as OpenAI wants strict ones: objects have all their properties, and no others.

    What could be left out may be null instead. An object that says that it may have others stays one that may.
    """
    if not levels or not is_object(schema):
        return schema
    strict = dict(schema)
    for name in _MAPS:
        if is_object(parts := schema.get(name)):
            strict[name] = {key: to_strict(part, levels=levels - 1) for key, part in parts.items()}
    for name in _PARTS:
        if is_list(parts := schema.get(name)):
            strict[name] = [to_strict(part, levels=levels - 1) for part in parts]
        elif name in schema:
            strict[name] = to_strict(parts, levels=levels - 1)
    return _complete(strict) if is_object(strict.get("properties")) else strict


def _complete(strict: Json) -> Json:
    required = strict.get("required")
    needed: list[Any] = required if is_list(required) else []
    properties = {name: it if name in needed else _or_null(it) for name, it in strict["properties"].items()}
    return {"additionalProperties": False} | strict | {"properties": properties, "required": list(properties)}


def _or_null(schema: Any) -> Any:  # a JSON schema
    if not is_object(schema) or not isinstance(kind := schema.get("type"), str) or schema.keys() & {"enum", "const"}:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema if kind == "null" else schema | {"type": [kind, "null"]}
