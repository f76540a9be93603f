"""What this process knows of models that asked for a pause: what it was told itself, and what others have told."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from shared.domain.errors import ProviderError, ProviderOverloaded, ProviderRateLimited
from shared.settings import Clocks

LONGEST: Final = timedelta(minutes=10)
"""A provider that asks for more is asked again after this, by one job: what it says of a day's limit may be wrong."""
MOST_STRIKES: Final = 1000
MOST_DOUBLINGS: Final = 16
COOLS: Final = (ProviderRateLimited, ProviderOverloaded)


class Cooldowns:
    """Pauses by scope; asking costs a look into a dict."""

    def __init__(self, clocks: Clocks, *, now: Callable[[], float] = time.monotonic) -> None:
        self._clocks = clocks
        self._now = now
        self._own: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._strikes: dict[str, int] = {}
        """How often a scope asked for a pause since it last answered."""

    def left_s(self, scopes: Iterable[str]) -> float:
        """Return for how long one of these scopes is not to be asked yet; 0 if all may be."""
        until = max((max(self._own.get(scope, 0.0), self._told.get(scope, 0.0)) for scope in scopes), default=0.0)
        return max(0.0, until - self._now()) if until else 0.0

    def note(self, scope: str, error: ProviderError) -> float | None:
        """Take in how a call failed; return the pause that others are to be told of, in seconds."""
        if not isinstance(error, COOLS):
            return None
        pause_s = error.retry_after_s
        if pause_s is None:
            pause_s = self._backoff_s(scope)
        pause_s = min(pause_s, LONGEST.total_seconds())
        self._own[scope] = max(self._own.get(scope, 0.0), self._now() + pause_s)
        return pause_s

    def answered(self, scope: str) -> None:
        """Take in that a model has begun to answer."""
        self._strikes.pop(scope, None)

    def learn(self, told: Mapping[str, float]) -> None:
        """Take in what all processes know: seconds left, by scope. Forgets what is over."""
        now = self._now()
        self._told = {scope: now + left_s for scope, left_s in told.items()}
        self._own = {scope: until for scope, until in self._own.items() if until > now}
        if len(self._strikes) > MOST_STRIKES:  # of models that were asked once and never again
            self._strikes = {scope: count for scope, count in self._strikes.items() if scope in self._own}

    def _backoff_s(self, scope: str) -> float:
        """Return the shortest pause that a job's own backoff (`workers.outcomes`) could be: no job waits twice.

        Calls that were under way together and fail together are one strike.
        """
        strikes = self._strikes.get(scope, 0)
        if self._own.get(scope, 0.0) <= self._now():
            self._strikes[scope] = strikes + 1
        else:
            strikes = max(0, strikes - 1)
        return (
            min(self._clocks.retry_base * 2 ** min(strikes, MOST_DOUBLINGS), self._clocks.retry_cap).total_seconds() / 2
        )
