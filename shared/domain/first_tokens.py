"""How long models take before they say something: counted in buckets, so that many workers can count together."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

SHORTEST_S: Final = 0.01
GROWTH: Final = 1.25
"""Each bucket ends so much later than the one before: what is read off is wrong by an eighth at most."""
LAST_BUCKET: Final = 52
"""Ends after 18 minutes, when no provider is waited for any more."""
MINUTE_S: Final = 60
MINUTES: Final = 60
"""How long ago what is told may have been measured."""

Buckets: TypeAlias = Mapping[int, int]
"""How often each bucket was hit."""


class Noted(NamedTuple):
    """What is counted: `minute` is of Unix time, `ref` a model as `provider/model`."""

    minute: int
    ref: str
    bucket: int


class FirstToken(NamedTuple):
    """Time from the call of a provider to its first fragment, in seconds, over so many calls."""

    p50_s: float
    p95_s: float
    calls: int


def bucket_of(seconds: float) -> int:
    """Return the bucket a time belongs to, from 0 for the shortest."""
    if not seconds > SHORTEST_S:
        return 0
    return min(math.ceil(math.log(min(seconds, 1e9) / SHORTEST_S, GROWTH)), LAST_BUCKET)


def first_token(buckets: Buckets) -> FirstToken | None:
    """Return what counts tell; None if there are none."""
    calls = sum(buckets.values())
    if calls <= 0:
        return None
    return FirstToken(_percentile(buckets, 0.5 * calls), _percentile(buckets, 0.95 * calls), calls)


def _percentile(buckets: Buckets, rank: float) -> float:
    passed = 0
    for bucket in sorted(buckets):
        passed += buckets[bucket]
        if passed >= rank:
            return _middle_s(bucket)
    return _middle_s(max(buckets))


def _middle_s(bucket: int) -> float:
    return SHORTEST_S * GROWTH ** (bucket - 0.5)
