"""Images: upload, look up, fetch. What is served was stored as it came and is never run: nosniff, sandboxed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from api.auth import Caller, require
from api.body import read_body
from api.dependencies import FrontDep
from api.scopes import Scope
from api.services.images import ImageView, image_of, store_image
from shared.domain.errors import InvalidRequest, MalformedRequest, UnsupportedMediaType

LINK_LIFETIME: Final = timedelta(hours=1)
MULTIPART_OVERHEAD_BYTES: Final = 64 * 1024
RAW_TYPES: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
"""Besides image/*; the last is what curl's --data-binary says of anything."""
FORM_FIELDS: Final = ("image", "file")

router = APIRouter(prefix="/v2/images", tags=["images"])
Uploader = Annotated[Caller, Depends(require(Scope.IMAGES))]

_binary: Final = {"schema": {"type": "string", "format": "binary"}}
_form: Final = {"type": "object", "required": ["image"], "properties": {"image": _binary["schema"]}}
_UPLOAD_BODY: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": _binary,
            "image/png": _binary,
            "image/webp": _binary,
            "multipart/form-data": {"schema": _form},
        },
    }
}


class ImageOut(BaseModel):
    """A stored image."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    media_type: Annotated[str, Field(examples=["image/jpeg"])]
    size_bytes: int
    width: int
    height: int
    sha256: Annotated[str, Field(description="Of the content, in hexadecimal; the same photo is stored once.")]
    created_at: datetime
    links: dict[str, str]


class LinkedImageOut(ImageOut):
    """A stored image and a link that serves it without a credential for an hour."""

    url: str
    url_expires_at: datetime


@router.post(
    "",
    status_code=201,
    summary="Upload an image, raw or as a form",
    responses={200: {"model": ImageOut, "description": "This owner had stored the same photo before"}},
    openapi_extra=_UPLOAD_BODY,
)
async def upload_image(request: Request, response: Response, front: FrontDep, caller: Uploader) -> ImageOut:
    """Store a JPEG, PNG or WebP of up to 20 MB: as the body, or as the field `image` of a multipart form."""
    content, field = await _uploaded(request, limit=front.settings.limits.image_bytes)
    image = await store_image(front, caller.owner_id, content, field=field)
    response.status_code = 201 if image.is_new else 200
    response.headers["Location"] = f"/v2/images/{image.id}"
    return ImageOut(**_shown(image))


@router.get("/{image_id}", summary="What is known about an image, and a link to it")
async def get_image(image_id: UUID, front: FrontDep, caller: Uploader) -> LinkedImageOut:
    """Return an image's facts and a presigned link for it; another owner's image is not found."""
    image = await image_of(front, caller.owner_id, image_id)
    until = datetime.now(UTC) + LINK_LIFETIME
    url = await front.objects.presign(image.object_key, expires=LINK_LIFETIME, media_type=image.media_type)
    return LinkedImageOut(**_shown(image), url=url, url_expires_at=until)


@router.get(
    "/{image_id}/content",
    summary="The image itself",
    response_class=Response,
    responses={200: {"content": {"image/*": _binary}}, 304: {"description": "The caller has it already"}},
)
async def get_content(image_id: UUID, request: Request, front: FrontDep, caller: Uploader) -> Response:
    """Return the bytes that were uploaded."""
    image = await image_of(front, caller.owner_id, image_id)
    headers = {
        "ETag": f'"{image.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": "inline",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = await front.objects.get(image.object_key)
    return Response(content, media_type=image.media_type, headers=headers)


async def _uploaded(request: Request, *, limit: int) -> tuple[bytes, str]:
    """Return the uploaded bytes and the name of the field they came in."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _from_form(request, limit)
    if media_type in RAW_TYPES or media_type.startswith("image/"):
        return await read_body(request, limit=limit), "body"
    raise UnsupportedMediaType(
        f"Send the image as image/jpeg, image/png, image/webp or multipart/form-data, not {media_type[:80]!r}.",
        field="Content-Type",
    )


async def _from_form(request: Request, limit: int) -> tuple[bytes, str]:
    # Read whole and counted first: the form's parser has no limit on a file of its own.
    body = await read_body(request, limit=limit + MULTIPART_OVERHEAD_BYTES)
    replayed = Request(request.scope, _once(body))
    try:
        async with replayed.form(max_files=1, max_fields=4) as form:
            for name in FORM_FIELDS:
                part = form.get(name)
                if isinstance(part, UploadFile):
                    return await part.read(), name
    except HTTPException as error:
        raise MalformedRequest(f"The form could not be read: {error.detail}") from error
    raise InvalidRequest("The form needs a file in the field `image`.", field="image")


def _once(body: bytes) -> Any:  # ASGI's receive, which Starlette types as a mutable mapping
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _shown(image: ImageView) -> dict[str, Any]:
    return {
        "id": image.id,
        "media_type": image.media_type,
        "size_bytes": image.size_bytes,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256,
        "created_at": image.created_at,
        "links": {"self": f"/v2/images/{image.id}", "content": f"/v2/images/{image.id}/content"},
    }
