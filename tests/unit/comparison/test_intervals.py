"""The statistics against published values and values worked out by hand."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.comparison.intervals import (
    cohens_kappa,
    mcnemar_p,
    nearest_rank,
    paired_difference,
    share_of,
    wilson,
)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 1998, 17:857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # All of n: the low end is n / (n + 1.96²).
        (6, 6, 6 / 9.841459, 1.0),
    ],
)
def test_the_interval_of_a_share_is_the_published_one(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_the_difference_of_paired_shares_has_the_published_interval() -> None:
    # R package PropCIs, diffpropci.mp(b = 40, c = 20, n = 160): -0.21601726 to -0.03089632.
    assert paired_difference(20, 40, 160) == pytest.approx((-20 / 160, -0.21601726, -0.03089632), abs=1e-8)


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 0, 1.0),
        (0, 6, 2 / 64),
        (1, 7, 2 * (1 + 8) / 256),
        (10, 3, 2 * (1 + 13 + 78 + 286) / 8192),
        # Agresti, Categorical Data Analysis, approval of the prime minister: 150 and 86 changed their minds.
        (150, 86, 3.716e-5),
        # scipy 1.17.1, stats.binomtest.
        (49_800, 50_200, 0.20703897),
        (0, 100_000, 0.0),
    ],
)
def test_the_exact_test_of_two_paired_shares_has_the_known_p_value(
    first_only: int, second_only: int, p_value: float
) -> None:
    assert mcnemar_p(first_only, second_only) == pytest.approx(p_value, rel=1e-4, abs=1e-12)
    assert mcnemar_p(second_only, first_only) == mcnemar_p(first_only, second_only)


def test_rounding_pushes_nothing_past_0_and_1() -> None:
    for number in range(1, 300):
        assert (wilson(0, number)[0], wilson(number, number)[1]) == (0.0, 1.0)
        assert 1 - 1e-9 < mcnemar_p(number, number + 1) <= 1


@settings(max_examples=50)
@given(st.integers(0, 200), st.integers(0, 200))
def test_the_exact_test_is_the_sum_of_the_tail(first_only: int, second_only: int) -> None:
    tosses = first_only + second_only
    tail = sum(math.comb(tosses, k) for k in range(min(first_only, second_only) + 1))
    assert mcnemar_p(first_only, second_only) == pytest.approx(float(min(1, Fraction(2 * tail, 2**tosses))), rel=1e-11)


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ([[20, 5], [10, 15]], 0.4),  # (50 * 35 - 25 * 30 - 25 * 20) / (2500 - 1250)
        ([[45, 15], [25, 15]], 0.1304),  # observed 0.6, by chance 0.54
        ([[2, 0, 0], [0, 3, 0], [0, 0, 4]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[7, 0, 0], [0, 0, 0], [0, 0, 0]], None),
        ([[0, 0], [0, 0]], None),
    ],
)
def test_kappa_is_the_known_one(table: list[list[int]], kappa: float | None) -> None:
    assert cohens_kappa(table) == (kappa if kappa is None else pytest.approx(kappa, abs=5e-5))


@pytest.mark.parametrize(("percent", "value"), [(5, 15.0), (30, 20.0), (40, 20.0), (41, 35.0), (50, 35.0), (100, 50.0)])
def test_a_percentile_is_the_nearest_rank(percent: int, value: float) -> None:
    assert nearest_rank([15, 20, 35, 40, 50], percent) == value
    assert nearest_rank([], percent) is None


@settings(max_examples=50)
@given(st.integers(1, 100_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_share_lies_in_its_interval_and_both_within_0_and_1(counts: tuple[int, int]) -> None:
    found = share_of(*counts)
    assert found.share is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.share <= found.high <= 1


@settings(max_examples=50)
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000))
def test_a_difference_lies_in_its_interval_and_mirrors(first_only: int, second_only: int, alike: int) -> None:
    of = max(1, first_only + second_only + alike)
    difference, low, high = paired_difference(first_only, second_only, of)
    assert -1 <= low <= difference <= high <= 1
    assert paired_difference(second_only, first_only, of) == (-difference, -high, -low)
