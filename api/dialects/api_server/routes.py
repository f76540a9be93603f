"""api-server's paths: the question, the health, and what a client has used."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from api.access import admit
from api.answers import CLIENT_CLOSED_REQUEST, answer_with_stream, whole_answer
from api.auth import Caller
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.api_server.frame import AskFramer, Head, dumps, render
from api.dialects.api_server.parse import parse, to_command
from api.dialects.api_server.wire import Question, as_id
from api.front import Front
from api.scopes import Scope
from api.services.images import SMALL_BYTES
from api.services.quotas import of_client
from api.services.submit import Client, prepare
from api.services.watch import ClientLeft
from shared.database.statements.quotas import quotas
from shared.domain.errors import MalformedRequest, NotFound

JSON: Final = "application/json"
HEALTHY: Final = dumps({"status": "ok"})
EVERY_METHOD: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVED: Final = {
    "/v1/ask": frozenset({"POST"}),
    "/v1/health": frozenset({"GET", "HEAD"}),
    "/api/v1/health": frozenset({"GET", "HEAD"}),
    "/v1/client/info": frozenset({"GET"}),
}
_EXAMPLE: Final = {"question": "What is the weather like today?", "client_id": 1, "user_id": 2, "stream": True}
_GUARDED: Final[dict[str, Any]] = {"security": [{"bearer": []}]}  # OpenAPI fragments
_TAKES: Final[dict[str, Any]] = _GUARDED | {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}, "example": _EXAMPLE}}}
}

router = APIRouter(tags=["api-server"])


async def _admitted(request: Request, front: FrontDep) -> Caller:
    return await admit(request, front, access=front.settings.dialects.api_server, scope=Scope.JOBS)


CallerDep = Annotated[Caller, Depends(_admitted)]


async def _is_on(front: FrontDep) -> None:
    if front.settings.dialects.api_server == "off":
        raise NotFound("not found")


@router.post(
    "/v1/ask",
    response_class=Response,
    openapi_extra=_TAKES,
    responses={200: {"description": "The answer, or its chunks as they come"}},
    summary="Answer a question, as api-server does",
)
async def ask(request: Request, front: FrontDep, caller: CallerDep) -> Response:
    """Answer a question with the default model, whole or (`stream`) in chunks; nothing of it is kept as a chat.

    Each `client_id` has a quota of tokens of its own among the caller's. An answer that nobody waits for any more is
    finished and counted.
    """
    asked = await _asked(request, front)
    command = to_command(asked, model=front.settings.default_model, today=datetime.now(UTC).date())
    client = Client(name=asked.client_id, limit_tokens=front.settings.dialects.client_quota_tokens)
    new = await prepare(front, caller, command, client=client)
    head = Head(job_id=new.id, model=new.model.partition("/")[2])
    if asked.stream:
        return await answer_with_stream(front, request, new, AskFramer(head))
    try:
        _, reply = await whole_answer(front, request, new)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return Response(render(reply, head), media_type=JSON)


@router.get("/api/v1/health", response_class=Response, dependencies=[Depends(_is_on)], summary="As /v1/health")
@router.head("/api/v1/health", dependencies=[Depends(_is_on)], include_in_schema=False)
@router.head("/v1/health", dependencies=[Depends(_is_on)], include_in_schema=False)
@router.get("/v1/health", response_class=Response, dependencies=[Depends(_is_on)], summary="Whether api-server answers")
async def get_health() -> Response:
    """Return that it does."""
    return Response(HEALTHY, media_type=JSON)


@router.get(
    "/v1/client/info",
    response_class=Response,
    openapi_extra=_GUARDED,
    summary="What a client has used of its quota",
)
async def get_client(front: FrontDep, caller: CallerDep, client_id: str = "") -> Response:
    """Return the tokens that a client of the caller's has used, and how many it may use."""
    if not client_id:
        raise MalformedRequest("client_id must be provided")
    try:
        subject = of_client(as_id(client_id))
    except ValueError:
        raise NotFound("there is no such client") from None
    rows = await front.queries.rows(quotas(caller.owner_id, [subject]))
    if not rows:
        raise NotFound("there is no such client")
    used = {"client_id": client_id, "quota_used": rows[0].used_tokens, "max_quota": rows[0].limit_tokens}
    return Response(dumps(used), media_type=JSON)


async def _refuse(request: Request) -> Response:
    """Say what may be done here: to who asks, and to who did something else."""
    allowed = SERVED[request.scope["path"]] | {"OPTIONS"}
    headers = {"Allow": ", ".join(sorted(allowed))}
    if request.method == "OPTIONS":
        return Response(headers=headers)
    raise HTTPException(405, headers=headers)


for _path, _methods in SERVED.items():
    router.add_api_route(
        _path,
        _refuse,
        methods=sorted(EVERY_METHOD - _methods),
        dependencies=[Depends(_is_on)],
        include_in_schema=False,
    )


async def _asked(request: Request, front: Front) -> Question:
    if not _is_json(request.headers.get("content-type", "")):
        raise MalformedRequest("The body must be JSON: send Content-Type: application/json.", field="Content-Type")
    body = await read_body(request, limit=front.settings.limits.body_bytes)
    return await asyncio.to_thread(parse, body) if len(body) > SMALL_BYTES else parse(body)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json"))
