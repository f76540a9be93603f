"""Videos and audio files: upload, list, look up, fetch in ranges, delete. Shown once a worker found them whole."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.media_body import DOCUMENTED, receive_file
from api.preferences import idempotency_key, preferred_wait_s
from api.routes.answers import CLIENT_CLOSED_REQUEST, PROBLEM, REFUSED, Documented
from api.routes.image_queries import NoQuery
from api.scopes import Scope
from api.served import serve_media
from api.services.job_documents import job_links
from api.services.media import MediaView, media_of, media_page, open_media, store_media
from api.services.media_deletion import delete_media
from api.services.room import check_room
from api.services.upload_jobs import check_opened
from api.services.watch import ClientLeft, unless_client_leaves
from shared.domain.ids import JobId
from shared.domain.jobs import QUEUE_OF, Kind
from shared.domain.media import MediaKind

PATH: Final = "/v2/media"

router = APIRouter(prefix=PATH, tags=["media"])
Uploader = Annotated[Caller, Depends(require(Scope.IMAGES))]
NoParameters = Annotated[NoQuery, Query()]

_NO_SUCH_FILE: Final[Documented] = {404: PROBLEM | {"description": "No such file, or another owner's"}}
_bytes: Final = {"schema": {"type": "string", "format": "binary"}}
_SHOWN: Final[Documented] = _NO_SUCH_FILE | {
    200: {"content": {"video/*": _bytes, "audio/*": _bytes}},
    206: {"description": "The range that was asked for"},
    304: {"description": "The caller has it already"},
    416: PROBLEM | {"description": "The file ends before that range"},
    422: PROBLEM | {"description": "It turned out not to be whole, and is not stored any more"},
    503: PROBLEM | {"description": "It was not checked yet: ask again"},
}
_UPLOAD: Final[dict[str, Any]] = DOCUMENTED | {  # an OpenAPI fragment
    "parameters": [
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=10"},
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
    ]
}


class MediaOut(BaseModel):
    """A stored video or audio file."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    kind: MediaKind
    state: Annotated[Literal["pending", "ready"], Field(description="Shown only once it is ready.")]
    media_type: Annotated[str, Field(examples=["video/mp4"])]
    size_bytes: int
    sha256: Annotated[str, Field(description="In hexadecimal; the same file is stored once.")]
    created_at: datetime
    links: dict[str, str]


class UploadedMediaOut(MediaOut):
    """A file that was uploaded; `job` is what checks it while it is pending."""

    job: str | None


class MediaListOut(BaseModel):
    """A page of files; `next` is the cursor of the next page, if there is one."""

    model_config = ConfigDict(extra="forbid")

    media: list[MediaOut]
    next: UUID | None


class MediaQuery(BaseModel):
    """Which files to list."""

    model_config = ConfigDict(extra="forbid")

    kind: MediaKind | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[UUID | None, Field(description="`next` of the page before")] = None


@router.post(
    "",
    status_code=201,
    response_model=UploadedMediaOut,
    summary="Upload a video or an audio file, raw or as a form",
    responses={200: {"model": UploadedMediaOut, "description": "This owner had stored the same file before"}},
    openapi_extra=_UPLOAD,
)
async def upload_media(
    query: NoParameters, request: Request, response: Response, front: FrontDep, caller: Uploader
) -> UploadedMediaOut | Response:
    """Store a file of up to 64 MB: as the body, or as the field `file` of a multipart form.

    MP4, QuickTime, WebM, Matroska, AVI and Ogg; MP3, AAC, M4A, WAV and FLAC. Its first bytes say what it is, not its
    name. It is shown once a worker has found it whole, which `Prefer: wait=N` waits for. The same file is stored once,
    so repeating an upload is harmless with and without an `Idempotency-Key`.
    """
    wait_s = preferred_wait_s(request.headers, longest_s=front.settings.limits.wait_s)
    idempotency_key(request.headers)  # refused if malformed; the content itself is the key
    await check_room(front, caller.owner_id, QUEUE_OF[Kind.UPLOAD])
    async with receive_file(request, limit=front.settings.limits.media_bytes) as received:
        media = await store_media(front, caller.owner_id, received)
        field = received.field
    job_id = None if media.is_ready else await open_media(front, media)
    response.status_code = 201 if media.is_new else 200
    if job_id is not None and wait_s:
        try:
            await unless_client_leaves(request, _checked(front, job_id, field=field, within_s=wait_s))
        except ClientLeft:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        media = await media_of(front, caller.owner_id, media.id)
    response.headers["Location"] = f"{PATH}/{media.id}"
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    return UploadedMediaOut(**_shown(media), job=job_links(job_id)["self"] if job_id and not media.is_ready else None)


@router.get("", responses=REFUSED, summary="List videos and audio files")
async def list_media(query: Annotated[MediaQuery, Query()], front: FrontDep, caller: Uploader) -> MediaListOut:
    """Return the caller's files, newest first."""
    page = await media_page(front, caller.owner_id, kind=query.kind, after=query.cursor, limit=query.limit + 1)
    shown = page[: query.limit]
    return MediaListOut(
        media=[MediaOut(**_shown(media)) for media in shown], next=shown[-1].id if len(page) > len(shown) else None
    )


@router.get("/{media_id}", responses=_NO_SUCH_FILE, summary="What is known about a video or audio file")
async def get_media(media_id: UUID, query: NoParameters, front: FrontDep, caller: Uploader) -> MediaOut:
    """Return a file's facts."""
    return MediaOut(**_shown(await media_of(front, caller.owner_id, media_id)))


@router.get("/{media_id}/content", summary="The file itself", response_class=Response, responses=_SHOWN)
async def get_media_content(
    media_id: UUID, query: NoParameters, request: Request, front: FrontDep, caller: Uploader
) -> Response:
    """Return the file as it was sent, or one range of it. One that nobody checked yet is waited for, 10 s at most."""
    return await serve_media(request, front, await media_of(front, caller.owner_id, media_id))


@router.delete(
    "/{media_id}",
    status_code=204,
    responses=_NO_SUCH_FILE | {409: PROBLEM | {"description": "A job about it has not stopped yet: ask again"}},
    summary="Delete a video or audio file",
)
async def remove_media(media_id: UUID, query: NoParameters, front: FrontDep, caller: Uploader) -> None:
    """Delete a file. Messages that refer to it stay, and can be answered no more with it."""
    await delete_media(front, caller.owner_id, media_id)


async def _checked(front: Front, job_id: JobId, *, field: str, within_s: float) -> None:
    """Wait for a file to be checked, as long as the caller wants to; refuse it if it is not whole."""
    ending = await front.hub.wait_for_end(job_id, within_s)
    if ending is not None:
        check_opened(ending, field=field)


def _shown(media: MediaView) -> dict[str, Any]:
    """Return the members of `MediaOut`."""
    path = f"{PATH}/{media.id}"
    return {
        "id": media.id,
        "kind": media.kind,
        "state": "ready" if media.is_ready else "pending",
        "media_type": media.media_type,
        "size_bytes": media.size_bytes,
        "sha256": media.sha256,
        "created_at": media.created_at,
        "links": {"self": path, "content": f"{path}/content"},
    }
