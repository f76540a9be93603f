"""How many items of a batch are handed out, and which."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.database.batch_plan import FIRST_LOOK, LEAST, MOST, STEP, Budget, new_rate, next_photos, wanted

positions = st.dictionaries(st.integers(1, 5), st.integers(0, 60), min_size=1, max_size=5)


@given(positions, st.integers(1, 60), st.integers(0, 200))
def test_every_photo_comes_once_per_variant_in_order_and_no_more_than_asked(
    at: dict[int, int], photos: int, count: int
) -> None:
    handed = next_photos(at, photos, count)
    left = {number: list(range(position, photos)) for number, position in at.items()}
    assert len(handed) == min(count, sum(map(len, left.values())))
    for number, places in left.items():
        ours = [position for variant, position in handed if variant == number]
        assert ours == places[: len(ours)]


@given(st.integers(1, 5), st.integers(1, 100), st.integers(1, 300))
def test_variants_stay_side_by_side(variants: int, photos: int, count: int) -> None:
    handed = next_photos(dict.fromkeys(range(1, variants + 1), 0), photos, count)
    reached = [sum(variant == number for variant, _ in handed) for number in range(1, variants + 1)]
    assert max(reached) - min(reached) <= STEP


def test_a_variant_that_was_added_later_is_asked_first() -> None:
    assert next_photos({1: 5, 2: 0}, 10, 6) == [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5)]


def test_slots_are_fed_for_some_ticks_and_no_more() -> None:
    assert wanted(slots=100, running=0, rate=None) == 120
    assert wanted(slots=100, running=120, rate=100.0) == 300
    assert wanted(slots=0, running=0, rate=None) == LEAST
    assert wanted(slots=5000, running=0, rate=None) == MOST
    assert wanted(slots=5000, running=4000, rate=None) == MOST
    assert wanted(slots=10, running=500, rate=1.0) == 0


def test_a_budget_lets_out_a_few_until_one_shows_what_it_takes() -> None:
    assert Budget(cost=Decimal(5)).room(0) == FIRST_LOOK
    assert Budget(cost=Decimal(5)).room(FIRST_LOOK) == 0
    assert Budget().room(10) is None


@given(
    limit=st.integers(1, 1000),
    spent=st.integers(0, 1200),
    dearest=st.integers(1, 50),
    running=st.integers(0, 30),
)
def test_what_is_out_cannot_overspend_where_none_is_dearer_than_the_dearest(
    limit: int, spent: int, dearest: int, running: int
) -> None:
    room = Budget(tokens=limit, spent_tokens=spent, dearest_tokens=dearest).room(running)
    assert room is not None
    assert room == 0 or spent + (running + room) * dearest <= limit
    assert room > 0 or spent + (running + 1) * dearest > limit


def test_the_tighter_of_two_budgets_holds_and_both_are_told() -> None:
    budget = Budget(
        cost=Decimal("5.00"),
        tokens=2000,
        spent_cost=Decimal("1.50"),
        spent_tokens=1500,
        dearest_cost=Decimal("0.5"),
        dearest_tokens=250,
    )
    assert budget.room(1) == 1
    assert budget.verdict == "The budget is spent (1.5 of 5 and 1,500 of 2,000 tokens): raise it and resume."


def test_the_rate_is_of_late() -> None:
    assert new_rate(None, ended=50, within_s=0.5) == 100
    steady = 100.0
    for _ in range(20):
        steady = new_rate(steady, ended=0, within_s=2.0)
    assert steady < 2
    assert new_rate(10.0, ended=20, within_s=2.0) == 10.0
