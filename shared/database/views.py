"""What is told about jobs and queues to whoever asks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.database.tables import STATE_OF
from shared.domain.errors import ErrorInfo
from shared.domain.events import Entry, Reply
from shared.domain.ids import JobId, OwnerId, WorkerId
from shared.domain.jobs import Kind, OnDisconnect, Queue, State


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job's row, and what of its body is small.

    `position` counts the jobs that will be rung before it, as things stand; None unless it waits to be taken, in a
    list, and beyond `reads.FARTHEST_POSITION`. `started_at` is when its last attempt began. `worker_id` names who runs
    it, or ran it last.
    """

    id: JobId
    owner_id: OwnerId
    queue: Queue
    kind: Kind
    model: str
    state: State
    fence: int
    attempts: int
    losses: int
    on_disconnect: OnDisconnect
    created_at: datetime
    deadline: datetime
    run_after: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    worker_id: WorkerId | None
    labels: dict[str, str]
    position: int | None = None


def view_from_row(row: Sequence[Any]) -> JobView:  # Any: the columns of statements.reading.VIEW, in that order
    """Return a job from its row; a longer row's further columns are not looked at."""
    job_id, owner_id, queue, kind, state, fence, attempts, losses, on_disconnect, *rest = row
    created_at, deadline, run_after, started_at, ended_at, cancel_requested_at, worker_id, labels, model, *_ = rest
    return JobView(
        id=job_id,
        owner_id=owner_id,
        queue=Queue(queue),
        kind=Kind(kind),
        model=model,
        state=STATE_OF[state],
        fence=fence,
        attempts=attempts,
        losses=losses,
        on_disconnect=OnDisconnect(on_disconnect),
        created_at=created_at,
        deadline=deadline,
        run_after=run_after,
        started_at=started_at,
        ended_at=ended_at,
        cancel_requested_at=cancel_requested_at,
        worker_id=worker_id,
        labels=labels or {},
    )


class Snapshot(msgspec.Struct, frozen=True):
    """What a reader of a silent stream must know; `ended_at` is set exactly in terminal states."""

    state: State
    fence: int
    ended_at: datetime | None


class Ending(msgspec.Struct, frozen=True):
    """How a job ended: its reply and the whole log of its last attempt, in order, the terminal entry last."""

    state: State
    fence: int
    reply: Reply
    entries: list[Entry]


class SetbackView(msgspec.Struct, frozen=True):
    """An attempt that did not end the job: `failed`, `worker_lost`, `released` or `replayed`."""

    fence: int
    worker_id: WorkerId | None
    what: str
    error: ErrorInfo | None
    at: datetime


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as an operator sees it; `queued` and `oldest_age_s` leave out jobs that wait out a pause."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    pausing: int = 0
    slots: int = 0
    oldest_age_s: float = 0.0


def error_from_json(data: dict[str, Any] | None) -> ErrorInfo | None:
    """Read an error that was stored as JSON."""
    return None if data is None else msgspec.convert(data, ErrorInfo)
