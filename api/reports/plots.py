"""The geometry of the page's plots: where things are, in units of a drawing that is 360 wide. The page draws them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from api.reports import words
from shared.domain.comparison import Share, VariantFindings

WIDTH: Final = 360
LEFT: Final = 6
RIGHT: Final = 354
ROW: Final = 40
LONGEST_NAME: Final = 22
"""Characters: beside it stands what was measured."""
AXIS: Final = 26
"""Below the last row, for the numbers of the scale."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A number of the scale."""

    x: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One variant's row: a bar from `low` to `high`, a dot at `at`; without a value, none of them."""

    y: float
    name: str
    text: str
    low: float | None = None
    high: float | None = None
    at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing of one measure, a row per variant. `summary` says in words what it shows."""

    title: str
    note: str
    summary: str
    height: int
    ticks: Sequence[Tick]
    marks: Sequence[Mark]


@dataclass(frozen=True, kw_only=True)
class _Value:
    name: str
    text: str
    low: float | None = None
    high: float | None = None
    at: float | None = None


def plots_of(variants: Sequence[VariantFindings]) -> list[Plot]:
    """Return the plots for which there is anything to draw."""
    every = (
        _plot(
            "Right answers",
            "Dot: share of labelled photos; bar: 95 % interval.",
            [_share(variant.name, variant.accuracy) for variant in variants],
            _percents(),
        ),
        _plot(
            "Time to an answer",
            "From the median (left end) to the 95th percentile (dot).",
            [_latency(variant) for variant in variants],
            _scale([variant.latency_ms.p95 for variant in variants], words.duration),
        ),
        _plot(
            "Cost per photo",
            "In the currency of the prices.",
            [_cost(variant) for variant in variants],
            _scale([variant.cost_per_photo for variant in variants], words.money),
        ),
    )
    return [plot for plot in every if any(mark.at is not None for mark in plot.marks)]


@dataclass(frozen=True)
class _Scale:
    """From 0 to `end`, with numbers written at some places."""

    end: float
    numbers: Sequence[tuple[float, str]]

    def x(self, value: float | None) -> float | None:
        return None if value is None else round(LEFT + (RIGHT - LEFT) * min(value / self.end, 1), 1)


def _plot(title: str, note: str, values: Sequence[_Value], scale: _Scale) -> Plot:
    marks = [
        Mark(
            y=ROW * number,
            name=words.shortened(value.name, LONGEST_NAME),
            text=value.text,
            low=scale.x(value.low),
            high=scale.x(value.high),
            at=scale.x(value.at),
        )
        for number, value in enumerate(values)
    ]
    return Plot(
        title=title,
        note=note,
        summary="; ".join(f"{value.name}: {value.text}" for value in values),
        height=ROW * len(values) + AXIS,
        ticks=[Tick(x=LEFT + (RIGHT - LEFT) * number / scale.end, text=text) for number, text in scale.numbers],
        marks=marks,
    )


def _share(name: str, share: Share) -> _Value:
    text = words.percent(share.share) if share.share is not None else "not labelled"
    return _Value(name=name, text=text, low=share.low, high=share.high, at=share.share)


def _latency(variant: VariantFindings) -> _Value:
    p50, p95 = variant.latency_ms.p50, variant.latency_ms.p95
    if p50 is None or p95 is None:
        return _Value(name=variant.name, text="not measured")
    text = f"{words.duration(p50)} – {words.duration(p95)}"
    return _Value(name=variant.name, text=text, low=p50, high=p95, at=p95)


def _cost(variant: VariantFindings) -> _Value:
    cost = variant.cost_per_photo
    if cost is None:
        return _Value(name=variant.name, text="no price known")
    return _Value(name=variant.name, text=words.money(cost), low=0, high=cost, at=cost)


def _percents() -> _Scale:
    return _Scale(1, [(share / 4, f"{share * 25}{words.UNIT}%") for share in range(5)])


def _scale(values: Iterable[float | None], written: words.Written) -> _Scale:
    """Return a scale up to a round number that no value exceeds."""
    highest = max((value for value in values if value is not None), default=0) or 1
    unit = 10 ** math.floor(math.log10(highest))
    end = next(unit * factor for factor in (1, 2, 4, 6, 8, 10, 12) if unit * factor >= highest)
    return _Scale(end, [(end * part / 4, written(end * part / 4)) for part in range(5)])
