"""The bytes of images: upload, fetch, link. What is served was decoded by a worker first, and is never run."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.image_body import DOCUMENTED, read_image
from api.preferences import idempotency_key, preferred_wait_s
from api.routes.answers import CLIENT_CLOSED_REQUEST, PROBLEM, Documented
from api.routes.image_models import LinkOut, UploadedOut, shown
from api.routes.image_queries import LinkQuery, NoQuery, UploadQuery
from api.scopes import Scope
from api.served import serve_object, tag_of
from api.services.image_library import photo_of, remark
from api.services.image_opening import ensure_ready, open_image
from api.services.images import image_of, store_image
from api.services.job_documents import job_links
from api.services.room import check_room
from api.services.upload_jobs import check_opened
from api.services.watch import ClientLeft, unless_client_leaves
from shared.domain.ids import JobId
from shared.domain.jobs import QUEUE_OF, Kind

router = APIRouter(prefix="/v2/images", tags=["images"])
Uploader = Annotated[Caller, Depends(require(Scope.IMAGES))]
NoParameters = Annotated[NoQuery, Query()]

JPEG: Final = "image/jpeg"
_bytes: Final = {"schema": {"type": "string", "format": "binary"}}
_SHOWN: Final[Documented] = {
    200: {"content": {"image/*": _bytes}},
    304: {"description": "The caller has it already"},
    404: PROBLEM | {"description": "No such image, or another owner's"},
    422: PROBLEM | {"description": "It turned out to be no image, and is not stored any more"},
    503: PROBLEM | {"description": "It was not opened yet: ask again"},
}
_UPLOAD: Final[dict[str, Any]] = DOCUMENTED | {  # an OpenAPI fragment
    "parameters": [
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=10"},
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
    ]
}


@router.post(
    "",
    status_code=201,
    response_model=UploadedOut,
    summary="Upload an image, raw or as a form",
    responses={200: {"model": UploadedOut, "description": "This owner had stored the same photo before"}},
    openapi_extra=_UPLOAD,
)
async def upload_image(
    query: Annotated[UploadQuery, Query()], request: Request, response: Response, front: FrontDep, caller: Uploader
) -> UploadedOut | Response:
    """Store a JPEG, PNG or WebP of up to 20 MB: as the body, or as the field `image` of a multipart form.

    It is shown once a worker has opened it and removed its metadata, which `Prefer: wait=N` waits for. The same photo
    is the same image, so repeating an upload is harmless with and without an `Idempotency-Key`.
    """
    labels = query.labels()
    wait_s = preferred_wait_s(request.headers, longest_s=front.settings.limits.wait_s)
    idempotency_key(request.headers)  # refused if malformed; the content itself is the key
    content, field = await read_image(request, limit=front.settings.limits.image_bytes)
    await check_room(front, caller.owner_id, QUEUE_OF[Kind.UPLOAD])
    image = await store_image(front, caller.owner_id, content, field=field)
    if query.tag or labels:
        await remark(front, caller.owner_id, image.id, more_tags=query.tag, labels=labels)
    photo = await photo_of(front, caller.owner_id, image.id)
    job_id = None if image.is_ready else await open_image(front, image)
    if job_id is not None and wait_s:
        try:
            await unless_client_leaves(request, _opened(front, job_id, field=field, within_s=wait_s))
        except ClientLeft:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        photo = await photo_of(front, caller.owner_id, image.id)
    response.status_code = 201 if image.is_new else 200
    response.headers["Location"] = f"/v2/images/{image.id}"
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    is_pending = job_id is not None and not photo.image.is_ready
    return UploadedOut(**shown(photo), job=job_links(job_id)["self"] if job_id and is_pending else None)


@router.get("/{image_id}/content", summary="The image itself", response_class=Response, responses=_SHOWN)
async def get_content(
    image_id: UUID, query: NoParameters, request: Request, front: FrontDep, caller: Uploader
) -> Response:
    """Return the image, freed of its metadata. One that nobody has opened yet is waited for up to 10 seconds."""
    image = await ensure_ready(front, await image_of(front, caller.owner_id, image_id))
    return await serve_object(request, front, image.object_key, media_type=image.media_type, tag=tag_of(image))


@router.get("/{image_id}/thumbnail", summary="The image, small", response_class=Response, responses=_SHOWN)
async def get_thumbnail(
    image_id: UUID, query: NoParameters, request: Request, front: FrontDep, caller: Uploader
) -> Response:
    """Return a JPEG of at most 320 pixels a side. A JPEG that is as small itself is its own thumbnail."""
    image = await ensure_ready(front, await image_of(front, caller.owner_id, image_id))
    if image.thumbnail_key is None:
        return await serve_object(request, front, image.object_key, media_type=image.media_type, tag=tag_of(image))
    return await serve_object(request, front, image.thumbnail_key, media_type=JPEG, tag=f"{tag_of(image)}-thumbnail")


@router.get("/{image_id}/link", summary="A link that serves the image without a credential")
async def get_link(image_id: UUID, query: Annotated[LinkQuery, Query()], front: FrontDep, caller: Uploader) -> LinkOut:
    """Return a presigned link to the object store, good for as long as asked for: a minute to a week."""
    image = await ensure_ready(front, await image_of(front, caller.owner_id, image_id))
    lifetime = timedelta(seconds=query.expires_s)
    expires_at = datetime.now(UTC) + lifetime
    url = await front.objects.presign(image.object_key, expires=lifetime, media_type=image.media_type)
    return LinkOut(url=url, expires_at=expires_at)


async def _opened(front: Front, job_id: JobId, *, field: str, within_s: float) -> None:
    """Wait for an image to be opened, as long as the caller wants to; refuse it if it is none."""
    ending = await front.hub.wait_for_end(job_id, within_s)
    if ending is not None:
        check_opened(ending, field=field)
