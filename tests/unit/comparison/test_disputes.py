"""Which photos a person is shown first: those the variants differ on most, and those that changed for the worse."""

import pytest

from shared.domain.comparison import Comparison, Truth, Variant, Verdict
from shared.domain.comparison.changes import counterpart
from tests.unit.comparison.asked import (
    ABLE,
    FAILED,
    UNABLE,
    UNLABELLED,
    UNUSABLE,
    compared,
    pours,
    profile,
    refuses,
    variant,
)

THREE = [variant(number) for number in (1, 2, 3)]


def disputed(variants: list[Variant], *photos: tuple[Verdict, ...], top: int = 30) -> list[tuple[int, float]]:
    comparison = Comparison(variants, disputed=top)
    for position, verdicts in enumerate(photos):
        comparison.add(compared(position, UNLABELLED, *verdicts))
    return [(photo.position, round(photo.score, 4)) for photo in comparison.findings().disputed]


def test_disagreement_on_the_decision_comes_before_any_spread_of_commands() -> None:
    assert disputed(
        THREE,
        (pours(10, 0), pours(500, 90), pours(10, 0)),
        (pours(10), pours(10), refuses()),
        (pours(10), refuses(), UNUSABLE),
        (pours(500, 20), pours(500, 20), refuses()),
    ) == [(2, 3.005), (3, 2.25), (1, 2.005), (0, 0.495)]


def test_agreement_and_single_answers_are_not_disputed() -> None:
    no_water = (pours(0, 90), pours(0, 20), pours(0, 0))
    alone = (pours(100), FAILED, FAILED)
    assert disputed(THREE, (pours(100),) * 3, no_water, alone, (FAILED,) * 3) == []


def test_equally_disputed_photos_are_kept_and_shown_by_position() -> None:
    photo = (pours(100), refuses(), pours(100))
    assert disputed(THREE, *[photo] * 5, top=3) == [(0, 2.05), (1, 2.05), (2, 2.05)]
    assert disputed(THREE, photo, top=0) == []


def test_spread_is_relative_to_the_widest_device_and_never_more_than_all_of_it() -> None:
    two = [variant(1, profile=profile(max_volume_ml=100)), variant(2, profile=profile(max_volume_ml=200))]
    apart = (pours(50, 20), pours(150, 70))
    beyond = (pours(0, 0), pours(900, 0))
    assert disputed(two, apart, beyond) == [(0, (0.5 + 0.5) / 4), (1, 0.25)]


def test_what_was_broken_is_shown_before_what_was_mended_and_the_rest() -> None:
    photos: list[tuple[Truth, Verdict, Verdict]] = [
        (ABLE, pours(100), pours(500)),
        (UNLABELLED, pours(100), refuses()),
        (UNABLE, pours(10), refuses()),
        (ABLE, pours(10), UNUSABLE),
        (ABLE, UNUSABLE, refuses()),
        (ABLE, pours(100), pours(100)),
        (UNABLE, refuses(), pours(200)),
    ]
    comparison = Comparison([variant(1)], earlier=[variant(9, "other"), variant(1)], examples=4)
    for position, (truth, before, now) in enumerate(photos):
        comparison.add(compared(position, truth, now), [None, before])
    comparison.add(compared(99, ABLE, pours(500)))
    change = comparison.findings().changes[0]
    assert [photo.name for photo in change.examples] == ["6.jpg", "3.jpg", "2.jpg", "1.jpg"]
    assert (change.photos, change.decisions, change.commands, change.mended, change.broken) == (7, 5, 5, 1, 2)


@pytest.mark.parametrize(
    ("earlier", "place"),
    [
        ([], None),
        ([variant(1, "B", model="m"), variant(2, "A", model="other")], 1),
        ([variant(1, "B", model="other"), variant(2, "C", model="m")], 1),
        ([variant(1, "B", model="m"), variant(2, "C", model="m")], None),
        ([variant(1, "B", model="m", prompt="p@2")], None),
    ],
)
def test_a_counterpart_has_the_same_name_or_is_the_only_one_asked_alike(
    earlier: list[Variant], place: int | None
) -> None:
    assert counterpart(variant(1, "A", model="m"), earlier) == place
