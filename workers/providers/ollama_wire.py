"""Ollama's chat on the wire: the request that a prompt becomes, and deltas out of JSON lines. Pure.

Source: github.com/ollama/ollama docs/api.md ("Generate a chat completion") and docs/capabilities/thinking.mdx.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import StreamIncomplete, UnsupportedMediaType
from shared.domain.events import Delta, Finish, Reasoning, Text, ToolCall, Usage
from workers.providers.base import (
    MESSAGES_FIELD,
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptVideo,
    ResponseSchema,
    new_call_id,
)
from workers.providers.classify import classify
from workers.providers.lines import LineSplitter
from workers.providers.openai_wire import schema_in_words, without_nulls
from workers.providers.refusal import Refusal, is_object, tidy
from workers.providers.request_body import quoted_base64

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
Think: TypeAlias = bool | Literal["low", "medium", "high"] | None
"""None leaves it to the model: one that can think does. Most know no levels, and take any for yes."""
_THINK: Final[Mapping[str, Think]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}
"""By `reasoning_effort`; what is not here is left to the model."""
_OPTION_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_MORE_OPTIONS: Final = {"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repeat_penalty"}
"""By the names of `Parameters.options`."""
CONTEXT_TOKENS: Final = 4096
"""What Ollama reads of a prompt unless it is told otherwise; the rest is cut off without a word (docs/faq.md)."""
MAX_CONTEXT_TOKENS: Final = 131_072
"""More than this is not asked for on behalf of a caller: the memory is taken at once."""
_CHARS_PER_TOKEN: Final = 2  # on the safe side: 4 is usual for English, 1 to 2 for Chinese
_TOKENS_PER_IMAGE: Final = 1500
_ROOM_FOR_THE_ANSWER: Final = 1024


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _ToolCall(msgspec.Struct):
    function: _Function | None = None
    id: str | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Line)


def how_to_think(prompt: Prompt) -> Think:
    """Return what to say about thinking: not to, where our own schema is to be filled, because that is wanted soon."""
    if prompt.response_schema is not None:
        return False
    return _THINK.get(prompt.parameters.reasoning_effort or "")


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
    options = _options(prompt.parameters) | _context(prompt, tools)
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


def _options(parameters: Parameters) -> Json:
    known = [(wire, getattr(parameters, name)) for name, wire in _OPTION_NAMES.items()]
    more = ((wire, parameters.options.get(name)) for name, wire in _MORE_OPTIONS.items())
    known += [(wire, value) for wire, value in more if isinstance(value, int | float)]
    return {wire: value for wire, value in known if value is not None}


def _context(prompt: Prompt, tools: list[Json]) -> Json:
    """Ask for a longer context if the prompt may need one; the default keeps a loaded model loaded."""
    images = sum(isinstance(part, PromptImage) for message in prompt.messages for part in message.parts)
    chars = sum(len(message.text) + _called_chars(message) for message in prompt.messages)
    chars += len(msgspec.json.encode(tools)) if tools else 0
    room = min(prompt.parameters.max_output_tokens or _ROOM_FOR_THE_ANSWER, MAX_CONTEXT_TOKENS)
    needed = chars // _CHARS_PER_TOKEN + images * _TOKENS_PER_IMAGE + room
    size = CONTEXT_TOKENS
    while size < min(needed, MAX_CONTEXT_TOKENS):
        size *= 2  # few sizes: each new one makes Ollama load the model again
    return {"num_ctx": size} if size > CONTEXT_TOKENS else {}


def _called_chars(message: PromptMessage) -> int:
    return sum(len(call.arguments) for call in message.tool_calls)


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


class LineReader:
    """Reads one stream."""

    def __init__(self, provider: str, *, secrets: tuple[str, ...] = ()) -> None:
        self._provider = provider
        self._secrets = secrets
        self._splitter = LineSplitter()
        self._tool_calls = 0
        self.is_done = False
        """Whether the line that says `done` was seen: nothing follows."""

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Take more bytes, yield the deltas they complete; those before a fault come before it is raised.

        Raises:
            ProviderError: what Ollama reported inside the stream, or `StreamIncomplete` for a line that is no JSON.
        """
        for line in self._splitter.feed(chunk):
            if line.strip() and not self.is_done:
                yield from self._read(line)

    def end(self) -> Iterator[Delta]:
        """Read what has come of a last line that has no end; raises as `feed` does."""
        line = self._splitter.rest()
        if line.strip() and not self.is_done:
            yield from self._read(line)

    def _read(self, data: bytes) -> Iterator[Delta]:
        try:
            line = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise StreamIncomplete(f"{self._provider} sent a line that cannot be read: {tidy(str(fault))}") from fault
        if bytes(line.error).strip() not in (b"", b"null", b'""'):
            raise classify(Refusal(None, data), provider=self._provider, secrets=self._secrets)
        if line.message is not None:
            yield from self._message(line.message)
        if line.done:
            self.is_done = True
            if line.eval_count is not None or line.prompt_eval_count is not None:
                # the prompt's count is left out when the prompt was cached
                yield Usage(input_tokens=line.prompt_eval_count or 0, output_tokens=line.eval_count or 0)
            yield Finish(line.done_reason or "stop")

    def _message(self, message: _Message) -> Iterator[Delta]:
        if message.thinking:
            yield Reasoning(message.thinking)
        if message.content:
            yield Text(message.content)
        for call in message.tool_calls or ():
            function = call.function or _Function()
            yield ToolCall(
                self._tool_calls, call.id or new_call_id(), function.name, bytes(function.arguments).decode()
            )
            self._tool_calls += 1
