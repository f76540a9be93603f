"""OpenAI's paths: chat completions, and the models that can be asked. Everything wants a credential."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import Scope as ConnectionScope

from api.answers import CLIENT_CLOSED_REQUEST, answer_with_stream, whole_answer
from api.auth import Caller, caller_by_path, current_caller, require
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.openai import wire
from api.dialects.openai.attachments import Attachment
from api.dialects.openai.frame import ChatFramer, Completion, encode, render
from api.dialects.openai.parse import Asked, NotTaken, parse
from api.dialects.openai.wire_answers import Model, ModelPage
from api.errors import refused
from api.front import Front
from api.media_body import ReceivedFile
from api.preferences import idempotency_key
from api.scopes import Scope
from api.services.images import SMALL_BYTES, store_image
from api.services.media import store_media
from api.services.models import KnownModel
from api.services.room import check_room
from api.services.submit import prepare, resolve_model
from api.services.watch import ClientLeft
from shared.database.submissions import NewJob
from shared.domain.errors import InvalidRequest, ModelNotFound, NotFound, Unauthenticated
from shared.domain.ids import OwnerId
from shared.domain.jobs import QUEUE_OF, Kind, OnDisconnect

JSON: Final = "application/json"
EVERY_METHOD: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RESOURCES: Final = frozenset(
    {
        *("assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "edits"),
        *("embeddings", "engines", "evals", "files", "fine_tuning", "images", "models", "moderations"),
        *("organization", "realtime", "responses", "threads", "uploads", "vector_stores", "videos"),
    }
)
"""What OpenAI has under `/v1`: other names there are other systems'."""
POSTED: Final = frozenset({"chat/completions", "images/generations"})
"""What is there to be posted to."""
_EXAMPLE: Final = {
    "model": "demo/demo",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
_TAKES: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "security": [{"bearer": []}],
    "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}, "example": _EXAMPLE}}},
}
_GUARDED: Final[dict[str, Any]] = {"security": [{"bearer": []}]}


class ResourceRoute(APIRoute):
    """A route that is there only for what OpenAI has under `/v1`."""

    def matches(self, scope: ConnectionScope) -> tuple[Match, ConnectionScope]:
        """Match as any route, but only those resources."""
        match, child_scope = super().matches(scope)
        if match is not Match.NONE and child_scope["path_params"]["path"].partition("/")[0] not in RESOURCES:
            return Match.NONE, {}
        return match, child_scope


router = APIRouter(prefix="/v1", tags=["openai"])
other_router = APIRouter(prefix="/v1", tags=["openai"], route_class=ResourceRoute)


async def openai_caller(connection: HTTPConnection, front: FrontDep) -> Caller:
    """Return who is calling.

    Raises:
        NotFound: if the dialect is switched off.
        Unauthenticated: if no credential came, or one that is not valid.
        Forbidden: if it is good for other things, as a device's is.
    """
    if front.settings.dialects.openai == "off":
        raise NotFound("Not found.")
    return await require(Scope.JOBS)(await _caller(connection, front))


async def _caller(connection: HTTPConnection, front: Front) -> Caller:
    try:
        return await current_caller(connection, front)
    except Unauthenticated:
        # The SDKs cannot be without a key: where the real one is in the path, that in the header is a placeholder.
        caller = await caller_by_path(front, connection)
        if caller is None:
            raise
        structlog.contextvars.bind_contextvars(owner_id=caller.owner_id)
        return caller


OpenAICaller = Annotated[Caller, Depends(openai_caller)]


@router.post(
    "/chat/completions",
    response_class=Response,
    openapi_extra=_TAKES,
    responses={200: {"description": "The answer, or its chunks as they come"}},
    summary="Answer a conversation, as OpenAI does",
)
async def create_chat_completion(request: Request, front: FrontDep, caller: OpenAICaller) -> Response:
    """Continue a conversation by one answer, whole or (`stream`) in chunks.

    A client that leaves stops the answer. With an `Idempotency-Key` it may come back instead: the same answer goes on
    being made, and is given to whoever asks again with the same key.
    """
    asked = await _asked(request, front)
    new = await _job(request, front, caller, asked)
    completion = Completion(new.id, asked.model or new.model)
    if asked.wants_stream:
        framer = ChatFramer(completion, wants_usage=asked.wants_usage)
        return await answer_with_stream(front, request, new, framer, on_accepted=framer.is_of)
    try:
        inserted, reply = await whole_answer(front, request, new)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return Response(render(reply, completion.of(inserted.id)), media_type=JSON)


@router.get("/models", response_class=Response, openapi_extra=_GUARDED, summary="List the models")
async def list_models(front: FrontDep, caller: OpenAICaller) -> Response:
    """List the models of every configured provider; `id` is what to ask for."""
    return _answer(ModelPage([_model(known) for known in await front.models.all()]))


@router.get("/models/{model:path}", response_class=Response, openapi_extra=_GUARDED, summary="Look a model up")
async def get_model(model: str, front: FrontDep, caller: OpenAICaller) -> Response:
    """Return a model that is listed, by `provider/model` or by its name alone."""
    return _answer(_model(await _listed(front, model)))


@other_router.api_route("/{path:path}", methods=list(EVERY_METHOD), include_in_schema=False)
async def refuse(path: str, request: Request) -> Response:
    """Say that there is nothing else of OpenAI's here."""
    allowed = "POST" if path in POSTED else "GET" if path.startswith("models") else None
    if allowed is not None and request.method != allowed:
        raise HTTPException(405, f"Not allowed to {request.method} here.", headers={"Allow": allowed})
    raise NotFound(f"Unknown request URL: {request.method} /v1/{path[:200]}")


async def _asked(request: Request, front: Front) -> Asked:
    body = await read_body(request, limit=front.settings.limits.body_bytes)
    may_fetch = front.settings.fetch_remote_media
    return await asyncio.to_thread(_read, body, may_fetch) if len(body) > SMALL_BYTES else _read(body, may_fetch)


def _read(body: bytes, may_fetch: bool) -> Asked:
    try:
        return parse(wire.Request.model_validate_json(body), may_fetch=may_fetch)
    except ValidationError as error:
        is_json = error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid"
        raise refused(error, from_json(body) if is_json else None) from error
    except NotTaken as refusal:
        raise refused(refusal.error, refusal.document) from refusal


async def _job(request: Request, front: Front, caller: Caller, asked: Asked) -> NewJob:
    """Return the job a request amounts to; whatever can be refused is refused before anything is stored."""
    key = idempotency_key(request.headers)
    model = resolve_model(front, await front.models.resolve(asked.model))
    stored = await _stored(front, caller, asked.attachments)
    # Who sends a key means to come back: it would be told that the answer was cancelled when the connection broke.
    policy = OnDisconnect.CANCEL if key is None else OnDisconnect.CONTINUE
    command = asked.command(model, stored, on_disconnect=policy)
    return await prepare(front, caller, command, idempotency_key=key, known_images=frozenset(stored))


async def _stored(front: Front, caller: Caller, attachments: Sequence[Attachment]) -> list[UUID]:
    if attachments:
        await check_room(front, caller.owner_id, QUEUE_OF[Kind.CHAT])
    return [await _store(front, caller.owner_id, attachment) for attachment in attachments]


async def _store(front: Front, owner_id: OwnerId, attachment: Attachment) -> UUID:
    content, field = attachment.content, attachment.field
    if attachment.kind == "image":
        return (await store_image(front, owner_id, content, field=field)).id
    return (await store_media(front, owner_id, ReceivedFile(BytesIO(content), len(content), field))).id


async def _listed(front: Front, name: str) -> KnownModel:
    known = {ref: model for model in await front.models.all() for ref in model.refs}
    if name and name not in known:
        with suppress(InvalidRequest):
            name = await front.models.resolve(name)
    if name not in known:
        raise ModelNotFound(f"The model {name[:200]!r} is not listed here.", field="model")
    return known[name]


def _model(known: KnownModel) -> Model:
    return Model(id=known.ref, owned_by=known.provider)


def _answer(document: Model | ModelPage) -> Response:
    return Response(encode(document), media_type=JSON)
