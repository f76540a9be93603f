"""How `smartsip analyze` shows what it learns: to a person at a terminal, to a pipe, or to a script."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from compose.analysis import OnText, Outcome
from shared.domain.dispense import PROFILES, Dispense

_UNHEATED: Final = "not heated"


def printable(text: str) -> str:
    """Return what a model or a server said without anything that steers a terminal or hides."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


class JsonView:
    """One line of JSON per photo on standard output, in the order they are done; sentences on standard error."""

    def text(self, outcome: Outcome) -> OnText:
        """Show nothing of the stream."""
        return lambda _: None

    def done(self, outcome: Outcome) -> None:
        """Write the photo's line."""
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        sys.stdout.flush()
        if outcome.error:
            sys.stderr.write(f"{printable(outcome.photo)}: {printable(outcome.error)}\n")

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Nothing is left to say."""


class SingleView:
    """One photo: the model's words as they come, dimmed, then what they amount to."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_mid_line = False

    def text(self, outcome: Outcome) -> OnText:
        """Show the stream as it comes."""
        return self._show

    def done(self, outcome: Outcome) -> None:
        """Show the result, or why there is none."""
        self._end_line()
        if outcome.error or outcome.dispense is None:
            Console(stderr=True, soft_wrap=True).print(_error_line(outcome), highlight=False)
            return
        self._console.print(details(outcome, outcome.dispense))

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Leave the cursor on a line of its own."""
        self._end_line()

    def _show(self, fragment: str) -> None:
        if not fragment:
            self._end_line()
            return
        self._console.print(Text(printable(fragment), style="dim"), end="", soft_wrap=True)
        self._is_mid_line = not fragment.endswith("\n")

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._console.print()
        self._is_mid_line = False


class ManyView:
    """Several photos: a progress bar on standard error (a line per photo if that is no terminal), then a table."""

    def __init__(self, console: Console, errors: Console, total: int) -> None:
        self._console, self._errors, self._total = console, errors, total
        self._done = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if errors.is_terminal:
            columns = (TextColumn("Analysing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=errors, transient=True)
            self._task = self._bar.add_task("photos", total=total)
            self._bar.start()

    def text(self, outcome: Outcome) -> OnText:
        """Show nothing of the streams: several at once would be a jumble."""
        return lambda _: None

    def done(self, outcome: Outcome) -> None:
        """Count the photo."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        if outcome.error:
            self._errors.print(_error_line(outcome), highlight=False, soft_wrap=True)
        elif self._bar is None and (dispense := outcome.dispense) is not None:
            line = f"{self._done}/{self._total} {printable(outcome.photo)}: {_command(dispense)}"
            self._errors.print(Text(line), highlight=False, soft_wrap=True)

    def close(self, outcomes: Sequence[Outcome]) -> None:
        """Show the table of what is done."""
        if self._bar is not None:
            self._bar.stop()
        if done := [outcome for outcome in outcomes if outcome.seconds is not None]:
            self._console.print(summary(done))


def details(outcome: Outcome, dispense: Dispense) -> Table:
    """Lay one result out for a person."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    if dispense.is_safe_default:
        command = Text("nothing: the model's answer was not usable", style="yellow")
    else:
        command = Text(_command(dispense), style="green" if dispense.volume else "")
    grid.add_row("Container", Text(printable(dispense.type)))
    grid.add_row("Pour", command)
    for place, change in enumerate(dispense.interventions):
        said = printable(f"{change.field} {_was(change.was)} → {change.now}: {change.reason}")
        grid.add_row("" if place else "Changed", Text(said, style="yellow"))
    grid.add_row("Serial", Text(", ".join(dispense.frames) or "no frame is sent"))
    grid.add_row("Model", Text(printable(f"{outcome.model}, {outcome.seconds:.1f} s, job {outcome.job}")))
    return grid


def summary(outcomes: Sequence[Outcome]) -> Table:
    """Lay several results out, one row each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Photo", overflow="fold")
    table.add_column("Container", overflow="fold")
    table.add_column("ml", justify="right")
    table.add_column("°C", justify="right")
    table.add_column("Changed", overflow="fold")
    table.add_column("Model", overflow="fold")
    table.add_column("s", justify="right")
    for outcome, name in zip(outcomes, _short_names([outcome.photo for outcome in outcomes]), strict=True):
        seconds = f"{outcome.seconds or 0:.1f}"
        dispense = outcome.dispense
        if outcome.error or dispense is None:
            shown = Text(printable(outcome.error or "no result"), style="red")
            table.add_row(Text(printable(name)), "–", "–", "–", shown, outcome.model or "–", seconds)
            continue
        changes = "; ".join(f"{change.field} {_was(change.was)} → {change.now}" for change in dispense.interventions)
        table.add_row(
            Text(printable(name)),
            Text(printable(dispense.type)),
            str(dispense.volume),
            str(dispense.degree),
            Text(printable(changes), style="yellow"),
            Text(printable(outcome.model or "–")),
            seconds,
        )
    return table


def _short_names(photos: Sequence[str]) -> list[str]:
    """Leave out the directory that all photos are in."""
    directories = {str(Path(photo).parent) for photo in photos}
    return [Path(photo).name for photo in photos] if len(directories) == 1 else list(photos)


def _command(dispense: Dispense) -> str:
    if dispense.volume == 0:
        return "nothing"
    profile = PROFILES.get(dispense.profile)
    heat = f" ({_heat(profile.setpoint_c(dispense.degree))})" if profile else ""
    return f"{dispense.volume} ml at {dispense.degree} °C{heat}"


def _heat(setpoint_c: int | None) -> str:
    return _UNHEATED if setpoint_c is None else f"this device heats to {setpoint_c} °C"


def _was(value: object) -> str:
    return "nothing" if value is None else str(value)


def _error_line(outcome: Outcome) -> Text:
    return Text(printable(f"{outcome.photo}: {outcome.error or 'no result'}"), style="red")
