"""Quotas of tokens: look up, set, begin anew, lift."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.usage import OWNERS, AnyOwner, PlainText
from api.scopes import Scope
from api.services.owners import owner_asked_about
from api.services.quotas import CLIENT_NAME, OWNER, Quota, of_client, of_key
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.ids import OwnerId

router = APIRouter(prefix="/v2/quotas", tags=["usage"])
JobCaller = Annotated[Caller, Depends(require(Scope.JOBS))]
Administrator = Annotated[Caller, Depends(require(Scope.ADMIN))]
MAX_TOKENS: Final = 10**15
"""Sums of some of these are exact in JavaScript, too."""
Subject = Annotated[
    str,
    Path(description="`owner`, `key:<id of an API key>` or `client:<name>`.", examples=["owner"], max_length=300),
]
_ABSENT: Final[Documented] = {404: PROBLEM | {"description": "No such quota, owner or key"}}


class QuotaIn(BaseModel):
    """What may be used at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True, examples=[500_000])]


class QuotaOut(BaseModel):
    """A quota. A job is accepted if what it may use at most is left."""

    subject: str
    limit_tokens: int
    used_tokens: int
    reserved_tokens: Annotated[int, Field(description="What jobs that have not ended may use at most.")]
    left_tokens: Annotated[int, Field(description="Below zero if answers cost more than was thought.")]
    updated_at: datetime


class QuotasOut(BaseModel):
    """A page of quotas; `next` is the cursor of the next page, if there is one."""

    quotas: list[QuotaOut]
    next: str | None


class OwnerQuery(BaseModel):
    """Whose quota."""

    model_config = ConfigDict(extra="forbid")

    owner: Annotated[AnyOwner | None, Field(description="Default: the caller.")] = None


class QuotasQuery(BaseModel):
    """Whose quotas. Only administrators name another owner."""

    model_config = ConfigDict(extra="forbid")

    owner: AnyOwner | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: PlainText | None = None


@router.get("", responses=REFUSED | OWNERS, summary="List quotas")
async def list_quotas(query: Annotated[QuotasQuery, Query()], front: FrontDep, caller: JobCaller) -> QuotasOut:
    """Return the quotas of an owner: of all jobs (`owner`), of API keys (`key:…`), of clients (`client:…`)."""
    owner_id = await owner_asked_about(front, caller, query.owner)
    page = await front.quotas.page(owner_id, after=query.cursor, limit=query.limit + 1)
    listed = page[: query.limit]
    following = listed[-1].subject if len(page) > len(listed) else None
    return QuotasOut(quotas=[_shown(quota) for quota in listed], next=following)


@router.post("/{subject:path}/reset", responses=REFUSED | _ABSENT, summary="Begin a quota anew")
async def reset_quota(
    subject: Subject, query: Annotated[OwnerQuery, Query()], front: FrontDep, caller: Administrator
) -> QuotaOut:
    """Take what was used for nothing; what is reserved stays. For administrators. The ledger is not touched."""
    owner_id = await owner_asked_about(front, caller, query.owner)
    return _shown(await front.quotas.reset(owner_id, _subject(subject)))


@router.put("/{subject:path}", responses=REFUSED | _ABSENT, summary="Set a quota")
async def put_quota(
    subject: Subject, wanted: QuotaIn, query: Annotated[OwnerQuery, Query()], front: FrontDep, caller: Administrator
) -> QuotaOut:
    """Make a quota or change its limit. For administrators.

    A new one counts what is accepted from now on: within seconds (`key_cache`) in every process, if it is its owner's
    first.
    """
    owner_id = await owner_asked_about(front, caller, query.owner)
    name = _subject(subject)
    await _check_key(front, owner_id, name)
    return _shown(await front.quotas.put(owner_id, name, wanted.limit_tokens))


@router.delete("/{subject:path}", status_code=204, responses=REFUSED | _ABSENT, summary="Lift a quota")
async def delete_quota(
    subject: Subject, query: Annotated[OwnerQuery, Query()], front: FrontDep, caller: Administrator
) -> None:
    """Let a subject use what it likes. For administrators."""
    owner_id = await owner_asked_about(front, caller, query.owner)
    await front.quotas.remove(owner_id, _subject(subject))


def _subject(text: str) -> str:
    kind, _, name = text.partition(":")
    if text == OWNER:
        return text
    if kind == "client" and CLIENT_NAME.fullmatch(name):
        return of_client(name)
    if kind == "key":
        try:
            return of_key(UUID(name))
        except ValueError as error:
            raise InvalidRequest("after `key:` stands the id of a key", field="subject") from error
    raise InvalidRequest("quotas are of: owner, key:<id of an API key>, client:<name>", field="subject")


async def _check_key(front: Front, owner_id: OwnerId, subject: str) -> None:
    kind, _, name = subject.partition(":")
    if kind == "key" and not await front.quotas.has_key(owner_id, UUID(name)):
        raise NotFound("There is no key with this id.")


def _shown(quota: Quota) -> QuotaOut:
    return QuotaOut(
        subject=quota.subject,
        limit_tokens=quota.limit_tokens,
        used_tokens=quota.used_tokens,
        reserved_tokens=quota.reserved_tokens,
        left_tokens=quota.left_tokens,
        updated_at=quota.updated_at,
    )
