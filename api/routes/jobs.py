"""Jobs: look up, list, cancel, replay. They are made in `submissions`, and followed in `events` and `websockets`."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import CLIENT_CLOSED_REQUEST, NOT_FOUND, PROBLEM, REFUSED, answer, whole_job
from api.routes.job_models import CancellingModel, JobModel, JobsModel, SetbacksModel
from api.scopes import Scope
from api.services.cancel import cancel
from api.services.job_documents import job_document, job_links, setbacks_document
from api.services.watch import ClientLeft, ends_within, job_of, open_reader
from shared.domain.errors import Conflict, InvalidRequest
from shared.domain.ids import JobId
from shared.domain.jobs import Kind, Queue, State

router = APIRouter(prefix="/v2/jobs", tags=["jobs"])
JobCaller = Annotated[Caller, Depends(require(Scope.JOBS))]
Administrator = Annotated[Caller, Depends(require(Scope.ADMIN))]
PAGE: Final = 50


class JobsQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    kind: Kind | None = None
    queue: Queue | None = None
    label: Annotated[str | None, Field(description="`name:value`", examples=["lab:7"])] = None
    limit: Annotated[int, Field(ge=1, le=100)] = PAGE
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None


class WaitQuery(BaseModel):
    """How long to wait for the job's end."""

    model_config = ConfigDict(extra="forbid")

    wait: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Seconds")] = 0


class NoQuery(BaseModel):
    """No parameters are taken."""

    model_config = ConfigDict(extra="forbid")


NoParameters = Annotated[NoQuery, Query()]


@router.get("", response_model=JobsModel, responses=REFUSED, summary="List jobs")
async def list_jobs(query: Annotated[JobsQuery, Query()], front: FrontDep, caller: JobCaller) -> Response:
    """Return the caller's jobs, newest first, without their answers."""
    page = await front.reads.list(
        caller.owner_id,
        state=query.state,
        kind=query.kind,
        queue=query.queue,
        label=_label(query.label),
        after=_after(query.cursor),
        limit=query.limit + 1,
    )
    shown = page[: query.limit]
    following = shown[-1].id.hex if len(page) > len(shown) else None
    return answer({"jobs": [job_document(view) for view in shown], "next": following})


@router.get("/{job_id}", response_model=JobModel, responses=NOT_FOUND | REFUSED, summary="Look at a job")
async def get_job(
    job_id: UUID, query: Annotated[WaitQuery, Query()], request: Request, front: FrontDep, caller: JobCaller
) -> Response:
    """Return a job, with its answer once it has ended; `wait` for that up to so many seconds (60 at most)."""
    job = JobId(job_id)
    longest_s = front.settings.limits.wait_s
    if query.wait > longest_s:
        raise InvalidRequest(f"wait is at most {longest_s:g} seconds", field="wait")
    if query.wait:
        reader, view = await open_reader(front, caller.owner_id, job)
        try:
            await ends_within(front, request, reader, policy=view.on_disconnect, within_s=query.wait)
        except ClientLeft:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
    document, _ = await whole_job(front, caller.owner_id, job)
    return answer(document)


@router.post(
    "/{job_id}/cancel",
    response_model=JobModel,
    responses=NOT_FOUND | {202: {"model": CancellingModel, "description": "Its worker has not confirmed yet"}},
    summary="Cancel a job",
)
async def cancel_job(job_id: UUID, query: NoParameters, front: FrontDep, caller: JobCaller) -> Response:
    """Cancel a job, closing the provider's connection. A job that has ended stays as it is; repeating is harmless.

    The answer holds the receipt in `cancelled`: what the job was doing, and whether the provider stops charging.
    """
    job = JobId(job_id)
    if await cancel(front, job, caller.owner_id):
        document, _ = await whole_job(front, caller.owner_id, job)
        return answer(document)
    links = job_links(job)
    return answer({"id": job, "state": "cancelling", "links": links}, status=202, headers={"Location": links["self"]})


@router.post(
    "/{job_id}/replay",
    response_model=JobModel,
    responses=NOT_FOUND | {409: PROBLEM | {"description": "The job is not a dead letter"}},
    status_code=202,
    summary="Run a dead letter again",
)
async def replay_job(job_id: UUID, query: NoParameters, front: FrontDep, caller: Administrator) -> Response:
    """Queue a job again that failed as `dead_letter`, as if it were new. For administrators, for any owner's job."""
    job = JobId(job_id)
    view, _ = await job_of(front, None, job)
    if not await front.control.replay(job):
        raise Conflict(f"only a dead letter can be replayed; this job is {view.state}")
    front.ringer.nudge(view.queue)
    document, _ = await whole_job(front, None, job)
    return answer(document, status=202, headers={"Location": job_links(job)["self"]})


@router.get(
    "/{job_id}/setbacks", response_model=SetbacksModel, responses=NOT_FOUND, summary="A job's history of setbacks"
)
async def get_setbacks(job_id: UUID, query: NoParameters, front: FrontDep, caller: JobCaller) -> Response:
    """Return the attempts that did not end the job: why they ended, and when. Administrators see any owner's."""
    job = JobId(job_id)
    await job_of(front, None if caller.is_admin else caller.owner_id, job)
    return answer(setbacks_document(job, await front.reads.setbacks(job)))


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, colon, value = text.partition(":")
    if not (name and colon):
        raise InvalidRequest("a label is looked for as name:value", field="label")
    return name, value


def _after(cursor: str | None) -> JobId | None:
    if cursor is None:
        return None
    try:
        return JobId(UUID(hex=cursor))
    except ValueError as error:
        raise InvalidRequest("the cursor is not one that a page's `next` gave", field="cursor") from error
