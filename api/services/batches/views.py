"""Batches as their owners see them: what was asked, how far it is, per variant and in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.front import Front
from shared.database.batch_tables import BATCH_STATE_OF
from shared.database.queries import AnyRow
from shared.database.statements import batches as statements
from shared.domain.batches import BatchState, VariantSpec
from shared.domain.errors import NotFound
from shared.domain.ids import OwnerId


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many of a variant's photos are where, and what they took.

    `running` ones have a job, which may still wait; `deleted` ones have no photo any more. `cost` is None where nothing
    has a price, `unpriced` counts answers without one.
    """

    photos: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    deleted: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    unpriced: int

    @property
    def left(self) -> int:
        """What has not ended."""
        return self.pending + self.running


@dataclass(frozen=True, kw_only=True)
class VariantView:
    """One way of asking; `spec` is all that its jobs carry."""

    number: int
    name: str
    prompt: str
    spec: VariantSpec
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class BatchView:
    """A batch. `reason` says to people why it is paused; `rate_per_s` is how many items end per second of late."""

    id: UUID
    number: int
    name: str
    note: str
    state: BatchState
    reason: str | None
    photos: int
    selection: Mapping[str, Any]  # JSON: as it was asked for
    budget_cost: float | None
    budget_tokens: int | None
    rate_per_s: float | None
    created_at: datetime
    ended_at: datetime | None
    variants: tuple[VariantView, ...]

    @property
    def progress(self) -> Progress:
        """All variants together."""
        parts = [variant.progress for variant in self.variants]
        costs = [part.cost for part in parts if part.cost is not None]
        counted = {
            name: sum(getattr(part, name) for part in parts) for name in Progress.__dataclass_fields__ if name != "cost"
        }
        return Progress(**counted, cost=sum(costs) if costs else None)

    @property
    def seconds_left(self) -> float | None:
        """When all will have ended, at the rate of late; None if that is not known."""
        if self.state is not BatchState.RUNNING or not self.rate_per_s:
            return None
        return self.progress.left / self.rate_per_s

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.ended_at is not None


async def batch_of(front: Front, owner_id: OwnerId, batch_id: UUID) -> BatchView:
    """Return an owner's batch.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.batches(owner_id).where(statements.batch.c.id == batch_id))
    if not rows:
        raise no_such_batch()
    return (await _views(front, rows))[0]


async def batches_page(
    front: Front, owner_id: OwnerId, *, states: Sequence[BatchState], after: UUID | None, limit: int
) -> list[BatchView]:
    """Return an owner's batches, newest first."""
    page = statements.batches_page(owner_id, states=states, after=after, limit=limit)
    return await _views(front, await front.queries.rows(page))


def no_such_batch() -> NotFound:
    """Return the one error for a batch that does not exist and for another owner's."""
    return NotFound("There is no batch with this id.")


async def _views(front: Front, rows: Sequence[AnyRow]) -> list[BatchView]:
    ids = [row.id for row in rows]
    if not ids:
        return []
    variants: dict[UUID, list[AnyRow]] = {}
    for variant in await front.queries.rows(statements.variants_of(ids)):
        variants.setdefault(variant.batch_id, []).append(variant)
    counted = await front.queries.rows(statements.running_items(ids))
    running = {(row.batch_id, row.variant): row.items for row in counted}
    return [_view(row, variants.get(row.id, []), running) for row in rows]


def _view(row: AnyRow, variants: Sequence[AnyRow], running: Mapping[tuple[UUID, int], int]) -> BatchView:
    return BatchView(
        id=row.id,
        number=row.number,
        name=row.name,
        note=row.note,
        state=BATCH_STATE_OF[row.state],
        reason=row.reason,
        photos=row.photos,
        selection=row.selection,
        budget_cost=None if row.budget_cost is None else float(row.budget_cost),
        budget_tokens=row.budget_tokens,
        rate_per_s=row.rate if row.state == 0 else None,
        created_at=row.created_at,
        ended_at=row.ended_at,
        variants=tuple(
            VariantView(
                number=variant.number,
                name=variant.name,
                prompt=variant.prompt,
                spec=VariantSpec.model_validate_json(variant.spec),
                progress=_progress(row, variant, running),
            )
            for variant in variants
        ),
    )


def _progress(row: AnyRow, variant: AnyRow, running: Mapping[tuple[UUID, int], int]) -> Progress:
    """Count what was never begun as pending too.

    The counters are read a moment before the open items: what ended in between is not counted twice.
    """
    ended = variant.succeeded + variant.failed + variant.cancelled + variant.deleted
    has_job = min(running.get((row.id, variant.number), 0), row.photos - ended)
    return Progress(
        photos=row.photos,
        pending=row.photos - ended - has_job,
        running=has_job,
        succeeded=variant.succeeded,
        failed=variant.failed,
        cancelled=variant.cancelled,
        deleted=variant.deleted,
        input_tokens=variant.input_tokens,
        output_tokens=variant.output_tokens,
        cost=None if variant.cost is None else float(variant.cost),
        unpriced=variant.unpriced,
    )
