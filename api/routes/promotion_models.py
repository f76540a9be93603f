"""What the routes of promotions take and give, as the documentation shows it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.services.promotions import Candidate, Choice, Promotion
from shared.domain.batches import MAX_VARIANTS
from shared.domain.comparison.bars import Bars
from shared.domain.dispense import ProfileName


class PromotionIn(BaseModel):
    """Which variant is to become how a profile's photos are asked about, and what it must have shown for that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Annotated[int, Field(ge=1, le=MAX_VARIANTS, strict=True, description="Its number in the batch")]
    profile: Annotated[ProfileName, Field(description="A profile of your own", examples=["kitchen"])]
    bars: Annotated[
        Bars,
        Field(
            description="At least one; all of them must be passed. What was not measured is not passed.",
            examples=[{"min_accuracy_low": 0.8, "min_labelled": 20, "max_executed_violations": 0}],
        ),
    ]


class PromotionsQuery(BaseModel):
    """Which promotions to list."""

    model_config = ConfigDict(extra="forbid")

    profile: ProfileName | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: UUID | None = None


class BarOut(BaseModel):
    """A bar. `measured` is null where there was nothing to measure; `reason` says why that, or it, is not enough."""

    name: str
    wanted: float
    measured: float | None
    passed: bool
    reason: str


class ConcernedOut(BaseModel):
    """The devices that have the profile now: those that ask as it says, and those that name a model or prompt."""

    following: int
    overriding: int


class PromotionOut(BaseModel):
    """A promotion. If it has not `passed`, nothing was changed, and there is no `before` and `after`."""

    id: UUID
    batch_id: UUID
    variant: int
    candidate: Candidate
    profile: str
    bars: dict[str, float]
    results: list[BarOut]
    passed: bool
    before: Choice | None
    after: Choice | None
    devices: ConcernedOut
    created_at: datetime
    reverted_at: datetime | None
    links: dict[str, str]


class PromotionsOut(BaseModel):
    """A page of promotions; `next` is the cursor of the next page, if there is one."""

    promotions: list[PromotionOut]
    next: UUID | None


def shown(promotion: Promotion) -> PromotionOut:
    """Return a promotion as it is shown."""
    return PromotionOut(
        id=promotion.id,
        batch_id=promotion.batch_id,
        variant=promotion.variant,
        candidate=promotion.candidate,
        profile=promotion.profile,
        bars=dict(promotion.bars),
        results=[
            BarOut(
                name=result.name,
                wanted=result.wanted,
                measured=result.measured,
                passed=result.passed,
                reason=result.reason,
            )
            for result in promotion.results
        ],
        passed=promotion.passed,
        before=promotion.before,
        after=promotion.after,
        devices=ConcernedOut(following=promotion.following, overriding=promotion.overriding),
        created_at=promotion.created_at,
        reverted_at=promotion.reverted_at,
        links={"self": path_of(promotion), "batch": f"/v2/batches/{promotion.batch_id}"},
    )


def path_of(promotion: Promotion) -> str:
    """Return where a promotion is looked up."""
    return f"/v2/promotions/{promotion.id}"
