"""The report as one page: what it concludes, that it needs nothing from elsewhere, and that users' words stay words."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from uuid import UUID

import pytest

from api.reports import words
from api.reports.conclusions import conclusions, ranking
from api.reports.page import Report, pictured, render_page, shown_mistaken
from api.reports.plots import plots_of
from api.services.batches.report_head import Asked, Head
from shared.domain.batches import BatchState
from shared.domain.comparison import Compared, Comparison, Findings, Truth, Variant, Verdict
from shared.domain.dispense import SMARTSIP_V01
from shared.domain.ids import LOCAL_OWNER
from tests.images import photo

BATCH = UUID("0199a8f2-0000-7000-8000-000000000001")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOSTILE = "</style><script>alert('x')</script>\"'><img src=http://evil.example/x onerror=alert(1)>"
RIGHT_TO_LEFT = "\u202eمرحبا"
LONG = "w" * 200
VOID = frozenset({"meta", "img", "br", "line", "circle"})
LINKS = frozenset({"href", "src", "srcset", "action", "data", "poster", "background", "xlink:href", "formaction"})


def poured(volume: int = 200, degree: int = 80, **more: object) -> Verdict:
    answer = Verdict(
        outcome="succeeded",
        receivable=volume > 0,
        container="cup",
        contents="tea",
        volume=volume,
        degree=degree if volume else 0,
        asked_volume=float(volume),
        asked_degree=float(degree if volume else 0),
        latency_ms=1500,
        input_tokens=900,
        output_tokens=80,
        cost=0.004,
    )
    return answer if not more else _with(answer, more)


def _with(answer: Verdict, more: dict[str, object]) -> Verdict:
    return Verdict(**{name: getattr(answer, name) for name in answer.__struct_fields__} | more)  # pyright: ignore[reportArgumentType]


NOTHING = poured(0)
FAILED = Verdict(outcome="failed", error="provider_timeout")
OPEN = Verdict(outcome="open")
YES, NO, UNLABELLED = Truth(can_receive_water=True), Truth(can_receive_water=False), Truth()


def variants(*names: str) -> list[Variant]:
    return [
        Variant(number=number, name=name, model=f"model/{number}", prompt="tea@1", profile=SMARTSIP_V01)
        for number, name in enumerate(names, start=1)
    ]


def image_id(position: int) -> UUID:
    return UUID(int=position + 1)


def found(
    names: Sequence[str],
    *photos: tuple[Truth, Sequence[Verdict]],
    before: Sequence[Verdict] = (),
    photo_name: str = "photo",
) -> Findings:
    """Findings about photos, each a truth with a verdict per variant; `before` is what the last one answered then."""
    comparison = Comparison(variants(*names), earlier=variants(names[-1]) if before else ())
    for position, (truth, verdicts) in enumerate(photos):
        comparison.add(
            Compared(
                position=position,
                image_id=image_id(position),
                name=f"{photo_name} {position}",
                truth=truth,
                verdicts=tuple(verdicts),
            ),
            [before[position]] if before else (),
        )
    return comparison.findings()


def report_of(findings: Findings, *, name: str = "november", **changes: object) -> Report:
    asked = [
        Asked(variant=variant, prompt_text=f"Pour {name}.", parameters={"stop": [name]})
        for variant in variants(*(variant.name for variant in findings.variants))
    ]
    head = Head(
        id=BATCH,
        number=12,
        owner_id=LOCAL_OWNER,
        name=name,
        note=name,
        state=BatchState.COMPLETED,
        photos=findings.photos,
        selection={"filter": {"tag": [name]}},
        created_at=NOON,
        ended_at=NOON,
        asked=asked,
    )
    return replace(Report(head=head, earlier=None, findings=findings, thumbnails={}, made_at=NOON), **changes)  # pyright: ignore[reportArgumentType]


class Page(HTMLParser):
    """A page, taken apart; every tag must be closed where it has to be."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.source = render_page(report).decode()
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split()).replace(" ,", ",")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


GOOD_AND_BAD = found(["good", "bad"], *[(YES, [poured(), NOTHING])] * 9, (NO, [NOTHING, poured()]))
"""Ten labelled photos: `good` is right on all, `bad` on none, and pours onto nothing."""


def plainly(sentences: Sequence[str]) -> list[str]:
    return [sentence.translate({0x2068: None, 0x2069: None, 0xA0: " "}) for sentence in sentences]


def test_a_variant_is_best_only_where_the_difference_is_more_than_chance() -> None:
    assert plainly(conclusions(GOOD_AND_BAD)) == [
        "good is best: right on 10 of 10 labelled photos (100 %; 95 % interval 72 to 100 %)."
        " Its lead over every other variant is more than chance.",
        "Dangerous even behind the envelope: bad on 1 of 10 answered photos.",
    ]


def test_variants_that_may_differ_by_chance_are_said_to_be_alike() -> None:
    findings = found(["a", "b"], *[(YES, [poured(), poured()])] * 4, (YES, [poured(), NOTHING]))
    assert plainly(conclusions(findings)) == [
        "No variant is clearly best. a has most right answers: right on 5 of 5 labelled photos"
        " (100 %; 95 % interval 57 to 100 %).",
        "a and b cannot be told apart on these 5 labelled photos.",
        "No command that would be executed does harm, as far as the labels tell.",
    ]


def test_who_is_worse_than_the_leader_is_named_apart_from_who_is_alike() -> None:
    findings = found(["worse", "lead", "alike"], *[(YES, [NOTHING, poured(), poured()])] * 10)
    ranked = ranking(findings)
    assert ranked is not None
    assert (ranked.leader.name, [variant.name for variant in ranked.worse]) == ("lead", ["worse"])
    assert "Worse than lead by more than chance: worse." in plainly(conclusions(findings))


def test_each_further_variant_makes_the_bar_higher() -> None:
    """Six photos that only one got right have p = 0.03: enough for one comparison, too little for two."""
    one = found(["lead", "other"], *[(YES, [poured(), NOTHING])] * 6)
    two = found(["lead", "other", "another"], *[(YES, [poured(), NOTHING, NOTHING])] * 6)
    assert [ranked.is_clear for findings in (one, two) if (ranked := ranking(findings))] == [True, False]


def test_without_labels_nobody_is_called_right() -> None:
    findings = found(["a", "b"], (UNLABELLED, [poured(), NOTHING]))
    assert ranking(findings) is None
    assert plainly(conclusions(findings)) == [
        "None of these photos is labelled with whether it can receive water, so nothing here says which answers are"
        " right.",
        "No command that would be executed does harm, as far as the labels tell.",
    ]
    assert "best" not in [attributes.get("class") for attributes in Page(report_of(findings)).all("span")]


def test_what_is_open_or_failed_is_said_first_and_last() -> None:
    findings = found(["a"], (YES, [poured()]), (YES, [OPEN]), (NO, [FAILED]))
    sentences = plainly(conclusions(findings))
    assert sentences[0] == "Not finished: 1 answer still to come. Every number here may change."
    assert sentences[-1] == "Without an answer: a for 1 of 2 photos."


def test_a_harm_that_only_the_envelope_prevents_is_told() -> None:
    tamed = poured(500, asked_volume=5000.0, interventions=("volume",))
    assert "Only the envelope keeps these from doing harm: a." in plainly(conclusions(found(["a"], (YES, [tamed]))))


def test_the_page_shows_the_verdict_the_plots_and_the_disputed_photos() -> None:
    page = Page(report_of(GOOD_AND_BAD))
    for said in (
        "Batch 12: november",
        "10 photos, 10 of them labelled",
        "good best model/1 100 % 10 of 10; 72 to 100 % 0 of 10 0 of 10 0 % 0 of 10 0 of 10 1.5 s median 1.5 s 0.004",
        "bad model/2 0 % 0 of 10; 0 to 28 % 1 of 10: 1 onto nothing 1 of 10: 1 onto nothing",
        "yes no neither yes 9 0 0 no 0 1 0",
        "good and bad 0 % 0 of 10; κ -0.22 10 the first, 0 the second",
        "photo 9 can receive water: no good ✓ right can receive: no · pours nothing saw cup, tea"
        " bad ✗ wrong can receive: yes · 200 ml at 80 °C saw cup, tea",
        "Pour november.",
        "Made 2026-11-21 12:00 UTC",
    ):
        assert said in page.text
    assert [drawing["aria-label"] for drawing in page.all("svg")] == [
        "Right answers. good: 100\xa0%; bad: 0\xa0%",
        "Time to an answer. good: 1.5\xa0s – 1.5\xa0s; bad: 1.5\xa0s – 1.5\xa0s",
        "Cost per photo. good: 0.004; bad: 0.004",
    ]


def test_the_page_shows_what_changed_since_an_earlier_batch() -> None:
    findings = found(["a"], (YES, [poured()]), (YES, [NOTHING]), (NO, [NOTHING]), before=[NOTHING, poured(), NOTHING])
    report = report_of(findings)
    page = Page(replace(report, earlier=replace(report.head, number=9, name="october")))
    assert "Against batch 9: october" in page.text
    assert "a 3 2 2 1 1 +0.0 points, −" in page.text
    assert "before ✓ right can receive: yes · 200 ml at 80 °C saw cup, tea now ✗ wrong can receive: no" in page.text


def test_thumbnails_are_within_the_page_and_what_is_gone_says_so() -> None:
    content = photo()
    page = Page(report_of(GOOD_AND_BAD, thumbnails={image_id(0): content}))
    assert [image["src"] for image in page.all("img")] == [
        f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
    ]
    assert page.text.count("no picture here") == 9


def test_every_photo_that_is_shown_has_its_thumbnail_fetched() -> None:
    findings = found(["a", "b"], *[(YES, [poured(), NOTHING])] * 3, before=[NOTHING, NOTHING, poured()])
    assert set(pictured(findings)) == {image_id(0), image_id(1), image_id(2)}
    assert len(pictured(found(list("abcdefghijklmnopqrst"), *[(YES, [poured(), *[NOTHING] * 19])] * 20))) == 12


WRONG, DISPUTED = (NO, [poured(), poured()]), (YES, [poured(), NOTHING])


def test_photos_that_variants_agree_on_and_get_wrong_are_shown_once_after_the_disputed_ones() -> None:
    findings = found(["a", "b"], WRONG, DISPUTED, (YES, [poured(), poured()]))
    page = Page(report_of(findings, thumbnails=dict.fromkeys(pictured(findings), b"JPEG")))
    assert [image["alt"] for image in page.all("img")] == ["Photo photo 1", "Photo photo 0"]
    assert page.text.count("can receive water:") == 2
    assert (
        "photo 1 can receive water: yes a ✓ right can receive: yes · 200 ml at 80 °C saw cup, tea"
        " b ✗ wrong can receive: no · pours nothing saw cup, tea"
        " Photos that are answered wrong On 1 photo no answer is what the label says."
        " Photos that most variants get wrong come first, without those shown above."
        " photo 0 can receive water: no a ✗ wrong can receive: yes · 200 ml at 80 °C saw cup, tea"
        " b ✗ wrong can receive: yes · 200 ml at 80 °C saw cup, tea"
    ) in page.text
    assert "Photos that are answered wrong" not in Page(report_of(found(["a", "b"], DISPUTED))).text


def test_what_a_single_variant_gets_wrong_is_shown() -> None:
    said = "Photos that are answered wrong On {} the answer is not what the label says{}. photo 0 can receive water: no"
    for count, words_of_it in ((1, ("1 photo", "")), (31, ("31 photos", "; here are the first 30"))):
        findings = found(["a"], *[(NO, [poured()])] * count, (YES, [poured()]))
        page = Page(report_of(findings, thumbnails=dict.fromkeys(pictured(findings), b"JPEG")))
        assert said.format(*words_of_it) in page.text
        assert len(page.all("img")) == min(count, 30)


def test_mistaken_photos_leave_the_others_their_thumbnails() -> None:
    """Thirty disputed and ten changed photos leave room for ten; without the changed ones, for twenty."""
    photos, then = [DISPUTED] * 30 + [WRONG] * 30, [NOTHING] * 30 + [poured()] * 30
    assert len(pictured(found(["a", "b"], *photos))) == 50
    changed = [(UNLABELLED, [poured(), poured()])] * 10
    findings = found(["a", "b"], *photos, *changed, before=[*then, *[NOTHING] * 10])
    assert (len(shown_mistaken(findings)), len(pictured(findings))) == (10, 50)


@pytest.mark.parametrize("name", [HOSTILE, RIGHT_TO_LEFT, LONG, "\ud800 half a character", "{{ 7 * 7 }}"])
def test_the_page_runs_nothing_and_asks_nobody_whatever_users_call_things(name: str) -> None:
    said = poured(container=name, contents=name, interventions=(name,))
    findings = found(
        [name, f"{name} 2"],
        (YES, [said, NOTHING]),
        (YES, [_with(FAILED, {"error": name}), said]),
        before=[NOTHING, NOTHING],
        photo_name=name,
    )
    report = report_of(findings, name=name, thumbnails={image_id(0): photo()})
    page = Page(replace(report, earlier=report.head))
    expected = Page(replace(report_of(found(["a", "b"], (YES, [poured(), NOTHING])))))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in expected.tags} | {"img"}
    for _, attributes in page.tags:
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        for attribute in LINKS & attributes.keys():
            assert (attributes[attribute] or "").startswith("data:image/jpeg;base64,")
    for outside in ("url(", "@import", "<script", "<link", "<iframe"):
        assert outside not in page.source.lower()
    assert name.encode("utf-8", "replace").decode() in "".join(page.text)


def test_the_page_says_itself_that_nothing_is_loaded() -> None:
    (policy,) = [meta for meta in Page(report_of(GOOD_AND_BAD)).all("meta") if "http-equiv" in meta]
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_a_plot_is_left_out_where_nothing_was_measured() -> None:
    assert [plot.title for plot in plots_of(found(["a"], (UNLABELLED, [FAILED])).variants)] == []
    free = poured(cost=None)
    assert [plot.title for plot in plots_of(found(["a"], (YES, [free])).variants)] == [
        "Right answers",
        "Time to an answer",
    ]


@pytest.mark.parametrize("cost", [1e-9, 0.0011, 0.004, 0.99, 1.0, 7.3, 1000.0, 123456.0])
def test_no_mark_lies_outside_its_scale(cost: float) -> None:
    (plot,) = [
        plot for plot in plots_of(found(["a"], (YES, [poured(cost=cost)])).variants) if plot.title == "Cost per photo"
    ]
    (mark,) = plot.marks
    assert mark.low == plot.ticks[0].x < (mark.high or 0) <= plot.ticks[-1].x
    assert (mark.high or 0) > plot.ticks[-1].x / 3


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.5, "50 %"),
        (2 / 3, "66.7 %"),
        (0.9996, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_what_is_not_quite_all_is_not_called_all(share: float | None, text: str) -> None:
    assert words.percent(share).replace(words.UNIT, " ") == text


@pytest.mark.parametrize(
    ("cost", "text"),
    [(None, "–"), (0, "0"), (1e-7, "0.0000001"), (0.0042, "0.0042"), (0.12345, "0.123"), (12, "12"), (1234.5, "1,234")],
)
def test_costs_are_written_without_exponents(cost: float | None, text: str) -> None:
    assert words.money(cost) == text


def test_of_many_names_some_are_listed_and_the_others_counted() -> None:
    assert plainly([words.listed(list("abcdefgh")), words.listed(list("abcdefghijk")), words.listed(["x" * 60])]) == [
        "a, b, c, d, e, f, g and h",
        "a, b, c, d, e, f, g and 4 more",
        "x" * 39 + "…",
    ]
