"""Watching a batch: a live table for a person at a terminal, plain lines for a pipe, a summary in the end."""

import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from compose.analysis_view import printable
from compose.batch_follow import follow
from compose.batch_options import INTERRUPTED
from compose.batch_states import BatchState
from compose.batch_view import line, percent, print_out, status, title, variants_table
from compose.server import Server

BROKEN: Final = "The connection to the server broke; the watching goes on as soon as it is back."
_REFRESHES_PER_S: Final = 4
_EVERY_S: Final = 10.0
_STEP_PERCENT: Final = 10


class Milestones:
    """Tells which states are worth a line: each tenth done, whatever changed after ten seconds, another state."""

    def __init__(self) -> None:
        self._last: BatchState | None = None
        self._told_at = 0.0

    def is_worth_telling(self, batch: BatchState, *, now: float) -> bool:
        """Say whether this state deserves a line at this moment (seconds of a steady clock), and count it as told."""
        last = self._last
        if last is not None and not (_is_news(last, batch) or (now - self._told_at >= _EVERY_S and batch != last)):
            return False
        self._last, self._told_at = batch, now
        return True


class LiveView:
    """A table on the terminal that is kept up to date, on standard error."""

    def __init__(self, errors: Console) -> None:
        self._batch: BatchState | None = None
        self._live = Live(
            console=errors, get_renderable=self._shown, refresh_per_second=_REFRESHES_PER_S, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def show(self, batch: BatchState) -> None:
        """Have this state shown with the next refresh."""
        self._batch = batch

    def say(self, sentence: str) -> None:
        """Print a sentence above the table."""
        self._live.console.print(Text(printable(sentence), style="yellow"), soft_wrap=True)

    def _shown(self) -> Group | Text:
        if self._batch is None:
            return Text("")
        style = "yellow" if self._batch.state == "paused" else ""
        return Group(variants_table(self._batch, has_bars=True), Text(status(self._batch), style=style))


class LinesView:
    """A line on standard output whenever something noteworthy changed; sentences go to standard error."""

    def __init__(self) -> None:
        self._milestones = Milestones()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, batch: BatchState) -> None:
        """Write the state's line if it is worth one."""
        if self._milestones.is_worth_telling(batch, now=time.monotonic()):
            sys.stdout.write(line(batch) + "\n")
            sys.stdout.flush()

    def say(self, sentence: str) -> None:
        """Write a sentence."""
        sys.stderr.write(printable(sentence) + "\n")
        sys.stderr.flush()


def watch_batch(server: Server, batch_id: str, number: int) -> int:
    """Show a batch until it has ended, and return the exit code: 0 if everything succeeded, 1 if not, 130 for Ctrl-C.

    Raises:
        CannotStart: if the server refuses, or is gone for good.
    """
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    batch: BatchState | None = None
    try:
        with LiveView(errors) if console.is_terminal and errors.is_terminal else LinesView() as view:
            for batch in follow(server, batch_id, on_break=lambda: view.say(BROKEN)):
                view.show(batch)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nStopped watching. Batch #{number} goes on: smartsip batch watch {number}\n")
        return INTERRUPTED
    if batch is None:  # unreachable: a stream without a state is a broken one
        return 1
    print_out(variants_table(batch, has_bars=False), advice(batch))
    return 0 if batch.is_whole else 1


def advice(batch: BatchState) -> str:
    """Say how a watched batch ended, and what can be done next."""
    if batch.is_whole:
        return f"{title(batch)} is completed. Compare: smartsip batch report {batch.number}"
    if batch.state == "completed":
        return f"{title(batch)} is completed, but not all of it succeeded: smartsip batch retry {batch.number}"
    return f"{title(batch)} is {batch.state}: {batch.progress.done:,} of {batch.progress.photos:,} are done."


def _is_news(last: BatchState, batch: BatchState) -> bool:
    has_moved = percent(last.progress) // _STEP_PERCENT != percent(batch.progress) // _STEP_PERCENT
    is_other = (last.state, last.reason, len(last.variants)) != (batch.state, batch.reason, len(batch.variants))
    return has_moved or is_other
