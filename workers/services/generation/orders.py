"""What a job buys at a provider, noted before it is bought: so that nothing is bought twice, whoever dies when.

The note is committed before the provider is asked. Who finds one without the provider's name for it does not know
whether it was asked, and does not ask again.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Executable

from shared.database.statements import orders as statements
from shared.domain.errors import OutcomeUnknown, Unavailable
from workers.services.attempt import Attempt

PAUSE_S: Final = 0.2


@dataclass(frozen=True)
class Order:
    """What was noted of a job's purchase; `order_id` is the provider's name for it, where it gave one."""

    order_id: str | None
    state: str
    age: timedelta

    def lost(self, provider: str) -> OutcomeUnknown:
        """Return the error for one whose outcome nobody knows."""
        return OutcomeUnknown(
            f"{provider} was asked for this {self.age.total_seconds():.0f} s ago, and the worker that asked died before"
            " it heard the answer. It is not asked again, for that might be paid twice."
        )


async def order_of(attempt: Attempt) -> Order | None:
    """Return what this job bought, or may have bought, by an earlier attempt."""
    rows = await attempt.tools.queries.rows(statements.order_of(attempt.job_id))
    if not rows:
        return None
    return Order(rows[0].order_id, rows[0].state, datetime.now(UTC) - rows[0].dispatched_at)


async def dispatch(attempt: Attempt) -> None:
    """Note that the provider is about to be asked.

    Raises:
        OutcomeUnknown: if it was asked before.
        Unavailable: if that cannot be noted: then it must not be asked.
    """
    spec = attempt.spec
    noted = await attempt.tools.queries.rows(statements.new_order(attempt.job_id, spec.provider_name, spec.model_name))
    if not noted:
        order = await order_of(attempt)
        raise OutcomeUnknown() if order is None else order.lost(spec.provider_name)


async def named(attempt: Attempt, order_id: str) -> None:
    """Note what the provider calls the order: for as long as it takes, for without it the order is lost."""
    await _written(attempt, statements.name_order(attempt.job_id, order_id))


async def heard(attempt: Attempt, state: str) -> None:
    """Note what was heard of the order.

    Raises:
        Unavailable: if PostgreSQL is away.
    """
    await attempt.tools.queries.rows(statements.set_order_state(attempt.job_id, state))


async def not_taken(attempt: Attempt) -> None:
    """Note that the provider took nothing: it may be asked again."""
    await _written(attempt, statements.forget_order(attempt.job_id))


async def _written(attempt: Attempt, statement: Executable) -> None:
    while True:
        try:
            await attempt.tools.queries.rows(statement)
        except Unavailable:
            await asyncio.sleep(PAUSE_S)
        else:
            return
