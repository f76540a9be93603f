"""The receipt of a cancel: how far the work was, whether the provider stops billing, and what was used."""

from shared.domain.events import Cancelled, Usage
from shared.domain.tokens import tokens_of
from workers.attempt_log import AttemptLog
from workers.services.attempt import Attempt


def cancelled(attempt: Attempt, log: AttemptLog) -> Cancelled:
    """Return the terminal event of a cancelled attempt."""
    phase = "streaming" if log.has_delta else "before_first_delta"
    if attempt.provider is None:
        return Cancelled(phase)
    return Cancelled(phase, attempt.provider.stops_billing_on_abort, log.usage or estimated_usage(attempt, log))


def estimated_usage(attempt: Attempt, log: AttemptLog) -> Usage:
    """Return about what an attempt used whose provider did not say."""
    return Usage(
        input_tokens=tokens_of(attempt.input_weight),
        output_tokens=tokens_of(log.output_weight),
        is_estimated=True,
    )
