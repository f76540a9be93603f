"""Time to first token: buckets that many processes can add up, and counts that never hold an answer up."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.services.first_tokens import FirstTokenReader, FirstTokenTimes
from shared.domain.errors import Unavailable
from shared.domain.first_tokens import LAST_BUCKET, Buckets, FirstToken, Noted, bucket_of, first_token
from shared.ending import end
from tests.stack import eventually
from workers.services.first_tokens import MAX_MODELS, FirstTokens


class Store:
    """Keeps what it is told, unless it is away."""

    def __init__(self) -> None:
        self.told: list[Mapping[Noted, int]] = []
        self.is_away = False
        self.asked = 0

    async def add(self, counts: Mapping[Noted, int]) -> None:
        """See `FirstTokenCounts`."""
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        self.told.append(counts)

    async def of_last_hour(self) -> dict[str, Buckets]:
        """See `FirstTokenCounts`."""
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return {"groq/a": {1: 3}, "groq/b": {30: 1}, "openai/a": {1: 1}}


@given(st.floats(0.011, 1000))
def test_what_is_read_off_a_bucket_is_wrong_by_an_eighth_at_most(seconds: float) -> None:
    read = first_token({bucket_of(seconds): 1})
    assert read is not None
    assert abs(read.p50_s - seconds) <= seconds * 0.125


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-1, 0), (0, 0), (float("nan"), 0), (0.01, 0), (0.0101, 1), (1e9, LAST_BUCKET), (float("inf"), LAST_BUCKET)],
)
def test_every_time_has_a_bucket(seconds: float, bucket: int) -> None:
    assert bucket_of(seconds) == bucket


def test_percentiles_are_of_calls_not_of_buckets() -> None:
    fast, slow = bucket_of(0.2), bucket_of(9)
    fast_s, slow_s = (times.p50_s for bucket in (fast, slow) if (times := first_token({bucket: 1})) is not None)
    assert [first_token({fast: fasts, slow: 100 - fasts}) for fasts in (96, 94, 4)] == [
        FirstToken(fast_s, fast_s, 100),
        FirstToken(fast_s, slow_s, 100),
        FirstToken(slow_s, slow_s, 100),
    ]
    assert first_token({}) is None


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_percentiles_lie_between_the_shortest_and_the_longest(times: list[float]) -> None:
    told = first_token(Counter(map(bucket_of, times)))
    assert told is not None
    assert min(times) * 0.87 <= told.p50_s <= told.p95_s <= max(times) * 1.13
    assert told == FirstToken(told.p50_s, told.p95_s, len(times))


async def test_what_is_noted_is_told_together_and_only_once() -> None:
    noted, store = FirstTokens(), Store()
    telling = asyncio.create_task(noted.tell(store, every_s=0.01))
    for _ in range(3):
        noted.note("groq/a", 0.2)
    noted.note("groq/b", 0.2)
    await eventually(lambda: _are(store, 1), expecting="the counts")
    noted.note("groq/a", 3)
    await eventually(lambda: _are(store, 2), expecting="more counts")
    assert [{(key.ref, key.bucket): count for key, count in counts.items()} for counts in store.told] == [
        {("groq/a", bucket_of(0.2)): 3, ("groq/b", bucket_of(0.2)): 1},
        {("groq/a", bucket_of(3)): 1},
    ]
    await end(telling)


async def test_a_store_that_is_away_loses_figures_and_nothing_else() -> None:
    noted, store = FirstTokens(), Store()
    store.is_away = True
    telling = asyncio.create_task(noted.tell(store, every_s=0))
    noted.note("groq/a", 0.2)

    async def was_asked() -> bool:
        return store.asked == 1

    await eventually(was_asked, expecting="a try")
    store.is_away = False
    noted.note("groq/a", 3)
    await eventually(lambda: _are(store, 1), expecting="the counts")
    assert [sum(counts.values()) for counts in store.told] == [1]
    await end(telling)


async def test_no_more_models_are_counted_than_can_be_kept() -> None:
    noted, store = FirstTokens(), Store()
    for number in range(MAX_MODELS * 2):
        noted.note(f"groq/{number}", 0.2)
    telling = asyncio.create_task(noted.tell(store, every_s=0))
    await eventually(lambda: _are(store, 1), expecting="the counts")
    models = Counter(noted.minute for noted in store.told[0])
    assert max(models.values()) == MAX_MODELS  # of one minute: another may have begun
    await end(telling)


async def test_times_are_of_models_and_of_whole_providers_and_read_once() -> None:
    reader = FirstTokenReader(store := Store())
    times = [await reader.times() for _ in range(3)][-1]
    a, b = first_token({1: 3}), first_token({30: 1})
    assert times.of_models == {"groq/a": a, "groq/b": b, "openai/a": first_token({1: 1})}
    assert times.of_providers == {"groq": first_token({1: 3, 30: 1}), "openai": first_token({1: 1})}
    assert store.asked == 1


async def test_with_the_store_away_there_are_no_times() -> None:
    store = Store()
    store.is_away = True
    assert await FirstTokenReader(store).times() == FirstTokenTimes()


async def _are(store: Store, count: int) -> bool:
    return len(store.told) == count
