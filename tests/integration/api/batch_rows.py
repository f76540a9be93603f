"""Whole batches as rows, as if every job of them had been run: for tests of what is made of a batch afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import insert

from shared.database.batch_tables import BATCH_CODES, ITEM_CODES, batch, batch_item, batch_photo, batch_variant
from shared.database.tables import image
from shared.domain.batches import BatchState, ItemState, VariantSpec
from shared.domain.ids import LOCAL_OWNER, new_job_id, uuid7
from tests.served import Served

Item: TypeAlias = dict[str, Any]
"""Columns of `batch_item` beside its key."""
ENDED_AT: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_NO_RESULT: Final = dict.fromkeys(
    column.name for column in batch_item.columns if column.name not in ("batch_id", "variant", "position", "tries")
)
_OVER: Final = (BatchState.COMPLETED, BatchState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class VariantRows:
    """A variant and what became of the photos with it, in their order; None has not been begun."""

    spec: VariantSpec
    items: Sequence[Item | None]
    name: str = ""

    def row(self, number: int) -> dict[str, Any]:
        """Its own row, with the counters that its items amount to; for any batch."""
        begun = [item for item in self.items if item is not None]
        costs = [item["cost"] for item in begun if item["cost"] is not None]
        answered = [item for item in begun if item["state"] == ITEM_CODES[ItemState.SUCCEEDED]]
        return {
            "number": number,
            "name": self.name or self.spec.model,
            "model": self.spec.model,
            "prompt": self.spec.prompt,
            "profile": self.spec.profile,
            "spec": self.spec.model_dump_json(exclude_defaults=True),
            "next_position": len(begun),
            **{state: _count(begun, ItemState(state)) for state in ("succeeded", "failed", "cancelled", "deleted")},
            "unpriced": sum(item["cost"] is None for item in answered),
            "input_tokens": sum(item["input_tokens"] or 0 for item in begun),
            "output_tokens": sum(item["output_tokens"] or 0 for item in begun),
            "cost": sum(costs) if costs else None,
        }


def answered(*, receivable: bool | None = True, **columns: Any) -> Item:
    """A photo that was answered: tea at 80 °C poured into a cup, or nothing where it cannot receive water."""
    volume, degree = (0, 0) if receivable is False else (200, 80)
    result: Item = {
        "state": ITEM_CODES[ItemState.SUCCEEDED],
        "job_id": new_job_id(),
        "ended_at": ENDED_AT,
        "receivable": receivable,
        "child_present": False,
        "container": "cup",
        "contents": "tea",
        "volume": volume,
        "degree": degree,
        "asked_volume": float(volume),
        "asked_degree": float(degree),
        "interventions": [],
        "is_unusable": False,
        "latency_ms": 1000,
        "input_tokens": 1000,
        "output_tokens": 100,
    }
    return _NO_RESULT | result | columns


def failed(code: str = "provider_timeout", **columns: Any) -> Item:
    """A photo whose job failed."""
    outcome = {"state": ITEM_CODES[ItemState.FAILED], "job_id": new_job_id(), "ended_at": ENDED_AT}
    return _NO_RESULT | outcome | {"error_code": code, "error_detail": "It said nothing."} | columns


async def add_photos(
    api: Served, labels: Sequence[Mapping[str, Any]], *, owner_id: int = LOCAL_OWNER, **columns: Any
) -> list[UUID]:
    """Add the rows of opened photos with these labels, without any content."""
    photos = [uuid7() for _ in labels]
    rows = [
        {
            "id": photo,
            "owner_id": owner_id,
            "sha256": sha256(photo.bytes).digest(),
            "media_type": "image/jpeg",
            "size_bytes": 4000,
            "width": 240,
            "height": 240,
            "object_key": f"images/{owner_id}/{photo}.jpg",
            "ready_at": ENDED_AT,
            "labels": dict(said),
            **columns,
        }
        for photo, said in zip(photos, labels, strict=True)
    ]
    async with api.front.queries.transaction() as connection:
        await connection.execute(insert(image), rows)
    return photos


async def add_batch(
    api: Served,
    photos: Sequence[UUID],
    variants: Sequence[VariantRows],
    *,
    owner_id: int = LOCAL_OWNER,
    state: BatchState = BatchState.COMPLETED,
    **columns: Any,
) -> UUID:
    """Add a batch of photos that are there, with its variants and items; its `ended_at` follows from its state."""
    batch_id = uuid7()
    head = {
        "id": batch_id,
        "owner_id": owner_id,
        "name": "november",
        "state": BATCH_CODES[state],
        "photos": len(photos),
        "selection": {"ids": [str(photo) for photo in photos]},
        "ended_at": ENDED_AT if state in _OVER else None,
    }
    numbered = list(enumerate(variants, start=1))
    items = [
        {"batch_id": batch_id, "variant": number, "position": position, "tries": 1, **item}
        for number, variant in numbered
        for position, item in enumerate(variant.items)
        if item is not None
    ]
    placed = [{"batch_id": batch_id, "position": place, "image_id": photo} for place, photo in enumerate(photos)]
    async with api.front.queries.transaction() as connection:
        await connection.execute(insert(batch).values(head | columns))
        await connection.execute(insert(batch_photo), placed)
        await connection.execute(
            insert(batch_variant), [{"batch_id": batch_id, **variant.row(number)} for number, variant in numbered]
        )
        if items:
            await connection.execute(insert(batch_item), items)
    return batch_id


def _count(items: Sequence[Item], state: ItemState) -> int:
    return sum(item["state"] == ITEM_CODES[state] for item in items)
