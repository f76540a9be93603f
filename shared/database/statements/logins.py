"""Statements about failed logins, counted per subject in windows that begin with the first failure."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Delete, Select, Update, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import login_failure

PRUNED_AT_ONCE: Final = 1000
_now = func.clock_timestamp()  # not the transaction's time: it may have waited for another attempt's


def one_more(subject: str, *, limit: int, window: timedelta) -> ReturningInsert[int]:
    """Count an attempt; no row, and nothing counted, if there are `limit` within the window already.

    Attempts of one subject wait for each other's transactions: each gets a number of its own.
    """
    is_over = login_failure.c.began_at <= _now - window
    return (
        insert(login_failure)
        .values(subject=subject, failures=1, began_at=_now)
        .on_conflict_do_update(
            index_elements=[login_failure.c.subject],
            set_={
                "failures": case((is_over, 1), else_=login_failure.c.failures + 1),
                "began_at": case((is_over, _now), else_=login_failure.c.began_at),
            },
            where=or_(is_over, login_failure.c.failures < limit),
        )
        .returning(login_failure.c.failures)
    )


def seconds_left(subject: str, *, window: timedelta) -> Select[Any]:
    """How long a subject's window still lasts."""
    left = func.extract("epoch", login_failure.c.began_at + window - _now)
    return select(left).where(login_failure.c.subject == subject)


def forgotten(subject: str) -> Delete:
    """Forget a subject's failures."""
    return delete(login_failure).where(login_failure.c.subject == subject)


def one_less(subject: str) -> Update:
    """Take an attempt back that was no failure."""
    return (
        update(login_failure)
        .where(login_failure.c.subject == subject, login_failure.c.failures > 0)
        .values(failures=login_failure.c.failures - 1)
    )


def pruned(*, window: timedelta) -> Delete:
    """Delete lines whose window is over, but none that an attempt is about to use."""
    old = (
        select(login_failure.c.subject)
        .where(login_failure.c.began_at <= _now - window)
        .limit(PRUNED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return delete(login_failure).where(login_failure.c.subject.in_(old))
