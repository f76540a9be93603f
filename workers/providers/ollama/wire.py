"""Ollama's chat on the wire: the request that a prompt becomes. Pure.

Source: github.com/ollama/ollama docs/api.md ("Generate a chat completion") and docs/capabilities/thinking.mdx.
"""

from collections.abc import Mapping

import msgspec

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import UnsupportedMediaType
from workers.providers.base import (
    MESSAGES_FIELD,
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptVideo,
    ResponseSchema,
)
from workers.providers.chat_completions.wire import schema_in_words, without_nulls
from workers.providers.ollama.options import Json, Think, keep_alive_of, options_of
from workers.providers.refusal import is_object
from workers.providers.request_body import quoted_base64


def to_wire(prompt: Prompt, *, think: Think = None) -> Json:
    """Return the request's body: only known keys, no nulls.

    Raises:
        UnsupportedMediaType: if the prompt has a video or a recording.
    """
    messages = _messages(prompt)
    body: Json = {"model": prompt.model, "messages": messages, "stream": True}
    if think is not None:
        body["think"] = think
    schema = prompt.response_schema or _given_schema(prompt.parameters)
    if schema is not None:
        # `format` restricts what can be written, but the model does not see it (docs/capabilities/structured-outputs)
        body["format"] = schema.schema
        messages.insert(0, {"role": "system", "content": schema_in_words(schema)})
    elif (prompt.parameters.response_format or {}).get("type") == "json_object":
        body["format"] = "json"
    tools = _tools(prompt.parameters)
    if tools:
        body["tools"] = tools
    keep_alive = keep_alive_of(prompt.parameters)
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    options = options_of(prompt, tools)
    return body | ({"options": options} if options else {})


def _given_schema(parameters: Parameters) -> ResponseSchema | None:
    """Return the schema of a `response_format` as OpenAI has it."""
    named: object = (parameters.response_format or {}).get("json_schema")
    schema = named.get("schema") if is_object(named) else None
    return ResponseSchema("answer", schema) if is_object(schema) else None


def _tools(parameters: Parameters) -> list[Json]:
    """Return the functions that may be called; Ollama can be told to call none, but not to call one."""
    if parameters.tool_choice == "none":
        return []
    functions = [tool for tool in parameters.tools or () if tool.get("type", "function") == "function"]
    return without_nulls(functions, levels=2)


def _messages(prompt: Prompt) -> list[Json]:
    names = {call.id: call.name for message in prompt.messages for call in message.tool_calls}
    return [_message(message, names) for message in prompt.messages]


def _message(message: PromptMessage, names: Mapping[str, str]) -> Json:
    """Images are bare base64, never a data URL, a link or a path (which Ollama's SDK would read from our disk)."""
    if any(isinstance(part, PromptVideo | PromptAudio) for part in message.parts):
        raise UnsupportedMediaType("Ollama takes no videos and no recordings.", field=MESSAGES_FIELD)
    wire: Json = {"role": message.role, "content": message.text}
    images = [quoted_base64(part.content) for part in message.parts if isinstance(part, PromptImage)]
    if images:
        wire["images"] = images
    if message.tool_calls:
        wire["tool_calls"] = [_called(call) for call in message.tool_calls]
    if name := names.get(message.tool_call_id or ""):
        wire["tool_name"] = name  # Ollama tells results by the function, not by the call
    return wire


def _called(call: CalledTool) -> Json:
    return {"function": {"name": call.name, "arguments": _arguments(call.arguments)}}


def _arguments(text: str) -> Json:
    """Return a call's arguments as the object Ollama wants; what a model wrote that is none, as its only member."""
    try:
        arguments: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {"text": text} if text else {}
    return arguments if is_object(arguments) else {"value": arguments}
