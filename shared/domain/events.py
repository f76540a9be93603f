"""The one vocabulary of what a job reports, and how a whole answer is folded from it.

Law, per attempt: `Started` or `Restarted`, then anything, then exactly one terminal event, then nothing. `Queued`
stands before the first attempt, and an end without a runner (expired or cancelled in the queue, attempts used up) is
an attempt of a single terminal event.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, assert_never

import msgspec

from shared.domain.errors import ErrorInfo


class Queued(msgspec.Struct, frozen=True, tag="queued", omit_defaults=True):
    """The job waits for a worker; `position` counts the jobs of its queue that are ahead, where that is known."""

    position: int | None = None


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The first attempt began."""

    provider: str
    model: str


class Restarted(msgspec.Struct, frozen=True, tag="restarted"):
    """A later attempt began: whatever an earlier one reported is void."""

    provider: str
    model: str
    reason: Literal["retry", "worker_lost", "released"]


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A fragment of the answer."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A fragment of the model's reasoning."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call", omit_defaults=True):
    """A fragment of a tool call: `arguments` of one `index` are concatenated; id and name come once."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class SearchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One source the model used."""

    url: str
    title: str | None = None
    content: str | None = None


class SearchResults(msgspec.Struct, frozen=True, tag="search_results"):
    """Sources the model used; each is reported once."""

    results: list[SearchResult]


class Signature(msgspec.Struct, frozen=True, tag="signature"):
    """An opaque token some providers want back with the next turn."""

    signature: str


class ImageStored(msgspec.Struct, frozen=True, tag="image_stored"):
    """An image of the answer was stored."""

    image_id: str
    media_type: str
    size_bytes: int


class VideoStored(msgspec.Struct, frozen=True, tag="video_stored"):
    """A video of the answer was stored."""

    video_id: str
    media_type: str
    size_bytes: int


class Noted(msgspec.Struct, frozen=True, tag="noted"):
    """Something about how the answer came about that its reader may want to know, and need not act on.

    `code` is for programs (`parameter_dropped`, `parameter_changed`, `answer_repaired`, …), `text` for people.
    """

    code: str
    text: str


class Rerouted(msgspec.Struct, frozen=True, tag="rerouted"):
    """Another model was asked than the one before, of which nothing had been heard; `reason` says why, for people."""

    provider: str
    model: str
    reason: str


class Progress(msgspec.Struct, frozen=True, tag="progress", omit_defaults=True):
    """How far long work has come: `fraction` from 0 to 1 where it is known."""

    note: str
    fraction: float | None = None


class Usage(msgspec.Struct, frozen=True, tag="usage", omit_defaults=True):
    """Tokens used so far; the last one counts. `output_tokens` includes `reasoning_tokens`."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    is_estimated: bool = False


class Result(msgspec.Struct, frozen=True, tag="result"):
    """The structured result of the job (for `vision`: the safe command and how it came about)."""

    data: dict[str, Any]  # JSON whose shape depends on the job's kind; `dispense.Dispense` for vision


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """The job succeeded."""

    finish_reason: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job failed."""

    error: ErrorInfo


StopsBilling: TypeAlias = Literal["yes", "no", "unknown"]


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled", omit_defaults=True):
    """The job was cancelled: the receipt.

    `phase` is where the job was; `provider_stops_billing` says whether this provider stops charging when its socket is
    closed, and is absent where it was never called; `usage` is final or estimated, as it says itself.
    """

    phase: Literal["queued", "before_first_delta", "streaming"]
    provider_stops_billing: StopsBilling | None = None
    usage: Usage | None = None


class Expired(msgspec.Struct, frozen=True, tag="expired"):
    """The job's deadline passed before a worker took it; the provider was never called for it in vain."""


Event: TypeAlias = (
    Queued
    | Started
    | Restarted
    | Text
    | Reasoning
    | ToolCall
    | SearchResults
    | Signature
    | ImageStored
    | VideoStored
    | Noted
    | Rerouted
    | Progress
    | Usage
    | Result
    | Completed
    | Failed
    | Cancelled
    | Expired
)
TerminalEvent: TypeAlias = Completed | Failed | Cancelled | Expired
TERMINAL: Final = (Completed, Failed, Cancelled, Expired)


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """What only a provider says: the answer is complete, and why it ended (`stop`, `length`, `tool_calls`, …)."""

    reason: str


Delta: TypeAlias = Text | Reasoning | ToolCall | SearchResults | Signature | Noted | Usage | Finish
"""What a provider may yield, beside what has no place in a log (`workers.providers.base`)."""


class Cursor(NamedTuple):
    """A place in a job's events: the attempt (its fence) and the position in the attempt's log, from 1."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `attempt.seq`.

        Raises:
            ValueError: if the text is not two decimal numbers with a dot between them.
        """
        attempt, dot, seq = text.partition(".")
        if not (dot and attempt.isascii() and attempt.isdigit() and seq.isascii() and seq.isdigit()):
            raise ValueError("a cursor is <attempt>.<seq>, as in 1.17")
        if len(attempt) > 9 or len(seq) > 9:
            raise ValueError("the cursor's numbers are too large")
        return cls(int(attempt), int(seq))


START: Final = Cursor(0, 0)
QUEUED: Final = Cursor(0, 1)
"""The cursor of `Queued`, which belongs to no attempt."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One line of an attempt's log. `at_ms` is Unix time in milliseconds, of the runner's clock."""

    attempt: int
    seq: int
    at_ms: int
    event: Event

    @property
    def cursor(self) -> Cursor:
        """Where this entry stands."""
        return Cursor(self.attempt, self.seq)

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return isinstance(self.event, TERMINAL)


_encoder = msgspec.json.Encoder()
_entry_decoder = msgspec.json.Decoder(Entry)
_entries_decoder = msgspec.json.Decoder(list[Entry])

encode_event = _encoder.encode
"""Event (or any struct here) -> one line of JSON."""
encode_entry = _encoder.encode
decode_entry = _entry_decoder.decode
decode_entries = _entries_decoder.decode


def event_type(event: Event) -> str:
    """Return the event's name on the wire."""
    return str(event.__struct_config__.tag)


class Reply(msgspec.Struct, omit_defaults=True):
    """The whole answer of a job: what a caller who does not stream gets."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = []
    search_results: list[SearchResult] = []
    signatures: list[str] = []
    images: list[ImageStored] = []
    videos: list[VideoStored] = []
    notes: list[Noted] = []
    usage: Usage | None = None
    result: dict[str, Any] | None = None  # as in Result.data
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    error: ErrorInfo | None = None
    cancelled: Cancelled | None = None


_reply_decoder = msgspec.json.Decoder(Reply)
encode_reply = _encoder.encode
decode_reply = _reply_decoder.decode


def fold(events: Iterable[Event]) -> Reply:  # noqa: C901 - one arm per event is the point
    """Return the answer that a stream of events amounts to; a restart voids what came before it."""
    reply = Reply()
    text: list[str] = []
    reasoning: list[str] = []
    for event in events:
        match event:
            case Started() | Restarted():
                reply = Reply(provider=event.provider, model=event.model)
                text, reasoning = [], []
            case Text():
                text.append(event.text)
            case Reasoning():
                reasoning.append(event.text)
            case ToolCall():
                _fold_tool_call(reply.tool_calls, event)
            case SearchResults():
                reply.search_results.extend(event.results)
            case Signature():
                reply.signatures.append(event.signature)
            case ImageStored():
                reply.images.append(event)
            case VideoStored():
                reply.videos.append(event)
            case Noted():
                reply.notes.append(event)
            case Rerouted():
                reply.provider, reply.model = event.provider, event.model
                reply.notes.append(Noted("rerouted", event.reason))
            case Usage():
                reply.usage = event
            case Result():
                reply.result = event.data
            case Completed():
                reply.finish_reason = event.finish_reason
            case Failed():
                reply.error = event.error
            case Cancelled():
                reply.cancelled = event
                reply.usage = event.usage or reply.usage
            case Queued() | Progress() | Expired():
                pass
            case _:
                assert_never(event)
    reply.text, reply.reasoning = "".join(text), "".join(reasoning)
    return reply


def _fold_tool_call(calls: list[ToolCall], fragment: ToolCall) -> None:
    for position, call in enumerate(calls):
        if call.index == fragment.index:
            calls[position] = ToolCall(
                index=call.index,
                id=call.id or fragment.id,
                name=call.name or fragment.name,
                arguments=call.arguments + fragment.arguments,
            )
            return
    calls.append(fragment)
