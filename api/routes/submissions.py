"""Submitting a job: as JSON, or as a bare photo with its parameters in the query."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from api.auth import Caller, require
from api.body import read_body
from api.dependencies import FrontDep
from api.errors import refused
from api.front import Front
from api.photo_query import PhotoQuery, named_as_parameters
from api.preferences import idempotency_key, preferred_wait_s
from api.routes.accepting import accept_and_answer
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.job_models import AcceptedModel, JobModel
from api.scopes import Scope
from api.services.images import store_image
from api.services.room import check_room
from api.services.submit import NO_IMAGES, prepare, resolve_photo
from shared.domain.commands import Submission, SubmitJob, SubmitVision
from shared.domain.errors import InvalidRequest, UnsupportedMediaType
from shared.domain.jobs import QUEUE_OF, Kind

CURLS_TYPE: Final = "application/x-www-form-urlencoded"
"""What curl's --data-binary says of anything."""
PHOTO_TYPES: Final = frozenset({"", "application/octet-stream", CURLS_TYPE})
"""Besides image/*."""

router = APIRouter(prefix="/v2/jobs", tags=["jobs"])
_commands: TypeAdapter[Submission] = TypeAdapter(SubmitJob)
_document_of_command = _commands.json_schema(ref_template="#/components/schemas/{model}")
COMMAND_SCHEMAS: Final[dict[str, Any]] = _document_of_command.pop("$defs")  # JSON Schema, for the app's document
_photo: Final = {"schema": {"type": "string", "format": "binary"}}
_TAKES: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": "For bare photos: " + text}
        for name, schema, text in (
            ("kind", {"const": "vision"}, "required."),
            ("model", {"type": "string"}, "`provider/model`."),
            ("timeout_s", {"type": "number"}, "seconds the job may take, waiting included."),
            ("profile", {"type": "string"}, "the device profile whose envelope holds."),
            ("prompt", {"type": "string"}, "the stored prompt to ask: `name` or `name@version`."),
            ("prompt_text", {"type": "string"}, "a prompt of its own instead."),
            ("on_disconnect", {"enum": ["continue", "cancel"]}, "what becomes of the job if the caller leaves."),
            ("label", {"type": "array", "items": {"type": "string"}}, "`name:value`."),
        )
    ]
    + [
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=20"},
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _document_of_command,
                "examples": {
                    "chat": {
                        "value": {
                            "kind": "chat",
                            "model": "demo/demo",
                            "input": {"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
                        }
                    },
                    "vision": {
                        "value": {"kind": "vision", "input": {"image": {"id": "0198f3b0-0000-7000-8000-000000000000"}}}
                    },
                    "image": {
                        "value": {
                            "kind": "image",
                            "model": "doubao/doubao-seedream-4-5-251128",
                            "input": {"prompt": "A cup of tea", "size": "2K"},
                        }
                    },
                    "video": {
                        "value": {
                            "kind": "video",
                            "model": "doubao/doubao-seedance-1-5-pro-251215",
                            "input": {"prompt": "Tea is poured", "aspect_ratio": "16:9", "duration_s": 5},
                        }
                    },
                },
            },
            "image/jpeg": _photo,
            "image/png": _photo,
            "image/webp": _photo,
        },
    },
}
_ANSWERS: Final[Documented] = REFUSED | {
    200: {"model": JobModel, "description": "The job, ended within `Prefer: wait`; or its events, if asked for"},
    202: {"model": AcceptedModel, "description": "Accepted: it will end"},
    400: PROBLEM | {"description": "Not JSON"},
    413: PROBLEM | {"description": "Too large"},
    415: PROBLEM | {"description": "Neither JSON nor an image"},
    429: PROBLEM | {"description": "Too many jobs are waiting"},
}


@router.post(
    "", status_code=202, response_model=AcceptedModel, responses=_ANSWERS, openapi_extra=_TAKES, summary="Submit a job"
)
async def submit_job(
    request: Request, front: FrontDep, caller: Annotated[Caller, Depends(require(Scope.JOBS))]
) -> Response:
    """Accept a chat, a photo, or a wish for pictures or a film. A 2xx means: it is committed, and it will end.

    `Prefer: wait=20` answers 200 with the whole job if it ends within so many seconds; `Accept: text/event-stream`
    answers with its events as they come. `Idempotency-Key` makes repeating the request harmless: the same job is
    answered, with `Idempotency-Replayed: true`.
    """
    key = idempotency_key(request.headers)
    wait_s = preferred_wait_s(request.headers, longest_s=front.settings.limits.wait_s)
    command, known = await _command(request, front, caller)
    new = await prepare(front, caller, command, idempotency_key=key, known_images=known)
    return await accept_and_answer(request, front, new, wait_s=wait_s)


async def _command(request: Request, front: Front, caller: Caller) -> tuple[Submission, frozenset[UUID]]:
    """Return what was asked for, and the images that were stored with it."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return await _json_command(request, front), NO_IMAGES
    if media_type in PHOTO_TYPES or media_type.startswith("image/"):
        return await _photo_command(request, front, caller, media_type)
    raise UnsupportedMediaType(
        f"Send the job as application/json, or a photo as image/jpeg, image/png or image/webp; not {media_type[:80]!r}",
        field="Content-Type",
    )


async def _json_command(request: Request, front: Front) -> Submission:
    for name in request.query_params:
        raise InvalidRequest("a job that is sent as JSON takes no parameters in the query", field=name)
    body = await read_body(request, limit=front.settings.limits.body_bytes)
    try:
        return _commands.validate_json(body)
    except ValidationError as error:
        is_json = error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid"
        raise refused(error, from_json(body) if is_json else None) from error


async def _photo_command(
    request: Request, front: Front, caller: Caller, media_type: str
) -> tuple[SubmitVision, frozenset[UUID]]:
    if "kind" not in request.query_params and not media_type.startswith("image/"):
        raise UnsupportedMediaType(
            "A job is sent as JSON with Content-Type: application/json; a bare photo needs ?kind=vision",
            field="Content-Type",
        )
    query = PhotoQuery.read(request.query_params)
    asked = query.command(UUID(int=0)).input  # whatever can be refused is refused before anything is stored
    with named_as_parameters():
        await resolve_photo(front, caller, asked, model=query.model)
    content = await read_body(request, limit=front.settings.limits.image_bytes)
    await check_room(front, caller.owner_id, QUEUE_OF[Kind.VISION])
    image = await store_image(front, caller.owner_id, content, field="body")
    return query.command(image.id), frozenset({image.id})
