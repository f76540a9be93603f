"""Following a batch: the server's events, through broken connections and restarts of the server, to its end."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Final

from compose.batch_states import BatchState, batch_state
from compose.errors import CannotStart
from compose.server import Refused, Server
from compose.sse import SseParser

PATIENCE_S: Final = 600.0
"""How long a server may be away before a watcher gives up."""
_SILENCE_S: Final = 45.0
"""Three of the server's heartbeats: then the connection is dead."""
PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


def follow(
    server: Server,
    batch_id: str,
    *,
    on_break: Callable[[], None],
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> Iterator[BatchState]:
    """Yield the batch's states, each whole, until it has ended; `on_break` is called once for each loss of the server.

    Raises:
        Refused: if the server refuses, as when the batch was deleted meanwhile.
        CannotStart: if there is no server at first, or none comes back in time.
    """
    import httpx

    has_begun, lost_at, pause = False, None, pause_s
    while True:
        trouble: Exception | None = None
        try:
            for name, state in _connection(server, batch_id):
                has_begun, lost_at, pause = True, None, pause_s
                yield state
                if name == "ended":
                    return
        except (CannotStart, httpx.TransportError) as error:
            if not has_begun or (isinstance(error, Refused) and error.status not in _PASSING):
                raise
            trouble = error
        if lost_at is None:
            lost_at = time.monotonic()
            on_break()
        elif time.monotonic() - lost_at > patience_s:
            raise CannotStart(f"The server at {server.url} has been away for {patience_s:.0f} s.") from trouble
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _connection(server: Server, batch_id: str) -> Iterator[tuple[str, BatchState]]:
    headers = {"Accept": "text/event-stream"}
    with server.streamed(f"/v2/batches/{batch_id}/events", silence_s=_SILENCE_S, headers=headers) as answer:
        parser = SseParser()
        for chunk in answer.iter_bytes():
            for event in parser.feed(chunk):
                if event.event in ("progress", "ended"):
                    yield event.event, batch_state(_document(event.data))


def _document(data: str) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        raise CannotStart("The server sent an event that is not JSON.") from error
