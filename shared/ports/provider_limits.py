"""What all workers together ask of providers: places, rates and cooldowns. A hint: it may be lost at any moment."""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed; None where nothing is limited."""

    concurrency: int | None = None
    requests: int | None = None
    """Per window, a minute."""
    tokens: int | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a place: `account` is a provider with one key, `holder` a job.

    A holder that has a place keeps it. `rank` orders those who wait, the smallest first.
    """

    account: str
    holder: str
    is_batch: bool
    rank: float
    tokens: int
    """What the call is thought to use, in and out."""
    limit: Limit
    for_batches: Limit
    """The part of `limit` that batches may have."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place that was given, and what gives it back."""

    entry: Entry
    window: int = 0
    """When it was given, as the adapter counts; 0 if nobody knows."""


class NoPlace(msgspec.Struct, frozen=True):
    """There is none for this many seconds, as far as rates tell; 0 if it is only that all places are taken.

    `ahead` is how many wait before this holder, who waits from now on, and forgets it after minutes.
    """

    wait_s: float
    ahead: int


class ProviderLimits(Protocol):
    """Counts for all processes; every method raises `Unavailable` where it cannot."""

    async def enter(self, entry: Entry) -> Place | NoPlace:
        """Take a place and count the call, in one round trip; never more are held at once than the limit allows."""
        ...

    async def leave(self, place: Place, *, used_tokens: int) -> Place | None:
        """Give a place back, and count what was really used.

        Returns the place of whoever waits and is next: it is kept for a moment, and is to be left if nobody comes.
        """
        ...

    async def keep(self, places: Collection[Place]) -> None:
        """Say that these are still held: a place whose holder died is free after a while."""
        ...

    async def cool(self, scope: str, *, for_s: float) -> None:
        """Say that a scope is not to be asked for so long; a longer cooldown than this stands."""
        ...

    async def cooling(self) -> Mapping[str, float]:
        """Return the scopes that are not to be asked, and for how many seconds yet."""
        ...
