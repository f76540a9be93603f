"""Statements about chats and what was said in them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Delete,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    delete,
    func,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.types import Uuid

from shared.database.tables import STATE_CODES, chat, job, job_body, job_done, job_setback, message
from shared.domain.jobs import ACTIVE

Rows: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name

ACTIVE_CODES: Final = [STATE_CODES[state] for state in ACTIVE]


def new_chat(values: Mapping[str, Any]) -> Insert:
    """A chat; nothing happens if its external id or its idempotency key is taken."""
    return insert(chat).values(values).on_conflict_do_nothing()


def chats(owner_id: int | BindParameter[int]) -> Rows:
    """An owner's chats, with the number of their messages and who answered last."""
    counted = (
        select(func.count()).where(message.c.chat_id == chat.c.id).correlate(chat).scalar_subquery().label("messages")
    )
    last = (
        select(message.c.provider, message.c.model)
        .where(message.c.chat_id == chat.c.id, message.c.role == "assistant")
        .order_by(message.c.turn.desc(), message.c.id.desc())
        .limit(1)
        .correlate(chat)
        .lateral("last")
    )
    return (
        select(
            *(column for column in chat.c if column.name != "provider_key"),
            chat.c.provider_key.is_not(None).label("has_own_key"),
            counted,
            last.c.provider.label("last_provider"),
            last.c.model.label("last_model"),
        )
        .outerjoin(last, true())
        .where(chat.c.owner_id == owner_id)
    )


@cache
def chat_by(*names: str) -> Rows:
    """An owner's chat, found by these columns; they and `owner_id` are parameters.

    Every turn begins with this one: putting it together takes twice as long as running it, so that is done once.
    """
    return chats(bindparam("owner_id")).where(*(chat.c[name] == bindparam(name) for name in names))


def made_through(owner_id: int, origin: str) -> Rows:
    """An owner's chats of one surface as a list shows them, the newest first."""
    return (
        select(chat.c.number, chat.c.title, chat.c.created_at)
        .where(chat.c.owner_id == owner_id, chat.c.origin == origin)
        .order_by(chat.c.number.desc())
    )


def newest(statement: Rows, *, after: tuple[datetime, UUID] | None, skip: int, limit: int) -> Rows:
    """A page of chats, the one that was used last first."""
    if after is not None:
        statement = statement.where(tuple_(chat.c.updated_at, chat.c.id) < after)
    return statement.order_by(chat.c.updated_at.desc(), chat.c.id.desc()).offset(skip).limit(limit)


def change(owner_id: int, chat_id: UUID, values: Mapping[str, Any]) -> Update:
    """Change some of a chat; returns its id."""
    return update(chat).where(chat.c.owner_id == owner_id, chat.c.id == chat_id).values(values).returning(chat.c.id)


def said(owner_id: int, chat_id: UUID) -> Rows:
    """What was said in a chat, in order."""
    return (
        select(message)
        .where(message.c.owner_id == owner_id, message.c.chat_id == chat_id)
        .order_by(message.c.turn, message.c.id)
    )


def said_after(statement: Rows, place: tuple[int, int]) -> Rows:
    """What stands behind a place in a chat: its turn and message id."""
    return statement.where(tuple_(message.c.turn, message.c.id) > place)


def size_of(owner_id: int, chat_id: UUID) -> Rows:
    """How much was said in a chat: messages, what they show, characters, those beyond ASCII; and if a turn is not over.

    Characters beyond ASCII are counted by their further bytes: at most as many as there are, and never too few.
    """
    chars = func.char_length(message.c.content)
    return select(
        func.count(),
        func.coalesce(func.sum(func.jsonb_array_length(message.c.media)), 0),
        func.coalesce(func.sum(chars), 0),
        func.coalesce(func.sum(func.least(chars, func.octet_length(message.c.content) - chars)), 0),
        active_jobs_of(owner_id, chat_id).exists(),
    ).where(message.c.owner_id == owner_id, message.c.chat_id == chat_id)


def answer_of(owner_id: int, job_id: UUID) -> Rows:
    """What a job said in its chat."""
    return select(message).where(
        message.c.owner_id == owner_id, message.c.job_id == job_id, message.c.role == "assistant"
    )


def place_of(owner_id: int, chat_id: UUID, message_id: int) -> Rows:
    """Where a message stands; where there is none with this id, the first with a higher one."""
    is_it = message.c.id == message_id
    return (
        select(message.c.turn, message.c.id, message.c.role)
        .where(message.c.owner_id == owner_id, message.c.chat_id == chat_id, message.c.id >= message_id)
        .order_by(is_it.desc(), message.c.turn, message.c.id)
        .limit(1)
    )


def last_question(owner_id: int, chat_id: UUID, turn: int) -> Rows:
    """The id of the last thing that was said in a turn and is no answer; null if there is none."""
    here = and_(message.c.owner_id == owner_id, message.c.chat_id == chat_id, message.c.turn == turn)
    return select(func.max(message.c.id).label("id")).where(here, message.c.role != "assistant")


def job_with_key(owner_id: int, idempotency_key: str) -> Rows:
    """The job that was accepted for an idempotency key."""
    return select(job.c.id).where(job.c.owner_id == owner_id, job.c.idempotency_key == idempotency_key)


def jobs_of(owner_id: int, chat_id: UUID, *, from_turn: int = 0) -> Rows:
    """The jobs of a chat from a turn on."""
    return (
        select(job.c.id, job.c.state, job.c.fence)
        .where(job.c.chat_id == chat_id, job.c.owner_id == owner_id, job.c.turn >= from_turn)
        .order_by(job.c.id)
    )


def active_jobs_of(owner_id: int, chat_id: UUID, *, from_turn: int = 0) -> Rows:
    """The jobs of a chat that are not over, from a turn on."""
    return jobs_of(owner_id, chat_id, from_turn=from_turn).where(job.c.state.in_(ACTIVE_CODES))


def lock_chat(owner_id: int, chat_id: UUID) -> Rows:
    """The owner's chat, locked until the transaction ends: no turn is accepted meanwhile."""
    return select(chat.c.id).where(chat.c.owner_id == owner_id, chat.c.id == chat_id).with_for_update()


def removal_of_jobs(job_ids: Sequence[UUID]) -> Iterator[Delete]:
    """Remove jobs with what they were asked and what they answered."""
    ids = any_(sql_cast(list(job_ids), ARRAY(Uuid)))
    yield delete(job_setback).where(job_setback.c.job_id == ids)
    yield delete(job_done).where(job_done.c.id == ids)
    yield delete(job_body).where(job_body.c.id == ids)
    yield delete(job).where(job.c.id == ids)


def removal_from(owner_id: int, chat_id: UUID, place: tuple[int, int]) -> Delete:
    """Remove a message and all that was said after it."""
    here = and_(message.c.owner_id == owner_id, message.c.chat_id == chat_id)
    return delete(message).where(here, tuple_(message.c.turn, message.c.id) >= place)


def removal_if_unused(owner_id: int, chat_id: UUID) -> Delete:
    """Remove a chat, which the transaction has locked, if nothing was said in it."""
    is_used = select(message.c.id).where(message.c.chat_id == chat_id).exists()
    return delete(chat).where(chat.c.owner_id == owner_id, chat.c.id == chat_id, ~is_used)


def removal_of_chat(owner_id: int, chat_id: UUID) -> Iterator[Delete]:
    """Remove what was said, and the chat."""
    yield delete(message).where(message.c.owner_id == owner_id, message.c.chat_id == chat_id)
    yield delete(chat).where(chat.c.owner_id == owner_id, chat.c.id == chat_id)
