"""What `smartsip batch` shows: bars, lines and tables."""

import io
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from compose.batch_findings import findings_table, heading, sentences
from compose.batch_promotion_view import results_table, verdict
from compose.batch_states import BatchState, Progress, VariantState, batch_state
from compose.batch_view import bar, duration, facts_grid, line, list_table, money, status, variants_table
from compose.batch_watch import LiveView, Milestones, advice
from compose.errors import CannotStart
from shared.domain.comparison import Comparison, Truth
from tests.unit.comparison.asked import FAILED, OPEN, compared, pours, refuses, variant

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ID = "019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10"
HALF = Progress(
    photos=20, pending=6, running=4, succeeded=9, failed=1, input_tokens=9000, output_tokens=345, cost=0.0123
)
LATE = Progress(photos=20, pending=18, running=0, succeeded=2)
BOTH = Progress(
    photos=40,
    pending=24,
    running=4,
    succeeded=11,
    failed=1,
    input_tokens=9000,
    output_tokens=345,
    cost=0.0123,
    unpriced=2,
    rate_per_s=3.2,
    seconds_left=75,
)
RUNNING = BatchState(
    id=ID,
    number=12,
    name="november",
    state="running",
    photos=20,
    progress=BOTH,
    variants=(
        VariantState(number=1, name="gpt", model="openai/gpt-4o", prompt="p@1", profile="kitchen", progress=HALF),
        VariantState(
            number=2, name="lla\x1b[31mva", model="ollama/llava", prompt="p@1", profile="kitchen", progress=LATE
        ),
    ),
    created_at="2026-11-21T11:57:00Z",
)
DONE = Progress(photos=40, succeeded=40)
PAUSED = msgspec.structs.replace(RUNNING, state="paused", reason="the budget of 5 is spent")
WHOLE = msgspec.structs.replace(RUNNING, state="completed", progress=DONE, ended_at="2026-11-21T11:58:00Z")


def shown(*parts: RenderableType, width: int = 160) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(*parts, sep="\n")
    return [text.rstrip() for text in out.getvalue().splitlines()]


def test_a_line_says_how_far_a_batch_and_each_of_its_variants_is() -> None:
    assert line(RUNNING) == (
        "Batch #12 “november” running: 12 of 40 (30 %), 1 failed, 4 running, 3.2/s, 1 min 15 s left, 9,345 tokens,"
        " cost 0.0123+; gpt 10/20 (1 failed); lla�[31mva 2/20"
    )


def test_a_line_of_a_paused_batch_says_why_and_one_variant_is_not_told_twice() -> None:
    alone = msgspec.structs.replace(PAUSED, name="", variants=RUNNING.variants[:1], progress=HALF)
    assert line(alone) == (
        "Batch #12 paused (the budget of 5 is spent): 10 of 20 (50 %), 1 failed, 4 running, 9,345 tokens, cost 0.0123"
    )
    assert status(PAUSED) == (
        "Batch #12 “november” paused (the budget of 5 is spent): 12 of 40, smartsip batch resume 12 lets it go on"
    )


def test_the_line_of_an_ended_batch_speaks_of_no_speed() -> None:
    assert line(WHOLE).startswith("Batch #12 “november” completed: 40 of 40 (100 %); gpt 10/20 (1 failed)")


def test_the_table_has_a_row_for_each_variant_and_one_for_all() -> None:
    assert shown(variants_table(RUNNING, has_bars=True)) == [
        "#  Variant                                Done  Failed  Running  Tokens      Cost",
        "1  gpt         ████████████▓▒▒▒▒░░░░░░░  10/20       1        4   9,345    0.0123",
        "2  lla�[31mva  ██░░░░░░░░░░░░░░░░░░░░░░   2/20       0        0       0  no price",
        "   all         ██████▓▒▒░░░░░░░░░░░░░░░  12/40       1        4   9,345   0.0123+",
    ]


def test_batches_are_listed_with_what_to_call_them_by() -> None:
    nameless = msgspec.structs.replace(WHOLE, name="", number=9)
    assert shown(list_table([RUNNING, nameless], now=NOW)) == [
        " #  Name      State      Photos  Variants   Done  Failed      Cost  Begun      Id",
        f"12  november  running        20         2   30 %       1   0.0123+  3 min ago  {ID}",
        f" 9  –         completed      20         2  100 %       0  no price  3 min ago  {ID}",
    ]


def test_one_batch_is_shown_with_its_budget_and_its_note() -> None:
    noted = msgspec.structs.replace(PAUSED, note="which is safe?", budget={"cost": 5.0, "tokens": 2_000_000})
    assert shown(facts_grid(noted, now=NOW)) == [
        "Batch   #12 november",
        f"Id      {ID}",
        "State   paused (the budget of 5 is spent)",
        "Photos  20",
        "Begun   3 min ago",
        "Budget  5.00 in cost, 2,000,000 tokens",
        "Note    which is safe?",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (9.4, "9 s"), (75, "1 min 15 s"), (3600, "1 h"), (7_530, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_a_time_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("cost", "said"), [(None, "no price"), (0, "0"), (0.000123, "0.000123"), (0.5, "0.5"), (1234.5, "1,234.50")]
)
def test_money_shows_cents_or_all_that_counts(cost: float | None, said: str) -> None:
    assert money(cost) == said


counts = st.integers(0, 100_000)


@given(counts, counts, counts, counts, counts, st.integers(4, 80))
def test_a_bar_is_always_as_wide_as_it_should_be_and_hides_nothing(
    succeeded: int, failed: int, running: int, pending: int, cancelled: int, cells: int
) -> None:
    photos = succeeded + failed + running + pending + cancelled
    progress = Progress(
        photos=photos, succeeded=succeeded, failed=failed, running=running, pending=pending, cancelled=cancelled
    )
    drawn = bar(progress, cells).plain
    assert len(drawn) == cells
    there = {"█": succeeded, "▓": failed + cancelled, "▒": running, "░": pending}
    assert {glyph for glyph, count in there.items() if count} <= set(drawn)


def test_of_many_states_only_the_noteworthy_get_a_line() -> None:
    milestones = Milestones()

    def told(succeeded: int, now: float, **changes: Any) -> bool:
        progress = Progress(photos=100, succeeded=succeeded)
        state = msgspec.structs.replace(RUNNING, progress=progress, **changes)
        return milestones.is_worth_telling(state, now=now)

    assert told(0, 0)
    assert not told(9, 1)
    assert told(10, 2)
    assert told(10, 2.5, state="paused", reason="the budget is spent")
    assert told(10, 2.6)
    assert not told(11, 12)
    assert told(11, 12.7)
    assert not told(11, 60)
    assert told(100, 61, state="completed")


def test_the_live_table_shows_the_newest_state_and_leaves_nothing_behind() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=20, color_system=None)
    with LiveView(console) as view:
        view.show(RUNNING)
        view.say("The connection broke.")
    assert "2/20" in out.getvalue()
    assert "3.2/s, 1 min 15 s left" in out.getvalue()
    assert "The connection broke." in out.getvalue()


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (WHOLE, "Batch #12 “november” is completed. Compare: smartsip batch report 12"),
        (
            msgspec.structs.replace(WHOLE, progress=BOTH),
            "Batch #12 “november” is completed, but not all of it succeeded: smartsip batch retry 12",
        ),
        (
            msgspec.structs.replace(WHOLE, state="cancelled", progress=BOTH),
            "Batch #12 “november” is cancelled: 12 of 40 are done.",
        ),
    ],
)
def test_a_watcher_is_told_what_to_do_next(batch: BatchState, said: str) -> None:
    assert advice(batch) == said


def test_what_is_no_batch_is_said_in_a_sentence() -> None:
    with pytest.raises(CannotStart, match=r"in a way this version does not understand"):
        batch_state({"id": ID})


ABLE, UNABLE = Truth(can_receive_water=True), Truth(can_receive_water=False)


def comparison() -> Comparison:
    both = Comparison([variant(1, "gpt"), variant(2, "llava")])
    for position in range(8):
        both.add(compared(position, ABLE, pours(200), refuses()))
    both.add(compared(8, UNABLE, refuses(), pours(200)))
    both.add(compared(9, ABLE, OPEN, FAILED))
    return both


HEAD = {"number": 12, "name": "november", "state": "running"}


def test_a_comparison_is_a_row_per_variant_and_sentences() -> None:
    findings = comparison().findings()
    document = {"batch": HEAD, "against": {"number": 7}}
    assert heading(document, findings) == (
        "Batch #12 “november”, running, against batch #7: 10 photos, 10 of them labelled as able to receive water or"
        " not."
    )
    assert shown(findings_table(findings)) == [
        "Variant        Right (95 %)  Harm asked → poured  Unusable  Failed  p50  p95  Cost  A photo",
        "gpt      100 % (70–100) 9/9                0 → 0         0       0    –    –     –        –",
        "llava        0 % (0–30) 0/9                1 → 1         0       1    –    –     –        –",
    ]
    assert list(sentences(document, findings)) == [
        "1 answer is still to come.",
        "llava failed: 1 provider_timeout.",
        "gpt and llava decide alike on 0 of 9 photos; only gpt is right on 9, only llava on 0: gpt is better"
        " (p = 0.0039).",
        "They differ most on 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg.",
        "The whole report: smartsip batch report 12 --html report.html",
    ]


@pytest.mark.parametrize(
    ("names", "wrong", "said"),
    [
        (["gpt"], 1, "gpt is wrong on 1 photo: 0.jpg."),
        (["gpt"], 4, "gpt is wrong on 4 photos, such as 0.jpg, 1.jpg, 2.jpg."),
        (["gpt", "ll\x1bava"], 3, "No answer is right on 3 photos: 0.jpg, 1.jpg, 2.jpg."),
        (["gpt", "llava"], 31, "No answer is right on 31 photos, such as 0.jpg, 1.jpg, 2.jpg."),
    ],
)
def test_photos_that_every_answer_gets_wrong_are_counted_and_some_named(
    names: list[str], wrong: int, said: str
) -> None:
    agreeing = Comparison([variant(number, name) for number, name in enumerate(names, start=1)])
    for position in range(wrong):
        agreeing.add(compared(position, UNABLE, *[pours(200)] * len(names)))
    agreeing.add(compared(wrong, ABLE, *[pours(200)] * len(names)))
    assert list(sentences({"batch": HEAD}, agreeing.findings()))[-2] == said


@pytest.mark.parametrize(
    ("differing", "said"), [(1, "No answer is right on 1 photo: 1.jpg."), (30, "No answer is right on 1 photo.")]
)
def test_a_photo_that_one_answer_gets_right_is_not_named_among_them(differing: int, said: str) -> None:
    mixed = Comparison([variant(1, "gpt"), variant(2, "llava")])
    for position in range(differing):
        mixed.add(compared(position, UNABLE, pours(200), refuses()))
    mixed.add(compared(differing, UNABLE, pours(200), FAILED))
    assert list(sentences({"batch": HEAD}, mixed.findings()))[-2] == said


PROMOTION: dict[str, Any] = {
    "id": ID,
    "profile": "kitchen",
    "passed": True,
    "results": [
        {"name": "min_accuracy", "wanted": 0.9, "measured": 0.95, "passed": True, "reason": ""},
        {"name": "max_cost_per_photo", "wanted": 0.01, "measured": None, "passed": False, "reason": "it has no price"},
    ],
    "before": {"model": None, "prompt": None},
    "after": {"model": "openai/gpt-4o", "prompt": "smartsip@2"},
    "devices": {"following": 1, "overriding": 2},
    "reverted_at": None,
}


def test_a_promotion_shows_each_bar_and_what_came_of_it() -> None:
    assert shown(results_table(PROMOTION)) == [
        "Bar                 Wanted  Measured",
        "min accuracy         ≥ 0.9      0.95  passed",
        "max cost per photo  ≤ 0.01         –  not passed: it has no price",
    ]
    assert verdict(PROMOTION) == (
        "Promoted: profile kitchen asks openai/gpt-4o with smartsip@2, not the default model with the default prompt"
        " any more. 1 device follows it; 2 with a model or prompt of their own do not."
        f" Take it back: smartsip batch revert {ID}"
    )
    assert verdict(PROMOTION | {"passed": False}) == (
        f"Not promoted: profile kitchen stays as it is. Recorded as {ID}."
    )
    assert verdict(PROMOTION | {"reverted_at": "2026-11-21T11:00:00Z"}) == (
        "Reverted: profile kitchen asks the default model with the default prompt as before."
    )
