"""What a person reads: a table for each case, 92 columns wide, and which of the goals were reached."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from benchmarks.cases import Case, Comparison, Goal
from benchmarks.figures import Spread, spread
from benchmarks.machine import Machine
from benchmarks.plan import Target
from benchmarks.rounds import Run
from benchmarks.system import Size

WIDTH: Final = 92


class Line(msgspec.Struct, frozen=True):
    """One figure of one case over all rounds; `compared` sets the two runs of each round side by side."""

    label: str
    comparison: Comparison
    direct: Spread | None
    system: Spread | None
    compared: Spread | None


class Verdict(msgspec.Struct, frozen=True):
    """Whether a goal was reached."""

    case: str
    goal: str
    value: float
    is_met: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything: what was run, on what, every run with its samples, and what came of it."""

    machine: Machine
    size: Size
    rounds: int
    scale: float
    cases: Sequence[Case]
    lines: dict[str, list[Line]]
    verdicts: list[Verdict]
    runs: Sequence[Run]


def new_report(cases: Sequence[Case], runs: Sequence[Run], *, machine: Machine, size: Size, scale: float) -> Report:
    """Return the report on finished runs."""
    verdicts = [verdict for case in cases for goal in case.goals if (verdict := _verdict(case, goal, runs)) is not None]
    return Report(
        machine=machine,
        size=size,
        rounds=max((run.round for run in runs), default=0),
        scale=scale,
        cases=cases,
        lines={case.name: _lines(case, runs) for case in cases},
        verdicts=verdicts,
        runs=runs,
    )


def render(report: Report) -> Iterator[str]:
    """Yield the report's lines of text."""
    yield from _header(report)
    for case in report.cases:
        yield from _case(case, report)
    if report.verdicts and report.scale >= 1:
        yield ""
        yield "Goals (medians, but for what holds for every answer; on two cores)"
        for verdict in report.verdicts:
            reached = "met" if verdict.is_met else "NOT MET"
            yield f"  {verdict.case:<17}{verdict.goal:<48}{_number(verdict.value):>14}  {reached}"


def _header(report: Report) -> Iterator[str]:
    machine, size = report.machine, report.size
    memory = f", {machine.memory_gb:g} GB" if machine.memory_gb is not None else ""
    yield f"{machine.processor}, {machine.cores} cores{memory}, {machine.system}"
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    yield from _wrapped(
        f"Python {machine.python}, {packages}" + (f", commit {machine.commit}" if machine.commit else "")
    )
    yield f"{size.api} api, {size.workers} worker + 1 for devices, {size.slots} slots each; rounds: {report.rounds}"
    yield "Provider, load generator and system share the machine."
    if machine.load_before > 0.5:
        yield f"The machine was busy before the run (load {machine.load_before:.1f}): the figures are not only ours."
    if report.scale < 1:
        yield f"Scaled to {report.scale:g}: a trial run, its figures mean nothing."


def _case(case: Case, report: Report) -> Iterator[str]:
    yield ""
    yield from _wrapped(f"{case.name}: {case.shows}")
    yield f"  {'':<26}{'provider':>12}{'system':>12}{'difference':>16}{'in the rounds':>24}"
    for line in report.lines[case.name]:
        yield (
            f"  {line.label:<26}{_median(line.direct):>12}{_median(line.system):>12}"
            f"{_compared(line):>16}{_range(line):>24}"
        )
    runs = [run for run in report.runs if run.case == case.name]
    yield f"  {'whole':<26}{_whole(runs, 'direct'):>12}{_whole(runs, 'system'):>12}"
    if cpu := _cpu(runs):
        yield from _wrapped(f"processor, s a round: {cpu}", indent="  ")
    yield from _problems(runs)


def _problems(runs: Sequence[Run]) -> Iterator[str]:
    for target in ("direct", "system"):
        problems = Counter[str]()
        for run in runs:
            if run.target == target:
                problems.update(run.measured.problems)
        for problem, times in problems.most_common(5):
            yield from _wrapped(f"! {target}: {times} × {problem}", indent="  ")


def _lines(case: Case, runs: Sequence[Run]) -> list[Line]:
    lines: list[Line] = []
    for row in case.rows:
        values = {target: _values(case, target, row.figure, runs) for target in ("direct", "system")}
        lines.append(
            Line(
                row.label,
                row.comparison,
                _spread(values["direct"]),
                _spread(values["system"]),
                _spread(_compare(values["direct"], values["system"], row.comparison)),
            )
        )
    return lines


def _verdict(case: Case, goal: Goal, runs: Sequence[Run]) -> Verdict | None:
    system = _values(case, "system", goal.figure, runs)
    if goal.comparison != "none":
        system = _compare(_values(case, "direct", goal.figure, runs), system, goal.comparison)
    found = _spread(system)
    if found is None:
        return None
    counted = {"median": found.median, "least": found.least, "most": found.most}[goal.judged_by]
    return Verdict(case.name, goal.sentence, counted, goal.is_met(counted))


def _values(case: Case, target: Target, figure: str, runs: Sequence[Run]) -> dict[int, float]:
    return {
        run.round: run.measured.figures[figure]
        for run in runs
        if run.case == case.name and run.target == target and figure in run.measured.figures
    }


def _compare(direct: dict[int, float], system: dict[int, float], comparison: Comparison) -> dict[int, float]:
    both = direct.keys() & system.keys()
    match comparison:
        case "added":
            return {number: system[number] - direct[number] for number in both}
        case "ratio":
            return {number: system[number] / direct[number] for number in both if direct[number]}
        case "none":
            return {}


def _spread(values: dict[int, float]) -> Spread | None:
    return spread(list(values.values())) if values else None


def _whole(runs: Sequence[Run], target: Target) -> str:
    mine = [run.measured for run in runs if run.target == target]
    return f"{sum(one.whole for one in mine)}/{sum(one.begun for one in mine)}" if mine else ""


def _cpu(runs: Sequence[Run]) -> str:
    mine = [run.measured.cpu_s for run in runs if run.target == "system"]
    roles = sorted({role for one in mine for role in one})
    used = {role: sum(one.get(role, 0.0) for one in mine) / len(mine) for role in roles}
    return ", ".join(f"{role} {seconds:.1f}" for role, seconds in used.items() if seconds >= 0.05)


def _median(found: Spread | None) -> str:
    return _number(found.median) if found is not None else ""


def _compared(line: Line) -> str:
    return _as(line.comparison, line.compared.median) if line.compared is not None else ""


def _range(line: Line) -> str:
    found = line.compared or line.system or line.direct
    comparison = line.comparison if line.compared is not None else "none"
    return f"{_as(comparison, found.least)} … {_as(comparison, found.most)}" if found is not None else ""


def _as(comparison: Comparison, value: float) -> str:
    match comparison:
        case "added":
            return ("+" if value >= 0 else "") + _number(value)
        case "ratio":
            return f"× {value:.3f}"
        case "none":
            return _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _wrapped(text: str, *, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
