"""Ollama's answers: bytes of JSON lines in, deltas out, in the order of the wire. Pure.

Source: github.com/ollama/ollama docs/api.md ("Generate a chat completion", and "Generate a completion", whose words
stand in `response`).
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shared.domain.errors import StreamIncomplete
from shared.domain.events import Finish, Reasoning, Text, Usage
from workers.providers.base import ProviderDelta
from workers.providers.classify import classify
from workers.providers.lines import LineSplitter
from workers.providers.refusal import Refusal, is_list, tidy
from workers.providers.think_tags import ThinkTags
from workers.providers.tool_fragments import ToolFragments
from workers.providers.usage import read_usage

_NOTHING: Final = (b"", b"null", b"false", b'""', b"{}", b"[]")
"""What an `error` member holds that reports none."""
_NO_ANSWER: Final = ("load", "unload")
"""Reasons for being done that tell of the model's memory, not of an answer."""


class _Message(msgspec.Struct):
    content: str | None = None
    # From here on Any: a member of an odd shape is read as if it were not there.
    thinking: Any = None
    tool_calls: Any = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    response: str | None = None
    thinking: Any = None
    done: Any = False
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Line)


class LineReader:
    """Reads one stream. Models that Ollama does not know to think may write their thoughts into the answer."""

    def __init__(self, provider: str, *, secrets: tuple[str, ...] = ()) -> None:
        self._provider = provider
        self._secrets = secrets
        self._splitter = LineSplitter()
        self._tags = ThinkTags()
        self._calls = ToolFragments()
        self.is_done = False
        """Whether the line that says `done` was seen: nothing follows."""

    def feed(self, chunk: bytes) -> Iterator[ProviderDelta]:
        """Take more bytes, yield the deltas they complete; those before a fault come before it is raised.

        Raises:
            ProviderError: what Ollama reported inside the stream, or `StreamIncomplete` for a line that is no JSON.
        """
        for line in self._splitter.feed(chunk):
            if line.strip() and not self.is_done:
                yield from self._read(line)

    def end(self) -> Iterator[ProviderDelta]:
        """Read what has come of a last line that has no end; raises as `feed` does."""
        line = self._splitter.rest()
        if line.strip() and not self.is_done:
            yield from self._read(line)

    def _read(self, data: bytes) -> Iterator[ProviderDelta]:
        try:
            line = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise StreamIncomplete(f"{self._provider} sent a line that cannot be read: {tidy(str(fault))}") from fault
        if bytes(line.error).strip() not in _NOTHING:
            raise classify(Refusal(None, data), provider=self._provider, secrets=self._secrets)
        if line.message is not None:
            yield from self._told(line.message.thinking, line.message.content)
            for call in line.message.tool_calls if is_list(line.message.tool_calls) else ():
                yield from self._calls.take(call)
        if line.response or line.thinking:
            yield from self._told(line.thinking, line.response)
        if line.done is True:
            yield from self._done(line)

    def _told(self, thinking: object, content: str | None) -> Iterator[ProviderDelta]:
        if isinstance(thinking, str) and thinking:
            yield Reasoning(thinking)
        if content:
            if self._tags.is_text:
                yield Text(content)
            else:
                yield from self._tags.feed(content)

    def _done(self, line: _Line) -> Iterator[ProviderDelta]:
        self.is_done = True
        yield from self._tags.end()
        if line.eval_count is not None or line.prompt_eval_count is not None:
            # the prompt's count is left out when the prompt was cached
            yield _usage(line)
        reason = tidy(line.done_reason) if isinstance(line.done_reason, str) else ""
        if reason in _NO_ANSWER:
            raise StreamIncomplete(f"{self._provider} did not answer: it only says that it did {reason} the model")
        yield Finish(reason or "stop")


def _usage(line: _Line) -> Usage:
    counts = {"input_tokens": line.prompt_eval_count, "output_tokens": line.eval_count}
    return read_usage(counts, excludes_reasoning=False)
