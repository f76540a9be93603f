"""Reading server-sent events (WHATWG HTML, "Interpreting an event stream"): byte chunks in, events out. Pure."""

import codecs
import re
from typing import Final

import msgspec

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class ServerEvent(msgspec.Struct, frozen=True):
    """One dispatched event; `id` is the last one the stream named, to come back with."""

    id: str
    event: str
    data: str


class SseParser:
    """Cuts a stream into events, however its bytes arrive; an unfinished event at the end is never given out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that are complete with this chunk."""
        text = self._rest + self._decoder.decode(chunk)
        # A carriage return at the very end may be the first half of one line end: it waits for the next chunk.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._rest = rest + held
        return [event for event in map(self._take, lines) if event is not None]

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case _:  # comments, `retry` and whatever else
                pass
        return None

    def _dispatch(self) -> ServerEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        return ServerEvent(self._id, event or "message", "\n".join(data)) if data else None
