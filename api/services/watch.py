"""Readers of one owner's jobs, opened so that nothing is missed between the row, the log and the channel."""

import asyncio
from collections.abc import Awaitable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from api.front import Front
from api.relay import Outcome, Reader, queued_entry
from api.services.cancel import cancel_if_abandoned
from api.services.submit import accept
from shared.database.looks import Look
from shared.database.submissions import Inserted, NewJob
from shared.database.views import JobView, Snapshot
from shared.domain.errors import NotFound
from shared.domain.events import START, Cursor, Reply
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import OnDisconnect, State

_Result = TypeVar("_Result")


class ClientLeft(Exception):
    """The client closed the connection while it was waited for something."""


async def open_reader(front: Front, owner_id: OwnerId, job_id: JobId, after: Cursor = START) -> tuple[Reader, JobView]:
    """Return a reader that has begun, to be closed by the caller, and the job as it was then.

    Raises:
        NotFound: if there is no such job of this owner.
        InvalidRequest: if there can be no such place in its events.
    """
    reader = front.hub.reader(job_id)
    try:
        # Together, because what happens between the two is in the log, which is read after both.
        _, (view, _) = await asyncio.gather(front.hub.subscribed(job_id), job_of(front, owner_id, job_id))
        row = Snapshot(view.state, view.fence, view.ended_at)
        await reader.begin(after, row, queued=queued_entry(view.created_at, view.position))
    except BaseException:
        reader.close(Outcome.LEFT)
        raise
    return reader, view


async def accept_and_read(front: Front, new: NewJob) -> tuple[Reader, Inserted]:
    """Commit a prepared job and return a reader that has begun before any worker could, to be closed by the caller.

    A job that was accepted before, for the same idempotency key, is read from its beginning. Raises as `accept`.
    """
    hub = front.hub
    reader = hub.reader(new.id)
    try:
        inserted = await accept(front, new, before_ring=lambda: hub.subscribed(new.id))
        if not inserted.is_replay:
            fresh = Snapshot(State.QUEUED, 0, None)
            nothing_missed = await hub.subscribed(new.id)
            await reader.begin(START, fresh, queued=queued_entry(datetime.now(UTC)), nothing_missed=nothing_missed)
            return reader, inserted
    except BaseException:
        reader.close(Outcome.LEFT)
        raise
    reader.close(Outcome.LEFT)
    return (await open_reader(front, new.owner_id, inserted.id))[0], inserted


async def ends_within(front: Front, request: Request, reader: Reader, *, policy: OnDisconnect, within_s: float) -> bool:
    """Wait for the end of a job with a reader that has begun, and close it; return whether it came in time.

    Raises:
        ClientLeft: if the client left first; the job is then cancelled if that is its policy and nobody else reads it.
    """
    try:
        return await unless_client_leaves(request, _ends(front, reader, within_s))
    except ClientLeft:
        reader.close(Outcome.LEFT)
        cancel_if_abandoned(front, reader.job_id, policy)
        raise
    finally:
        reader.close(Outcome.LEFT)


async def _ends(front: Front, reader: Reader, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await front.hub.read_to_end(reader)
    except TimeoutError:
        return False


async def job_of(front: Front, owner_id: OwnerId | None, job_id: JobId) -> tuple[JobView, Reply | None]:
    """Return a job, and its reply if it has ended; an `owner_id` of None is an administrator's.

    Raises:
        NotFound: if there is no such job of this owner.
    """
    look = await front.looks.look(job_id)
    if look is None or owner_id not in (None, look.job.owner_id):
        raise no_such_job()
    return await placed(front, look), look.reply


async def placed(front: Front, look: Look) -> JobView:
    """Return a job that was looked at, with its position if it waits to be taken."""
    view = look.job
    if view.state is State.QUEUED and view.run_after is None:
        return msgspec.structs.replace(view, position=await front.reads.place_in_line(view, look.fair_key))
    return view


def no_such_job() -> NotFound:
    """Return the one error for a job that does not exist and for another owner's."""
    return NotFound("There is no job with this id.")


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what `work` returns; give it up when the client closes the connection. The body must have been read.

    Raises:
        ClientLeft: if the client left first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await _settled(working)


async def _settled(task: Awaitable[object]) -> None:
    await asyncio.gather(task, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
