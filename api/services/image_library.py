"""The library of photos: lists with filters, what is known of one, and what people say of it in tags and labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from api.front import Front
from api.services.images import ImageView, no_such_image, view_of
from shared.database.queries import AnyRow
from shared.database.statements import image_library as statements
from shared.database.statements.image_library import LabelValue, PhotoFilter
from shared.domain.errors import InvalidRequest
from shared.domain.ids import OwnerId

MAX_TAGS: Final = 32
MAX_LABELS: Final = 32
FINDINGS_SHOWN: Final = 20
NAMES_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class TakenBy:
    """A device, as far as its photos tell of it."""

    id: UUID
    name: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a job found in a photo: the command after the envelope, and what the model says it saw."""

    job_id: UUID
    model: str
    prompt: str
    profile: str
    volume: int
    degree: int
    container: str
    contents: str
    receivable: bool | None
    child_present: bool | None
    is_safe_default: bool
    is_changed: bool
    found_at: datetime


@dataclass(frozen=True, kw_only=True)
class PhotoName:
    """What a device calls a photo; no device is the server's own machine."""

    bucket: str
    name: str
    device: TakenBy | None
    stored_at: datetime


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image with what is said of it; `finding` is the newest one, where a list shows it."""

    image: ImageView
    device: TakenBy | None
    tags: Sequence[str]
    labels: Mapping[str, LabelValue]
    finding: Finding | None = None


async def photo_of(front: Front, owner_id: OwnerId, image_id: UUID) -> Photo:
    """Return an owner's photo, without findings.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.photo_with_id(owner_id, image_id))
    if not rows:
        raise no_such_image()
    return _photo(rows[0])


async def photos_page(
    front: Front, owner_id: OwnerId, wanted: PhotoFilter, *, after: UUID | None, limit: int
) -> list[Photo]:
    """Return an owner's photos with their newest findings, newest photo first."""
    rows = await front.queries.rows(statements.photos_page(owner_id, wanted, after=after, limit=limit))
    return [_photo(row, _finding(row, prefix="newest_")) for row in rows]


async def findings_of(front: Front, owner_id: OwnerId, image_id: UUID) -> list[Finding]:
    """Return the newest findings about a photo, newest first."""
    rows = await front.queries.rows(statements.findings_of_photo(owner_id, image_id, limit=FINDINGS_SHOWN))
    return [found for row in rows if (found := _finding(row)) is not None]


async def names_of(front: Front, owner_id: OwnerId, image_id: UUID) -> list[PhotoName]:
    """Return what devices call a photo, the newest name first."""
    rows = await front.queries.rows(statements.names_of_photo(owner_id, image_id, limit=NAMES_SHOWN))
    return [
        PhotoName(bucket=row.bucket, name=row.name, device=_device(row.id, row.of), stored_at=row.stored_at)
        for row in rows
    ]


async def remark(
    front: Front,
    owner_id: OwnerId,
    image_id: UUID,
    *,
    tags: Iterable[str] | None = None,
    more_tags: Iterable[str] = (),
    labels: Mapping[str, LabelValue | None],
) -> None:
    """Say something of a photo: `tags` replace those of before, `labels` are merged, where None removes one.

    Raises:
        NotFound: if there is no such image of this owner.
        InvalidRequest: if there would be too many; nothing was changed.
    """
    async with front.queries.transaction() as connection:
        row = (await connection.execute(statements.remarks(owner_id, image_id))).first()
        if row is None:
            raise no_such_image()
        all_tags = list(dict.fromkeys([*(row.tags if tags is None else tags), *more_tags]))
        all_labels = {name: value for name, value in (row.labels | labels).items() if value is not None}
        _check_number("tags", len(all_tags), MAX_TAGS)
        _check_number("labels", len(all_labels), MAX_LABELS)
        await connection.execute(statements.new_remarks(image_id, tags=all_tags, labels=all_labels))


def _check_number(what: str, number: int, most: int) -> None:
    if number > most:
        raise InvalidRequest(f"an image has at most {most} {what}; these would be {number}", field=what)


def _photo(row: AnyRow, finding: Finding | None = None) -> Photo:
    return Photo(
        image=view_of(row),
        device=_device(row.device_id, row.device_name),
        tags=row.tags,
        labels=row.labels,
        finding=finding,
    )


def _device(device_id: UUID | None, name: str) -> TakenBy | None:
    return None if device_id is None else TakenBy(id=device_id, name=name)


def _finding(row: AnyRow, *, prefix: str = "") -> Finding | None:
    names = Finding.__dataclass_fields__
    values: dict[str, Any] = {name: getattr(row, prefix + name) for name in names}  # Any: a row's columns
    return None if values["job_id"] is None else Finding(**values)
