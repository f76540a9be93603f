"""What a job used, for the ledger: what its provider counted, or an estimate that says so."""

from decimal import Decimal
from typing import Final

from shared.database.claims import Charge
from shared.domain.events import Reply, Usage
from shared.settings_dialects import Price
from workers.attempt_log import AttemptLog
from workers.receipt import estimated_usage
from workers.services.attempt import Attempt

MILLION: Final = 1_000_000


def charge_of(attempt: Attempt, log: AttemptLog, reply: Reply, *, losses: int) -> Charge | None:
    """Return the entry; None where no provider was called, now or by an attempt that was lost.

    A lost attempt (its process died) had sent its input; what it had got for it nobody knows, so that it counts with
    the input alone.
    """
    if attempt.provider is None and not losses:
        return None
    usage = reply.usage or estimated_usage(attempt, log)
    price = attempt.tools.prices.get(attempt.spec.model)
    lost_tokens = usage.input_tokens * losses
    return Charge(
        model=attempt.spec.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cached_tokens=usage.cached_tokens,
        lost_tokens=lost_tokens,
        is_estimated=usage.is_estimated or bool(losses),
        cost=None if price is None else cost_of(usage, price, lost_tokens=lost_tokens),
    )


def cost_of(usage: Usage, price: Price, *, lost_tokens: int = 0) -> Decimal:
    """Return what tokens cost, in the currency of the price."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    full = (usage.input_tokens - cached + lost_tokens) * price.input
    return (full + cached * cached_price + usage.output_tokens * price.output) / MILLION
