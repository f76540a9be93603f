"""Statements about the library of photos: what is shown of them, lists with filters, tags and labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Update, and_, cast, func, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Text

from shared.database.tables import device, finding, image, image_name

Rows: TypeAlias = Select[*tuple[Any, ...]]
Condition: TypeAlias = ColumnElement[bool]
LabelValue: TypeAlias = str | int | float | bool

CLOCKS_DIFFER_MS: Final = 24 * 60 * 60 * 1000
"""Ids carry the time of the process that made them, `created_at` the database's: the index on ids narrows a span of
time down to this much more than the span, whatever their clocks say."""


@dataclass(frozen=True, kw_only=True)
class FindingFilter:
    """What one finding must be like; None asks for nothing. `prompt` is a name, of any version, or `name@version`."""

    said: str | None = None
    receivable: bool | None = None
    child_present: bool | None = None
    is_changed: bool | None = None
    is_safe_default: bool | None = None
    model: str | None = None
    prompt: str | None = None
    min_volume: int | None = None
    max_volume: int | None = None


@dataclass(frozen=True, kw_only=True)
class PhotoFilter:
    """Which photos are wanted; None asks for nothing.

    `labels` maps a name to the values of which one must be there; no values mean that the name is enough.
    """

    device_id: UUID | None = None
    has_device: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_ready: bool | None = None
    is_analysed: bool | None = None
    tags: Sequence[str] = ()
    labels: Sequence[tuple[str, Sequence[LabelValue]]] = ()
    finding: FindingFilter = field(default_factory=FindingFilter)


def photo_with_id(owner_id: int, image_id: UUID) -> Rows:
    """The owner's photo with this id, with the name of the device that sent it first."""
    return _photos(owner_id).where(image.c.id == image_id)


def photos_page(owner_id: int, wanted: PhotoFilter, *, after: UUID | None, limit: int) -> Rows:
    """An owner's photos with their newest findings, newest first, from the one after `after`."""
    newest = _findings(owner_id).where(finding.c.image_id == image.c.id).limit(1).lateral("newest")
    columns = [newest.c[column.name].label(f"newest_{column.name}") for column in finding.columns]
    statement = _photos(owner_id).outerjoin(newest, true()).add_columns(*columns)
    if after is not None:
        statement = statement.where(image.c.id < after)
    return statement.where(*_conditions(owner_id, wanted)).order_by(image.c.id.desc()).limit(limit)


def selected_photos(owner_id: int, wanted: PhotoFilter, *, limit: int, at_random: bool) -> Rows:
    """The ids of an owner's photos, newest first; or `at_random`, which is always the same of the same photos."""
    order = func.md5(cast(image.c.id, Text)) if at_random else image.c.id.desc()
    return (
        select(image.c.id)
        .where(image.c.owner_id == owner_id, *_conditions(owner_id, wanted))
        .order_by(order)
        .limit(limit)
    )


def names_of_photo(owner_id: int, image_id: UUID, *, limit: int) -> Rows:
    """What devices call a photo, the newest name first; a name without a device came from the server's machine."""
    return (
        select(image_name.c.bucket, image_name.c.name, image_name.c.stored_at, device.c.id, device.c.name.label("of"))
        .outerjoin(device, device.c.number == image_name.c.device_number)
        .where(image_name.c.owner_id == owner_id, image_name.c.image_id == image_id)
        .order_by(image_name.c.stored_at.desc(), image_name.c.name)
        .limit(limit)
    )


def findings_of_photo(owner_id: int, image_id: UUID, *, limit: int) -> Rows:
    """What jobs found in a photo, newest first."""
    return _findings(owner_id).where(finding.c.image_id == image_id).limit(limit)


def remarks(owner_id: int, image_id: UUID) -> Rows:
    """A photo's tags and labels, locked until the transaction ends."""
    of_owner = select(image.c.tags, image.c.labels).where(image.c.owner_id == owner_id, image.c.id == image_id)
    return of_owner.with_for_update()


def new_remarks(image_id: UUID, *, tags: Sequence[str], labels: Mapping[str, LabelValue]) -> Update:
    """Replace a photo's tags and labels."""
    return update(image).where(image.c.id == image_id).values(tags=list(tags), labels=dict(labels))


def _photos(owner_id: int) -> Rows:
    return (
        select(image, device.c.name.label("device_name"))
        .outerjoin(device, device.c.id == image.c.device_id)
        .where(image.c.owner_id == owner_id)
    )


def _findings(owner_id: int) -> Rows:
    newest_first = (finding.c.found_at.desc(), finding.c.job_id.desc())
    return select(finding).where(finding.c.owner_id == owner_id).order_by(*newest_first)


def _conditions(owner_id: int, wanted: PhotoFilter) -> Iterator[Condition]:
    yield from _about_the_photo(wanted)
    yield from _about_time(wanted.since, wanted.until)
    of_photo = and_(finding.c.image_id == image.c.id, finding.c.owner_id == owner_id)
    if wanted.is_analysed is not None:
        has_finding = select(finding.c.job_id).where(of_photo).exists()
        yield has_finding if wanted.is_analysed else ~has_finding
    if matching := list(_about_a_finding(wanted.finding)):
        yield select(finding.c.job_id).where(of_photo, *matching).exists()


def _about_the_photo(wanted: PhotoFilter) -> Iterator[Condition]:
    if wanted.device_id is not None:
        yield image.c.device_id == wanted.device_id
    if wanted.has_device is not None:
        yield image.c.device_id.is_not(None) if wanted.has_device else image.c.device_id.is_(None)
    if wanted.is_ready is not None:
        yield image.c.ready_at.is_not(None) if wanted.is_ready else image.c.ready_at.is_(None)
    if wanted.tags:
        yield image.c.tags.contains(cast(list(wanted.tags), ARRAY(Text)))
    for name, values in wanted.labels:
        has_one = [image.c.labels.contains(cast(literal({name: value}, JSONB), JSONB)) for value in values]
        yield or_(*has_one) if has_one else image.c.labels.has_key(name)


def _about_time(since: datetime | None, until: datetime | None) -> Iterator[Condition]:
    if since is not None:
        yield image.c.created_at >= since
        yield image.c.id >= _first_id(since, later_ms=-CLOCKS_DIFFER_MS)
    if until is not None:
        yield image.c.created_at <= until
        yield image.c.id <= _first_id(until, later_ms=CLOCKS_DIFFER_MS)


def _about_a_finding(wanted: FindingFilter) -> Iterator[Condition]:
    if wanted.said is not None:
        yield or_(*(text.icontains(wanted.said, autoescape=True) for text in (finding.c.container, finding.c.contents)))
    if wanted.prompt is not None:
        is_of_version = "@" in wanted.prompt
        yield finding.c.prompt == wanted.prompt if is_of_version else _named(wanted.prompt)
    if wanted.min_volume is not None:
        yield finding.c.volume >= wanted.min_volume
    if wanted.max_volume is not None:
        yield finding.c.volume <= wanted.max_volume
    for column in (
        finding.c.model,
        finding.c.receivable,
        finding.c.child_present,
        finding.c.is_changed,
        finding.c.is_safe_default,
    ):
        value = getattr(wanted, column.name)
        if value is not None:
            yield column == value


def _named(prompt: str) -> Condition:
    return or_(finding.c.prompt == prompt, finding.c.prompt.startswith(f"{prompt}@", autoescape=True))


def _first_id(moment: datetime, *, later_ms: int) -> UUID:
    """Return the lowest id that can have been made so long after a moment."""
    return UUID(int=max(0, round(moment.timestamp() * 1000) + later_ms) << 80)
