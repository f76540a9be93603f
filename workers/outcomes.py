"""What becomes of a job after an attempt: decided here, without touching anything."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from shared.domain.errors import (
    DeadLetter,
    DeadlineExceeded,
    ErrorInfo,
    Internal,
    SmartSipError,
)
from shared.domain.events import Completed, Failed, TerminalEvent
from shared.domain.jobs import MAX_ATTEMPTS, State
from shared.settings import Clocks


class Park(Exception):
    """A service waits for something outside: the job gives its slot back and is tried again after a while.

    `error` is what the job ends with where it cannot wait so long.
    """

    def __init__(self, run_after_s: float, error: SmartSipError | None = None) -> None:
        super().__init__(f"waiting {run_after_s:g} s")
        self.run_after_s = run_after_s
        self.error = error


@dataclass(frozen=True)
class Ends:
    """The job ends."""

    event: TerminalEvent


@dataclass(frozen=True)
class GoesBack:
    """The job is queued again: after a failure of its own, or because this worker leaves."""

    what: Literal["failed", "released"]
    error: ErrorInfo | None = None
    run_after_s: float | None = None


@dataclass(frozen=True)
class Parks:
    """The job waits without a slot."""

    run_after_s: float


@dataclass(frozen=True)
class Vanishes:
    """The job is not ours any more: nothing is written."""


Outcome: TypeAlias = Ends | GoesBack | Parks | Vanishes

STATE_OF_END: Final = {
    "completed": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "expired": State.EXPIRED,
}


@dataclass(frozen=True)
class Standing:
    """How an attempt stood when its work ended with an error."""

    attempts: int
    """Failures of the job before this one."""
    has_delta: bool
    remaining: timedelta
    """Time to the job's deadline."""


def succeeded(finish_reason: str) -> Outcome:
    """Return the outcome of work that came to its end."""
    return Ends(Completed(finish_reason))


def deadline_passed() -> Outcome:
    """Return the outcome of work that took too long."""
    return Ends(Failed(DeadlineExceeded("The job's deadline passed while it ran.").info()))


def went_wrong(error: Exception, standing: Standing, clocks: Clocks) -> Outcome:
    """Decide what follows an error: another try before the first delta if the error may pass, else the end."""
    if isinstance(error, Park):
        return _parked(error, standing)
    known = error if isinstance(error, SmartSipError) else Internal()
    info = known.info()
    may_pass = known.retryable or isinstance(known, Internal)
    if standing.has_delta or not may_pass:
        return Ends(Failed(info))
    if standing.attempts + 1 >= MAX_ATTEMPTS:
        return Ends(Failed(_dead_letter(info, tries=standing.attempts + 1)))
    pause_s = known.retry_after_s if known.retry_after_s is not None else _backoff_s(standing.attempts, clocks)
    if timedelta(seconds=pause_s) >= standing.remaining:
        return Ends(Failed(info))  # its own reason tells more than a deadline that passes in the queue
    return GoesBack("failed", info, pause_s)


def _parked(park: Park, standing: Standing) -> Outcome:
    if park.error is not None and timedelta(seconds=park.run_after_s) >= standing.remaining:
        return Ends(Failed(park.error.info()))
    return Parks(park.run_after_s)


def _dead_letter(last: ErrorInfo, *, tries: int) -> ErrorInfo:
    """Return the end of a job that failed too often, with the status of how it failed last."""
    detail = f"Tried {tries} times. The last try failed with {last.code}: {last.detail or last.title}"
    return msgspec.structs.replace(DeadLetter(detail, field=last.field).info(), status=last.status)


def _backoff_s(attempts: int, clocks: Clocks) -> float:
    pause = min(clocks.retry_base * 2**attempts, clocks.retry_cap)
    return pause.total_seconds() * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
