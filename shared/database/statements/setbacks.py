"""Statements about attempts that did not end their job, all jobs together: for metrics."""

from typing import Any, TypeAlias

from sqlalchemy import Select, func, select

from shared.database.tables import job_setback

Counts: TypeAlias = Select[*tuple[Any, ...]]


def setback_counts() -> Counts:
    """How often each kind of setback happened, and under how many workers."""
    return select(
        job_setback.c.what,
        func.count().label("jobs"),
        func.count(job_setback.c.worker_id.distinct()).label("workers"),
    ).group_by(job_setback.c.what)
