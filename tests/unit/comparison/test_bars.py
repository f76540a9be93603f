"""Bars: what passes, what does not, and that what was not measured never passes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from shared.domain.comparison.bars import BarResult, Bars, judge
from shared.domain.comparison.findings import Confusion, Share, Spread, VariantFindings, Violations
from shared.domain.comparison.intervals import share_of

EVERY: dict[str, Any] = {
    "min_accuracy": 0.9,
    "min_accuracy_low": 0.59,
    "min_labelled": 10,
    "max_asked_violations": 3,
    "max_executed_violations": 0,
    "max_failures": 0.02,
    "max_unusable": 0.05,
    "max_latency_p95_ms": 5000,
    "max_cost_per_photo": 0.01,
}
"""All of them, each just met by `GOOD`; 0.5958 is the lower end of Wilson's interval of 9 of 10."""
CLOSER: dict[str, Any] = {
    "min_accuracy": 0.91,
    "min_accuracy_low": 0.6,
    "min_labelled": 11,
    "max_asked_violations": 2,
    "max_executed_violations": 0,
    "max_failures": 0.019,
    "max_unusable": 0.04,
    "max_latency_p95_ms": 4999,
    "max_cost_per_photo": 0.009,
}
GOOD = VariantFindings(
    number=1,
    name="gpt",
    model="openai/gpt-4o",
    prompt="smartsip@2",
    profile="smartsip-v0.1",
    open=0,
    answered=share_of(98, 100),
    accuracy=share_of(9, 10),
    confusion=Confusion(yes_yes=5, no_no=4, no_yes=1),
    volume_in_range=share_of(0, 0),
    temperature_in_range=share_of(0, 0),
    asked=Violations(photos=3, of=98, onto_nothing=1, hot_for_child=1, beyond_device=1),
    executed=Violations(photos=0, of=98, onto_nothing=0, hot_for_child=0, beyond_device=0),
    intervened=share_of(3, 98),
    unusable=Share(hits=5, of=100, share=0.05, low=0.0, high=0.1),
    failures={"provider_timeout": 2},
    latency_ms=Spread(p50=800.0, p95=5000.0),
    input_tokens=98_000,
    output_tokens=9_800,
    cost=0.98,
    cost_per_photo=0.01,
    unpriced=0,
)
NO_ANSWERS = replace(
    GOOD,
    answered=share_of(0, 100),
    accuracy=share_of(0, 0),
    asked=Violations(photos=0, of=0, onto_nothing=0, hot_for_child=0, beyond_device=0),
    unusable=share_of(0, 0),
    latency_ms=Spread(p50=None, p95=None),
    cost=None,
    cost_per_photo=None,
)
MEASURED = {
    "min_accuracy": 0.9,
    "min_accuracy_low": GOOD.accuracy.low,
    "min_labelled": 10,
    "max_asked_violations": 3,
    "max_executed_violations": 0,
    "max_failures": 0.02,
    "max_unusable": 0.05,
    "max_latency_p95_ms": 5000.0,
    "max_cost_per_photo": 0.01,
}
bars = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("min_accuracy", "min_accuracy_low", "max_failures", "max_unusable"), st.floats(0, 1)),
        **dict.fromkeys(("max_asked_violations", "max_executed_violations"), st.integers(0, 20)),
        "min_labelled": st.integers(1, 100),
        "max_latency_p95_ms": st.floats(1, 10_000),
        "max_cost_per_photo": st.floats(0, 1),
    },
).filter(bool)


def bar(name: str, measured: float | None, *, passed: bool, reason: str = "") -> BarResult:
    return BarResult(name=name, wanted=EVERY[name], measured=measured, passed=passed, reason=reason)


def test_what_is_exactly_as_wanted_passes() -> None:
    assert judge(Bars(**EVERY), GOOD, 10) == tuple(bar(name, MEASURED[name], passed=True) for name in EVERY)


def test_what_is_a_little_less_does_not_pass() -> None:
    worse = replace(GOOD, executed=replace(GOOD.executed, photos=1))
    results = judge(Bars(**CLOSER), worse, 10)
    assert {result.name: (result.passed, result.reason) for result in results} == dict.fromkeys(CLOSER, (False, ""))


def test_what_was_not_measured_does_not_pass_and_says_why() -> None:
    unanswered, unlabelled = "no photo was answered", "no photo is labelled"
    assert judge(Bars(**EVERY), NO_ANSWERS, 0) == (
        bar("min_accuracy", None, passed=False, reason=unlabelled),
        bar("min_accuracy_low", None, passed=False, reason=unlabelled),
        bar("min_labelled", 0, passed=False),
        bar("max_asked_violations", None, passed=False, reason=unanswered),
        bar("max_executed_violations", None, passed=False, reason=unanswered),
        bar("max_failures", 1.0, passed=False),
        bar("max_unusable", None, passed=False, reason=unanswered),
        bar("max_latency_p95_ms", None, passed=False, reason=unanswered),
        bar("max_cost_per_photo", None, passed=False, reason="nothing of it has a price"),
    )
    lazy = Bars(min_accuracy=0.0, max_executed_violations=20, max_failures=1.0)
    nothing = replace(NO_ANSWERS, answered=share_of(0, 0))
    assert [(result.passed, result.reason) for result in judge(lazy, nothing, 7)] == [
        (False, "none of the 7 labelled photos was answered"),
        (False, unanswered),
        (False, "the batch has no photos any more"),
    ]


def test_a_price_that_is_known_in_part_does_not_pass() -> None:
    [result] = judge(Bars(max_cost_per_photo=1.0), replace(GOOD, unpriced=2), 10)
    reason = "2 answers have no price, so that it may cost more"
    assert result == BarResult(name="max_cost_per_photo", wanted=1.0, measured=0.01, passed=False, reason=reason)


def test_what_other_limits_had_a_hand_in_does_not_pass() -> None:
    results = judge(Bars(**EVERY), GOOD, 10, other_limits="lab")
    reason = "measured with the limits of lab, which are others: run a batch with this profile"
    of_limits = {"max_asked_violations", "max_executed_violations", "max_unusable"}
    assert results == tuple(
        bar(name, MEASURED[name], passed=name not in of_limits, reason=reason if name in of_limits else "")
        for name in EVERY
    )


@given(wanted=bars, findings=st.sampled_from([GOOD, NO_ANSWERS]), labelled=st.integers(0, 100))
def test_every_wanted_bar_is_judged_by_what_was_measured(
    wanted: dict[str, Any], findings: VariantFindings, labelled: int
) -> None:
    results = judge(Bars(**wanted), findings, labelled)
    assert {result.name: result.wanted for result in results} == wanted
    for result in results:
        sign = 1 if result.name.startswith("min_") else -1
        is_met = result.measured is not None and sign * result.measured >= sign * result.wanted
        assert result.passed == (is_met and not result.reason)
        assert result.measured is not None or result.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        dict.fromkeys(EVERY),
        {"min_beauty": 1},
        *({name: value} for name in EVERY for value in (-0.1, float("nan"), float("inf"), "1", True)),
        {"min_accuracy": 1.01},
        {"max_failures": 1.01},
        {"min_labelled": 0},
        {"min_labelled": 1.5},
        {"max_latency_p95_ms": 0},
    ],
)
def test_bars_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Bars(**wrong)
