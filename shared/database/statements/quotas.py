"""Statements about quotas."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Select, select

from shared.database.tables import quota

Rows: TypeAlias = Select[*tuple[Any, ...]]  # rows are read by name


def quotas(owner_id: int, subjects: Sequence[str] | None = None) -> Rows:
    """An owner's quotas, or those of some subjects."""
    statement = select(quota).where(quota.c.owner_id == owner_id).order_by(quota.c.subject)
    return statement if subjects is None else statement.where(quota.c.subject.in_(subjects))
