"""What a job used, for the ledger: what its provider counted, or an estimate that says so."""

from decimal import Decimal
from typing import Final

import msgspec

from shared.database.claims import Charge
from shared.domain.errors import DeadlineExceeded
from shared.domain.events import Reply, Usage
from shared.settings_dialects import Price
from workers.attempt_log import AttemptLog
from workers.receipt import estimated_usage
from workers.services.attempt import Attempt

MILLION: Final = 1_000_000
MOST_TOKENS: Final = 1_000_000_000
"""No answer costs more: a provider that counts so has miscounted, and sums in the ledger must not overflow."""


def charge_of(attempt: Attempt, log: AttemptLog, reply: Reply, *, losses: int) -> Charge | None:
    """Return the entry; None where no provider was called, now or by an attempt that was lost.

    A lost attempt (its process died) had sent its input; what it had got for it nobody knows, so that it counts with
    the input alone. Counted is the model that was asked last; those before it said nothing.
    """
    if attempt.provider is None and not losses:
        return None
    usage = _used(attempt, log, reply)
    price = attempt.tools.prices.get(attempt.model)
    lost_tokens = (usage.input_tokens or estimated_usage(attempt, log).input_tokens) * losses
    return Charge(
        model=attempt.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cached_tokens=usage.cached_tokens,
        lost_tokens=lost_tokens,
        is_estimated=usage.is_estimated or bool(losses),
        cost=None if price is None else cost_of(usage, price, lost_tokens=lost_tokens),
    )


def _used(attempt: Attempt, log: AttemptLog, reply: Reply) -> Usage:
    """Return what the last attempt used: nothing where its provider failed without a word, as in tries before it."""
    if reply.usage is not None:
        return _believable(reply.usage)
    if reply.error is not None and reply.error.code != DeadlineExceeded.code and not log.has_delta:
        return Usage(0, 0, is_estimated=True)
    return estimated_usage(attempt, log)


def _believable(usage: Usage) -> Usage:
    """Return what a provider counted, without numbers that no answer can cost."""
    return msgspec.structs.replace(
        usage,
        input_tokens=_between(usage.input_tokens),
        output_tokens=_between(usage.output_tokens),
        reasoning_tokens=_between(usage.reasoning_tokens),
        cached_tokens=_between(usage.cached_tokens),
    )


def _between(tokens: int) -> int:
    return max(0, min(tokens, MOST_TOKENS))


def cost_of(usage: Usage, price: Price, *, lost_tokens: int = 0) -> Decimal:
    """Return what tokens cost, in the currency of the price."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    full = (usage.input_tokens - cached + lost_tokens) * price.input
    return (full + cached * cached_price + usage.output_tokens * price.output) / MILLION
