"""One answer that must have a form: it reaches the reader at once where that is sure, else when it was looked at."""

from collections.abc import Callable
from typing import Final

import msgspec

from shared.domain.errors import BadOutput
from shared.domain.events import Event, Noted, Signature, Text, ToolCall, Usage
from shared.domain.tokens import tokens_of, weight_of
from workers.providers.chat_completions.given_schema import IN_WORDS

MAX_HELD_CHARS: Final = 2_000_000
_BEGINNINGS: Final = ("{", "[", '"')


class HeldAnswer:
    """Stands between what reports an answer and the attempt that it is reported to.

    Words, tool calls and signatures are held back, unless the provider can be relied on (which is asked with the first
    word) and begins with JSON. Thoughts, notes and the like go through. What was used is kept for the end.
    """

    def __init__(self, emit: Callable[[Event], None], *, may_stream: Callable[[], bool]) -> None:
        self._emit = emit
        self._may_stream = may_stream
        self._held: list[Event] = []
        self._said: list[str] = []
        self._chars = 0
        self._is_decided = False
        self.is_streamed = False
        """Whether its words were reported as they came."""
        self.calls_tools = False
        self.usage: Usage | None = None
        self.input_weight = 0

    @property
    def text(self) -> str:
        """Its words; halves of surrogate pairs are whole, and others, which cannot be sent, replaced."""
        text = "".join(self._said)
        return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def emit(self, event: Event) -> None:
        """Take what is reported.

        Raises:
            BadOutput: if it says more than is held.
        """
        match event:
            case Usage():
                self.usage = event
            case Text():
                self._take(event)
            case Noted(text=text) if text.endswith(IN_WORDS):
                self._is_decided = True  # never: it was asked for less than what it can be relied on for
                self._emit(event)
            case ToolCall() | Signature():
                self.calls_tools = self.calls_tools or isinstance(event, ToolCall)
                self._pass_on(event)
            case _:
                self._emit(event)

    def release(self, text: str | None = None) -> None:
        """Report what was held back; `text` in place of its words, if given."""
        if text is not None and not self.is_streamed:
            self._emit(Text(text))
            self._held = [event for event in self._held if not isinstance(event, Text)]
        for event in self._held:
            self._emit(event)
        self._held.clear()

    def used(self) -> Usage:
        """Return what the provider counted, or about what it must have."""
        return self.usage or Usage(tokens_of(self.input_weight), tokens_of(weight_of(self.text)), is_estimated=True)

    def _take(self, event: Text) -> None:
        self._chars += len(event.text)
        if self._chars > MAX_HELD_CHARS and not self.is_streamed:
            raise BadOutput(f"The answer is longer than {MAX_HELD_CHARS} characters.")
        self._said.append(event.text)
        if not self._is_decided and event.text.strip():
            self._is_decided = True
            self.is_streamed = event.text.lstrip().startswith(_BEGINNINGS) and self._may_stream()
            if self.is_streamed:
                self.release()
        self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        if self.is_streamed:
            self._emit(event)
        else:
            self._held.append(event)


def sum_of(used: list[Usage]) -> Usage:
    """Return what several answers used together; at least one."""
    total = used[0]
    for one in used[1:]:
        total = msgspec.structs.replace(
            total,
            input_tokens=total.input_tokens + one.input_tokens,
            output_tokens=total.output_tokens + one.output_tokens,
            reasoning_tokens=total.reasoning_tokens + one.reasoning_tokens,
            cached_tokens=total.cached_tokens + one.cached_tokens,
            is_estimated=total.is_estimated or one.is_estimated,
        )
    return total
