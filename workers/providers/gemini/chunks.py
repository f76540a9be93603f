"""Gemini's streams: bytes in, deltas out, in the order of the wire.

Each event is a whole `GenerateContentResponse` with what is new; counts of tokens are those of all so far. There is no
end mark: an answer is whole when a finish reason was seen. Source: https://ai.google.dev/api/generate-content.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from shared.domain.errors import ProviderError, StreamIncomplete
from shared.domain.events import Finish, Reasoning, Signature, Text, ToolCall, Usage
from workers.providers.base import GeneratedImage, ProviderDelta, new_call_id
from workers.providers.classify import classify
from workers.providers.gemini.endings import blocked, finish
from workers.providers.gemini.signatures import Kind, Place, encode
from workers.providers.gemini.sources import sources_of
from workers.providers.refusal import Refusal, tidy
from workers.providers.sources import Sources
from workers.providers.sse import EventSplitter, ServerSentEvent

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""A picture of 20 MB in base64, and room around it."""
_DONE: Final = b"[DONE]"  # not Google's; what stands between may add it
_NO_ERROR: Final = (b"", b"null", b"false", b'""', b"{}", b"[]")


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class _FunctionCall(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part | None] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | int | None = None  # a number where the one who wrote it does not know its name
    finish_message: str | None = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()
    url_context_metadata: msgspec.Raw = msgspec.Raw()


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | int | None = None
    block_reason_message: str | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


class _Response(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate | None] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


_decoder: msgspec.json.Decoder[_Response | list[_Response]] = msgspec.json.Decoder(_Response | list[_Response])


class GeminiReader:
    """Reads one stream."""

    def __init__(self, provider: str, *, secrets: tuple[str, ...] = ()) -> None:
        self._provider = provider
        self._secrets = secrets
        self._splitter = EventSplitter(MAX_EVENT_BYTES)
        self._sources = Sources()
        self._counts: dict[str, int] = {}
        self._chars = self._calls = self._images = 0  # of what was said so far
        self._has_finished = False

    def feed(self, chunk: bytes) -> Iterator[ProviderDelta]:
        """Take more bytes, yield the deltas they complete; those before a fault come before it is raised.

        Raises:
            ProviderError: what Gemini reported inside the stream, or `StreamIncomplete` for what is no event of it.
        """
        for event in self._splitter.feed(chunk):
            yield from self._read(event)

    def end(self) -> Iterator[ProviderDelta]:
        """Read what has come of a last event that has no end; raises as `feed` does."""
        for event in self._splitter.end():
            yield from self._read(event)

    def _read(self, event: ServerSentEvent) -> Iterator[ProviderDelta]:
        if event.data.strip() == _DONE:
            return
        if event.name == b"error":
            raise self._reported(event.data)
        try:
            said = _decoder.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise StreamIncomplete(f"{self._provider} sent a chunk that cannot be read: {tidy(str(fault))}") from fault
        for response in said if isinstance(said, list) else [said]:
            if bytes(response.error).strip() not in _NO_ERROR:
                raise self._reported(event.data)
            yield from self._response(response)

    def _response(self, response: _Response) -> Iterator[ProviderDelta]:
        feedback, candidates = response.prompt_feedback, response.candidates
        if feedback is not None and feedback.block_reason:
            raise blocked(self._provider, "the question", feedback.block_reason, feedback.block_reason_message)
        candidate = candidates[0] if candidates else None
        if candidate is not None and candidate.index:
            candidate = None
        if candidate is not None:
            yield from self._candidate(candidate)
        if response.usage_metadata is not None:
            yield from self._usage(response.usage_metadata)
        if candidate is not None and candidate.finish_reason and not self._has_finished:
            self._has_finished = True
            yield self._finish(candidate)

    def _candidate(self, candidate: _Candidate) -> Iterator[ProviderDelta]:
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part is not None:
                yield from self._part(part)
        found = sources_of(candidate.grounding_metadata, candidate.url_context_metadata)
        if found:
            yield from self._sources.new(found)

    def _part(self, part: _Part) -> Iterator[ProviderDelta]:
        if part.thought:
            # Pictures among the thoughts are drafts.
            if part.text:
                yield Reasoning(part.text)
            yield from _signature(part, "thought", 0)
        elif part.function_call is not None:
            yield self._call(part.function_call)
            yield from _signature(part, "call", self._calls - 1)
        elif part.inline_data is not None and part.inline_data.data:
            yield self._image(part.inline_data)
            yield from _signature(part, "image", self._images - 1)
        else:
            if part.text:
                self._chars += len(part.text)
                yield Text(part.text)
            yield from _signature(part, "text", self._chars)

    def _call(self, call: _FunctionCall) -> ToolCall:
        arguments = bytes(call.args).decode(errors="replace")
        self._calls += 1
        return ToolCall(
            self._calls - 1, call.id or new_call_id(), call.name, arguments if arguments != "null" else "{}"
        )

    def _image(self, blob: _Blob) -> GeneratedImage:
        """Return a picture as it came: it is decoded where that does not hold up the loop."""
        self._images += 1
        data = (blob.data or "").replace("-", "+").replace("_", "/")  # some write it safe for addresses
        return GeneratedImage(url=f"data:{blob.mime_type or 'image/png'};base64,{data}")

    def _usage(self, usage: _Usage) -> Iterator[Usage]:
        self._counts |= {name: it for name, it in msgspec.structs.asdict(usage).items() if it is not None}
        if not self._counts:
            return
        count = self._counts.get
        thought = count("thoughts_token_count", 0)
        yield Usage(
            # what tools brought along is charged as input, and not among the prompt's tokens
            input_tokens=count("prompt_token_count", 0) + count("tool_use_prompt_token_count", 0),
            output_tokens=count("candidates_token_count", 0) + thought,
            reasoning_tokens=thought,
            cached_tokens=count("cached_content_token_count", 0),
        )

    def _finish(self, candidate: _Candidate) -> Finish:
        return finish(
            self._provider,
            str(candidate.finish_reason),
            tidy(candidate.finish_message or "", secrets=self._secrets),
            has_called=bool(self._calls),
            has_said=bool(self._chars or self._calls or self._images),
        )

    def _reported(self, data: bytes) -> ProviderError:
        return classify(Refusal(None, data), provider=self._provider, secrets=self._secrets)


def _signature(part: _Part, kind: Kind, at: int) -> Iterator[Signature]:
    kept = encode(Place(kind, at), part.thought_signature) if part.thought_signature else None
    if kept is not None:
        yield Signature(kept)
