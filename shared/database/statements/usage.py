"""Statements about the ledger: what jobs used, summed."""

from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Select, Text, cast, func, select

from shared.database.tables import charge

Rows: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name

GROUPS: Final[dict[str, ColumnElement[str]]] = {
    "model": charge.c.model,
    "kind": charge.c.kind,
    "client": func.coalesce(charge.c.client, ""),
    "key": func.coalesce(cast(charge.c.key_id, Text), ""),
    "day": func.to_char(func.timezone("UTC", charge.c.charged_at), "YYYY-MM-DD"),
}
"""What usage can be summed by; empty where a job has none."""


def usage_by(name: str, *, owner_id: int, begin: datetime, end: datetime, after: str | None, limit: int) -> Rows:
    """The sums of each group from an instant on, before another, in the order of their names."""
    group = GROUPS[name].collate("C").label("name")
    statement = _sums(owner_id, begin, end).add_columns(group).group_by(group).order_by(group).limit(limit)
    return statement if after is None else statement.where(GROUPS[name].collate("C") > after)


def usage(*, owner_id: int, begin: datetime, end: datetime) -> Rows:
    """The sums of everything from an instant on, before another; one row."""
    return _sums(owner_id, begin, end)


def _sums(owner_id: int, begin: datetime, end: datetime) -> Rows:
    tokens = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "lost_tokens")
    return select(
        func.count().label("jobs"),
        *(cast(func.coalesce(func.sum(charge.c[name]), 0), charge.c[name].type).label(name) for name in tokens),
        func.count().filter(charge.c.is_estimated).label("estimated_jobs"),
        func.sum(charge.c.cost).label("cost"),
        func.count().filter(charge.c.cost.is_(None)).label("unpriced_jobs"),
    ).where(charge.c.owner_id == owner_id, charge.c.charged_at >= begin, charge.c.charged_at < end)
