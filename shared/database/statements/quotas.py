"""Statements about quotas, and the reservations that hold of them."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Delete, Select, Update, any_, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from shared.database.tables import api_key, quota, reservation

Rows: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name


def quotas(owner_id: int, subjects: Sequence[str] | None = None) -> Rows:
    """An owner's quotas, or those of some subjects."""
    statement = select(quota).where(quota.c.owner_id == owner_id).order_by(quota.c.subject)
    return statement if subjects is None else statement.where(quota.c.subject.in_(subjects))


def page(owner_id: int, *, after: str | None, limit: int) -> Rows:
    """An owner's quotas, by subject."""
    statement = quotas(owner_id).limit(limit)
    return statement if after is None else statement.where(quota.c.subject > after)


def put(owner_id: int, subject: str, limit_tokens: int) -> ReturningInsert[*tuple[Any, ...]]:
    """Make a quota, or change its limit."""
    values = {"owner_id": owner_id, "subject": subject, "limit_tokens": limit_tokens}
    return (
        insert(quota)
        .values(values)
        .on_conflict_do_update(
            index_elements=[quota.c.owner_id, quota.c.subject],
            set_={"limit_tokens": limit_tokens, "updated_at": func.now()},
        )
        .returning(*quota.c)
    )


def reset(owner_id: int, subject: str) -> ReturningUpdate[*tuple[Any, ...]]:
    """Let nothing be used."""
    return _of(owner_id, subject).values(used_tokens=0, updated_at=func.now()).returning(*quota.c)


def lock(owner_id: int, subject: str) -> Rows:
    """A quota, locked until the transaction ends: nothing is reserved of it, or settled, meanwhile."""
    return select(quota.c.subject).where(quota.c.owner_id == owner_id, quota.c.subject == subject).with_for_update()


def removal(owner_id: int, subject: str) -> Iterator[Update | Delete]:
    """Lift a quota, which is locked, from those that hold of it, and remove it.

    Reservations that are locked are being settled: they wait for the quota, and will find none.
    """
    holders = (
        select(reservation.c.job_id)
        .where(reservation.c.owner_id == owner_id, literal(subject) == any_(reservation.c.subjects))
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    yield (
        update(reservation)
        .where(reservation.c.job_id.in_(holders))
        .values(subjects=func.array_remove(reservation.c.subjects, subject))
    )
    yield delete(quota).where(quota.c.owner_id == owner_id, quota.c.subject == subject)


def key_of(owner_id: int, key_id: UUID) -> Rows:
    """An API key of an owner, valid or not."""
    return select(api_key.c.id).where(api_key.c.id == key_id, api_key.c.owner_id == owner_id)


def _of(owner_id: int, subject: str) -> Update:
    return update(quota).where(quota.c.owner_id == owner_id, quota.c.subject == subject)
