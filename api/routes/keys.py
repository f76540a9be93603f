"""API keys: make, list, revoke. A key's secret is in the answer that makes it, and nowhere else ever again."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.auth import HOW_TO_REGISTER, Caller, require
from api.dependencies import FrontDep
from api.scopes import Scope
from api.services.keys import Key
from shared.domain.errors import Forbidden, InvalidRequest, NotFound

router = APIRouter(prefix="/v2/keys", tags=["keys"])
KeyHolder = Annotated[Caller, Depends(require(Scope.KEYS))]
OwnerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[KeyName, Field(examples=["night shift"])]
    scopes: Annotated[frozenset[Scope], Field(min_length=1, examples=[["jobs", "images"]])]
    owner: Annotated[
        OwnerName | None,
        Field(description="Whose key it is; made if there is none of that name. Only administrators name another."),
    ] = None
    expires_at: AwareDatetime | None = None

    @field_validator("scopes", mode="after")
    @classmethod
    def _are_a_keys(cls, scopes: frozenset[Scope]) -> frozenset[Scope]:
        if Scope.DEVICE in scopes:
            raise ValueError(f"`device` is for devices' own tokens. {HOW_TO_REGISTER}")
        return scopes

    @field_validator("expires_at", mode="after")
    @classmethod
    def _is_not_over(cls, expires_at: datetime | None) -> datetime | None:
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise ValueError("has passed")
        return expires_at


class KeyOut(BaseModel):
    """A key as it can be shown: `hint` is how it begins."""

    id: UUID
    owner: str
    name: str
    hint: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyOut(KeyOut):
    """A key that was just made."""

    secret: Annotated[str, Field(description="The key itself. It is shown this once: keep it.")]


class KeysOut(BaseModel):
    """A page of keys; `next` is the cursor of the next page, if there is one."""

    keys: list[KeyOut]
    next: UUID | None


class KeysQuery(BaseModel):
    """Which keys to list."""

    model_config = ConfigDict(extra="forbid")

    owner: OwnerName | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: UUID | None = None


@router.post("", status_code=201, summary="Make a key")
async def create_key(wanted: KeyIn, front: FrontDep, caller: KeyHolder, response: Response) -> NewKeyOut:
    """Make a key. A key that is not an administrator's makes keys like itself at most: same owner, scopes, expiry.

    A user's keys have the user's scopes at most. They outlive the login, and are not good while the user is disabled.
    """
    owner_name = wanted.owner or caller.owner_name
    _check_power(caller, wanted, owner_name)
    new = await front.keys.create(
        owner_name=owner_name,
        name=wanted.name,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at or _latest_end(caller),
    )
    response.headers["Location"] = f"/v2/keys/{new.key.id}"
    response.headers["Cache-Control"] = "no-store"
    return NewKeyOut(**_shown(new.key).model_dump(), secret=new.secret)


@router.get("", summary="List keys")
async def list_keys(query: Annotated[KeysQuery, Query()], front: FrontDep, caller: KeyHolder) -> KeysOut:
    """Return keys, newest first, revoked ones too: the caller's own, or everybody's for an administrator."""
    page = await front.keys.page(
        owner_id=None if caller.is_admin else caller.owner_id,
        owner_name=query.owner,
        after=query.cursor,
        limit=query.limit + 1,
    )
    shown = page[: query.limit]
    return KeysOut(keys=[_shown(key) for key in shown], next=shown[-1].id if len(page) > len(shown) else None)


@router.delete("/{key_id}", status_code=204, summary="Revoke a key")
async def revoke_key(key_id: UUID, front: FrontDep, caller: KeyHolder) -> None:
    """End a key: at once in this process, within seconds (`key_cache`) in others. Doing it again is harmless."""
    if not await front.keys.revoke(key_id, owner_id=None if caller.is_admin else caller.owner_id):
        raise NotFound("There is no key with this id.")


def _check_power(caller: Caller, wanted: KeyIn, owner_name: str) -> None:
    if caller.is_admin:
        return
    if owner_name != caller.owner_name:
        raise Forbidden("Only an administrator makes keys for another owner.", field="owner")
    beyond = sorted(wanted.scopes - caller.scopes)
    if beyond:
        raise Forbidden(f"Your own credential does not have the scope {', '.join(beyond)}.", field="scopes")
    latest = _latest_end(caller)
    if latest is not None and wanted.expires_at is not None and wanted.expires_at > latest:
        raise InvalidRequest("A key cannot be valid for longer than the key that makes it.", field="expires_at")


def _latest_end(caller: Caller) -> datetime | None:
    """Return until when a caller's new keys are valid at most: as long as the key that makes them."""
    return None if caller.is_admin or caller.is_user else caller.expires_at


def _shown(key: Key) -> KeyOut:
    return KeyOut(
        id=key.id,
        owner=key.owner_name,
        name=key.name,
        hint=key.hint,
        scopes=sorted(key.scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )
