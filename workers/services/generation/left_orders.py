"""Orders whose jobs are over: cancelled, too late, deleted. Nobody will fetch what they make, so they are cancelled.

Every worker looks, again and again; two that do it at once do no harm.
"""

import asyncio
from typing import Any, Final

import structlog
from sqlalchemy.engine import Row

from shared.database.statements import orders as statements
from shared.domain.chats import key_purpose
from shared.domain.errors import ProviderError, SmartSipError, Unavailable
from workers.providers.studio.base import Studio, StudioClocks
from workers.services.attempt import Tools

AT_A_TIME: Final = 20

_log = structlog.get_logger(__name__)


async def watch_left_orders(tools: Tools) -> None:
    """Look until cancelled."""
    while True:
        await asyncio.sleep(tools.clocks.order_look.total_seconds())
        try:
            await cancel_left_orders(tools)
        except Unavailable as error:
            _log.info("left_orders_not_read", error=str(error))


async def cancel_left_orders(tools: Tools) -> None:
    """Cancel what is left now; what cannot be cancelled at the moment is tried again by the next look.

    Raises:
        Unavailable: if PostgreSQL is away.
    """
    for row in await tools.queries.rows(statements.orders_left(AT_A_TIME)):
        state = await _cancelled(tools, row)
        if state is not None:
            await tools.queries.rows(statements.set_order_state(row.job_id, state))


async def _cancelled(tools: Tools, row: Row[Any]) -> str | None:  # Any: the columns of orders_left
    """Return what became of an order; None if that is not known yet."""
    about = {"job_id": str(row.job_id), "provider": row.provider, "order_id": row.order_id}
    try:
        studio = _studio(tools, row)
        if studio is None:
            raise ProviderError(f"{row.provider} is not configured here any more")
        await studio.cancel_order(row.order_id, _clocks(tools))
    except SmartSipError as error:
        if error.retryable:
            return None
        # It is being worked at, or done: what it costs it costs.
        _log.warning("order_not_cancelled", **about, reason=error.detail)
        return "given_up"
    _log.info("order_cancelled", **about)
    return "cancelled"


def _studio(tools: Tools, row: Row[Any]) -> Studio | None:  # as above
    studio = tools.studios.get(row.provider)
    if studio is None or row.provider_key is None:
        return studio
    return studio.with_key(tools.sealer.open(row.provider_key, purpose=key_purpose(row.chat_id)))


def _clocks(tools: Tools) -> StudioClocks:
    call_s = tools.clocks.provider_idle.total_seconds()
    return StudioClocks(connect_s=tools.clocks.provider_connect.total_seconds(), images_s=call_s, call_s=call_s)
