"""A batch's photos with what became of them, page by page: nothing here grows with the batch."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from api.front import Front
from api.services.batches.report_head import Head
from shared.database.batch_tables import ITEM_STATE_OF
from shared.database.queries import AnyRow
from shared.database.statements import batch_rows as statements
from shared.domain.batches import ItemState
from shared.domain.comparison import Compared, LabelValue, Outcome, Verdict, truth_of
from shared.domain.errors import NotFound

ITEMS_AT_A_TIME: Final = 1000
"""Of all variants together: some hundred kilobytes, and a few milliseconds for the event loop."""
MAX_LABEL_NAMES: Final = 256
"""A table cannot have a column for whatever each photo is labelled with: those of most photos."""
FILE_LABEL: Final = "file"
"""The label that says under which name a photo was imported."""
_OUTCOMES: Final[Mapping[ItemState, Outcome]] = {
    ItemState.SUCCEEDED: "succeeded",
    ItemState.FAILED: "failed",
    ItemState.CANCELLED: "cancelled",
    ItemState.DELETED: "cancelled",
}
"""What has not ended is open."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """What became of one photo with one variant: its row in `batch_item`, or that there is none yet."""

    state: ItemState = ItemState.PENDING
    job_id: UUID | None = None
    tries: int = 0
    error_code: str | None = None
    error_detail: str | None = None
    receivable: bool | None = None
    child_present: bool | None = None
    container: str | None = None
    contents: str | None = None
    volume: int | None = None
    degree: int | None = None
    asked_volume: float | None = None
    asked_degree: float | None = None
    interventions: Sequence[str] | None = None
    is_unusable: bool | None = None
    latency_ms: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    ended_at: datetime | None = None

    def verdict(self) -> Verdict:
        """Return it as comparisons read it."""
        return Verdict(
            outcome=_OUTCOMES.get(self.state, "open"),
            error=self.error_code,
            receivable=self.receivable,
            child_present=self.child_present,
            container=self.container or "",
            contents=self.contents or "",
            volume=self.volume or 0,
            degree=self.degree or 0,
            asked_volume=self.asked_volume,
            asked_degree=self.asked_degree,
            interventions=tuple(self.interventions or ()),
            is_unusable=self.is_unusable or False,
            latency_ms=self.latency_ms,
            input_tokens=self.input_tokens or 0,
            output_tokens=self.output_tokens or 0,
            cost=None if self.cost is None else float(self.cost),
        )


@dataclass(frozen=True, kw_only=True)
class ReportPhoto:
    """A photo of a batch, with an item per variant in the variants' order.

    `name` is what it was imported as, else what a device called it, else empty. One that `is_gone` was deleted.
    """

    position: int
    image_id: UUID
    is_gone: bool
    name: str
    labels: Mapping[str, LabelValue]
    items: Sequence[Item]

    def compared(self) -> Compared:
        """Return it as comparisons read it."""
        return Compared(
            position=self.position,
            image_id=self.image_id,
            name=self.name or f"photo {self.position + 1}",
            truth=truth_of(self.labels),
            verdicts=tuple(item.verdict() for item in self.items),
        )


async def photo_pages(front: Front, head: Head) -> AsyncGenerator[list[ReportPhoto]]:
    """Yield a batch's photos in their order, some at a time, as they are at that moment.

    Raises:
        NotFound: if the batch was deleted meanwhile.
    """
    numbers = [variant.number for variant in head.variants]
    limit, first = max(1, ITEMS_AT_A_TIME // len(numbers)), 0
    while first < head.photos:
        photos = await front.queries.rows(statements.photos_page(head.owner_id, head.id, first=first, limit=limit))
        if not photos:
            raise NotFound("The batch was deleted meanwhile.")
        last = photos[-1].position
        items = await front.queries.rows(statements.items_between(head.id, numbers, first=first, last=last))
        yield await asyncio.to_thread(_photos, photos, items, numbers)
        first = last + 1


async def earlier_items(front: Front, earlier: Head, photos: Iterable[ReportPhoto]) -> dict[UUID, list[Item | None]]:
    """Return what became of these photos in an earlier batch, in its variants' order, by photo; None was not begun."""
    image_ids = [photo.image_id for photo in photos]
    rows = await front.queries.rows(statements.items_of_images(earlier.id, image_ids))
    places = {variant.number: place for place, variant in enumerate(earlier.variants)}
    found: dict[UUID, list[Item | None]] = {}
    for row in rows:
        if row.variant in places:
            found.setdefault(row.image_id, [None] * len(places))[places[row.variant]] = _item(row)
    return found


async def label_names(front: Front, head: Head) -> list[str]:
    """Return which labels a batch's photos have, in alphabetical order, without `file`; at most `MAX_LABEL_NAMES`."""
    statement = statements.label_names(head.owner_id, head.id, limit=MAX_LABEL_NAMES + 1)
    names = [row.name for row in await front.queries.rows(statement) if row.name != FILE_LABEL]
    return sorted(names[:MAX_LABEL_NAMES])


def _photos(photos: Iterable[AnyRow], items: Iterable[AnyRow], numbers: Sequence[int]) -> list[ReportPhoto]:
    at = {(row.position, row.variant): row for row in items}
    return [
        ReportPhoto(
            position=row.position,
            image_id=row.image_id,
            is_gone=row.id is None,
            name=_name(row),
            labels=row.labels or {},
            items=[_item(at.get((row.position, number))) for number in numbers],
        )
        for row in photos
    ]


def _item(row: AnyRow | None) -> Item:
    if row is None:
        return Item()
    values: dict[str, Any] = {name: getattr(row, name) for name in Item.__dataclass_fields__}  # Any: a row's columns
    values["state"] = ITEM_STATE_OF[row.state]
    return Item(**values)


def _name(row: AnyRow) -> str:
    labels: Mapping[str, LabelValue] = row.labels or {}
    labelled = labels.get(FILE_LABEL)
    return labelled if isinstance(labelled, str) else row.name or ""
