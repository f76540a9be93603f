"""From events to chat completions, whole or in chunks, and from errors to OpenAI's. Pure.

A stream that does not end with the answer's end has an error as its last event and no `[DONE]`: the SDK takes every
stream that merely stops for a whole answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from api.dialects.openai.errors import error_body
from api.dialects.openai.wire_answers import (
    Annotation,
    AnswerMessage,
    CalledTool,
    ChatCompletion,
    Choice,
    Chunk,
    ChunkChoice,
    Citation,
    CompletionDetails,
    Delta,
    FinishReason,
    Function,
    PromptDetails,
    Usage,
)
from api.framing import AnswerFramer
from shared.domain import events
from shared.domain.errors import ErrorInfo
from shared.domain.ids import JobId

DONE: Final = b"data: [DONE]\n\n"
_FINISH: Final[dict[str, FinishReason]] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
"""Whatever else a provider says is `stop` there."""
_LINE_ENDS: Final = tuple((end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x85\u2028\u2029")
"""What ends a line for clients that split text instead of bytes; JSON may escape any character."""

encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Completion:
    """Which answer it is: of which job, and of which model by the client's own name for it."""

    job_id: JobId
    model: str

    @property
    def id(self) -> str:
        """What clients know it by."""
        return f"chatcmpl-{self.job_id.hex}"

    @property
    def created(self) -> int:
        """When the job was accepted, as Unix time: its id begins with the milliseconds of that."""
        return (self.job_id.int >> 80) // 1000

    def of(self, job_id: JobId) -> "Completion":
        """Return the same of another job: of the one that was accepted before, for the same idempotency key."""
        return replace(self, job_id=job_id)


class ChatFramer(AnswerFramer):
    """One stream: who speaks, what is said, why it ended, what it took if that is wanted, and `[DONE]`."""

    def __init__(self, completion: Completion, *, wants_usage: bool) -> None:
        super().__init__()
        self.completion = completion
        self._wants_usage = wants_usage
        self._has_begun = False
        self._has_words = False
        self._calls: dict[int, int] = {}
        """Tool calls by their provider's numbers, which may begin at 1: the SDK needs them from 0 on, without gaps."""
        self._sources = 0

    def is_of(self, job_id: JobId) -> None:
        """Say which job was accepted, before anything is framed."""
        self.completion = self.completion.of(job_id)

    def text(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        beginning, self._has_words = self._beginning(content=""), True
        return beginning + self._chunk(Delta(content=text))

    def reasoning(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        return self._beginning() + self._chunk(Delta(reasoning_content=text))

    def tool_call(self, call: events.ToolCall) -> bytes:
        """See `AnswerFramer`."""
        index = self._calls.setdefault(call.index, len(self._calls))
        return self._beginning() + self._chunk(Delta(tool_calls=[_called(call, index=index)]))

    def search_results(self, found: events.SearchResults) -> bytes:
        """See `AnswerFramer`; each source has a number, or the SDK could not add them up."""
        annotations = _annotations(found.results, first=self._sources)
        self._sources += len(annotations)
        return self._beginning() + self._chunk(Delta(annotations=annotations))

    def completed(self, finish_reason: str) -> bytes:
        """See `AnswerFramer`; an answer that says nothing and calls nothing is an empty text."""
        last = Delta() if self._has_words or self._calls else Delta(content="")
        said = self._beginning() + self._chunk(last, _finish(finish_reason, has_called=bool(self._calls)))
        if self._wants_usage and self.usage is not None:
            said += self._event([], usage=_usage(self.usage))
        return said + DONE

    def failed(self, error: ErrorInfo) -> bytes:
        """See `AnswerFramer`."""
        return _sse(encode(error_body(error)))

    def _beginning(self, *, content: str | None = None) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._chunk(Delta(role="assistant", content=content))

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        return self._event([ChunkChoice(delta, finish_reason)])

    def _event(self, choices: list[ChunkChoice], *, usage: Usage | None = None) -> bytes:
        completion = self.completion
        return _sse(
            encode(
                Chunk(
                    id=completion.id,
                    created=completion.created,
                    model=completion.model,
                    choices=choices,
                    usage=usage if self._wants_usage else msgspec.UNSET,
                )
            )
        )


def render(reply: events.Reply, completion: Completion) -> bytes:
    """Return the whole answer as a chat completion."""
    message = AnswerMessage(
        content=None if reply.tool_calls and not reply.text else reply.text,
        reasoning_content=reply.reasoning or msgspec.UNSET,
        tool_calls=[_called(call) for call in reply.tool_calls] or msgspec.UNSET,
        annotations=_annotations(reply.search_results) or msgspec.UNSET,
    )
    finish_reason = _finish(reply.finish_reason or "stop", has_called=bool(reply.tool_calls))
    return encode(
        ChatCompletion(
            id=completion.id,
            created=completion.created,
            model=completion.model,
            choices=[Choice(message, finish_reason)],
            usage=None if reply.usage is None else _usage(reply.usage),
        )
    )


def _called(call: events.ToolCall, *, index: int | None = None) -> CalledTool:
    """Return a tool call, or the fragment at `index`; only the first fragment says what it is of."""
    return CalledTool(
        function=Function(call.arguments, call.name),
        index=index,
        id=call.id,
        type="function" if call.id is not None or index is None else None,
    )


def _annotations(results: Sequence[events.SearchResult], *, first: int | None = None) -> list[Annotation]:
    """Return sources; those of a stream are numbered, from `first` on."""
    return [
        Annotation(
            url_citation=Citation(found.url, found.title or found.url),
            index=msgspec.UNSET if first is None else first + number,
        )
        for number, found in enumerate(results)
    ]


def _finish(reason: str, *, has_called: bool) -> FinishReason:
    """Return why an answer ended; some providers say `stop` of one that waits for its tools."""
    known = _FINISH.get(reason, "stop")
    return "tool_calls" if known == "stop" and has_called else known


def _usage(used: events.Usage) -> Usage:
    return Usage(
        prompt_tokens=used.input_tokens,
        completion_tokens=used.output_tokens,
        total_tokens=used.input_tokens + used.output_tokens,
        prompt_tokens_details=PromptDetails(used.cached_tokens),
        completion_tokens_details=CompletionDetails(used.reasoning_tokens),
    )


def _sse(document: bytes) -> bytes:
    for end, escaped in _LINE_ENDS:
        if end in document:
            document = document.replace(end, escaped)
    return b"data: " + document + b"\n\n"
