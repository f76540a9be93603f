"""From many samples to a few numbers."""

import math
import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """A figure over several rounds."""

    median: float
    least: float
    most: float


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the smallest sample that `percent` of all do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def percentiles(name: str, samples: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and the maximum under names like `first_token_ms.p50`; nothing for no samples."""
    if not samples:
        return {}
    return {
        f"{name}.p50": percentile(samples, 50),
        f"{name}.p99": percentile(samples, 99),
        f"{name}.max": max(samples),
    }


def spread(values: Sequence[float]) -> Spread:
    """Return median, least and most of one figure's values in the rounds."""
    return Spread(statistics.median(values), min(values), max(values))
