"""Statements that take chats over as they were, with their own instants."""

from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Insert, Select, bindparam, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import chat, message, turn_number

Rows: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name

_ABSENT_AS_NULL = JSONB(none_as_null=True)


def chat_taken_over(owner_id: int, origin: str, external_id: str) -> Rows:
    """The chat that was made of something with this id."""
    return select(chat.c.id).where(
        chat.c.owner_id == owner_id, chat.c.origin == origin, chat.c.external_id == external_id
    )


def chat_to_take_over(values: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Add a chat; returns its id only if there was none with its external id."""
    return insert(chat).values(values).on_conflict_do_nothing().returning(chat.c.id)


def turn_numbers(count: int) -> Rows:
    """So many numbers for turns, ascending, and all below those of later turns."""
    return select(turn_number.next_value().label("turn")).select_from(func.generate_series(1, count))


def messages_to_take_over() -> Insert:
    """Add messages, one for each set of values, in their order."""
    plain = ("chat_id", "owner_id", "turn", "role", "content", "media", "reasoning", "provider", "model", "created_at")
    values: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in plain}  # of the columns' types
    values |= {name: bindparam(name, type_=_ABSENT_AS_NULL) for name in ("search_results", "signatures")}
    return plain_insert(message).values(values)
