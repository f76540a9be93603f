"""Statements about owners and API keys."""

from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import CTE, Select, Update, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.dml import ReturningUpdate

from shared.database.tables import account, api_key, owner

Keys: TypeAlias = Select[*tuple[Any, ...]]

USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used_at` is this coarse, so that a busy key costs one write a minute."""

_key_columns = (
    api_key.c.id,
    api_key.c.owner_id,
    owner.c.name.label("owner_name"),
    api_key.c.name,
    api_key.c.hint,
    api_key.c.scopes,
    api_key.c.created_at,
    api_key.c.expires_at,
    api_key.c.revoked_at,
    api_key.c.last_used_at,
)
_is_disabled = exists().where(account.c.owner_id == api_key.c.owner_id, account.c.disabled_at.is_not(None))
_is_valid = (
    api_key.c.revoked_at.is_(None),
    or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.now()),
    ~_is_disabled,
)


def valid_key(hashed: bytes) -> Keys:
    """The key with this hash unless it is revoked, expired or a disabled user's; its use is noted on the way."""
    return _keys().where(api_key.c.hash == hashed, *_is_valid).add_cte(_note_of_use(hashed))


def _note_of_use(hashed: bytes) -> CTE:
    is_old = or_(api_key.c.last_used_at.is_(None), api_key.c.last_used_at < func.now() - USE_NOTED_EVERY)
    return (
        update(api_key)
        .where(api_key.c.hash == hashed, is_old, *_is_valid)
        .values(last_used_at=func.now())
        .returning(api_key.c.id)
        .cte("noted")
    )


def keys_page(*, owner_id: int | None, owner_name: str | None, after: UUID | None, limit: int) -> Keys:
    """Keys, newest first, of one owner or of all."""
    statement = _keys().order_by(api_key.c.id.desc()).limit(limit)
    if owner_id is not None:
        statement = statement.where(api_key.c.owner_id == owner_id)
    if owner_name is not None:
        statement = statement.where(owner.c.name == owner_name)
    if after is not None:
        statement = statement.where(api_key.c.id < after)
    return statement


def key_with_id(key_id: UUID) -> Keys:
    """One key, also when it is not valid any more."""
    return _keys().where(api_key.c.id == key_id)


def new_owner(name: str) -> Insert:
    """Make an owner unless there is one of this name."""
    return insert(owner).values(name=name).on_conflict_do_nothing(index_elements=[owner.c.name])


def owner_named(name: str) -> Select[int]:
    """The id of an owner."""
    return select(owner.c.id).where(owner.c.name == name)


def revocation(key_id: UUID, *, owner_id: int | None) -> Update:
    """End a key, once; returns its hash, also if it was revoked before."""
    statement = (
        update(api_key)
        .where(api_key.c.id == key_id)
        .values(revoked_at=func.coalesce(api_key.c.revoked_at, func.now()))
        .returning(api_key.c.hash)
    )
    return statement if owner_id is None else statement.where(api_key.c.owner_id == owner_id)


def end_of_keys_beyond(owner_id: int, *, scopes: list[str]) -> ReturningUpdate[UUID]:
    """End an owner's keys that are good for more than these scopes."""
    return (
        update(api_key)
        .where(api_key.c.owner_id == owner_id, api_key.c.revoked_at.is_(None), ~api_key.c.scopes.contained_by(scopes))
        .values(revoked_at=func.now())
        .returning(api_key.c.id)
    )


def _keys() -> Keys:
    return select(*_key_columns).join(owner, owner.c.id == api_key.c.owner_id)
