"""How commands about the photo library show what they do: a line that moves, or plain lines where it is no terminal."""

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable

LINE_EVERY: Final = 100
"""Photos between two lines where nobody watches."""
_DRAWN: Final = 50
"""Rows of one table: its columns are as wide as the widest cell, so that all rows must be known."""


class View:
    """Progress on standard error; `total` is None where it is not known."""

    def __init__(self, doing: str, total: int | None, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._total = total
        self._steps = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if self._console.is_terminal:
            columns = (
                TextColumn(doing),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[said]}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("photos", total=total, said="")
            self._bar.start()

    def step(self, said: str) -> None:
        """Count a photo; `said` is what became of all of them."""
        self._steps += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, said=said)
        elif self._steps % LINE_EVERY == 0:
            total = "" if self._total is None else f" of {self._total:,}"
            self.say(f"{self._steps:,}{total} photos: {said}")

    def refuse(self, photo: str, reason: str) -> None:
        """Say why a photo is left out."""
        self._console.print(Text(printable(f"{photo}: {reason}"), style="red"))

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(Text(printable(sentence)))

    def close(self) -> None:
        """Take the moving line away."""
        if self._bar is not None:
            self._bar.stop()


def print_photos(photos: Iterable[dict[str, Any]]) -> int:  # JSON
    """Print photos and return how many: tables for a person, a line each for a pipe."""
    console, count = Console(highlight=False), 0
    rows = iter(photos)
    while first := next(rows, None):
        page = list(chain([first], islice(rows, _DRAWN - 1)))
        count += len(page)
        if console.is_terminal:
            console.print(_table(page))
        else:
            for photo in page:
                console.print(Text("  ".join(_cells(photo))), soft_wrap=True)
    return count


def _table(photos: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("Id", "Stored", "State", "File"):
        table.add_column(name, no_wrap=True)
    table.add_column("Tags and labels", overflow="fold")
    for photo in photos:
        table.add_row(*map(Text, _cells(photo)))
    return table


def _cells(photo: dict[str, Any]) -> list[str]:
    labels = [f"{name}={_spelled(value)}" for name, value in sorted(photo["labels"].items()) if name != "file"]
    said = ", ".join([*photo["tags"], *labels]) or "–"
    stored = photo["created_at"][:16].replace("T", " ")
    cells = [photo["id"], stored, photo["state"], str(photo["labels"].get("file", "–")), said]
    return [printable(cell).replace("\n", " ") for cell in cells]


def _spelled(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
