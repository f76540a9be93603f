"""What a device itself does: one POST with a photo, then poll, follow or connect.

Every answer fits into 512 bytes with a Content-Length (but for the streams), and is to be kept nowhere.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from api.auth import Caller, calling_device, require
from api.body import read_body
from api.dependencies import FrontDep
from api.device_document import NO_STORE, device_document, encode, render_problem
from api.device_events import DeviceFramer, DeviceView
from api.dialect import Dialect
from api.front import Front
from api.preferences import idempotency_key
from api.routes.answers import CLIENT_CLOSED_REQUEST, Documented
from api.routes.device_job_models import CommandModel, DeviceProblemModel, UnfinishedModel
from api.routes.events import EventsQuery, claimed_stream, events_of, stream_of
from api.routes.jobs import NoParameters, WaitQuery
from api.routes.submissions import PHOTO_TYPES
from api.routes.websockets import check_handshake, serve_job
from api.scopes import Scope
from api.services.cancel import cancel
from api.services.device_jobs import job_of_device, prepare_photo
from api.services.devices import CallingDevice
from api.services.submit import accept
from api.services.watch import ClientLeft, accept_and_read, ends_within, open_reader
from api.streaming import EVENT_STREAM
from shared.database.submissions import NewJob
from shared.domain.errors import InvalidRequest, UnsupportedMediaType
from shared.domain.ids import JobId
from shared.domain.jobs import MAX_TIMEOUT, TERMINAL

POLL_AFTER_S: Final = 1
TAKEN: Final = PHOTO_TYPES | {"image/jpeg", "image/png", "image/webp"}
_PROBLEM: Final[dict[str, Any]] = {"model": DeviceProblemModel}  # FastAPI's type for what it says about answers
_REFUSED: Final[Documented] = {422: _PROBLEM | {"description": "Something is wrong; the problem names the field"}}
_NOT_FOUND: Final[Documented] = _REFUSED | {404: _PROBLEM | {"description": "No such job, or another device's"}}
_JOB: Final[Documented] = {
    200: {"model": CommandModel, "description": "It has ended: the command, or that nothing is poured"},
    202: {"model": UnfinishedModel, "description": "It has not ended: ask again after `Retry-After` seconds"},
}
_photo: Final = {"schema": {"type": "string", "format": "binary"}}
_TAKES: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "parameters": [
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
    ],
    "requestBody": {"required": True, "content": {"image/jpeg": _photo, "image/png": _photo, "image/webp": _photo}},
}


class PhotoParameters(BaseModel):
    """How long the device waits for an answer, and how long the answer is worth having."""

    model_config = ConfigDict(extra="forbid")

    wait: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Seconds to wait for the command")] = 0
    timeout_s: Annotated[
        float | None,
        Field(gt=0, le=MAX_TIMEOUT.total_seconds(), description="Seconds the job may take; 15 if not given"),
    ] = None


async def _speak(connection: HTTPConnection) -> None:
    connection.scope["dialect"] = DEVICE


DeviceCaller = Annotated[Caller, Depends(require(Scope.DEVICE))]
Device = Annotated[CallingDevice, Depends(calling_device)]
router = APIRouter(prefix="/v2/devices/me/jobs", tags=["devices"], dependencies=[Depends(_speak)])
DEVICE: Final = Dialect(name="device", router=router, render_error=render_problem)
"""Our own API for devices: problems like elsewhere under `/v2`, but for a small buffer."""


@router.post(
    "",
    responses=_JOB
    | _REFUSED
    | {
        409: _PROBLEM | {"description": "The profile or prompt that the device names is gone"},
        411: _PROBLEM | {"description": "No Content-Length"},
        413: _PROBLEM | {"description": "The photo is too large"},
        415: _PROBLEM | {"description": "Not an image"},
        429: _PROBLEM | {"description": "Too many jobs are waiting"},
    },
    openapi_extra=_TAKES,
    summary="Send a photo, get the command",
)
async def submit_photo(
    query: Annotated[PhotoParameters, Query()],
    request: Request,
    front: FrontDep,
    caller: DeviceCaller,
    device: Device,
) -> Response:
    """Store the photo in the body and answer with the command, if it is there within `wait` seconds, else with 202.

    Sent again within a minute, or with the same `Idempotency-Key`, the same photo is the same job and the same command.
    `Accept: text/event-stream` answers with the job's events. `Location` is below the address the device has for this
    server: a token in its path is not repeated.
    """
    _check_wait(front, query.wait)
    key = idempotency_key(request.headers)
    _check_type(request)
    content = await read_body(request, limit=front.settings.limits.device_image_bytes, needs_length=True)
    until = asyncio.get_running_loop().time() + query.wait
    new = await prepare_photo(front, caller, device, content, idempotency_key=key, timeout_s=query.timeout_s)
    if EVENT_STREAM in request.headers.get("accept", ""):
        return await _events_of_new(front, device, new)
    if not query.wait:
        inserted = await accept(front, new)
    else:
        reader, inserted = await accept_and_read(front, new)
        within_s = max(0.0, until - asyncio.get_running_loop().time())
        try:
            await ends_within(front, request, reader, policy=new.on_disconnect, within_s=within_s)
        except ClientLeft:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
    return await _answer(front, device, inserted.id, headers=_accepted(inserted.id, is_replay=inserted.is_replay))


@router.get("/{job_id}", responses=_JOB | _NOT_FOUND, summary="Look at a photo's job")
async def get_job(
    job_id: UUID, query: Annotated[WaitQuery, Query()], request: Request, front: FrontDep, device: Device
) -> Response:
    """Answer as the POST did; `wait` for the job's end up to so many seconds (60 at most)."""
    _check_wait(front, query.wait)
    job, _ = await job_of_device(front, device, JobId(job_id))
    if query.wait and job.state not in TERMINAL:
        reader, view = await open_reader(front, device.owner_id, job.id)
        try:
            await ends_within(front, request, reader, policy=view.on_disconnect, within_s=query.wait)
        except ClientLeft:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
    return await _answer(front, device, job.id)


@router.post("/{job_id}/cancel", responses=_JOB | _NOT_FOUND, summary="Cancel a photo's job")
async def cancel_job(job_id: UUID, query: NoParameters, front: FrontDep, device: Device) -> Response:
    """Cancel a job; repeating is harmless. Whatever became of the job, the answer pours nothing."""
    job, _ = await job_of_device(front, device, JobId(job_id))
    await cancel(front, job.id, device.owner_id)
    return await _answer(front, device, job.id, valid_for=timedelta(0))


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses=_NOT_FOUND | {204: {"description": "The job has ended and the device has every event"}},
    summary="Follow a photo's job",
)
async def get_events(
    job_id: UUID, query: Annotated[EventsQuery, Query()], request: Request, front: FrontDep, device: Device
) -> Response:
    """Send how the job stands, and its command as the data of `result`. The model's own words are not among it."""
    job, _ = await job_of_device(front, device, JobId(job_id))
    framer = DeviceFramer(_view(front, job.id))
    return await events_of(front, request, device.owner_id, job.id, after=query.after, framer=framer)


@router.websocket("/{job_id}/ws")
async def follow_job(websocket: WebSocket, job_id: UUID, front: FrontDep, caller: DeviceCaller, device: Device) -> None:
    """Send the same events over a WebSocket, and close it when the job has ended."""
    check_handshake(websocket, front, known={"after"})
    job, _ = await job_of_device(front, device, JobId(job_id))
    await serve_job(websocket, front, caller, job.id, show=_view(front, job.id))


async def _events_of_new(front: Front, device: CallingDevice, new: NewJob) -> Response:
    with claimed_stream(front, device.owner_id):
        reader, inserted = await accept_and_read(front, new)
    return stream_of(
        front,
        reader,
        device.owner_id,
        policy=new.on_disconnect,
        kind=new.kind,
        framer=DeviceFramer(_view(front, inserted.id)),
        headers=_accepted(inserted.id, is_replay=inserted.is_replay),
    )


async def _answer(
    front: Front,
    device: CallingDevice,
    job_id: JobId,
    *,
    headers: dict[str, str] | None = None,
    valid_for: timedelta | None = None,
) -> Response:
    """Return how a job stands; a command may be poured for `valid_for`, `clocks.command_valid` if not given."""
    job, reply = await job_of_device(front, device, job_id)
    valid_for = front.settings.clocks.command_valid if valid_for is None else valid_for
    document = device_document(job, reply, now=datetime.now(UTC), valid_for=valid_for)
    sent = NO_STORE | (headers or {})
    if job.state in TERMINAL:
        return Response(encode(document), 200, sent, "application/json")
    return Response(encode(document), 202, sent | {"Retry-After": str(POLL_AFTER_S)}, "application/json")


def _accepted(job_id: JobId, *, is_replay: bool) -> dict[str, str]:
    headers = {"Location": f"{router.prefix}/{job_id}"}
    return headers | {"Idempotency-Replayed": "true"} if is_replay else headers


def _view(front: Front, job_id: JobId) -> DeviceView:
    return DeviceView(job_id, valid_for=front.settings.clocks.command_valid)


def _check_wait(front: Front, wait_s: float) -> None:
    if wait_s > front.settings.limits.wait_s:
        raise InvalidRequest(f"wait is at most {front.settings.limits.wait_s:g} seconds", field="wait")


def _check_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in TAKEN:
        raise UnsupportedMediaType(
            "Send the photo itself, as image/jpeg, image/png or image/webp.", field="Content-Type"
        )
