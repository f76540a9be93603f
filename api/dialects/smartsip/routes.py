"""The firmware's two requests. It sends no credential, follows no redirect, and hangs up after 5 s without a byte."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope as ConnectionScope

from api.access import admit
from api.dependencies import FrontDep
from api.dialects.smartsip.frame import NOTHING, SPACE, render, render_error
from api.dialects.smartsip.parse import parse_name, parse_upload
from api.dialects.smartsip.put import store_upload
from api.dialects.smartsip.upload import command_for
from api.front import Front
from api.scopes import Scope
from shared.domain.dispense import Dispense
from shared.domain.errors import ErrorInfo, NotFound

JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"
EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_log = structlog.get_logger(__name__)
Answering = asyncio.Task[Dispense | ErrorInfo]


class BucketRoute(APIRoute):
    """A route that is there only below the bucket's name, which is a setting: other paths are none of ours."""

    def matches(self, scope: ConnectionScope) -> tuple[Match, ConnectionScope]:
        """Match as any route, but only below the bucket."""
        match, child_scope = super().matches(scope)
        if match is not Match.NONE:
            front: Front = scope["app"].state.front
            if child_scope["path_params"]["bucket"] != front.settings.firmware_bucket:
                return Match.NONE, {}
        return match, child_scope


router = APIRouter(tags=["firmware"])
bucket_router = APIRouter(tags=["firmware"], route_class=BucketRoute)


@router.post("/smartsip/upload", summary="A command for a stored photo, as the fielded firmware asks for it")
async def upload(request: Request, front: FrontDep) -> Response:
    """Answer `?llm_type=&image_name=&model=` with `{"volume":"200","degree":"80","type":"cup"}`.

    Within 4 s as a plain answer; after that as chunks, spaces first, so that the device does not hang up.
    """
    clocks = front.settings.clocks
    until = asyncio.get_running_loop().time() + clocks.firmware_give_up.total_seconds()
    answering: Answering = asyncio.create_task(_answer(request, front, until))
    done, _ = await asyncio.wait({answering}, timeout=clocks.firmware_answer.total_seconds())
    if not done:
        spaced = _spaces_until(answering, until, every_s=clocks.firmware_space.total_seconds())
        return StreamingResponse(spaced, media_type=JSON, headers=UNBUFFERED)
    answer = answering.result()
    if isinstance(answer, Dispense):
        return Response(render(answer), media_type=JSON)
    status, line = render_error(answer)
    return Response(line, status_code=status, media_type=PLAIN)


@router.api_route("/smartsip/{rest:path}", methods=list(EVERY_METHOD), include_in_schema=False)
async def refuse(rest: str) -> Response:
    """Say in the old system's way that there is nothing else here."""
    if rest == "upload":
        return Response(b"error msg: method not allowed", 405, {"Allow": "POST"}, PLAIN)
    raise NotFound("not found")


@bucket_router.put("/{bucket}/{name:path}", summary="Store a photo, as the fielded firmware does at its S3 server")
async def put_photo(bucket: str, name: str, request: Request, front: FrontDep) -> Response:
    """Store the body under a name of the device's own; a name that is used again means the newer photo.

    `Authorization` and `Date` are checked (AWS signature version 2) where the device was given a pair to sign with.
    """
    caller = await admit(request, front, access=front.settings.firmware_access, scope=Scope.DEVICE)
    image = await store_upload(front, caller, request, bucket=bucket, name=parse_name(name))
    return Response(status_code=200, headers={"ETag": f'"{image.sha256}"'})


async def _answer(request: Request, front: Front, until: float) -> Dispense | ErrorInfo:
    caller = await admit(request, front, access=front.settings.firmware_access, scope=Scope.DEVICE)
    query = parse_upload(request.scope["query_string"], providers=front.settings.configured_providers)
    return await command_for(front, caller, query, until=until)


async def _spaces_until(answering: Answering, until: float, *, every_s: float) -> AsyncIterator[bytes]:
    """Send a space now and then until the answer is there or `until` has come; then JSON, whatever happened."""
    clock = asyncio.get_running_loop().time
    try:
        while not answering.done() and clock() < until:
            yield SPACE
            await asyncio.wait({answering}, timeout=min(every_s, until - clock()))
        yield _late(answering)
    finally:
        answering.cancel()


def _late(answering: Answering) -> bytes:
    """Return the body of an answer whose status is long sent: on any failure, the command that pours nothing."""
    if not answering.done():
        _log.warning("device_given_up", reason="no command in time")
        return NOTHING
    error = answering.exception()
    if error is not None:
        _log.error("device_answer_failed", exc_info=error)
        return NOTHING
    answer = answering.result()
    if isinstance(answer, Dispense):
        return render(answer)
    _log.warning("device_answer_failed", code=answer.code)
    return NOTHING
