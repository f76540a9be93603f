"""Batches: stored photos through models and prompts. Begin, watch, pause, go on, cancel, try again, look at results."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.preferences import idempotency_key
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.batch_models import (
    PATH,
    BatchChange,
    BatchesOut,
    BatchesQuery,
    BatchIn,
    BatchOut,
    ItemsOut,
    ItemsQuery,
    RetryIn,
    VariantIn,
    shown_batch,
    shown_item,
)
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.batches import control
from api.services.batches.items import items_page
from api.services.batches.new_batch import NewBatch, new_batch
from api.services.batches.views import BatchView, batch_of, batches_page
from api.services.batches.watch import watched
from api.streaming import EVENT_STREAM, STREAM_HEADERS

NO_SUCH_BATCH: Final[Documented] = {404: PROBLEM | {"description": "No such batch, or another owner's"}}
OVER: Final[Documented] = {409: PROBLEM | {"description": "The batch's state does not allow it"}}
_EXAMPLE: Final = 'retry: 2000\\n\\nevent: progress\\ndata: {"id":"…","state":"running","progress":{…},…}\\n\\n'

router = APIRouter(prefix=PATH, tags=["batches"])
BatchCaller = Annotated[Caller, Depends(require(Scope.JOBS))]


@router.post(
    "",
    status_code=201,
    responses=REFUSED | {200: {"model": BatchOut, "description": "It was begun before, with the same Idempotency-Key"}},
    summary="Begin a batch",
)
async def begin_batch(
    wanted: BatchIn, query: NoParameters, request: Request, response: Response, front: FrontDep, caller: BatchCaller
) -> BatchOut:
    """Ask about each selected photo in each of these ways, beside everything else this server does.

    Photos, prompts and profiles are frozen as they are now. Every photo gets exactly one result per variant, whatever
    restarts or dies meanwhile.
    """
    new = NewBatch(
        name=wanted.name,
        note=wanted.note,
        selection=wanted.selection.wish(),
        variants=[variant.wish() for variant in wanted.variants],
        budget_cost=wanted.budget.cost,
        budget_tokens=wanted.budget.tokens,
        idempotency_key=idempotency_key(request.headers),
        request=wanted.model_dump_json(exclude_defaults=True),
    )
    batch, is_new = await new_batch(front, caller, new)
    response.headers["Location"] = f"{PATH}/{batch.id}"
    if not is_new:
        response.status_code = 200
        response.headers["Idempotency-Replayed"] = "true"
    return shown_batch(batch)


@router.get("", responses=REFUSED, summary="List batches")
async def list_batches(query: Annotated[BatchesQuery, Query()], front: FrontDep, caller: BatchCaller) -> BatchesOut:
    """Return the caller's batches, newest first."""
    page = await batches_page(front, caller.owner_id, states=query.state, after=query.cursor, limit=query.limit + 1)
    listed = page[: query.limit]
    return BatchesOut(
        batches=[shown_batch(batch) for batch in listed],
        next=listed[-1].id if len(page) > len(listed) else None,
    )


@router.get("/{batch_id}", responses=NO_SUCH_BATCH, summary="Look at a batch")
async def get_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> BatchOut:
    """Return a batch and how far it is."""
    return shown_batch(await batch_of(front, caller.owner_id, batch_id))


@router.patch("/{batch_id}", responses=NO_SUCH_BATCH | REFUSED, summary="Change a batch's name, note or budget")
async def change_batch(
    batch_id: UUID, wanted: BatchChange, query: NoParameters, front: FrontDep, caller: BatchCaller
) -> BatchOut:
    """Change what is given. A batch that paused because its budget was spent goes on when it is resumed."""
    return shown_batch(await control.change(front, caller.owner_id, batch_id, wanted.values()))


@router.delete("/{batch_id}", status_code=204, responses=NO_SUCH_BATCH | OVER, summary="Delete a batch")
async def delete_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> None:
    """Delete a batch that is over, with its results. Its photos and jobs stay."""
    await control.delete_batch(front, caller.owner_id, batch_id)


@router.post("/{batch_id}/pause", responses=NO_SUCH_BATCH | OVER, summary="Pause a batch")
async def pause_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> BatchOut:
    """Begin nothing more. What a model is being asked now is finished."""
    return shown_batch(await control.pause(front, caller.owner_id, batch_id))


@router.post("/{batch_id}/resume", responses=NO_SUCH_BATCH | OVER, summary="Go on with a batch")
async def resume_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> BatchOut:
    """Go on where it paused."""
    return shown_batch(await control.resume(front, caller.owner_id, batch_id))


@router.post("/{batch_id}/cancel", responses=NO_SUCH_BATCH | OVER, summary="Cancel a batch")
async def cancel_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> BatchOut:
    """End a batch for good. What was found stays, and can be reported."""
    return shown_batch(await control.cancel_batch(front, caller.owner_id, batch_id))


@router.post("/{batch_id}/retry", responses=NO_SUCH_BATCH | OVER | REFUSED, summary="Try again what failed")
async def retry_batch(
    batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller, wanted: RetryIn | None = None
) -> BatchOut:
    """Ask once more about the photos that failed or were cancelled."""
    variant = None if wanted is None else wanted.variant
    return shown_batch(await control.retry(front, caller.owner_id, batch_id, variant))


@router.post("/{batch_id}/variants", status_code=201, responses=NO_SUCH_BATCH | OVER | REFUSED, summary="Add a variant")
async def add_variant(
    batch_id: UUID, wanted: VariantIn, query: NoParameters, front: FrontDep, caller: BatchCaller
) -> BatchOut:
    """Ask about the same photos in one more way; a completed batch goes on with it."""
    return shown_batch(await control.add_variant(front, caller, batch_id, wanted.wish()))


@router.get("/{batch_id}/items", responses=NO_SUCH_BATCH | REFUSED, summary="List what was found, photo by photo")
async def list_items(
    batch_id: UUID, query: Annotated[ItemsQuery, Query()], front: FrontDep, caller: BatchCaller
) -> ItemsOut:
    """Return what became of the photos that were begun, by position and variant."""
    await batch_of(front, caller.owner_id, batch_id)
    page = await items_page(
        front, batch_id, variant=query.variant, state=query.state, after=query.after(), limit=query.limit + 1
    )
    listed = page[: query.limit]
    following = f"{listed[-1].position}.{listed[-1].variant}" if len(page) > len(listed) else None
    return ItemsOut(items=[shown_item(item) for item in listed], next=following)


@router.get(
    "/{batch_id}/events",
    response_class=Response,
    responses=NO_SUCH_BATCH | {200: {"description": "Its states", "content": {EVENT_STREAM: {"example": _EXAMPLE}}}},
    summary="Watch a batch",
)
async def watch_batch(batch_id: UUID, query: NoParameters, front: FrontDep, caller: BatchCaller) -> Response:
    """Send the batch as it stands, and again whenever that has changed, until it is over.

    Each `progress` event is the whole batch, the last one is called `ended`: a reader who comes back misses nothing.
    """
    batch = await batch_of(front, caller.owner_id, batch_id)
    states = watched(front, caller.owner_id, batch, _encoded)
    return StreamingResponse(states, media_type=EVENT_STREAM, headers=STREAM_HEADERS)


def _encoded(batch: BatchView) -> bytes:
    return shown_batch(batch).model_dump_json().encode()
