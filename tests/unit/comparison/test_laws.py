"""What holds for every comparison, whatever the answers."""

from collections.abc import Sequence
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.comparison import (
    Compared,
    Comparison,
    Findings,
    Pair,
    Share,
    Truth,
    Variant,
    Verdict,
    decision_of,
)
from tests.unit.comparison.asked import FAILED, OPEN, UNUSABLE, compared, profile, variant

claims = st.none() | st.booleans()
answers = st.builds(
    Verdict,
    outcome=st.just("succeeded"),
    receivable=claims,
    child_present=claims,
    volume=st.integers(0, 600),
    degree=st.integers(0, 100),
    asked_volume=st.none() | st.floats(0, 1e6),
    asked_degree=st.none() | st.floats(-50, 1e6),
    is_unusable=st.booleans(),
    latency_ms=st.none() | st.integers(0, 100_000),
    cost=st.none() | st.floats(0, 10),
)
verdicts = answers | st.sampled_from([FAILED, OPEN, UNUSABLE])
truths = st.builds(
    Truth,
    can_receive_water=claims,
    child_present=claims,
    volume_min=st.none() | st.floats(0, 500),
    temperature_max=st.none() | st.floats(0, 100),
)
VARIANTS = (variant(1), variant(2), variant(3, profile=profile()))
EARLIER = (variant(1),)
batches = st.lists(st.tuples(truths, st.tuples(verdicts, verdicts, verdicts), verdicts), max_size=6).map(
    lambda rows: [(compared(position, truth, *said), before) for position, (truth, said, before) in enumerate(rows)]
)


def findings(variants: Sequence[Variant], photos: Sequence[tuple[Compared, Verdict]]) -> Findings:
    comparison = Comparison(variants, earlier=EARLIER, disputed=3, examples=2)
    for photo, before in photos:
        comparison.add(photo, [before])
    return comparison.findings()


@settings(max_examples=20)
@given(batches, st.randoms())
def test_the_order_of_photos_does_not_matter(batch: list[tuple[Compared, Verdict]], random: Random) -> None:
    shuffled = random.sample(batch, len(batch))
    assert findings(VARIANTS, shuffled) == findings(VARIANTS, batch)


@settings(max_examples=20)
@given(batches)
def test_swapped_variants_mirror_every_pair(batch: list[tuple[Compared, Verdict]]) -> None:
    there = findings(VARIANTS, batch)
    turned = [(msgspec.structs.replace(photo, verdicts=photo.verdicts[::-1]), before) for photo, before in batch]
    back = findings(VARIANTS[::-1], turned)
    assert back.variants[::-1] == there.variants
    assert {(pair.second, pair.first): mirrored(pair) for pair in back.pairs} == {
        (pair.first, pair.second): pair for pair in there.pairs
    }
    assert [(photo.position, photo.score) for photo in back.disputed] == [
        (photo.position, photo.score) for photo in there.disputed
    ]


@settings(max_examples=20)
@given(batches)
def test_counts_add_up_and_shares_lie_in_their_intervals(batch: list[tuple[Compared, Verdict]]) -> None:
    found = findings(VARIANTS, batch)
    for one in found.variants:
        assert one.open + one.answered.of == found.photos
        assert one.answered.of - one.answered.hits == sum(one.failures.values())
        assert sum(msgspec.structs.astuple(one.confusion)) == one.accuracy.of
        assert one.asked.of == one.executed.of == one.intervened.of == one.answered.hits
        for harm in (one.asked, one.executed):
            kinds = (harm.onto_nothing, harm.hot_for_child, harm.beyond_device)
            assert max(kinds) <= harm.photos <= min(harm.of, sum(kinds))
        for share in (one.answered, one.accuracy, one.volume_in_range, one.temperature_in_range, one.unusable):
            assert_ordered(share)
    for pair in found.pairs:
        assert_ordered(pair.agreement)
        assert pair.first_better + pair.second_better <= pair.photos
        assert pair.kappa is None or -1 <= pair.kappa <= 1
        assert pair.p_value is None or 0 < pair.p_value <= 1


@settings(max_examples=20)
@given(batches)
def test_photos_that_most_variants_get_wrong_are_the_first_of_those_mistaken(
    batch: list[tuple[Compared, Verdict]],
) -> None:
    found = findings(VARIANTS, batch)
    answers = {
        photo.position: right_by_variant(photo) for photo, _ in batch if photo.truth.can_receive_water is not None
    }
    wrong = {position: tuple(n for n, right in said.items() if not right) for position, said in answers.items()}
    ranked = sorted(filter(wrong.get, wrong), key=lambda position: (-len(wrong[position]), position))
    assert [(photo.position, photo.wrong) for photo in found.mistaken] == [(one, wrong[one]) for one in ranked[:3]]
    assert found.never_right == sum(bool(said) and not any(said.values()) for said in answers.values())


def right_by_variant(photo: Compared) -> dict[int, bool]:
    return {
        variant.number: decision_of(verdict) is photo.truth.can_receive_water
        for variant, verdict in zip(VARIANTS, photo.verdicts, strict=True)
        if verdict.outcome == "succeeded"
    }


def assert_ordered(share: Share) -> None:
    if share.of == 0:
        assert share == Share(hits=0, of=0, share=None, low=None, high=None)
        return
    assert share.low is not None
    assert share.high is not None
    assert share.share == share.hits / share.of
    assert 0 <= share.low <= share.hits / share.of <= share.high <= 1


def mirrored(pair: Pair) -> Pair:
    return msgspec.structs.replace(
        pair,
        first=pair.second,
        second=pair.first,
        first_better=pair.second_better,
        second_better=pair.first_better,
        difference=negated(pair.difference),
        difference_low=negated(pair.difference_high),
        difference_high=negated(pair.difference_low),
    )


def negated(value: float | None) -> float | None:
    return None if value is None else -value
