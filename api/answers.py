"""An accepted job's answer in a dialect: as a stream, or whole. What fails before the first byte keeps its status."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Framer
from api.errors import Reported
from api.framing import CANCELLED, EXPIRED
from api.front import Front
from api.relay import Outcome, Reader
from api.routes.events import claimed_stream, stream_of
from api.services.cancel import cancel_if_abandoned
from api.services.watch import ClientLeft, accept_and_read, ends_within, job_of, unless_client_leaves
from shared.database.submissions import Inserted, NewJob
from shared.domain.errors import DeadlineExceeded, ErrorInfo, NotFound, Unavailable
from shared.domain.events import Cancelled, Entry, Event, Expired, Failed, Queued, Reply, Restarted, Started
from shared.domain.ids import JobId

CLIENT_CLOSED_REQUEST: Final = 499
"""What nobody reads: nginx's code for a client that left."""
GRACE_S: Final = 30.0
"""How long after its deadline a job's end is waited for: its runner, or the sweep, ends it."""
_SILENT: Final = (Queued, Started, Restarted)
"""What says nothing yet."""


async def answer_with_stream(
    front: Front,
    request: Request,
    new: NewJob,
    framer: Framer,
    *,
    opens_at_once: bool = False,
    headers: Mapping[str, str] | None = None,
    on_accepted: Callable[[JobId], None] | None = None,
) -> Response:
    """Accept a prepared job and send its answer as it comes.

    Unless it `opens_at_once`, the response begins with the first word of the answer (or the first heartbeat), so that a
    job that fails before that is an error with a status of its own. `on_accepted` is told, before anything is framed,
    which job it is: an earlier one, if the idempotency key was used before.

    Raises:
        Reported: if the job fails before anything was sent.
        SmartSipError: as `api.services.submit.accept` and `claimed_stream`.
    """
    with claimed_stream(front, new.owner_id):
        reader, inserted = await accept_and_read(front, new)
        if on_accepted is not None:
            on_accepted(inserted.id)
        already = [] if opens_at_once else await _first_words(front, request, reader, new)
    if already is None:
        front.hub.release_stream(new.owner_id)
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return stream_of(
        front,
        reader,
        new.owner_id,
        policy=new.on_disconnect,
        kind=new.kind,
        framer=framer,
        headers=headers,
        already=already,
    )


async def whole_answer(front: Front, request: Request, new: NewJob) -> tuple[Inserted, Reply]:
    """Accept a prepared job and return its answer when it has one.

    Raises:
        Reported: if the job failed, was cancelled, or came too late.
        ClientLeft: if the client left first; the job is then cancelled if that is its policy.
        SmartSipError: as `api.services.submit.accept`.
    """
    reader, inserted = await accept_and_read(front, new)
    within_s = max(0.0, (new.deadline - datetime.now(UTC)).total_seconds()) + GRACE_S
    await ends_within(front, request, reader, policy=new.on_disconnect, within_s=within_s)
    return inserted, await reply_of(front, new, inserted.id)


async def reply_of(front: Front, new: NewJob, job_id: JobId) -> Reply:
    """Return the answer of a job that is over; raises as `whole_answer`."""
    _, reply = await job_of(front, new.owner_id, job_id)
    if reply is None and front.hub.is_draining:
        raise Unavailable("The server is restarting.", retry_after_s=1)
    if reply is None:
        raise DeadlineExceeded("The answer did not come in time.")
    if reply.error is not None:
        raise Reported(reply.error)
    if reply.cancelled is not None:
        raise Reported(CANCELLED)
    if reply.finish_reason is None:
        raise Reported(EXPIRED)
    return reply


async def _first_words(front: Front, request: Request, reader: Reader, new: NewJob) -> list[Entry] | None:
    """Return what came until the answer began; None if the client left."""
    try:
        words = await unless_client_leaves(request, _until_it_speaks(reader))
    except ClientLeft:
        reader.close(Outcome.LEFT)
        cancel_if_abandoned(front, reader.job_id, new.on_disconnect)
        return None
    except BaseException:
        reader.close(Outcome.LEFT)
        raise
    spoken = next((entry.event for entry in words if not isinstance(entry.event, _SILENT)), None)
    error = None if spoken is None else _error_of(spoken)
    if error is not None:
        reader.close(Outcome.ENDED)
        raise Reported(error)
    if reader.outcome is Outcome.GONE:
        raise NotFound("The answer was deleted.")
    return words


async def _until_it_speaks(reader: Reader) -> list[Entry]:
    words: list[Entry] = []
    while batch := await reader.next():  # an empty batch is a heartbeat: from then on the client is shown life
        words += batch
        if not all(isinstance(entry.event, _SILENT) for entry in batch):
            break
    return words


def _error_of(event: Event) -> ErrorInfo | None:
    match event:
        case Failed():
            return event.error
        case Cancelled():
            return CANCELLED
        case Expired():
            return EXPIRED
        case _:
            return None
