"""Usage: what the caller's jobs used, from the ledger."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.scopes import Scope
from api.services.owners import owner_asked_about
from api.services.usage import Group, Used, used_by, used_in_all
from shared.domain.errors import InvalidRequest

router = APIRouter(prefix="/v2/usage", tags=["usage"])
JobCaller = Annotated[Caller, Depends(require(Scope.JOBS))]
AnyOwner = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
PlainText = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00]*$")]
DEFAULT_SPAN: Final = timedelta(days=30)
MARK: Final = "="
"""Begins a cursor: the name behind it may be empty."""
OWNERS: Final[Documented] = {
    403: PROBLEM | {"description": "Only administrators ask about another owner"},
    404: PROBLEM | {"description": "No such owner"},
}


class UsageQuery(BaseModel):
    """What to sum. Days begin and end in UTC."""

    model_config = ConfigDict(extra="forbid")

    from_: Annotated[
        AwareDatetime | None, Field(alias="from", description="Jobs that ended then or later; default: 30 days before.")
    ] = None
    to: Annotated[AwareDatetime | None, Field(description="Jobs that ended before then; default: now.")] = None
    by: Group = "model"
    owner: Annotated[AnyOwner | None, Field(description="Whose usage. Only administrators name another.")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: PlainText | None = None


class UsedOut(BaseModel):
    """What some jobs used. `output_tokens` includes `reasoning_tokens`."""

    jobs: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    lost_tokens: Annotated[int, Field(description="Estimated input of attempts whose process died.")]
    estimated_jobs: Annotated[int, Field(description="Jobs of which not everything was counted by the provider.")]
    cost: Annotated[
        str | None,
        Field(description="In the currency of the prices, of the jobs whose model has one.", examples=["0.01275"]),
    ]
    unpriced_jobs: Annotated[int, Field(description="Jobs whose model had no price.")]


class GroupOut(UsedOut):
    """What the jobs of one model, kind, client, key or day used; `name` is null for jobs without one."""

    name: str | None


class UsageOut(BaseModel):
    """Usage by groups, in the order of their names; `next` is the cursor of the next page, if there is one."""

    from_: Annotated[datetime, Field(serialization_alias="from")]
    to: datetime
    by: Group
    groups: list[GroupOut]
    total: Annotated[UsedOut, Field(description="Of all groups, not of this page only.")]
    next: str | None


@router.get("", responses=REFUSED | OWNERS, summary="Sum what was used")
async def get_usage(query: Annotated[UsageQuery, Query()], front: FrontDep, caller: JobCaller) -> UsageOut:
    """Return tokens, jobs and cost, for jobs that have ended."""
    begin, end = _span(query)
    owner_id = await owner_asked_about(front, caller, query.owner)
    page = await used_by(
        front.queries, query.by, owner_id=owner_id, begin=begin, end=end, after=_after(query), limit=query.limit + 1
    )
    shown = page[: query.limit]
    total = await used_in_all(front.queries, owner_id=owner_id, begin=begin, end=end)
    return UsageOut(
        from_=begin,
        to=end,
        by=query.by,
        groups=[GroupOut(name=name or None, **_shown(used).model_dump()) for name, used in shown],
        total=_shown(total),
        next=MARK + shown[-1][0] if len(page) > len(shown) else None,
    )


def _span(query: UsageQuery) -> tuple[datetime, datetime]:
    end = query.to or datetime.now(UTC)
    try:
        begin = query.from_ or end - DEFAULT_SPAN
        begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    except OverflowError as error:
        field = "to" if query.from_ is None else "from"
        raise InvalidRequest("the time lies beyond the calendar", field=field) from error
    if begin > end:
        raise InvalidRequest("`from` lies after `to`", field="from")
    return begin, end


def _after(query: UsageQuery) -> str | None:
    if query.cursor is not None and not query.cursor.startswith(MARK):
        raise InvalidRequest("this is no cursor of this list", field="cursor")
    return query.cursor and query.cursor.removeprefix(MARK)


def _shown(used: Used) -> UsedOut:
    return UsedOut(
        jobs=used.jobs,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        reasoning_tokens=used.reasoning_tokens,
        cached_tokens=used.cached_tokens,
        lost_tokens=used.lost_tokens,
        estimated_jobs=used.estimated_jobs,
        cost=None if used.cost is None else plain(used.cost),
        unpriced_jobs=used.unpriced_jobs,
    )


def plain(cost: Decimal) -> str:
    """Return a cost without an exponent and without needless zeros."""
    text = f"{cost:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
