"""A job's events as server-sent events, live or replayed."""

import functools
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, follower
from api.cursors import cursor_from
from api.dependencies import FrontDep
from api.dialect import Framer
from api.front import Front
from api.metrics import observe_first_token
from api.relay import Outcome, Reader
from api.routes.answers import NOT_FOUND, PROBLEM, REFUSED
from api.services.cancel import cancel_if_abandoned
from api.services.watch import open_reader
from api.streaming import EVENT_STREAM, EventStream, SSEFramer
from shared.domain.events import START, Entry
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import Kind, OnDisconnect

router = APIRouter(prefix="/v2/jobs", tags=["events"])
_EXAMPLE: Final = (
    'retry: 2000\\n\\nid: 1.1\\nevent: started\\ndata: {"type":"started","provider":"demo","model":"demo"}\\n\\n'
)


class EventsQuery(BaseModel):
    """Where to begin."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str | None, Field(description="The `id` of the last event the caller has", examples=["1.17"])] = (
        None
    )


class JobEventsQuery(EventsQuery):
    """Where to begin, and for a browser with which ticket."""

    ticket: Annotated[str | None, Field(description="A ticket for this job, in place of a credential")] = None


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses=NOT_FOUND
    | REFUSED
    | {
        200: {"description": "The events", "content": {EVENT_STREAM: {"example": _EXAMPLE}}},
        204: {"description": "The job has ended and the caller has every event: do not come back"},
        429: PROBLEM | {"description": "Too many streams are open"},
    },
    summary="Follow a job's events",
)
async def get_events(
    job_id: UUID,
    query: Annotated[JobEventsQuery, Query()],
    request: Request,
    front: FrontDep,
    caller: Annotated[Caller, Depends(follower)],
) -> Response:
    """Send a job's events from the beginning, or after the caller's last one, until the job has ended.

    Each has an `id` (`attempt.seq`), which a browser sends back as `Last-Event-ID`; others may use `?after=`. An event
    `restarted` voids everything before it. Comments come every 15 seconds while nothing happens. A page's EventSource,
    which cannot send headers, opens it with a ticket (`POST /v2/tickets`).
    """
    return await events_of(front, request, caller.owner_id, JobId(job_id), after=query.after)


async def events_of(
    front: Front,
    request: Request,
    owner_id: OwnerId,
    job_id: JobId,
    *,
    after: str | None,
    framer: Framer | None = None,
) -> Response:
    """Return a job's events from where the request says, framed as ours unless there is a `framer`.

    Raises:
        NotFound: if there is no such job of this owner.
        InvalidRequest: if there can be no such place in its events.
        TooManyStreams: if the owner has as many open as allowed.
    """
    # The header is the newer of the two: a browser that comes back repeats the URL it was first given.
    header = request.headers.get("last-event-id")
    place = cursor_from(header, field="Last-Event-ID") if header else cursor_from(after)
    with claimed_stream(front, owner_id):
        reader, view = await open_reader(front, owner_id, job_id, place)
    if reader.is_over:
        reader.close(Outcome.ENDED)
        front.hub.release_stream(owner_id)
        return Response(status_code=204)
    return stream_of(
        front,
        reader,
        owner_id,
        policy=view.on_disconnect,
        kind=view.kind,
        is_resumed=place != START,
        framer=framer,
    )


@contextmanager
def claimed_stream(front: Front, owner_id: OwnerId) -> Generator[None]:
    """Count a stream of the owner's, to be released when it ends; or at once, if an error leaves the block.

    Raises:
        TooManyStreams: if the owner has as many open as allowed.
    """
    front.hub.claim_stream(owner_id)
    try:
        yield
    except BaseException:
        front.hub.release_stream(owner_id)
        raise


def stream_of(
    front: Front,
    reader: Reader,
    owner_id: OwnerId,
    *,
    policy: OnDisconnect,
    kind: Kind,
    is_resumed: bool = False,
    framer: Framer | None = None,
    headers: Mapping[str, str] | None = None,
    already: Sequence[Entry] = (),
) -> EventStream:
    """Return a reader that has begun as a stream of the owner's, which was claimed before.

    `already` are entries that were taken from it.
    """

    def on_end(outcome: Outcome) -> None:
        front.hub.release_stream(owner_id)
        if outcome is Outcome.LEFT:
            cancel_if_abandoned(front, reader.job_id, policy)

    return EventStream(
        reader,
        framer or SSEFramer(),
        send_timeout=front.settings.clocks.send,
        on_end=on_end,
        on_first_delta=None if is_resumed else functools.partial(_note_first_delta, reader.job_id, kind),
        headers=headers,
        already=already,
    )


def _note_first_delta(job_id: JobId, kind: Kind) -> None:
    accepted_at = (job_id.int >> 80) / 1000  # a UUID of version 7 begins with milliseconds
    observe_first_token(kind, max(0.0, time.time() - accepted_at))
