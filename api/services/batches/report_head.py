"""What a report says of its batch before any photo is read: the batch itself, and how each variant asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.front import Front
from shared.database.batch_tables import BATCH_STATE_OF
from shared.database.queries import AnyRow
from shared.database.statements import batch_rows as statements
from shared.domain.batches import BatchState, VariantSpec
from shared.domain.comparison import Variant
from shared.domain.dispense import BUILT_IN_PROMPTS, PROFILES
from shared.domain.errors import NotFound
from shared.domain.ids import OwnerId


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A variant, and all that it asks with; `prompt_text` is None where nobody knows the text any more."""

    variant: Variant
    prompt_text: str | None
    parameters: Mapping[str, Any]  # JSON


@dataclass(frozen=True, kw_only=True)
class Head:
    """A batch, as its report names it; `selection` is as it was given when the batch began (JSON)."""

    id: UUID
    number: int
    owner_id: OwnerId
    name: str
    note: str
    state: BatchState
    photos: int
    selection: Mapping[str, Any]  # JSON
    created_at: datetime
    ended_at: datetime | None
    asked: Sequence[Asked]

    @property
    def variants(self) -> Sequence[Variant]:
        """The variants by their numbers."""
        return [asked.variant for asked in self.asked]


async def head_of(front: Front, owner_id: OwnerId, batch_id: UUID, *, field: str | None = None) -> Head:
    """Return an owner's batch; `field` is where the caller named it.

    Raises:
        NotFound: if there is none, or it is another owner's.
    """
    rows = await front.queries.rows(statements.batch_with_id(owner_id, batch_id))
    if not rows:
        raise NotFound("There is no batch with this id.", field=field)
    row = rows[0]
    variants = await front.queries.rows(statements.variants_of(batch_id))
    return Head(
        id=row.id,
        number=row.number,
        owner_id=owner_id,
        name=row.name,
        note=row.note,
        state=BATCH_STATE_OF[row.state],
        photos=row.photos,
        selection=row.selection,
        created_at=row.created_at,
        ended_at=row.ended_at,
        asked=[_asked(variant) for variant in variants],
    )


def _asked(row: AnyRow) -> Asked:
    spec = VariantSpec.model_validate_json(row.spec)
    built_in = BUILT_IN_PROMPTS.get(spec.prompt)
    return Asked(
        variant=Variant(
            number=row.number,
            name=row.name,
            model=row.model,
            prompt=row.prompt,
            profile=spec.envelope or PROFILES[spec.profile],
        ),
        prompt_text=spec.prompt_text or (built_in and built_in.text),
        parameters=spec.parameters.model_dump(mode="json", exclude_defaults=True),
    )
