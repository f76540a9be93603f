"""The statistics of a comparison: how sure one can be of a share, of a difference, of an agreement.

Chosen for small samples, where the textbook's Wald interval misleads: twenty labelled photos are a usual batch.
"""

import math
from collections.abc import Sequence
from typing import Final

from shared.domain.comparison.findings import Share

Z: Final = 1.959964
"""The normal quantile of a two-sided 95 % interval."""


def share_of(hits: int, of: int) -> Share:
    """Return `hits` of `of` (0 <= hits <= of) as a share with its 95 % interval."""
    if of == 0:
        return Share(hits=0, of=0, share=None, low=None, high=None)
    low, high = wilson(hits, of)
    return Share(hits=hits, of=of, share=hits / of, low=low, high=high)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share, `of` > 0 (Wilson 1927, JASA 22:209-212).

    Unlike Wald's it says something about 0 of 20, and never leaves 0 to 1.
    """
    share = hits / of
    centre = (hits + Z * Z / 2) / (of + Z * Z)
    margin = Z * math.sqrt(share * (1 - share) * of + Z * Z / 4) / (of + Z * Z)
    # None and all are ends of the interval too: rounding may not push it off them.
    return (0.0 if hits == 0 else centre - margin, 1.0 if hits == of else centre + margin)


def nearest_rank(ordered: Sequence[int], percent: int) -> float | None:
    """Return the smallest of the ascending values that at least `percent` (1 to 100) of them do not exceed."""
    if not ordered:
        return None
    return float(ordered[-(-percent * len(ordered) // 100) - 1])


def paired_difference(first_only: int, second_only: int, of: int) -> tuple[float, float, float]:
    """Return the first's share minus the second's on the same `of` > 0 photos, and the ends of its 95 % interval.

    `first_only` and `second_only` are the photos that only one of them got right. The interval is the adjusted Wald
    one of Agresti and Min (Statistics in Medicine 2005, 24:729-740): half a photo is added to each of the four cells.
    Its middle is therefore a little nearer to 0 than the difference. It is cut at -1 and 1.
    """
    total = of + 2
    discordant, surplus = first_only + second_only + 1, first_only - second_only
    centre = surplus / total
    margin = Z * math.sqrt(discordant - surplus * surplus / total) / total
    return surplus / of, max(centre - margin, -1.0), min(centre + margin, 1.0)


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: a fair coin's, thrown once per photo they differ on.

    Twice the binomial tail up to the smaller count, at most 1. The tail is summed from its largest term downwards
    until a term no longer counts, so that it is quick for any number of photos; relative error below 1e-9 at 100,000.
    """
    fewer, tosses = min(first_only, second_only), first_only + second_only
    if first_only == second_only:
        return 1.0
    largest = math.exp(
        math.lgamma(tosses + 1) - math.lgamma(fewer + 1) - math.lgamma(tosses - fewer + 1) - tosses * math.log(2)
    )
    tail = term = 1.0
    for k in range(fewer, 0, -1):
        term *= k / (tosses - k + 1)
        tail += term
        if term < tail * 1e-17:
            break
    return min(1.0, 2 * largest * tail)


def cohens_kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Return Cohen's kappa of a square table of counts: agreement beyond that of two who answer at random alike.

    None where it is not defined: no photos at all, or both give one and the same answer to each (Cohen 1960,
    Educational and Psychological Measurement 20:37-46).
    """
    photos = sum(map(sum, table))
    alike = sum(row[number] for number, row in enumerate(table))
    by_chance = sum(sum(row) * sum(column) for row, column in zip(table, zip(*table, strict=True), strict=True))
    if by_chance == photos * photos:
        return None
    return (photos * alike - by_chance) / (photos * photos - by_chance)
