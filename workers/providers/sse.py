"""Server-sent events out of bytes that arrive in any pieces (WHATWG HTML, section 9.2.6)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.domain.errors import StreamIncomplete
from workers.providers.lines import MAX_LINE_BYTES, LineSplitter

_JSON: Final = b'{"'
"""What begins like this is the body of an error that was labelled as a stream (xAI, proxies)."""
_ONE_LINE: Final = b"data: "
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event; `name` is empty where the stream gives none. Ids and retry times do not concern us."""

    data: bytes
    name: bytes = b""


class EventSplitter:
    """Comments are dropped. Only an empty line makes an event complete; `end` is for those who know better."""

    def __init__(self, max_event_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_event_bytes
        self._lines = LineSplitter(max_event_bytes)
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take more bytes, yield the events they complete.

        Raises:
            StreamIncomplete: if an event grows beyond the limit.
        """
        if chunk.startswith(_ONE_LINE) and self._is_alone(chunk):
            yield ServerSentEvent(chunk[len(_ONE_LINE) : -2])
            return
        for line in self._lines.feed(chunk):
            if line:
                self._take(line)
            else:
                yield from self._event()

    def end(self) -> Iterator[ServerSentEvent]:
        """Yield what has come of an event that has no end: whether it is whole, its data must tell."""
        rest = self._lines.rest()
        if rest:
            self._take(rest)
        yield from self._event()

    def _is_alone(self, chunk: bytes) -> bool:
        """Whether these bytes are one event of one line, and begin where nothing is left of others.

        Nearly every token comes like this; read line by line it costs three times as much.
        """
        return (
            chunk.endswith(b"\n\n")
            and chunk.count(b"\n") == 2
            and b"\r" not in chunk
            and not (self._at_start or self._data or self._name or self._lines.is_inside)
            and len(chunk) <= self._max
        )

    def _event(self) -> Iterator[ServerSentEvent]:
        if self._data:
            yield ServerSentEvent(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._name)
        self._data, self._size, self._name = [], 0, b""

    def _take(self, line: bytes) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
            if line.startswith(_JSON):
                self._data, self._name = [line], b"error"
                return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value[1:] if value.startswith(b" ") else value)
            self._size += len(value)
            if self._size > self._max:
                raise StreamIncomplete(f"The provider sent an event of more than {self._max} bytes")
        elif name == b"event":
            self._name = value.removeprefix(b" ")
        elif name == b"error":  # no field of the standard: llama.cpp before mid-2025 reported failures like this
            self._data, self._name = [value.strip()], b"error"
