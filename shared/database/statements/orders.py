"""Statements about what jobs bought at providers."""

from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from shared.database.tables import STATE_CODES, chat, job, provider_order
from shared.domain.jobs import ACTIVE

Rows: TypeAlias = Select[*tuple[Any, ...]]
OPEN: Final = ("ordered", "queued", "running")
"""States of an order that costs as long as it is not cancelled."""
_ACTIVE: Final = [STATE_CODES[state] for state in ACTIVE]


def order_of(job_id: UUID) -> Rows:
    """What a job bought."""
    return select(provider_order).where(provider_order.c.job_id == job_id)


def new_order(job_id: UUID, provider: str, model: str) -> ReturningInsert[Any]:
    """Note that the provider is about to be asked; a row only if it was not before."""
    return (
        insert(provider_order)
        .values(job_id=job_id, provider=provider, model=model)
        .on_conflict_do_nothing(index_elements=[provider_order.c.job_id])
        .returning(provider_order.c.job_id)
    )


def name_order(job_id: UUID, order_id: str) -> ReturningUpdate[Any]:
    """Note what the provider calls the order."""
    return (
        update(provider_order)
        .where(provider_order.c.job_id == job_id)
        .values(order_id=order_id, state="ordered")
        .returning(provider_order.c.job_id)
    )


def set_order_state(job_id: UUID, state: str) -> ReturningUpdate[Any]:
    """Note what was heard of an order."""
    return (
        update(provider_order)
        .where(provider_order.c.job_id == job_id)
        .values(state=state)
        .returning(provider_order.c.job_id)
    )


def forget_order(job_id: UUID) -> ReturningDelete[Any]:
    """Note that the provider took no order: it may be asked again."""
    return (
        delete(provider_order)
        .where(provider_order.c.job_id == job_id, provider_order.c.order_id.is_(None))
        .returning(provider_order.c.job_id)
    )


def orders_left(limit: int) -> Rows:
    """Orders that go on at their providers although their jobs are over, or deleted; with their chats' keys."""
    return (
        select(
            provider_order.c.job_id,
            provider_order.c.provider,
            provider_order.c.order_id,
            job.c.chat_id,
            chat.c.provider_key,
        )
        .select_from(provider_order)
        .outerjoin(job, job.c.id == provider_order.c.job_id)
        .outerjoin(chat, chat.c.id == job.c.chat_id)
        .where(provider_order.c.state.in_(OPEN), or_(job.c.id.is_(None), job.c.state.not_in(_ACTIVE)))
        .order_by(provider_order.c.dispatched_at)
        .limit(limit)
    )
