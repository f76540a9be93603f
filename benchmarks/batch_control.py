"""Batches over HTTP, one request at a time: begin, look, steer, wait."""

import http.client
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from benchmarks.batch_stage import Stage
from benchmarks.system import System

LOOK_S: Final = 0.25
STUCK_S: Final = 60.0
"""After so long without any change a batch is given up."""


class Progress(msgspec.Struct, frozen=True):
    """What is read of a batch's progress."""

    photos: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    deleted: int


class Batch(msgspec.Struct, frozen=True):
    """What is read of a batch."""

    id: str
    state: str
    reason: str | None
    ended_at: str | None
    progress: Progress

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more, nor ever will."""
        return self.ended_at is not None


class Batches:
    """A system's batches, of photos answered by one model."""

    def __init__(self, stage: Stage, *, latency_ms: int) -> None:
        self._system = stage.system
        self._model = f"openai/photo-{latency_ms}"

    def begin(self, photos: int) -> Batch:
        """Begin a batch of the newest photos.

        Raises:
            LookupError: if it is refused. All below do so.
        """
        wanted: dict[str, Any] = {"selection": {"filter": {}, "limit": photos}, "variants": [{"model": self._model}]}
        return self._call("POST", "", wanted)

    def look(self, batch_id: str) -> Batch:
        """Return how far a batch is."""
        return self._call("GET", f"/{batch_id}")

    def pause(self, batch_id: str) -> Batch:
        """Hand out nothing more, and wait until nothing runs."""
        self._call("POST", f"/{batch_id}/pause")
        return self.wait(batch_id, lambda batch: batch.progress.running == 0)

    def resume(self, batch_id: str, *, running: int) -> Batch:
        """Go on, and wait until so many photos have a job, or fewer are left."""
        self._call("POST", f"/{batch_id}/resume")
        return self.wait(batch_id, lambda batch: batch.progress.running >= min(running, _left(batch)))

    def cancel(self, batch_id: str) -> Batch:
        """End a batch unless it is over, and wait until nothing of it runs."""
        try:
            self._call("POST", f"/{batch_id}/cancel")
        except LookupError:
            if not self.look(batch_id).is_over:  # completed in this moment: that cannot be cancelled
                raise
        return self.wait(batch_id, lambda batch: batch.is_over)

    def wait(self, batch_id: str, is_so: Callable[[Batch], bool]) -> Batch:
        """Wait until something is so of a batch.

        Raises:
            LookupError: if nothing happens for a minute; says how far it is.
        """
        before, since = self.look(batch_id), time.monotonic()
        while not is_so(before):
            time.sleep(LOOK_S)
            now = self.look(batch_id)
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_S:
                raise LookupError(f"nothing happened for {STUCK_S:.0f} s: {now}")
        return before

    def _call(self, method: str, path: str, body: object = None) -> Batch:
        content = None if body is None else msgspec.json.encode(body)
        return msgspec.json.decode(exchange(self._system, method, f"/v2/batches{path}", content), type=Batch)


def exchange(system: System, method: str, path: str, content: bytes | None) -> bytes:
    """Return what the system answers.

    Raises:
        LookupError: if that is not 2xx, saying what it is.
    """
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=STUCK_S)
    headers: dict[str, str] = {"Authorization": f"Bearer {system.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body=content, headers=headers)
        response = connection.getresponse()
        answer = response.read()
    except OSError as error:
        raise LookupError(f"{method} {path}: {error}") from error
    finally:
        connection.close()
    if response.status >= 300:
        raise LookupError(f"{method} {path}: HTTP {response.status}: {answer[:500].decode(errors='replace')}")
    return answer


def _left(batch: Batch) -> int:
    return batch.progress.pending + batch.progress.running
