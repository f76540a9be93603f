"""What became of each photo with each variant, page by page."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.front import Front
from shared.database.batch_tables import ITEM_STATE_OF
from shared.database.queries import AnyRow
from shared.database.statements import batches as statements
from shared.domain.batches import ItemState


@dataclass(frozen=True, kw_only=True)
class ItemView:
    """One photo with one variant; see `shared.database.batch_tables.batch_item`."""

    variant: int
    position: int
    image_id: UUID
    state: ItemState
    job_id: UUID | None
    tries: int
    error_code: str | None
    error_detail: str | None
    volume: int | None
    degree: int | None
    asked_volume: float | None
    asked_degree: float | None
    receivable: bool | None
    child_present: bool | None
    container: str | None
    contents: str | None
    interventions: list[str]
    is_unusable: bool | None
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    ended_at: datetime | None


async def items_page(
    front: Front,
    batch_id: UUID,
    *,
    variant: int | None,
    state: ItemState | None,
    after: tuple[int, int] | None,
    limit: int,
) -> list[ItemView]:
    """Return begun items of a batch that is the caller's, by position and variant."""
    page = statements.items_page(batch_id, variant=variant, state=state, after=after, limit=limit)
    return [_item(row) for row in await front.queries.rows(page)]


def _item(row: AnyRow) -> ItemView:
    values = {name: getattr(row, name) for name in ItemView.__dataclass_fields__}
    values |= {
        "state": ITEM_STATE_OF[row.state],
        "interventions": row.interventions or [],
        "cost": None if row.cost is None else float(row.cost),
    }
    return ItemView(**values)
