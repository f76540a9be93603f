"""A prepared job is accepted and answered as the caller wants it: with its events, with its end, or at once."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from fastapi import Request, Response

from api.front import Front
from api.routes.answers import CLIENT_CLOSED_REQUEST, answer, whole_job
from api.routes.events import claimed_stream, stream_of
from api.services.job_documents import accepted_document, job_links
from api.services.submit import accept
from api.services.watch import ClientLeft, accept_and_read, ends_within
from api.streaming import EVENT_STREAM
from shared.database.submissions import Inserted, NewJob
from shared.domain.ids import JobId, OwnerId

Show: TypeAlias = Callable[[Front, OwnerId, JobId], Awaitable[tuple[dict[str, Any], bool]]]
"""Returns a job's document (JSON), and whether the job has ended."""


async def accept_and_answer(
    request: Request, front: Front, new: NewJob, *, wait_s: int | None, show: Show = whole_job
) -> Response:
    """Accept a job; answer with its events if they are wanted, with its end if it comes within `wait_s`, else with 202.

    Raises what `api.services.submit.accept` does.
    """
    if EVENT_STREAM in request.headers.get("accept", ""):
        return await _answer_with_events(front, new)
    if wait_s:
        return await _answer_with_end(request, front, new, wait_s, show)
    inserted = await accept(front, new)
    if not inserted.is_replay:
        return answer(accepted_document(new), status=202, headers=_headers(inserted))
    document, has_ended = await show(front, new.owner_id, inserted.id)
    return answer(document, status=200 if has_ended else 202, headers=_headers(inserted))


async def _answer_with_events(front: Front, new: NewJob) -> Response:
    with claimed_stream(front, new.owner_id):
        reader, inserted = await accept_and_read(front, new)
    return stream_of(front, reader, new.owner_id, policy=new.on_disconnect, kind=new.kind, headers=_headers(inserted))


async def _answer_with_end(request: Request, front: Front, new: NewJob, wait_s: int, show: Show) -> Response:
    reader, inserted = await accept_and_read(front, new)
    try:
        await ends_within(front, request, reader, policy=new.on_disconnect, within_s=wait_s)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    document, has_ended = await show(front, new.owner_id, inserted.id)
    headers = _headers(inserted) | {"Preference-Applied": f"wait={wait_s}"}
    return answer(document, status=200 if has_ended else 202, headers=headers)


def _headers(inserted: Inserted) -> dict[str, str]:
    headers = {"Location": job_links(inserted.id)["self"]}
    return headers | {"Idempotency-Replayed": "true"} if inserted.is_replay else headers
