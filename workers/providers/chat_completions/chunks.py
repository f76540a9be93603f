"""Chat completion streams: bytes in, deltas out, in the order of the wire.

Decodes only the fields that are used (2 µs a chunk with msgspec; the SDK's own chunk objects cost 100).
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shared.domain.errors import ContentBlocked, ProviderError, ProviderOverloaded, StreamIncomplete
from shared.domain.events import Finish, Reasoning, Signature, Text, ToolCall, Usage
from workers.providers.base import GeneratedImage, ProviderDelta
from workers.providers.chat_completions.answer_parts import MAX_IMAGES, image_of, read_parts
from workers.providers.chat_completions.chunk import Choice, Chunk, ChunkDelta, decode_chunk
from workers.providers.chat_completions.reasoning_details import MAX_CHARS, ReasoningDetails
from workers.providers.classify import classify
from workers.providers.refusal import Refusal, is_list, is_object, tidy
from workers.providers.sources import Sources
from workers.providers.sse import EventSplitter, ServerSentEvent
from workers.providers.think_tags import ThinkTags
from workers.providers.tool_fragments import ToolFragments
from workers.providers.usage import read_usage

DONE: Final = b"[DONE]"
_NOTHING: Final = (b"", b"null", b"false", b"0", b'""', b"{}", b"[]")
"""What an `error` field holds that reports none."""
_NO_CHUNKS: Final = (b"ping", b"heartbeat", b"keep-alive", b"keepalive")
"""Names of events that only keep a connection open."""
_FINISH: Final = {
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "function_call": "tool_calls",
    "end_turn": "stop",
    "eos": "stop",
}
_BLOCKED: Final = ("content_filter", "safety", "sensitive")  # the last is Zhipu's
_FAILED: Final = ("insufficient_system_resource", "network_error")  # DeepSeek, Zhipu
_MAX_REFUSAL_CHARS: Final = 4000
_MAX_SIGNATURES: Final = 100


class ChunkReader:
    """Reads one stream. `think_tags`: whether the model may write its thoughts into the answer's beginning."""

    def __init__(
        self,
        provider: str,
        *,
        usage_excludes_reasoning: bool = False,
        think_tags: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._provider = provider
        self._usage_excludes_reasoning = usage_excludes_reasoning
        self._secrets = secrets
        self._splitter = EventSplitter()
        self._tags = ThinkTags() if think_tags else None
        self._refusal = ""
        self._details = ReasoningDetails()
        self._signatures: set[str] = set()
        self._images: set[int] = set()
        self._sources = Sources()
        self._calls = ToolFragments()
        self._has_finished = False
        self.is_done = False
        """Whether `[DONE]` was seen: nothing follows."""

    def feed(self, chunk: bytes) -> Iterator[ProviderDelta]:
        """Take more bytes, yield the deltas they complete; those before a fault come before it is raised.

        Raises:
            ProviderError: what the provider reported inside the stream, or `StreamIncomplete` for what is no chunk.
        """
        for event in self._splitter.feed(chunk):
            yield from self._event(event)
            if self.is_done:
                return

    def end(self) -> Iterator[ProviderDelta]:
        """Read what has come of a last event that has no end; raises as `feed` does."""
        if not self.is_done:
            for event in self._splitter.end():
                yield from self._event(event)

    def _event(self, event: ServerSentEvent) -> Iterator[ProviderDelta]:
        chunk = self._chunk(event)
        if chunk is None:
            if self.is_done:
                yield from self._kept_back()
            return
        choice = chunk.choices[0] if chunk.choices and not chunk.choices[0].index else None
        if choice is not None and choice.delta is not None:
            yield from self._delta(choice.delta)
        if chunk.search_results or chunk.citations:  # those that say more go first
            yield from self._sources.new(chunk.search_results, chunk.citations)
        if chunk.usage or chunk.x_groq or (choice is not None and choice.usage):
            yield from self._usage(chunk, choice)
        self._check(chunk, event)
        if choice is not None and choice.finish_reason and not self._has_finished:  # OpenRouter says it twice
            self._has_finished = True
            yield from self._finish(choice.finish_reason)

    def _chunk(self, event: ServerSentEvent) -> Chunk | None:
        """Return the chunk of an event; None if it is none, of which the last says that all is done."""
        if event.name and (event.name == b"error" or event.name in _NO_CHUNKS):
            if event.name == b"error":
                raise self._reported(event.data)
            return None
        try:
            return decode_chunk(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            data = event.data.strip()
            self.is_done = data == DONE
            if self.is_done or not data:
                return None
            raise StreamIncomplete(f"{self._provider} sent a chunk that cannot be read: {tidy(str(fault))}") from fault

    def _check(self, chunk: Chunk, event: ServerSentEvent) -> None:
        """Raise what a chunk reports: in its place, as the flat body of an error (Mistral, vLLM), or as Groq does."""
        if chunk.error and bytes(chunk.error).strip() not in _NOTHING:
            raise self._reported(event.data)
        if chunk.choices is None and (_text(chunk.message) or _text(chunk.detail)):
            raise self._reported(event.data)
        if is_object(chunk.x_groq) and (said := chunk.x_groq.get("error")):
            raise self._reported(msgspec.json.encode({"error": said}))

    def _delta(self, delta: ChunkDelta) -> Iterator[ProviderDelta]:
        thoughts = delta.reasoning_content or delta.reasoning or delta.thinking or delta.thought
        if thoughts or delta.reasoning_details:
            yield from self._thoughts(thoughts, delta.reasoning_details)
        if delta.content:
            yield from self._content(delta.content, delta.extra_content)
        if delta.images:
            yield from self._pictures(delta.images)
        if delta.tool_calls or delta.function_call:
            yield from self._tool_calls(delta)
        if delta.encrypted_content or delta.extra_content:
            yield from self._signed(delta.encrypted_content, _google(delta.extra_content).get("thought_signature"))
        if isinstance(delta.refusal, str):
            self._refusal = (self._refusal + delta.refusal)[:_MAX_REFUSAL_CHARS]
        if delta.annotations or delta.executed_tools or delta.search_results or delta.citations:
            yield from self._sources.new(delta.annotations, delta.executed_tools, delta.search_results, delta.citations)

    def _thoughts(self, thoughts: object, details: object) -> Iterator[Reasoning]:
        """Yield what a model thinks; OpenRouter says it once more in the details, or only there."""
        told = list(self._details.take(details))
        for words in (thoughts,) if thoughts else told:
            if isinstance(words, str):
                yield Reasoning(words)

    def _content(self, content: object, extra: object) -> Iterator[ProviderDelta]:
        if not isinstance(content, str):
            yield from self._parts(content)
        elif extra is None and (self._tags is None or self._tags.is_text):
            yield Text(content)  # nearly always
        else:
            yield from self._words(content, extra)

    def _words(self, text: str, extra: object = None) -> Iterator[Text | Reasoning]:
        """Yield what a model says; Gemini marks its thoughts, and may write them between tags besides."""
        is_thought = extra is not None and bool(_google(extra).get("thought"))
        if is_thought and self._tags is None:
            self._tags = ThinkTags()
        told = [Text(text)] if self._tags is None or self._tags.is_text else self._tags.feed(text)
        for it in told:
            yield Reasoning(it.text) if is_thought else it

    def _parts(self, content: object) -> Iterator[ProviderDelta]:
        for found in read_parts(content):
            match found:
                case Text():
                    yield from self._words(found.text)
                case Signature():
                    yield from self._signed(found.signature)
                case GeneratedImage():
                    yield from self._picture(found)
                case msgspec.Raw():
                    yield from self._sources.new(found)
                case _:
                    yield found

    def _pictures(self, images: object) -> Iterator[GeneratedImage]:
        for entry in images if is_list(images) else ():
            found = image_of(entry)
            if found is not None:
                yield from self._picture(found)

    def _picture(self, image: GeneratedImage) -> Iterator[GeneratedImage]:
        """Yield an image that was not there yet: some repeat them in their last chunk."""
        known = hash(image.url)
        if known not in self._images and len(self._images) < MAX_IMAGES:
            self._images.add(known)
            yield image

    def _tool_calls(self, delta: ChunkDelta) -> Iterator[ToolCall | Signature]:
        for fragment in delta.tool_calls if is_list(delta.tool_calls) else ():
            yield from self._calls.take(fragment)
            if is_object(fragment) and fragment.get("extra_content"):
                yield from self._signed(_google(fragment["extra_content"]).get("thought_signature"))
        if is_object(delta.function_call):
            yield from self._calls.take({"index": 0, "function": delta.function_call})

    def _signed(self, *signatures: object) -> Iterator[Signature]:
        for signature in signatures:
            if isinstance(signature, str) and signature and signature not in self._signatures:
                self._signatures.add(signature)
                if len(signature) <= MAX_CHARS and len(self._signatures) <= _MAX_SIGNATURES:
                    yield Signature(signature)

    def _usage(self, chunk: Chunk, choice: Choice | None) -> Iterator[Usage]:
        """Yield what was counted so far; the last counts. Groq has it in a place of its own."""
        groq: Any = chunk.x_groq.get("usage") if is_object(chunk.x_groq) else None
        for counts in (groq, choice.usage if choice is not None else None, chunk.usage):
            if is_object(counts):
                yield read_usage(counts, excludes_reasoning=self._usage_excludes_reasoning)

    def _finish(self, reason: str) -> Iterator[ProviderDelta]:
        yield from self._kept_back()
        reason = tidy(reason)
        plain = reason.lower()
        if self._refusal:
            raise ContentBlocked(f"The model refused: {tidy(self._refusal, secrets=self._secrets)}")
        if plain.startswith(_BLOCKED):  # Gemini says after it why
            raise ContentBlocked(f"{self._provider} stopped the answer with its content filter")
        if plain in _FAILED:
            raise ProviderOverloaded(f"{self._provider} ran out of resources in the middle of its answer")
        if plain == "error":  # Mistral, OpenRouter
            raise ProviderError(f"{self._provider} ended its answer with an error it does not name")
        details = self._details.whole()
        if details is not None:
            yield Signature(details)
        yield Finish(_FINISH.get(plain, plain if plain in ("stop", "length") else reason))

    def _kept_back(self) -> Iterator[Text | Reasoning]:
        if self._tags is not None:
            yield from self._tags.end()

    def _reported(self, data: bytes) -> ProviderError:
        return classify(Refusal(None, data), provider=self._provider, secrets=self._secrets)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _google(extra: object) -> dict[str, Any]:  # JSON
    inner: object = extra.get("google") if is_object(extra) else None
    return inner if is_object(inner) else {}
