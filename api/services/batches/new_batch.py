"""Beginning a batch: variants checked and frozen, photos selected and frozen, all of it stored at once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller
from api.front import Front
from api.services.batches.views import BatchView, batch_of
from api.services.submit import resolve_model
from api.services.vision import resolve_vision
from shared.database.batch_tables import batch as table
from shared.database.statements import batches as statements
from shared.database.statements.image_library import PhotoFilter, selected_photos
from shared.domain.batches import MAX_PHOTOS, VariantSpec
from shared.domain.commands import Parameters, StoredImage, VisionInput
from shared.domain.errors import IdempotencyKeyReused, InvalidRequest
from shared.domain.ids import OwnerId, uuid7
from shared.model_facts import abilities_of

_SOME_PHOTO: Final = StoredImage(id=UUID(int=0))
_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which photos: these, or those a filter finds, the newest `limit` of them or `sample` picked at random.

    `told` is the selection as JSON, for people to look up.
    """

    ids: Sequence[UUID] = ()
    wanted: PhotoFilter | None = None
    limit: int | None = None
    sample: int | None = None
    told: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewVariant:
    """A way of asking, as it is wished for; `name` is made where it is None."""

    name: str | None
    model: str
    prompt: str | None
    prompt_text: str | None
    profile: str | None
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class NewBatch:
    """A batch to be made; texts hold no NUL. `request` is what two uses of an idempotency key have in common."""

    name: str
    note: str
    selection: Selection
    variants: Sequence[NewVariant]
    budget_cost: float | None
    budget_tokens: int | None
    idempotency_key: str | None
    request: str


async def new_batch(front: Front, caller: Caller, new: NewBatch) -> tuple[BatchView, bool]:
    """Store a batch and return it, and whether it is new: with a known idempotency key, it is the one there is.

    Raises:
        InvalidRequest: if it selects no photo, too many, or one that is not there; if a variant cannot be asked; if a
            budget cannot be kept. `field` says which.
        IdempotencyKeyReused: if the key was used for another request.
    """
    specs = [
        await frozen_variant(front, caller, variant, field=f"variants.{place}.")
        for place, variant in enumerate(new.variants)
    ]
    names = names_of(new.variants, specs, taken=(), field="variants")
    check_prices(front, specs, cost=new.budget_cost)
    batch_id = uuid7()
    values: dict[str, Any] = {
        "id": batch_id,
        "owner_id": caller.owner_id,
        "name": new.name or ", ".join(names)[:100],
        "note": new.note,
        "photos": 0,
        "selection": dict(new.selection.told),
        "budget_cost": new.budget_cost,
        "budget_tokens": new.budget_tokens,
        "key_id": caller.key_id,
        "idempotency_key": new.idempotency_key,
        "request_hash": hashlib.sha256(new.request.encode()).hexdigest(),
    }
    async with front.queries.transaction() as connection:
        is_new = (await connection.execute(statements.new_batch(values))).first() is not None
        if is_new:
            photos = await _freeze(connection, caller.owner_id, batch_id, new.selection)
            await connection.execute(statements.change_batch(batch_id, {"photos": photos}))
            named = enumerate(zip(names, specs, strict=True), start=1)
            rows = [variant_row(batch_id, number, name, spec) for number, (name, spec) in named]
            await connection.execute(statements.new_variants(rows))
    if is_new:
        return await batch_of(front, caller.owner_id, batch_id), True
    return await _existing(front, caller.owner_id, new, values["request_hash"]), False


async def frozen_variant(front: Front, caller: Caller, variant: NewVariant, *, field: str) -> VariantSpec:
    """Return a variant with its prompt and profile as they are now; `field` is what its fields' names begin with.

    Raises:
        InvalidRequest: if the model cannot be asked about photos, or there is no such prompt or profile.
    """
    try:
        model = resolve_model(front, variant.model)
        await _check_sees(front, model)
        asked = VisionInput(
            image=_SOME_PHOTO, prompt=variant.prompt, prompt_text=variant.prompt_text, profile=variant.profile
        )
        task = await resolve_vision(front, replace(caller, device=None), asked)
    except InvalidRequest as error:
        where = (error.field or "").removeprefix("input.")
        raise InvalidRequest(error.detail, field=f"{field}{where}") from error
    return VariantSpec(
        model=model,
        parameters=variant.parameters,
        prompt=task.prompt,
        prompt_text=task.prompt_text,
        form=task.form,
        profile=task.profile,
        envelope=task.envelope,
    )


def names_of(
    variants: Sequence[NewVariant], specs: Sequence[VariantSpec], *, taken: Sequence[str], field: str
) -> list[str]:
    """Return a name for each variant that is its own: as given, else the model, with what tells it from others.

    Raises:
        InvalidRequest: if two are given the same.
    """
    names = list(taken)
    models = [spec.model for spec in specs]
    for number, (variant, spec) in enumerate(zip(variants, specs, strict=True)):
        if variant.name is not None and variant.name in names:
            raise InvalidRequest("another variant of this batch has this name", field=f"{field}.{number}.name")
        name = variant.name or (spec.model if models.count(spec.model) == 1 else f"{spec.model} · {spec.prompt}")
        names.append(name if name not in names else _numbered(name, names))
    return names[len(taken) :]


def variant_row(batch_id: UUID, number: int, name: str, spec: VariantSpec) -> dict[str, Any]:
    """Return a variant as its row."""
    return {
        "batch_id": batch_id,
        "number": number,
        "name": name,
        "model": spec.model,
        "prompt": spec.prompt,
        "profile": spec.profile,
        "spec": spec.model_dump_json(exclude_defaults=True),
    }


def check_prices(front: Front, specs: Sequence[VariantSpec], *, cost: float | None) -> None:
    """Refuse a budget of money where nobody knows what an answer costs.

    Raises:
        InvalidRequest: with the models' names.
    """
    if cost is not None and (unpriced := sorted({spec.model for spec in specs} - front.settings.prices.keys())):
        raise InvalidRequest(
            f"no price is configured for {', '.join(unpriced)}, so this budget cannot be kept: configure prices, or"
            " give a budget of tokens",
            field="budget.cost",
        )


async def _check_sees(front: Front, model: str) -> None:
    provider, _, name = model.partition("/")
    listed = (await front.models.glance())[provider]
    known = next((one for one in listed.models if model in one.refs), None)
    abilities = abilities_of(provider, name) if known is None else known.abilities
    if abilities.vision is False:
        raise InvalidRequest(f"{model} cannot see: name a model that takes images", field="model")
    if known is None and listed.listed_at is not None and listed.models:
        near = get_close_matches(model, [one.ref for one in listed.models], n=_SHOWN, cutoff=0.5)
        hint = f" Like it are: {', '.join(near)}." if near else ""
        raise InvalidRequest(f"{provider} lists no model {model!r} (see /v2/models).{hint}", field="model")


async def _freeze(connection: AsyncConnection, owner_id: OwnerId, batch_id: UUID, selection: Selection) -> int:
    if selection.wanted is None:
        return await _freeze_ids(connection, owner_id, batch_id, selection.ids)
    most = selection.sample or selection.limit or MAX_PHOTOS + 1
    selected = selected_photos(
        owner_id, selection.wanted, limit=min(most, MAX_PHOTOS + 1), at_random=selection.sample is not None
    )
    await connection.execute(statements.new_photos(batch_id, selected))
    photos: int = (await connection.execute(statements.photos_in(batch_id))).scalar_one()
    if photos == 0:
        raise InvalidRequest("no ready photo of yours is as this filter wants it", field="selection.filter")
    if photos > MAX_PHOTOS:
        raise InvalidRequest(
            f"this filter selects more than {MAX_PHOTOS:,} photos: narrow it, or give a limit or a sample",
            field="selection.filter",
        )
    return photos


async def _freeze_ids(connection: AsyncConnection, owner_id: OwnerId, batch_id: UUID, ids: Sequence[UUID]) -> int:
    wanted = list(dict.fromkeys(ids))
    owned = set((await connection.execute(statements.owned_images(owner_id, wanted))).scalars())
    missing = [str(one) for one in wanted if one not in owned]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InvalidRequest(
            f"there is no image with the id {', '.join(missing[:_SHOWN])}{more}",
            field=f"selection.ids.{list(ids).index(UUID(missing[0]))}",
        )
    await connection.execute(statements.new_photos(batch_id, statements.in_this_order(wanted)))
    return len(wanted)


async def _existing(front: Front, owner_id: OwnerId, new: NewBatch, request_hash: str) -> BatchView:
    rows = await front.queries.rows(statements.batches(owner_id).where(table.c.idempotency_key == new.idempotency_key))
    if not rows or rows[0].request_hash != request_hash:
        raise IdempotencyKeyReused("give another Idempotency-Key, or repeat the first request exactly")
    return await batch_of(front, owner_id, rows[0].id)


def _numbered(name: str, names: Sequence[str]) -> str:
    return next(numbered for n in range(2, len(names) + 3) if (numbered := f"{name} ({n})") not in names)
