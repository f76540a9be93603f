"""Serving what was uploaded: once a worker has opened it, as what it is, and as nothing a browser would run."""

from http import HTTPStatus
from uuid import UUID

from fastapi import Request, Response

from api.errors import error_response
from api.front import Front
from api.parts import PartsResponse, Span, wanted_span
from api.services.image_opening import ensure_ready
from api.services.images import ImageView, image_of
from api.services.media import MediaView, ensure_media_ready, media_of
from shared.domain.errors import NotFound, RangeNotSatisfiable
from shared.domain.ids import OwnerId
from shared.domain.images import EXTENSION_OF


async def open_upload(request: Request, front: Front, owner_id: OwnerId, upload_id: UUID) -> Response:
    """Serve an owner's image or media file. One that nobody has opened yet is waited for up to `image_ready`.

    Raises:
        NotFound: if there is neither, or it is another owner's.
        InvalidRequest: if it turned out not to be what it must be; it is not stored any more.
        Unavailable: if it was not opened in time, or the object store is away.
    """
    try:
        image = await image_of(front, owner_id, upload_id)
    except NotFound:
        return await serve_media(request, front, await media_of(front, owner_id, upload_id))
    image = await ensure_ready(front, image)
    name = f"{image.id}.{EXTENSION_OF[image.media_type]}"
    return await serve_object(
        request, front, image.object_key, media_type=image.media_type, tag=tag_of(image), name=name
    )


async def serve_media(request: Request, front: Front, media: MediaView) -> Response:
    """Serve a video or audio file, whole or in the range that is asked for. Raises as `open_upload`."""
    media = await ensure_media_ready(front, media)
    headers = _safe(media.sha256, name=f"{media.id}.{media.extension}")
    if _has(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    try:
        span = wanted_span(request.headers, size_bytes=media.size_bytes, tag=headers["ETag"])
    except RangeNotSatisfiable as error:
        return error_response(request.scope, error, headers={"Content-Range": f"bytes */{media.size_bytes}"})
    if span is not None:
        headers["Content-Range"] = span.content_range(media.size_bytes)
    response = PartsResponse(
        front.objects,
        media.object_key,
        span or Span(0, media.size_bytes),
        media_type=media.media_type,
        headers=headers,
        status=HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT,
        send_timeout=front.settings.clocks.send,
    )
    return await response.begin()


async def serve_object(
    request: Request, front: Front, key: str, *, media_type: str, tag: str, name: str | None = None
) -> Response:
    """Serve an image's object; `tag` names its content, `name` is what it is saved as."""
    headers = _safe(tag, name=name)
    if _has(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(await front.objects.get(key), media_type=media_type, headers=headers)


def tag_of(image: ImageView) -> str:
    """Return what names an image's content."""
    return image.content_sha256 or image.sha256


def _safe(tag: str, *, name: str | None) -> dict[str, str]:
    return {
        "ETag": f'"{tag}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": "inline" if name is None else f'inline; filename="{name}"',
    }


def _has(request: Request, tag: str) -> bool:
    """Whether the caller has this content (RFC 9110 section 13.1.2: tags are compared weakly)."""
    listed = ",".join(request.headers.getlist("if-none-match")).split(",")
    return not {"*", tag}.isdisjoint(part.strip().removeprefix("W/") for part in listed)
