"""How `smartsip device simulate` shows what the devices do: a live table, lines for a pipe, or JSON for a script."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable
from compose.simulation import Tally, Touch

REFRESHES_PER_S: Final = 4
_FRAME_LINES: Final = 4
"""Lines of the terminal that are no rows of devices: the heading, the summary (two, where narrow), the cursor."""


class View(Protocol):
    """Shows touches as they end, and the summary."""

    def touch(self, touch: Touch) -> None:
        """Show one touch."""
        ...

    def close(self, tally: Tally) -> None:
        """Show the summary; nothing comes after it."""
        ...


def new_view(devices: Sequence[str], *, is_json: bool) -> View:
    """Return the view for where standard output goes."""
    if is_json:
        return JsonView()
    console = Console(highlight=False)
    return TableView(console, devices) if console.is_terminal else LinesView()


class JsonView:
    """One line of JSON per touch, and one with the summary."""

    def touch(self, touch: Touch) -> None:
        """Write the touch's line."""
        _write(json.dumps(as_json(touch), ensure_ascii=False))

    def close(self, tally: Tally) -> None:
        """Write the summary's line."""
        times = {name: _rounded(tally.answer_s(percent)) for name, percent in (("p50", 50), ("p95", 95), ("max", 100))}
        counts = {ending.replace(" ", "_"): count for ending, count in tally.endings.items()}
        summary = {"touches": tally.touches, **counts, "problems": tally.problems, "answer_s": times}
        _write(json.dumps({"summary": summary}))


class LinesView:
    """One line per touch."""

    def touch(self, touch: Touch) -> None:
        """Write the touch's line."""
        said = [touch.device, f"#{touch.number}", touch.photo.source, _result(touch)]
        if touch.seconds is not None:
            said.append(f"{touch.seconds:.2f} s")
        if touch.spaces:
            said.append(f"{touch.spaces} spaces")
        if touch.problem:
            said.append(touch.problem)
        _write(printable("  ".join(said)))

    def close(self, tally: Tally) -> None:
        """Write the summary."""
        _write(sentence(tally))


class TableView:
    """A row per device, kept up to date; where there are more than fit, those touched last."""

    def __init__(self, console: Console, devices: Sequence[str]) -> None:
        self._console = console
        self._tally = Tally()
        self._touched: dict[str, Touch] = {}  # in the order of their last touch
        self._troubled: dict[str, str] = {}
        self._devices = devices
        self._is_over = False
        self._live = Live(
            console=console, get_renderable=self._table, refresh_per_second=REFRESHES_PER_S, transient=False
        )
        self._live.start()

    def touch(self, touch: Touch) -> None:
        """Note the touch; it is shown with the next refresh."""
        self._tally.count(touch)
        self._touched.pop(touch.device, None)
        self._touched[touch.device] = touch
        if touch.problem:
            self._troubled[touch.device] = touch.problem

    def close(self, tally: Tally) -> None:
        """Leave the last table standing, and print the summary below it."""
        self._is_over = True
        self._live.stop()
        self._console.print(Text(sentence(tally)))

    def _table(self) -> Table:
        room = max(1, self._console.height - _FRAME_LINES)
        shown = [name for name in self._devices if name in set(list(self._touched)[-room:])]
        shown += [name for name in self._devices if name not in self._touched][: room - len(shown)]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("Device", "Touches", "Photo", "ml", "°C", "Frames", "s", "Spaces", "Problem"):
            right = heading in ("Touches", "ml", "°C", "s", "Spaces")
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for name in shown:
            table.add_row(*self._row(name))
        left_out = len(self._devices) - len(shown)
        so_far = "" if self._is_over else sentence(self._tally)
        table.caption = f"{so_far} {left_out} more devices." if left_out else so_far
        table.caption_justify = "left"
        return table

    def _row(self, name: str) -> list[Text]:
        touch = self._touched.get(name)
        if touch is None:
            return [Text(name), Text("0")]
        command = touch.command
        cells = [name, str(touch.number), touch.photo.source, str(command.volume) if command else "–"]
        cells += [_heat(touch), ", ".join(touch.frames) or "none", f"{touch.seconds or 0:.2f}", str(touch.spaces)]
        style = "green" if touch.ending == "poured" else ""
        problem = Text(printable(self._troubled.get(name, "")), style="red" if touch.problem else "yellow")
        return [*(Text(printable(cell), style=style) for cell in cells), problem]


def as_json(touch: Touch) -> dict[str, Any]:
    """Return a touch as JSON data."""
    command = touch.command
    return {
        "device": touch.device,
        "touch": touch.number,
        "photo": touch.photo.source,
        "ending": touch.ending.replace(" ", "_"),
        "volume": command.volume if command else None,
        "degree": command.degree if command else None,
        "type": command.type if command else None,
        "executed_c": touch.executed_c,
        "frames": list(touch.frames),
        "answer_s": _rounded(touch.seconds),
        "spaces": touch.spaces,
        "problem": touch.problem or None,
    }


def sentence(tally: Tally) -> str:
    """Sum up what came of all touches."""
    counts = ", ".join(
        [
            _counted(tally.touches, "touch", "touches"),
            _counted(tally.endings["poured"], "command", "commands"),
            f"{tally.endings['nothing']} poured nothing",
            f"{tally.endings['gave up']} gave up",
            f"{tally.endings['refused']} refused",
        ]
    )
    longest = tally.answer_s(100)
    if longest is None:
        return f"{counts}."
    median, late = tally.answer_s(50), tally.answer_s(95)
    return f"{counts}; answers in {median:.2f} s (p50), {late:.2f} s (p95), {longest:.2f} s (longest)."


def _result(touch: Touch) -> str:
    if touch.ending == "poured" and touch.command is not None:
        return f"{touch.command.volume} ml, {_heat(touch)}, {', '.join(touch.frames)}"
    return {"nothing": "pours nothing", "gave up": "gave up", "refused": "refused", "poured": ""}[touch.ending]


def _heat(touch: Touch) -> str:
    if touch.ending != "poured":
        return "–"
    return "unheated" if touch.executed_c is None else f"{touch.executed_c} °C"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
