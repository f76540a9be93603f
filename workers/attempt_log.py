"""One attempt's events, kept by its runner until they are archived: the original of what is in the event log."""

import time
from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID

from shared.domain.errors import BadOutput
from shared.domain.events import (
    TERMINAL,
    Entry,
    Event,
    Noted,
    Progress,
    Reasoning,
    Rerouted,
    Restarted,
    Started,
    TerminalEvent,
    Text,
    Usage,
    encode_event,
)
from shared.domain.tokens import weight_of
from shared.ports.event_log import Append

MAX_FRAGMENT_CHARS: Final = 8 * 1024
"""At most 32 KB as UTF-8: an event stays well below the 64 KB that subscribers are promised."""
MAX_ATTEMPT_BYTES: Final = 8 * 1024 * 1024
MAX_APPEND_BYTES: Final = 256 * 1024
ENTRY_BYTES: Final = 48
"""What an entry costs beyond its text: the ends of the JSON, the place in a list."""

_NOT_DELTAS: Final = (Started, Restarted, Noted, Rerouted, Progress, Usage)

_Fragment: TypeAlias = type[Text] | type[Reasoning]


class AttemptLog:
    """Numbers events densely from 1, and merges fragments of text that wait together.

    An event gets its number when it is taken for sending or when the log is sealed; what has a number is never merged
    again. Used on one event loop only.
    """

    def __init__(
        self, job_id: UUID, attempt: int, *, notify: Callable[["AttemptLog", bool], None], is_brief: bool = False
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._is_brief = is_brief
        self._notify = notify  # (this log, whether it must not wait)
        self._entries: list[Entry] = []
        self._sent = 0  # entries the event log is known to hold and to have announced
        self._in_flight = 0
        self._pending: list[Event] = []
        self._fragment: _Fragment = Text
        self._parts: list[str] = []
        self._parts_chars = 0
        self.size_bytes = 0
        self._is_closed = False
        self._terminal: Entry | None = None
        self.is_released = False
        self.has_delta = False
        self.usage: Usage | None = None
        self.output_weight = 0

    def append(self, event: Event) -> None:
        """Report an event; it is published soon, the first delta at once.

        Raises:
            BadOutput: if the attempt has said more than is kept.
            ValueError: if the event is a terminal one; those go through `seal`.
        """
        if isinstance(event, TERMINAL) or self._is_closed:
            raise ValueError("an attempt ends by seal, once")
        is_first_delta = not self.has_delta and not isinstance(event, _NOT_DELTAS)
        if isinstance(event, (Text, Reasoning)):
            self._append_fragment(type(event), event.text)
        else:
            self._append_whole(event)
        if is_first_delta:
            self.has_delta = True
        self._notify(self, is_first_delta)

    def seal(self, event: TerminalEvent) -> list[Entry]:
        """Return all entries with the terminal one, which stays unpublished until `release`."""
        self._number_pending()
        self._is_closed = True
        self._terminal = Entry(self.attempt, len(self._entries) + 1, _now_ms(), event)
        return [*self._entries, self._terminal]

    def close(self) -> None:
        """Take no more events; what a service that was left behind still says is refused."""
        self._is_closed = True

    def release(self) -> None:
        """Publish the terminal entry: the end is committed."""
        if self._terminal is None:
            raise ValueError("nothing was sealed")
        self._entries.append(self._terminal)
        self.is_released = True
        self._notify(self, True)

    @property
    def has_unsent(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._pending or self._parts or self._sent < len(self._entries))

    def take(self) -> Append:
        """Return the next append, of about `MAX_APPEND_BYTES` at most; without `confirm`, it is taken again."""
        self._number_pending()
        upto, size = self._sent, 0
        while upto < len(self._entries) and (upto == self._sent or size < MAX_APPEND_BYTES):
            size += _size(self._entries[upto].event)
            upto += 1
        self._in_flight = upto
        return Append(self.job_id, self.attempt, self._sent + 1, self._entries[self._sent : upto], self._is_brief)

    def confirm(self) -> None:
        """Note that what was taken last is in the event log."""
        self._sent = self._in_flight

    def whole(self) -> tuple[list[Entry], int]:
        """Return everything up to what was taken last, and the position from which on it was not announced yet."""
        return self._entries[: self._in_flight], self._sent + 1

    def _append_fragment(self, kind: _Fragment, text: str) -> None:
        if not text:
            return
        self._charge(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))
        self.output_weight += weight_of(text)
        for start in range(0, len(text), MAX_FRAGMENT_CHARS):
            piece = text[start : start + MAX_FRAGMENT_CHARS]
            if kind is not self._fragment or self._parts_chars + len(piece) > MAX_FRAGMENT_CHARS:
                self._end_fragment()
                self._fragment = kind
            if not self._parts:
                self._charge(ENTRY_BYTES)
            self._parts.append(piece)
            self._parts_chars += len(piece)

    def _append_whole(self, event: Event) -> None:
        encoded = encode_event(event)  # also proves, here and not in everyone's append, that it can be written
        self._charge(len(encoded) + ENTRY_BYTES)
        if isinstance(event, Usage):
            self.usage = event
        self._end_fragment()
        self._pending.append(event)

    def _charge(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if self.size_bytes > MAX_ATTEMPT_BYTES:
            raise BadOutput(f"The answer is longer than {MAX_ATTEMPT_BYTES // 1024 // 1024} MB.")

    def _end_fragment(self) -> None:
        if not self._parts:
            return
        text = "".join(self._parts)
        if not text.isascii():
            # Halves of surrogate pairs become whole where both are here; alone they cannot be written as UTF-8.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self._pending.append(self._fragment(text))
        self._parts.clear()
        self._parts_chars = 0

    def _number_pending(self) -> None:
        self._end_fragment()
        if not self._pending:
            return
        now_ms = _now_ms()
        for event in self._pending:
            self._entries.append(Entry(self.attempt, len(self._entries) + 1, now_ms, event))
        self._pending.clear()


def _size(event: Event) -> int:
    return len(event.text) if isinstance(event, (Text, Reasoning)) else ENTRY_BYTES


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
