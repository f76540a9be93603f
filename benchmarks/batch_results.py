"""What measuring batches shows: figures with goals, and how a person reads them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from benchmarks.machine import Machine

LABEL_WIDTH: Final = 58


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number. `goal` is what is hoped for, in words; whether it `is_met` never fails a run."""

    label: str
    value: float
    unit: str = ""
    goal: str = ""
    is_met: bool = True


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one case shows. `problems` is what went wrong: not slow, but missing or doubled."""

    case: str
    shows: str
    figures: Sequence[Figure]
    problems: Sequence[str] = ()
    samples: Mapping[str, Sequence[float]] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and on what."""

    machine: Machine
    results: Sequence[Result]


def at_least(label: str, value: float, *, least: float, unit: str = "") -> Figure:
    """Return a figure that is hoped to be large."""
    return Figure(label=label, value=value, unit=unit, goal=f"at least {least:g}", is_met=value >= least)


def at_most(label: str, value: float, *, most: float, unit: str = "") -> Figure:
    """Return a figure that is hoped to be small."""
    return Figure(label=label, value=value, unit=unit, goal=f"at most {most:g}", is_met=value <= most)


def cpu_figures(before: Mapping[str, float], after: Mapping[str, float], *, photos: int) -> list[Figure]:
    """Return the processor time of each part, per photo."""
    used_ms = {role: (used - before.get(role, 0.0)) * 1000 / photos for role, used in after.items()}
    return [
        Figure(label=f"processor per photo: {role}", value=value, unit="ms")
        for role, value in sorted(used_ms.items(), key=lambda item: -item[1])
    ]


def lines_of(report: Report) -> Iterator[str]:
    """Yield the report as lines of text."""
    machine = report.machine
    yield f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}"
    if machine.load_before > 0.5:
        yield f"The machine was busy before the run (load {machine.load_before:.1f}): the figures are not only ours."
    for result in report.results:
        yield ""
        yield f"{result.case}: {result.shows}"
        for figure in result.figures:
            goal = f"   {figure.goal}: {'met' if figure.is_met else 'NOT MET'}" if figure.goal else ""
            yield f"  {figure.label:<{LABEL_WIDTH}}{_number(figure.value):>10} {figure.unit:<3}{goal}".rstrip()
        for problem in result.problems:
            yield f"  WRONG: {problem}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
