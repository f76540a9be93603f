"""Ollama's chat on the wire: the request that a prompt becomes, and deltas out of JSON lines. Pure.

Source: github.com/ollama/ollama docs/api.md ("Generate a chat completion") and docs/capabilities/thinking.mdx.
"""

import base64
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from shared.domain.commands import Parameters
from shared.domain.errors import StreamIncomplete
from shared.domain.events import Delta, Finish, Reasoning, Text, ToolCall, Usage
from workers.providers.base import Prompt, PromptImage, PromptMessage
from workers.providers.classify import classify
from workers.providers.lines import LineSplitter
from workers.providers.openai_wire import schema_in_words
from workers.providers.refusal import Refusal, tidy

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
_OPTION_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
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


def to_wire(prompt: Prompt, *, think: bool | None = None) -> Json:
    """Return the request's body: only known keys, no nulls. Without `think` a model that can think does."""
    messages = [_message(message) for message in prompt.messages]
    body: Json = {"model": prompt.model, "messages": messages, "stream": True}
    if think is not None:
        body["think"] = think
    if prompt.response_schema is not None:
        # `format` restricts what can be written, but the model does not see it (docs/capabilities/structured-outputs)
        body["format"] = prompt.response_schema.schema
        messages.insert(0, {"role": "system", "content": schema_in_words(prompt.response_schema)})
    options = _options(prompt.parameters) | _context(prompt)
    return body | ({"options": options} if options else {})


def _options(parameters: Parameters) -> Json:
    known = ((wire, getattr(parameters, name)) for name, wire in _OPTION_NAMES.items())
    return {wire: value for wire, value in known if value is not None}


def _context(prompt: Prompt) -> Json:
    """Ask for a longer context if the prompt may need one; the default keeps a loaded model loaded."""
    parts = [part for message in prompt.messages for part in message.parts]
    images = sum(isinstance(part, PromptImage) for part in parts)
    chars = sum(len(part.text) for part in parts if not isinstance(part, PromptImage))
    room = min(prompt.parameters.max_output_tokens or _ROOM_FOR_THE_ANSWER, MAX_CONTEXT_TOKENS)
    needed = chars // _CHARS_PER_TOKEN + images * _TOKENS_PER_IMAGE + room
    size = CONTEXT_TOKENS
    while size < min(needed, MAX_CONTEXT_TOKENS):
        size *= 2  # few sizes: each new one makes Ollama load the model again
    return {"num_ctx": size} if size > CONTEXT_TOKENS else {}


def _message(message: PromptMessage) -> Json:
    """Images are bare base64, never a data URL, a link or a path (which Ollama's SDK would read from our disk)."""
    texts = [part.text for part in message.parts if not isinstance(part, PromptImage)]
    images = [base64.b64encode(part.content).decode() for part in message.parts if isinstance(part, PromptImage)]
    wire: Json = {"role": message.role, "content": "\n".join(texts)}
    return wire | ({"images": images} if images else {})


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
            yield ToolCall(self._tool_calls, call.id, function.name, bytes(function.arguments).decode())
            self._tool_calls += 1
