"""Chat completions on the wire: the request that a prompt becomes for one row. Pure; what is not known is not sent."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from shared.domain.events import StopsBilling
from workers.providers.base import Prompt, PromptImage, PromptMessage, PromptPart, ResponseSchema

SchemaMode: TypeAlias = Literal["json_schema_strict", "json_schema", "json_object", "prompt"]
"""How a provider is asked for JSON; each is a step down from the one before. `prompt` asks in words only."""
STEP_DOWN: Final[dict[SchemaMode, SchemaMode]] = {
    "json_schema_strict": "json_object",
    "json_schema": "json_object",
    "json_object": "prompt",
}
SAMPLING: Final = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
"""Our names of the parameters that a model cannot be given while it reasons."""
Json: TypeAlias = dict[str, Any]  # a JSON object of the wire


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
    reasons: tuple[tuple[str, bool], ...] = ()
    """Beginnings of its models' names, and whether those models reason unless told not to: then they refuse `SAMPLING`.
    The first that fits counts; where none fits, a model does not reason."""
    usage_excludes_reasoning: bool = False
    """Whether its `completion_tokens` leave out the reasoning, which ours include."""


def to_wire(prompt: Prompt, row: OpenAICompatible, mode: SchemaMode) -> Json:
    """Return the request's body: only known keys, no nulls."""
    parameters = prompt.parameters
    known = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_output_tokens": parameters.max_output_tokens,
        "stop": parameters.stop or None,
        "seed": parameters.seed,
        "presence_penalty": parameters.presence_penalty or None,  # 0 is what everyone does without it
        "frequency_penalty": parameters.frequency_penalty or None,
    }
    drops = row.drops | SAMPLING if _reasons(prompt.model, row) else row.drops
    chosen = {name: value for name, value in known.items() if value is not None and name not in drops}
    if "max_output_tokens" in chosen:
        chosen[row.token_param] = chosen.pop("max_output_tokens")
    body: Json = {"model": prompt.model, "messages": _messages(prompt, mode), "stream": True} | chosen
    if row.stream_usage == "ask":
        body["stream_options"] = {"include_usage": True}
    if prompt.response_schema is not None and mode != "prompt":
        body["response_format"] = _response_format(prompt.response_schema, mode)
    return body


def schema_in_words(schema: ResponseSchema) -> str:
    """Return what to tell a model that cannot be given a schema; it holds the word JSON, which OpenAI insists on."""
    text = json.dumps(schema.schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON object and nothing else. It must match this JSON schema:\n{text}"


def _reasons(model: str, row: OpenAICompatible) -> bool:
    name = model.removeprefix("ft:")
    return next((reasons for beginning, reasons in row.reasons if name.startswith(beginning)), False)


def _response_format(schema: ResponseSchema, mode: SchemaMode) -> Json:
    if mode == "json_object":
        return {"type": "json_object"}
    named: Json = {"name": schema.name, "schema": schema.schema}
    if mode == "json_schema_strict":
        named["strict"] = True
    return {"type": "json_schema", "json_schema": named}


def _messages(prompt: Prompt, mode: SchemaMode) -> list[Json]:
    messages = [_message(message) for message in prompt.messages]
    if prompt.response_schema is not None and mode in ("json_object", "prompt"):
        words = schema_in_words(prompt.response_schema)
        if messages and messages[0]["role"] == "system" and isinstance(messages[0]["content"], str):
            messages[0]["content"] += f"\n\n{words}"
        else:
            messages.insert(0, {"role": "system", "content": words})
    return messages


def _message(message: PromptMessage) -> Json:
    """Content is plain text wherever it can be: some servers take lists from users only."""
    if any(isinstance(part, PromptImage) for part in message.parts):
        return {"role": message.role, "content": [_part(part) for part in message.parts]}
    texts = [part.text for part in message.parts if not isinstance(part, PromptImage)]
    return {"role": message.role, "content": "\n".join(texts)}


def _part(part: PromptPart) -> Json:
    """Images travel inside: a self-hosted server would fetch a URL from within its own network."""
    if isinstance(part, PromptImage):
        url = f"data:{part.media_type};base64,{base64.b64encode(part.content).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "text", "text": part.text}
