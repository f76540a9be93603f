"""A small batch worked out by hand: every number of its findings."""

import pytest

from shared.domain.comparison import (
    Change,
    ChangedPhoto,
    Comparison,
    Confusion,
    Disputed,
    Findings,
    Mistaken,
    Pair,
    Share,
    Spread,
    Truth,
    VariantFindings,
    Verdict,
    Violations,
)
from tests.unit.comparison.asked import (
    ABLE,
    FAILED,
    OPEN,
    UNABLE,
    UNLABELLED,
    compared,
    image_id,
    pours,
    refuses,
    rounded,
    variant,
)

A = variant(1, "A", prompt="smartsip@2")
B = variant(2, "B", prompt="plain@1")
FULL = {"input_tokens": 100, "output_tokens": 20}
PLAIN = {"receivable": None, "input_tokens": 50, "output_tokens": 10}

IN_RANGE = Truth(can_receive_water=True, volume_min=150, volume_max=250, temperature_min=70, temperature_max=95)
WITH_CHILD = Truth(can_receive_water=True, child_present=True)

# The first wants 95 °C of a device that may go to 90; the label's range begins at 150 ml.
A0 = pours(200, 80, latency_ms=1000, cost=0.002, **FULL)
B0 = pours(300, 90, asked_degree=95.0, interventions=("degree",), latency_ms=400, **PLAIN)
# B pours where the label says that nothing can receive it.
A1 = refuses(latency_ms=1200, cost=0.002, **FULL)
B1 = pours(100, 20, latency_ms=700, cost=0.001, **PLAIN)
# A overlooks a labelled child and pours 80 °C, executed as 94; B says nothing that can be used.
A2 = pours(150, 80, child_present=False, latency_ms=2000, cost=0.002, **FULL)
B2 = Verdict(
    outcome="succeeded",
    is_unusable=True,
    interventions=("volume",),
    latency_ms=600,
    cost=0.001,
    input_tokens=50,
    output_tokens=10,
)
# A fails, and is paid for what it read; B wants to pour nothing.
A3 = Verdict(outcome="failed", error="provider_timeout", input_tokens=100, cost=0.0005)
B3 = refuses(latency_ms=500, cost=0.001, **PLAIN)
A4, B4 = OPEN, Verdict(outcome="cancelled")
# A sees a child itself and wants 600 ml at 60 °C; the envelope makes that 500 ml unheated. Nobody knows the prices.
A5 = pours(
    500,
    29,
    child_present=True,
    asked_volume=600.0,
    asked_degree=60.0,
    interventions=("volume", "degree"),
    latency_ms=800,
    **FULL,
)
B5 = pours(200, 20, **PLAIN)

PHOTOS = (
    compared(0, IN_RANGE, A0, B0),
    compared(1, UNABLE, A1, B1),
    compared(2, WITH_CHILD, A2, B2),
    compared(3, UNLABELLED, A3, B3),
    compared(4, Truth(can_receive_water=True, volume_max=100), A4, B4),
    compared(5, UNLABELLED, A5, B5),
)

OF_A = VariantFindings(
    number=1,
    name="A",
    model="A",
    prompt="smartsip@2",
    profile="smartsip-v0.1",
    open=1,
    answered=Share(hits=4, of=5, share=0.8, low=0.3755, high=0.9638),
    accuracy=Share(hits=3, of=3, share=1.0, low=0.4385, high=1.0),
    confusion=Confusion(yes_yes=2, no_no=1),
    volume_in_range=Share(hits=1, of=1, share=1.0, low=0.2065, high=1.0),
    temperature_in_range=Share(hits=1, of=1, share=1.0, low=0.2065, high=1.0),
    asked=Violations(photos=2, of=4, onto_nothing=0, hot_for_child=2, beyond_device=2),
    executed=Violations(photos=1, of=4, onto_nothing=0, hot_for_child=1, beyond_device=1),
    intervened=Share(hits=1, of=4, share=0.25, low=0.0456, high=0.6994),
    unusable=Share(hits=0, of=4, share=0.0, low=0.0, high=0.4899),
    failures={"provider_timeout": 1},
    latency_ms=Spread(p50=1000.0, p95=2000.0),
    input_tokens=500,
    output_tokens=80,
    cost=0.0065,
    cost_per_photo=0.002,
    unpriced=1,
)
OF_B = VariantFindings(
    number=2,
    name="B",
    model="B",
    prompt="plain@1",
    profile="smartsip-v0.1",
    open=0,
    answered=Share(hits=5, of=6, share=0.8333, low=0.4365, high=0.9699),
    accuracy=Share(hits=1, of=3, share=0.3333, low=0.0615, high=0.7923),
    confusion=Confusion(yes_yes=1, yes_none=1, no_yes=1),
    volume_in_range=Share(hits=0, of=1, share=0.0, low=0.0, high=0.7935),
    temperature_in_range=Share(hits=1, of=1, share=1.0, low=0.2065, high=1.0),
    asked=Violations(photos=2, of=5, onto_nothing=1, hot_for_child=0, beyond_device=1),
    executed=Violations(photos=1, of=5, onto_nothing=1, hot_for_child=0, beyond_device=0),
    intervened=Share(hits=2, of=5, share=0.4, low=0.1176, high=0.7693),
    unusable=Share(hits=1, of=5, share=0.2, low=0.0362, high=0.6245),
    failures={"cancelled": 1},
    latency_ms=Spread(p50=500.0, p95=700.0),
    input_tokens=250,
    output_tokens=50,
    cost=0.003,
    cost_per_photo=0.001,
    unpriced=2,
)
# Both answered 0 (yes, yes), 1 (no, yes), 2 (yes, neither) and 5 (yes, yes). By chance: 3 * 3 of 16, so kappa is
# (4 * 2 - 9) / (16 - 9). Interval: 2/5 ± 1.96 * sqrt(3 - 4/5) / 5. Volumes are 100, 100, 150 and 300 ml apart.
OF_BOTH = Pair(
    first=1,
    second=2,
    photos=4,
    agreement=Share(hits=2, of=4, share=0.5, low=0.15, high=0.85),
    kappa=-0.1429,
    first_better=2,
    second_better=0,
    difference=0.6667,
    difference_low=-0.1814,
    difference_high=0.9814,
    p_value=0.5,
    volume_gap_ml=162.5,
    degree_gap_c=9.5,
)


def disputed(position: int, score: float) -> Disputed:
    photo = PHOTOS[position]
    return Disputed(
        position=position,
        image_id=image_id(position),
        name=f"{position}.jpg",
        truth=photo.truth,
        score=score,
        verdicts=photo.verdicts,
    )


def mistaken(position: int, wrong: tuple[int, ...]) -> Mistaken:
    photo = PHOTOS[position]
    return Mistaken(
        position=position,
        image_id=image_id(position),
        name=f"{position}.jpg",
        truth=photo.truth,
        wrong=wrong,
        verdicts=photo.verdicts,
    )


def test_every_number_of_a_small_batch_is_as_worked_out_by_hand() -> None:
    comparison = Comparison([A, B], disputed=3)
    for photo in PHOTOS:
        comparison.add(photo)
    assert rounded(comparison.findings()) == rounded(
        Findings(
            photos=6,
            labelled=4,
            variants=(OF_A, OF_B),
            pairs=(OF_BOTH,),
            # 1 + 150/500/4, 1 + 100/500/4, (300/500 + 9/90)/4; photo 0, with (100/500 + 10/90)/4, is the fourth.
            disputed=(disputed(2, 1.075), disputed(1, 1.05), disputed(5, 0.175)),
            # A is right on both.
            never_right=0,
            mistaken=(mistaken(1, (2,)), mistaken(2, (2,))),
        )
    )


def test_changes_against_an_earlier_batch_are_as_worked_out_by_hand() -> None:
    poured, less = pours(100, 20), pours(400, 29)
    before = {0: A0, 1: poured, 2: FAILED, 3: refuses(), 4: refuses(), 5: less}
    comparison = Comparison([A, B], earlier=[variant(7, "A")])
    for photo in PHOTOS:
        comparison.add(photo, [before[photo.position]])
    found = comparison.findings()
    # Both answered 0, 1 and 5; labelled are 0 and 1. Interval: 1/4 ± 1.96 * sqrt(2 - 1/4) / 4.
    assert rounded(found.changes) == rounded(
        [
            Change(
                number=1,
                name="A",
                earlier="A",
                photos=3,
                decisions=1,
                commands=2,
                mended=1,
                broken=0,
                difference=0.5,
                difference_low=-0.3982,
                difference_high=0.8982,
                p_value=1.0,
                examples=(
                    ChangedPhoto(image_id=image_id(1), name="1.jpg", truth=UNABLE, before=poured, now=A1),
                    ChangedPhoto(image_id=image_id(5), name="5.jpg", truth=UNLABELLED, before=less, now=A5),
                ),
            )
        ]
    )
    assert found.unmatched == ("B",)


def test_a_batch_without_photos_has_findings_without_numbers() -> None:
    nothing = Share(hits=0, of=0, share=None, low=None, high=None)
    harmless = Violations(photos=0, of=0, onto_nothing=0, hot_for_child=0, beyond_device=0)
    assert Comparison([A], earlier=[A]).findings() == Findings(
        photos=0,
        labelled=0,
        variants=(
            VariantFindings(
                number=1,
                name="A",
                model="A",
                prompt="smartsip@2",
                profile="smartsip-v0.1",
                open=0,
                answered=nothing,
                accuracy=nothing,
                confusion=Confusion(),
                volume_in_range=nothing,
                temperature_in_range=nothing,
                asked=harmless,
                executed=harmless,
                intervened=nothing,
                unusable=nothing,
                failures={},
                latency_ms=Spread(p50=None, p95=None),
                input_tokens=0,
                output_tokens=0,
                cost=None,
                cost_per_photo=None,
                unpriced=0,
            ),
        ),
        pairs=(),
        disputed=(),
        never_right=0,
        mistaken=(),
        changes=(
            Change(
                number=1,
                name="A",
                earlier="A",
                photos=0,
                decisions=0,
                commands=0,
                mended=0,
                broken=0,
                difference=None,
                difference_low=None,
                difference_high=None,
                p_value=None,
                examples=(),
            ),
        ),
    )


def test_two_who_share_no_labelled_answer_have_no_difference() -> None:
    comparison = Comparison([A, B])
    comparison.add(compared(0, ABLE, pours(100), FAILED))
    assert comparison.findings().pairs == (
        Pair(
            first=1,
            second=2,
            photos=0,
            agreement=Share(hits=0, of=0, share=None, low=None, high=None),
            kappa=None,
            first_better=0,
            second_better=0,
            difference=None,
            difference_low=None,
            difference_high=None,
            p_value=None,
            volume_gap_ml=None,
            degree_gap_c=None,
        ),
    )


def test_a_photo_with_a_verdict_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Comparison([A, B]).add(compared(0, ABLE, pours(100)))


def test_failures_are_counted_by_code_the_most_frequent_first() -> None:
    comparison = Comparison([A])
    codes = ["b", "a", "timeout", "timeout", None]
    for position, code in enumerate(codes):
        comparison.add(compared(position, ABLE, Verdict(outcome="failed", error=code)))
    assert list(comparison.findings().variants[0].failures.items()) == [
        ("timeout", 2),
        ("a", 1),
        ("b", 1),
        ("failed", 1),
    ]


def test_costs_add_up_to_nine_places_in_whatever_order() -> None:
    costs = [0.1, 1 / 3, 1 / 3, 1 / 3]
    sums: list[float | None] = []
    for order in (costs, costs[::-1]):
        comparison = Comparison([A])
        for position, cost in enumerate(order):
            comparison.add(compared(position, UNLABELLED, pours(10, cost=cost)))
        sums.append(comparison.findings().variants[0].cost)
    assert sums == [1.099999999, 1.099999999]
