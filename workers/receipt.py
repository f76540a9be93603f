"""The receipt of a cancel: how far the work was, whether the provider stops billing, and what was used."""

from typing import Final

from shared.domain.events import Cancelled, Usage
from workers.attempt_log import AttemptLog
from workers.services.attempt import Attempt

CHARS_PER_TOKEN: Final = 4
"""A rule of thumb for English; usage estimated by it says so."""


def cancelled(attempt: Attempt, log: AttemptLog) -> Cancelled:
    """Return the terminal event of a cancelled attempt."""
    phase = "streaming" if log.has_delta else "before_first_delta"
    if attempt.provider is None:
        return Cancelled(phase)
    return Cancelled(phase, attempt.provider.stops_billing_on_abort, log.usage or estimated_usage(attempt, log))


def estimated_usage(attempt: Attempt, log: AttemptLog) -> Usage:
    """Return about what an attempt used whose provider did not say."""
    return Usage(
        input_tokens=-(-attempt.input_chars // CHARS_PER_TOKEN),
        output_tokens=-(-log.output_chars // CHARS_PER_TOKEN),
        is_estimated=True,
    )
