"""How limits and fallbacks are set, and what is set wrongly."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ProviderAuth, ProviderError, ProviderOverloaded, ProviderRateLimited
from shared.settings import Clocks
from shared.settings_fallbacks import check_fallbacks, fallbacks_of
from shared.settings_providers import ProviderLimits
from workers.cooldowns import LONGEST, Cooldowns

CLOCKS = Clocks(retry_base=timedelta(seconds=2), retry_cap=timedelta(seconds=60))
NAMES = st.sampled_from(["a", "b", "c"])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_batch_has_half_of_every_limit_and_at_least_one() -> None:
    limits = ProviderLimits(concurrency=1, requests_per_minute=61, tokens_per_minute=None)
    assert limits.for_batches() == ProviderLimits(concurrency=1, requests_per_minute=30, tokens_per_minute=None)
    assert ProviderLimits(concurrency=10, batch_share=0.2).for_batches().concurrency == 2
    assert ProviderLimits().is_unlimited
    assert not limits.is_unlimited


@given(st.integers(1, 10**5), st.floats(0, 1, exclude_min=True))
def test_a_share_is_never_nothing_and_never_more_than_all(limit: int, share: float) -> None:
    found = ProviderLimits(concurrency=limit, batch_share=share).for_batches().concurrency
    assert found is not None
    assert 1 <= found <= limit


def test_a_models_own_fallbacks_go_before_its_providers_and_none_is_itself() -> None:
    fallbacks = {"a/m": ("b/1", "a/m", "b/1", "c/2"), "a/*": ("c/3",)}
    assert fallbacks_of("a/m", fallbacks) == ("b/1", "c/2")
    assert fallbacks_of("a/other/one", fallbacks) == ("c/3",)
    assert fallbacks_of("b/1", fallbacks) == ()


@pytest.mark.parametrize(
    ("instead", "problem"), [("b/*", "name one model"), ("d/m", "its provider is not configured .configured: a, b.")]
)
def test_fallbacks_that_could_never_be_asked_are_refused(instead: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"SMARTSIP_FALLBACKS has {instead[0]}.* as a fallback of a/m.*{problem}"):
        check_fallbacks({"a/m": (instead,)}, configured=("a", "b"))
    check_fallbacks({"a/m": ("b/m",), "d/m": ("a/m",)}, configured=("a", "b"))


def test_a_hint_is_kept_to_and_a_shorter_one_does_not_shorten_it() -> None:
    clock = Clock()
    cooldowns = Cooldowns(CLOCKS, now=clock)
    assert cooldowns.note("a", ProviderRateLimited(retry_after_s=30)) == 30
    assert cooldowns.note("a", ProviderOverloaded(retry_after_s=3)) == 3
    assert (cooldowns.left_s(["a"]), cooldowns.left_s(["b"]), cooldowns.left_s(["b", "a"])) == (30, 0, 30)
    clock.now += 30
    assert cooldowns.left_s(["a"]) == 0


@pytest.mark.parametrize("error", [ProviderAuth(), ProviderError()])
def test_only_who_asks_for_a_pause_gets_one(error: ProviderError) -> None:
    cooldowns = Cooldowns(CLOCKS)
    assert (cooldowns.note("a", error), cooldowns.left_s(["a"])) == (None, 0)


def test_without_a_hint_each_pause_is_twice_the_one_before_until_there_is_an_answer() -> None:
    clock = Clock()
    cooldowns = Cooldowns(CLOCKS, now=clock)

    def pause_s() -> float | None:
        found = cooldowns.note("a", ProviderOverloaded())
        clock.now += cooldowns.left_s(["a"])
        return found

    assert [pause_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    cooldowns.answered("a")
    assert pause_s() == 1


def test_calls_that_fail_together_are_one_strike() -> None:
    clock = Clock()
    cooldowns = Cooldowns(CLOCKS, now=clock)
    assert {cooldowns.note("a", ProviderOverloaded()) for _ in range(50)} == {1}
    clock.now += 1
    assert cooldowns.note("a", ProviderOverloaded()) == 2


def test_a_pause_has_an_end_whatever_the_provider_says() -> None:
    cooldowns = Cooldowns(CLOCKS)
    assert cooldowns.note("a", ProviderRateLimited(retry_after_s=86400)) == LONGEST.total_seconds()


@given(own=st.dictionaries(NAMES, st.floats(0.001, 600)), told=st.dictionaries(NAMES, st.floats(0.001, 600)))
def test_what_others_tell_counts_like_ones_own_and_the_longer_one_stands(
    own: dict[str, float], told: dict[str, float]
) -> None:
    cooldowns = Cooldowns(CLOCKS, now=Clock())
    for scope, pause_s in own.items():
        cooldowns.note(scope, ProviderRateLimited(retry_after_s=pause_s))
    cooldowns.learn(told)
    for scope in "abc":
        assert cooldowns.left_s([scope]) == pytest.approx(max(own.get(scope, 0), told.get(scope, 0)))
    cooldowns.learn({})
    for scope in "abc":
        assert cooldowns.left_s([scope]) == pytest.approx(own.get(scope, 0))
