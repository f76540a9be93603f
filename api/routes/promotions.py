"""Promotions: what a batch has shown becomes how dispensers ask, in one step that is recorded and can be taken back."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.jobs import NoParameters
from api.routes.promotion_models import (
    PromotionIn,
    PromotionOut,
    PromotionsOut,
    PromotionsQuery,
    path_of,
    shown,
)
from api.scopes import Scope
from api.services import promotions

router = APIRouter(prefix="/v2", tags=["batches"])
Reader = Annotated[Caller, Depends(require(Scope.DEVICES, Scope.JOBS))]
Keeper = Annotated[Caller, Depends(require(Scope.DEVICES))]
_ABSENT: Final[Documented] = {404: PROBLEM | {"description": "No such promotion, or another owner's"}}


@router.post(
    "/batches/{batch_id}/promotions",
    status_code=201,
    responses=REFUSED
    | {
        200: {"model": PromotionOut, "description": "It did not pass: recorded, nothing changed"},
        404: PROBLEM | {"description": "No such batch, or another owner's"},
        409: PROBLEM | {"description": "The batch is not completed, or the profile cannot be changed so"},
    },
    summary="Promote a variant",
)
async def promote_variant(
    batch_id: UUID, wanted: PromotionIn, query: NoParameters, front: FrontDep, caller: Keeper, response: Response
) -> PromotionOut:
    """Let the photos of a profile of yours be asked about with a variant's model and prompt, if it passes the bars.

    It holds for photos that are accepted from now on; devices that name a model or prompt themselves keep it. As it
    changes what dispensers do, it wants the scope that changing a profile wants.
    """
    made = await promotions.promote(
        front, caller.owner_id, batch_id, variant=wanted.variant, profile=wanted.profile, bars=wanted.bars
    )
    if not made.passed:
        response.status_code = 200
    response.headers["Location"] = path_of(made)
    return shown(made)


@router.get("/promotions", responses=REFUSED, summary="List promotions")
async def list_promotions(query: Annotated[PromotionsQuery, Query()], front: FrontDep, caller: Reader) -> PromotionsOut:
    """Return the caller's promotions, newest first, those that did not pass too."""
    page = await promotions.page(
        front, caller.owner_id, profile=query.profile, after=query.cursor, limit=query.limit + 1
    )
    listed = page[: query.limit]
    following = listed[-1].id if len(page) > len(listed) else None
    return PromotionsOut(promotions=[shown(promotion) for promotion in listed], next=following)


@router.get("/promotions/{promotion_id}", responses=_ABSENT, summary="Look up a promotion")
async def get_promotion(promotion_id: UUID, query: NoParameters, front: FrontDep, caller: Reader) -> PromotionOut:
    """Return one promotion. It is kept when its batch is deleted."""
    return shown(await promotions.one(front, caller.owner_id, promotion_id))


@router.post(
    "/promotions/{promotion_id}/revert",
    responses=_ABSENT | {409: PROBLEM | {"description": "The profile is not as the promotion left it any more"}},
    summary="Revert a promotion",
)
async def revert_promotion(promotion_id: UUID, query: NoParameters, front: FrontDep, caller: Keeper) -> PromotionOut:
    """Let the profile's photos be asked about as before; what else was changed of the profile meanwhile stays."""
    return shown(await promotions.revert(front, caller.owner_id, promotion_id))
