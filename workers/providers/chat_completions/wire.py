"""Chat completions on the wire: the request that a prompt becomes for one row. Pure; what is not known is not sent."""

import json
from collections.abc import Iterator
from typing import Any, Final

from shared.domain.commands import Parameters
from workers.providers.base import Prompt, ResponseSchema
from workers.providers.chat_completions import reasoning_switches
from workers.providers.chat_completions.given_schema import IN_WORDS, LESS, schema_to_put, to_strict
from workers.providers.chat_completions.messages import PART_OPTIONS, messages_to_wire
from workers.providers.chat_completions.moved_options import moved_options
from workers.providers.chat_completions.reasoning_family import Family
from workers.providers.chat_completions.row import OpenAICompatible, SchemaMode
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json, closed, without_nulls

TOKEN_PARAMS: Final = ("max_tokens", "max_completion_tokens")
OURS: Final = frozenset(
    {"model", "messages", "n", "stream", "stream_options", "functions", "function_call", *TOKEN_PARAMS}
    | set(Parameters.model_fields) - {"options"}
    | {name for names in PART_OPTIONS.values() for name in names}
)
"""Never members of a request by way of the options, whatever a row says."""
KEPT: Final = frozenset({"model", "messages", "stream", "tools", "tool_choice", "response_format"})
"""Without these it would be another request: they are never left out because a provider refused them."""
_IDLE: Final = {"temperature": 1.0, "top_p": 1.0}
"""What everyone does without being told: nobody misses it."""
_ELSEWHERE: Final = frozenset({"random_seed", "parallel_tool_calls", *reasoning_switches.MEMBERS}) | {
    name for names in PART_OPTIONS.values() for name in names
}
"""Options that are seen to as parameters, as parts of messages, or as switches."""
NOTHING: Final[frozenset[str]] = frozenset()


def to_wire(
    prompt: Prompt, row: OpenAICompatible, mode: SchemaMode, *, notes: Notes, refused: frozenset[str] = NOTHING
) -> Json:
    """Return the request's body: only known keys, no nulls; what became of the caller's parameters is in `notes`.

    `refused` are members that the provider was seen to refuse for this model.

    Raises:
        UnsupportedMediaType: if the prompt has media that the provider does not take.
    """
    family = row.family_of(prompt.model)
    switched = reasoning_switches.switch_reasoning(prompt.parameters, family, notes)
    drops = row.drops | row.drops_when_reasoning if switched.reasons else row.drops
    body: Json = {"model": prompt.model, "messages": _messages(prompt, row, mode, notes, reasons=switched.reasons)}
    body["stream"] = True
    if row.stream_usage == "ask":
        body["stream_options"] = {"include_usage": True}
    schema = schema_to_put(prompt, mode)
    parameters = _parameters(prompt, row, notes, drops=drops, is_put=schema is not None)
    if schema is not None:
        body |= _response_format(schema, mode)
        if prompt.response_schema is None:
            notes.changed("response_format", IN_WORDS)
    asked = _options(prompt.parameters, row, notes, drops=drops) | switched.members | parameters
    if "max_output_tokens" in asked:
        asked[_token_param(row, family, refused)] = asked.pop("max_output_tokens")
    return _without(asked | body, refused, notes)


def schema_in_words(schema: ResponseSchema) -> str:
    """Return what to tell a model that cannot be given a schema; it holds the word JSON, which OpenAI insists on."""
    text = json.dumps(schema.schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON object and nothing else. It must match this JSON schema:\n{text}"


def _parameters(
    prompt: Prompt, row: OpenAICompatible, notes: Notes, *, drops: frozenset[str], is_put: bool = False
) -> Json:
    """Return what every provider has a name for; `is_put`, where the form of the answer is said already."""
    given = prompt.parameters
    known = {
        "temperature": given.temperature,
        "top_p": given.top_p,
        "max_output_tokens": given.max_output_tokens,
        "stop": _stops(given, row, notes),
        "seed": _seed(given, row, notes, is_dropped="seed" in drops),
        "presence_penalty": given.presence_penalty or None,  # 0 is what everyone does without it
        "frequency_penalty": given.frequency_penalty or None,
        "response_format": None if is_put else _callers_format(given, row, notes),
        "tools": without_nulls(given.tools, levels=2) or None,  # an empty list is refused
        "tool_choice": without_nulls(given.tool_choice, levels=2) or None,
        "parallel_tool_calls": _parallel(given),
        "user": given.user,
    }
    chosen: Json = {}
    for name, value in known.items():
        if value is None:
            continue
        if name not in drops:
            chosen[row.seed_param if name == "seed" else name] = value
        elif value != _IDLE.get(name):
            notes.dropped(name, _why(name, row))
    return chosen


def _options(given: Parameters, row: OpenAICompatible, notes: Notes, *, drops: frozenset[str]) -> Json:
    """Return what only some providers know. A parameter's own name is none of theirs."""
    chosen: Json = {}
    names = dict(row.renames)
    for name, value in given.options.items():
        if name in _ELSEWHERE or name in row.moves or value is None:
            continue
        member = names.get(name, name)
        if name not in names and (name not in row.takes - drops or name in OURS):
            notes.dropped(name, _why(name, row))
            continue
        chosen[member] = without_nulls(_whole(value))
        if member != name:
            notes.changed(name, f"takes it as {member}")
    return chosen | moved_options(given.options, row.moves, notes)


def _why(name: str, row: OpenAICompatible) -> str:
    is_for_reasoning = name in row.drops_when_reasoning and name not in row.drops
    return "does not take it while the model reasons" if is_for_reasoning else "does not take it"


def _stops(given: Parameters, row: OpenAICompatible, notes: Notes) -> list[str] | None:
    stops = given.stop or None
    if stops is None or row.max_stops is None or len(stops) <= row.max_stops or "stop" in row.drops:
        return stops
    notes.changed("stop", f"takes the first {row.max_stops} only")
    return stops[: row.max_stops]


def _seed(given: Parameters, row: OpenAICompatible, notes: Notes, *, is_dropped: bool) -> int | None:
    """Return the seed, by whichever of its two names it was given."""
    by_option = given.options.get("random_seed")
    if by_option is None:
        return given.seed
    if isinstance(by_option, bool) or not isinstance(by_option, int):
        notes.dropped("random_seed", "does not take it like this")
    elif given.seed is not None:
        notes.dropped("random_seed", "takes seed in its place")
    elif is_dropped:
        notes.dropped("random_seed")
    else:
        if row.seed_param != "random_seed":
            notes.changed("random_seed", f"takes it as {row.seed_param}")
        return by_option
    return None if is_dropped and given.seed is None else given.seed


def _parallel(given: Parameters) -> bool | None:
    by_option = given.options.get("parallel_tool_calls")
    if given.parallel_tool_calls is not None or not isinstance(by_option, bool):
        return given.parallel_tool_calls
    return by_option


def _callers_format(given: Parameters, row: OpenAICompatible, notes: Notes) -> Json | None:
    wanted = without_nulls(given.response_format, levels=2) or None
    schema = wanted.get("json_schema") if wanted else None
    if not is_object(schema) or schema.get("strict") is not True:
        return wanted
    narrowed = schema
    if row.completes_schemas:
        narrowed = schema | {"schema": to_strict(schema.get("schema", {}))}
    elif row.closes_schemas:
        narrowed = schema | {"schema": closed(schema.get("schema", {}))}
    if narrowed != schema:
        notes.changed("response_format", "takes objects with all their members and no further ones only")
    return {**(wanted or {}), "json_schema": narrowed}


def _whole(value: Any) -> Any:  # any JSON
    """Return `5.0`, as one older system's requests come in, as `5`: servers that want a whole number refuse it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _token_param(row: OpenAICompatible, family: Family, refused: frozenset[str]) -> str:
    name = family.token_param or row.token_param
    return next((other for other in (name, *TOKEN_PARAMS) if other not in refused), name)


def _without(body: Json, refused: frozenset[str], notes: Notes) -> Json:
    for name in _told(body, refused - KEPT):
        notes.dropped(name, "refused it for this model")
    return {name: value for name, value in body.items() if name not in refused or name in KEPT}


def _told(body: Json, refused: frozenset[str]) -> Iterator[str]:
    """Yield the members that were refused, but for what no caller asks for."""
    return (name for name in body if name in refused and name != "stream_options")


def _response_format(schema: ResponseSchema, mode: SchemaMode) -> Json:
    match mode:
        case "prompt":
            return {}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "json_schema" | "json_schema_strict":
            named: Json = {"name": schema.name, "schema": schema.schema}
            if mode == "json_schema_strict":
                named["strict"] = True
            return {"response_format": {"type": "json_schema", "json_schema": named}}


def _messages(prompt: Prompt, row: OpenAICompatible, mode: SchemaMode, notes: Notes, *, reasons: bool) -> list[Json]:
    messages = messages_to_wire(prompt, row, notes, reasons=reasons)
    schema = schema_to_put(prompt, mode)
    if schema is not None and mode in LESS:
        words = schema_in_words(schema)
        if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
            messages[0]["content"] += f"\n\n{words}"
        else:
            messages.insert(0, {"role": "system", "content": words})
    return messages
