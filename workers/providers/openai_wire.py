"""Chat completions on the wire: the request that a prompt becomes for one row. Pure; what is not known is not sent."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from shared.domain.commands import Parameters
from shared.domain.events import StopsBilling
from workers.providers.base import Prompt, ResponseSchema
from workers.providers.model_lists import USUAL, Listing
from workers.providers.openai_messages import PART_OPTIONS, Json, messages_to_wire
from workers.providers.refusal import is_object

SchemaMode: TypeAlias = Literal["json_schema_strict", "json_schema", "json_object", "prompt"]
"""How a provider is asked for JSON; each is a step down from the one before. `prompt` asks in words only."""
STEP_DOWN: Final[dict[SchemaMode, SchemaMode]] = {
    "json_schema_strict": "json_object",
    "json_schema": "json_object",
    "json_object": "prompt",
}
SAMPLING: Final = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"}
)
"""What a model cannot be given while it reasons: our parameters, and options."""
OURS: Final = frozenset(
    {"model", "messages", "n", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
    | {"functions", "function_call"}
    | set(Parameters.model_fields) - {"options"}
    | {name for names in PART_OPTIONS.values() for name in names}
)
"""Never members of a request by way of the options, whatever a row says."""
_ALL_LEVELS: Final = 1000
"""More than any JSON has that was read here."""


@dataclass(frozen=True, kw_only=True)
class OpenAICompatible:
    """Facts about one provider that speaks chat completions; the defaults are what nearly all of them take."""

    name: str
    stops_billing_on_abort: StopsBilling = "unknown"
    token_param: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 - a count of tokens
    stream_usage: Literal["ask", "never_send"] = "ask"
    schema_mode: SchemaMode = "json_object"
    drops: frozenset[str] = frozenset()
    """Our names of parameters it refuses."""
    takes: frozenset[str] = frozenset()
    """Names of `Parameters.options` it knows; others are left out."""
    media: frozenset[Literal["video", "audio"]] = frozenset()
    """What it takes besides texts and images, in the form that `openai_messages` gives it."""
    reasons: tuple[tuple[str, bool], ...] = ()
    """Beginnings of its models' names, and whether those models reason unless told not to: then they refuse `SAMPLING`.
    The first that fits counts; where none fits, a model does not reason."""
    usage_excludes_reasoning: bool = False
    """Whether its `completion_tokens` leave out the reasoning, which ours include."""
    seed_param: Literal["seed", "random_seed"] = "seed"
    listing: Listing | None = USUAL
    """None: it does not list its models."""


def to_wire(prompt: Prompt, row: OpenAICompatible, mode: SchemaMode) -> Json:
    """Return the request's body: only known keys, no nulls.

    Raises:
        UnsupportedMediaType: if the prompt has media that the provider does not take.
    """
    drops = row.drops | SAMPLING if _reasons(prompt, row) else row.drops
    body: Json = {"model": prompt.model, "messages": _messages(prompt, row, mode), "stream": True}
    if row.stream_usage == "ask":
        body["stream_options"] = {"include_usage": True}
    if prompt.response_schema is not None:
        drops |= {"response_format"}
        body |= _response_format(prompt.response_schema, mode)
    return _options(prompt.parameters, row, drops) | _parameters(prompt.parameters, row, drops) | body


def schema_in_words(schema: ResponseSchema) -> str:
    """Return what to tell a model that cannot be given a schema; it holds the word JSON, which OpenAI insists on."""
    text = json.dumps(schema.schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON object and nothing else. It must match this JSON schema:\n{text}"


def without_nulls(value: Any, *, levels: int) -> Any:  # any JSON
    """Return JSON without the null members of its objects, down to so many levels of them.

    Deeper ones may belong to a schema, where a null means something.
    """
    if levels and is_object(value):
        return {name: without_nulls(it, levels=levels - 1) for name, it in value.items() if it is not None}
    if levels and isinstance(value, list):
        entries = cast("list[Any]", value)
        return [without_nulls(it, levels=levels) for it in entries if it is not None]
    return value


def _parameters(given: Parameters, row: OpenAICompatible, drops: frozenset[str]) -> Json:
    known = {
        "temperature": given.temperature,
        "top_p": given.top_p,
        "max_output_tokens": given.max_output_tokens,
        "stop": given.stop or None,
        "seed": given.seed,
        "presence_penalty": given.presence_penalty or None,  # 0 is what everyone does without it
        "frequency_penalty": given.frequency_penalty or None,
        "reasoning_effort": given.reasoning_effort,
        "response_format": without_nulls(given.response_format, levels=2) or None,
        "tools": without_nulls(given.tools, levels=2) or None,  # an empty list is refused
        "tool_choice": without_nulls(given.tool_choice, levels=2) or None,
        "parallel_tool_calls": given.parallel_tool_calls,
        "user": given.user,
    }
    chosen = {name: value for name, value in known.items() if value is not None and name not in drops}
    if "max_output_tokens" in chosen:
        chosen[row.token_param] = chosen.pop("max_output_tokens")
    if "seed" in chosen:
        chosen[row.seed_param] = chosen.pop("seed")
    return chosen


def _options(given: Parameters, row: OpenAICompatible, drops: frozenset[str]) -> Json:
    names = row.takes - OURS - drops
    chosen = {name: value for name, value in given.options.items() if name in names}
    if isinstance(thinks := chosen.get("thinking"), bool):  # who takes it (DeepSeek, Ark) takes an object
        chosen["thinking"] = {"type": "enabled" if thinks else "disabled"}
    return without_nulls(chosen, levels=_ALL_LEVELS)


def _reasons(prompt: Prompt, row: OpenAICompatible) -> bool:
    """Return whether the model will reason; one that does not by itself does when it is told how much."""
    name = prompt.model.removeprefix("ft:")
    by_itself = next((reasons for beginning, reasons in row.reasons if name.startswith(beginning)), None)
    if by_itself is None:
        return False
    return by_itself or prompt.parameters.reasoning_effort not in (None, "none")


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


def _messages(prompt: Prompt, row: OpenAICompatible, mode: SchemaMode) -> list[Json]:
    messages = messages_to_wire(prompt, takes=row.takes, media=row.media)
    if prompt.response_schema is not None and mode in ("json_object", "prompt"):
        words = schema_in_words(prompt.response_schema)
        if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
            messages[0]["content"] += f"\n\n{words}"
        else:
            messages.insert(0, {"role": "system", "content": words})
    return messages
