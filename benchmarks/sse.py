"""Reading recorded server-sent events: what a browser's EventSource would make of the bytes, with their times.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. Both senders read here end lines
with LF; a carriage return stays in the line and is then found as a fault.
"""

from collections.abc import Iterable
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One event; `received_ns` is when its last byte arrived."""

    received_ns: int
    id: str
    type: str
    data: str


def read_events(pieces: Iterable[tuple[int, bytes]]) -> tuple[list[ServerSentEvent], bytes]:
    """Return the events of a stream, and the bytes at its end that make no whole event."""
    events: list[ServerSentEvent] = []
    rest = b""
    for received_ns, piece in pieces:
        *blocks, rest = (rest + piece).split(b"\n\n")
        events.extend(event for block in blocks if (event := _read_block(received_ns, block)) is not None)
    return events, rest


def _read_block(received_ns: int, block: bytes) -> ServerSentEvent | None:
    fields = {"id": "", "event": "", "data": ""}
    has_data = False
    for line in block.decode().split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            fields["data"] = f"{fields['data']}\n{value}" if has_data else value
            has_data = True
        elif name in fields:
            fields[name] = value
    return ServerSentEvent(received_ns, fields["id"], fields["event"], fields["data"]) if has_data else None
