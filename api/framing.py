"""What the framers of all dialects have in common: which events speak, which end the stream, and what a restart means.

A dialect has no word for "forget what I said": when a later attempt begins after something was said, its stream ends in
its own form of an error, and never goes on with another answer's words.
"""

from abc import ABC, abstractmethod
from typing import Final

from shared.domain.errors import DeadlineExceeded, ErrorInfo, ProviderError
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Expired,
    Failed,
    ImageStored,
    Reasoning,
    Rerouted,
    Restarted,
    SearchResults,
    Signature,
    Started,
    Text,
    ToolCall,
    Usage,
    VideoStored,
)

INTERRUPTED: Final = ProviderError(
    "The answer was interrupted and is being made anew; ask again, or read it when it is ready."
).info()
CANCELLED: Final = ErrorInfo(code="cancelled", title="The answer was cancelled", status=409)
EXPIRED: Final = DeadlineExceeded("Nobody could begin with the answer in time.").info()


class AnswerFramer(ABC):
    """Base of dialects' framers: one method per thing that can be said, each empty unless a dialect says it."""

    media_type: str = "text/event-stream"

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last frame was given out."""
        self.usage: Usage | None = None
        """What was used, as far as it was told."""
        self._has_said = False

    def opening(self) -> bytes:
        """See `api.dialect.Framer`."""
        return b""

    def heartbeat(self) -> bytes:
        """See `api.dialect.Framer`."""
        return b": keep-alive\n\n"

    def closing(self, *, retry_ms: int) -> bytes:
        """See `api.dialect.Framer`: the server stops; what follows is in the answer when it is asked for again."""
        return b"" if self.is_over else self.failed(INTERRUPTED)

    def frame(self, entry: Entry) -> bytes:  # noqa: C901 - one arm per event is the point
        """See `api.dialect.Framer`."""
        if self.is_over:
            return b""
        match entry.event:
            case Started() as event:
                return self.started(event.provider, event.model)
            case Restarted() as event:
                return (
                    self._end(self.failed(INTERRUPTED)) if self._has_said else self.started(event.provider, event.model)
                )
            case Rerouted() as event:
                return self.started(event.provider, event.model)
            case Text() as event:
                return self._say(self.text(event.text))
            case Reasoning() as event:
                return self._say(self.reasoning(event.text))
            case ToolCall() as event:
                return self._say(self.tool_call(event))
            case SearchResults() as event:
                return self._say(self.search_results(event))
            case Signature() as event:
                return self._say(self.signature(event.signature))
            case ImageStored() as event:
                return self._say(self.image(event))
            case VideoStored() as event:
                return self._say(self.video(event))
            case Usage() as event:
                self.usage = event
                return b""
            case Completed() as event:
                return self._end(self.completed(event.finish_reason))
            case Failed() as event:
                return self._end(self.failed(event.error))
            case Cancelled():
                return self._end(self.failed(CANCELLED))
            case Expired():
                return self._end(self.failed(EXPIRED))
            case _:
                return b""

    def started(self, provider: str, model: str) -> bytes:
        """Who answers; may come more than once, as long as nothing was said."""
        return b""

    def text(self, text: str) -> bytes:
        """A fragment of the answer."""
        return b""

    def reasoning(self, text: str) -> bytes:
        """A fragment of the model's reasoning."""
        return b""

    def tool_call(self, call: ToolCall) -> bytes:
        """A fragment of a tool call."""
        return b""

    def search_results(self, found: SearchResults) -> bytes:
        """Sources the model used."""
        return b""

    def signature(self, signature: str) -> bytes:
        """What a provider wants back with the next turn."""
        return b""

    def image(self, image: ImageStored) -> bytes:
        """An image of the answer was stored; the text shows where."""
        return b""

    def video(self, video: VideoStored) -> bytes:
        """A video of the answer was stored."""
        return b""

    def completed(self, finish_reason: str) -> bytes:
        """The answer is whole; `usage` is what it took."""
        return b""

    @abstractmethod
    def failed(self, error: ErrorInfo) -> bytes:
        """There will be no whole answer: what the stream ends in, in the dialect's own form."""

    def _say(self, frame: bytes) -> bytes:
        if frame:
            self._has_said = True
        return frame

    def _end(self, frame: bytes) -> bytes:
        self.is_over = True
        return frame
