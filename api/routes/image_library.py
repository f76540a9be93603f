"""The library of photos: list and filter, all that is known of one, tags and labels, delete with everything derived."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.image_models import (
    DetailedOut,
    ImageOut,
    ImagesOut,
    ListedOut,
    shown,
    shown_finding,
    shown_name,
)
from api.routes.image_queries import ImageChange, ImagesQuery, NoQuery
from api.scopes import Scope
from api.services.image_deletion import delete_image
from api.services.image_library import findings_of, names_of, photo_of, photos_page, remark
from shared.domain.errors import InvalidRequest

LINK_LIFETIME: Final = timedelta(hours=1)
NO_SUCH_IMAGE: Final[Documented] = {404: PROBLEM | {"description": "No such image, or another owner's"}}

router = APIRouter(prefix="/v2/images", tags=["images"])
Librarian = Annotated[Caller, Depends(require(Scope.IMAGES))]
NoParameters = Annotated[NoQuery, Query()]


@router.get("", responses=REFUSED, summary="List images")
async def list_images(query: Annotated[ImagesQuery, Query()], front: FrontDep, caller: Librarian) -> ImagesOut:
    """Return the caller's images, newest first, each with the newest that was found in it."""
    wanted = query.wanted()
    page = await photos_page(front, caller.owner_id, wanted, after=query.cursor, limit=query.limit + 1)
    images = page[: query.limit]
    return ImagesOut(
        images=[ListedOut(**shown(photo), finding=photo.finding and shown_finding(photo.finding)) for photo in images],
        next=images[-1].image.id if len(page) > len(images) else None,
    )


@router.get("/{image_id}", responses=NO_SUCH_IMAGE, summary="What is known about an image, and a link to it")
async def get_image(image_id: UUID, query: NoParameters, front: FrontDep, caller: Librarian) -> DetailedOut:
    """Return an image's facts, its names, the newest findings, and once it is ready a presigned link for it."""
    photo = await photo_of(front, caller.owner_id, image_id)
    names = await names_of(front, caller.owner_id, image_id)
    findings = await findings_of(front, caller.owner_id, image_id)
    image, url, until = photo.image, None, None
    if image.is_ready:
        until = datetime.now(UTC) + LINK_LIFETIME
        url = await front.objects.presign(image.object_key, expires=LINK_LIFETIME, media_type=image.media_type)
    return DetailedOut(
        **shown(photo),
        names=[shown_name(name) for name in names],
        findings=[shown_finding(finding) for finding in findings],
        url=url,
        url_expires_at=until,
    )


@router.patch("/{image_id}", responses=NO_SUCH_IMAGE | REFUSED, summary="Tag and label an image")
async def change_image(
    image_id: UUID, change: ImageChange, query: NoParameters, front: FrontDep, caller: Librarian
) -> ImageOut:
    """Replace the tags, merge the labels (RFC 7396): what is left out stays as it is."""
    if not change.model_fields_set:
        raise InvalidRequest("Give tags, labels or both.", field="tags")
    tags = change.tags if "tags" in change.model_fields_set else None
    await remark(front, caller.owner_id, image_id, tags=tags, labels=change.labels)
    return ImageOut(**shown(await photo_of(front, caller.owner_id, image_id)))


@router.delete(
    "/{image_id}",
    status_code=204,
    responses=NO_SUCH_IMAGE | {409: PROBLEM | {"description": "A job about it has not stopped yet: ask again"}},
    summary="Delete an image and everything that came of it",
)
async def remove_image(image_id: UUID, query: NoParameters, front: FrontDep, caller: Librarian) -> None:
    """Delete an image with its thumbnail and names, and the jobs about it with their answers and findings.

    Jobs that have not ended are cancelled first. The same photo, uploaded again, is a new image.
    """
    await delete_image(front, caller.owner_id, image_id)
