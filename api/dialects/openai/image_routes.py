"""OpenAI's path for pictures: they are made by a job, kept like uploads, and answered whole."""

import asyncio
import time
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from pydantic_core import from_json

from api.answers import CLIENT_CLOSED_REQUEST, whole_answer
from api.auth import Caller
from api.body import read_body
from api.dependencies import FrontDep
from api.dialects.openai.frame import encode
from api.dialects.openai.parse import NotTaken
from api.dialects.openai.parse_images import AskedImages, parse_images
from api.dialects.openai.routes import JSON, OpenAICaller
from api.dialects.openai.wire_images import ImageFormat, Images, ImagesRequest, ImagesUsage, Picture, PromptDetails
from api.errors import Reported, refused
from api.front import Front
from api.preferences import idempotency_key
from api.services.images import ImageView, image_of
from api.services.submit import prepare, resolve_model
from api.services.watch import ClientLeft
from shared.database.submissions import NewJob
from shared.domain.errors import Unavailable
from shared.domain.events import Reply, Usage
from shared.domain.jobs import OnDisconnect

LINK_LIFETIME: Final = timedelta(hours=1)
"""As long as OpenAI's own are good for."""
_FORMATS: Final[dict[str, ImageFormat]] = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}
_EXAMPLE: Final = {"model": "openai/gpt-image-1", "prompt": "A cup of tea", "size": "1024x1024"}
_TAKES: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "security": [{"bearer": []}],
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": ImagesRequest.model_json_schema(), "example": _EXAMPLE}},
    },
}

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/images/generations",
    response_class=Response,
    openapi_extra=_TAKES,
    responses={200: {"description": "The pictures, as base64 or as links that are good for an hour"}},
    summary="Make pictures, as OpenAI does",
)
async def create_images(request: Request, front: FrontDep, caller: OpenAICaller) -> Response:
    """Have pictures made after words, by any model that makes some; they stay in the library as well.

    A client that leaves stops it. With an `Idempotency-Key` it may come back instead: nothing is made, or paid, twice.
    """
    asked = _read(await read_body(request, limit=front.settings.limits.body_bytes))
    new = await _job(request, front, caller, asked)
    try:
        reply = await _made(front, request, new)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    made = [await image_of(front, caller.owner_id, UUID(image.image_id)) for image in reply.images]
    pictures = [await (_linked if asked.wants_urls else _inside)(front, image) for image in made]
    answer = _answer(reply, made, pictures)
    return Response(await asyncio.to_thread(encode, answer), media_type=JSON)  # base64 of 20 MB takes 50 ms


def _read(body: bytes) -> AskedImages:
    try:
        return parse_images(ImagesRequest.model_validate_json(body))
    except ValidationError as error:
        is_json = error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid"
        raise refused(error, from_json(body) if is_json else None) from error
    except NotTaken as refusal:
        raise refused(refusal.error, refusal.document) from refusal


async def _job(request: Request, front: Front, caller: Caller, asked: AskedImages) -> NewJob:
    key = idempotency_key(request.headers)
    model = asked.model and resolve_model(front, await front.models.resolve(asked.model))
    policy = OnDisconnect.CANCEL if key is None else OnDisconnect.CONTINUE  # as for chat completions
    return await prepare(front, caller, asked.command(model, on_disconnect=policy), idempotency_key=key)


async def _made(front: Front, request: Request, new: NewJob) -> Reply:
    """Return what was made; raises as `whole_answer`. That this server stops is no reason to order, and pay, again."""
    try:
        _, reply = await whole_answer(front, request, new)
    except Unavailable as error:
        if not front.hub.is_draining:
            raise
        message = "The server is restarting. Pictures that were asked for are made all the same, and kept."
        raise Reported(msgspec.structs.replace(error.info(), detail=message, retryable=False)) from error
    return reply


async def _inside(front: Front, image: ImageView) -> Picture:
    return Picture(b64_json=await front.objects.get(image.object_key))


async def _linked(front: Front, image: ImageView) -> Picture:
    url = await front.objects.presign(image.object_key, expires=LINK_LIFETIME, media_type=image.media_type)
    return Picture(url=url)


def _answer(reply: Reply, made: list[ImageView], pictures: list[Picture]) -> Images:
    formats: set[ImageFormat | None] = {_FORMATS.get(image.media_type) for image in made}
    return Images(
        created=int(time.time()),
        data=pictures,
        output_format=formats.pop() if len(formats) == 1 else None,
        usage=None if reply.usage is None else _usage(reply.usage),
    )


def _usage(used: Usage) -> ImagesUsage:
    return ImagesUsage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        total_tokens=used.input_tokens + used.output_tokens,
        input_tokens_details=PromptDetails(text_tokens=used.input_tokens),
    )
