"""How batches are shown: bars, lines and tables, out of what the server says."""

import io
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable
from compose.batch_states import BatchState, Progress, VariantState
from compose.device_view import ago

BAR_CELLS: Final = 24
WIDE: Final = 250
"""Columns for a reader that is no terminal, so that nothing is cut off."""
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_STATE_STYLES: Final = {"running": "", "paused": "yellow", "completed": "green", "cancelled": "red"}


def title(batch: BatchState) -> str:
    """Name a batch for a person."""
    return printable(f"Batch #{batch.number}" + (f" “{batch.name}”" if batch.name else ""))


def duration(seconds: float) -> str:
    """Say a time in its two largest units."""
    rest, parts = max(0, round(seconds)), list[str]()
    for length, unit in _UNITS:
        count, rest = divmod(rest, length)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 ")) or "0 s"


def money(cost: float | None) -> str:
    """Say what something cost, in the currency of the price list: cents where it is much, all that counts if little."""
    if cost is None:
        return "no price"
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.6f}".rstrip("0").rstrip(".")


def percent(progress: Progress) -> int:
    """Return how much has ended, in whole percent, 100 only when all has."""
    return 100 if not progress.photos else 100 * progress.done // progress.photos


def bar(progress: Progress, cells: int = BAR_CELLS) -> Text:
    """Draw how much succeeded, failed (or was cancelled, or deleted) and runs; what there is has a cell at least."""
    lost = progress.done - progress.succeeded
    counts = (progress.succeeded, lost, progress.running, max(0, progress.photos - progress.done - progress.running))
    styles = ("green", "red", "yellow", "bright_black")
    text = Text()
    for width, style, glyph in zip(_widths(counts, cells), styles, "█▓▒░", strict=True):
        text.append(glyph * width, style=style)
    return text


def line(batch: BatchState) -> str:
    """Say in one plain line how far a batch is, and each of its variants where there are several."""
    progress = batch.progress
    said = [f"{title(batch)} {_state(batch)}: {progress.done:,} of {progress.photos:,} ({percent(progress)} %)"]
    said += _trouble(progress)
    if not batch.has_ended:
        said += [f"{progress.running:,} running", *_speed(progress)]
    said += _used(progress)
    variants = [_variant(variant) for variant in batch.variants] if len(batch.variants) > 1 else []
    return printable("; ".join([", ".join(said), *variants]))


def status(batch: BatchState) -> str:
    """Say what holds for a batch as a whole, below a table of its variants."""
    progress = batch.progress
    said = [f"{progress.done:,} of {progress.photos:,}", *(_speed(progress) if batch.state == "running" else [])]
    said += [f"smartsip batch resume {batch.number} lets it go on"] if batch.state == "paused" else []
    return printable(f"{title(batch)} {_state(batch)}: {', '.join(said)}")


def variants_table(batch: BatchState, *, has_bars: bool) -> Table:
    """Lay a batch's variants out, one row each, and their sum where there are several."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("Variant", overflow="ellipsis", no_wrap=True)
    if has_bars:
        table.add_column("", no_wrap=True, min_width=BAR_CELLS)
    for heading in ("Done", "Failed", "Running", "Tokens", "Cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [(str(variant.number), variant.name, variant.progress) for variant in batch.variants]
    rows += [("", "all", batch.progress)] if len(rows) > 1 else []
    for number, name, progress in rows:
        table.add_row(
            number, Text(printable(name)), *([bar(progress)] if has_bars else []), *map(Text, _cells(progress))
        )
    return table


def list_table(batches: Sequence[BatchState], *, now: datetime) -> Table:
    """Lay batches out, one row each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("#", "Name", "State", "Photos", "Variants", "Done", "Failed", "Cost", "Begun", "Id"):
        is_number = heading in ("#", "Photos", "Variants", "Done", "Failed", "Cost")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for batch in batches:
        progress = batch.progress
        cells = (
            batch.name or "–",
            batch.state,
            f"{batch.photos:,}",
            str(len(batch.variants)),
            f"{percent(progress)} %",
        )
        cells += (f"{progress.failed:,}", _cost(progress), ago(batch.created_at, now=now), batch.id)
        state_style = _STATE_STYLES.get(batch.state, "")
        styles = ("", state_style, "", "", "", "red" if progress.failed else "", "", "", "")
        texts = (Text(printable(cell), style=style) for cell, style in zip(cells, styles, strict=True))
        table.add_row(str(batch.number), *texts)
    return table


def facts_grid(batch: BatchState, *, now: datetime) -> Table:
    """Lay out what is known of one batch, but for its variants."""
    budget = batch.budget or {}
    limits = [f"{money(cost)} in cost"] if (cost := budget.get("cost")) is not None else []
    limits += [f"{tokens:,.0f} tokens"] if (tokens := budget.get("tokens")) is not None else []
    facts = {
        "Batch": f"#{batch.number} {batch.name}".rstrip(),
        "Id": batch.id,
        "State": _state(batch),
        "Photos": f"{batch.photos:,}",
        "Begun": ago(batch.created_at, now=now),
        "Ended": ago(batch.ended_at, now=now) if batch.ended_at else "",
        "Left": ", ".join(_speed(batch.progress)) if batch.state == "running" else "",
        "Budget": ", ".join(limits),
        "Note": batch.note,
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, said in facts.items():
        if said:
            grid.add_row(name, Text(printable(said)))
    return grid


def print_out(*parts: RenderableType) -> None:
    """Print tables and sentences to standard output; sentences are not wrapped, and no pipe gets trailing spaces."""
    console = Console(highlight=False)
    if console.is_terminal:
        _print(console, parts)
        return
    piped = Console(highlight=False, width=WIDE, file=io.StringIO())
    with piped.capture() as printed:
        _print(piped, parts)
    sys.stdout.write("".join(f"{text.rstrip()}\n" for text in printed.get().split("\n")[:-1]))
    sys.stdout.flush()


def _print(console: Console, parts: Sequence[RenderableType]) -> None:
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))


def _widths(counts: Sequence[int], cells: int) -> list[int]:
    """Share cells out by counts; whatever is not nothing gets one at least, at the cost of the widest."""
    whole = sum(counts)
    if not whole:
        return [0] * (len(counts) - 1) + [cells]
    widths = [max(1, cells * count // whole) if count else 0 for count in counts]
    widths[widths.index(max(widths))] += cells - sum(widths)
    return widths


def _state(batch: BatchState) -> str:
    return f"{batch.state} ({batch.reason})" if batch.reason else batch.state


def _trouble(progress: Progress) -> list[str]:
    counts = {"failed": progress.failed, "cancelled": progress.cancelled, "deleted": progress.deleted}
    return [f"{number:,} {what}" for what, number in counts.items() if number]


def _speed(progress: Progress) -> list[str]:
    rate, left = progress.rate_per_s, progress.seconds_left
    said = [] if rate is None else [f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/min"]
    return said + ([] if left is None else [f"{duration(left)} left"])


def _used(progress: Progress) -> list[str]:
    said = [f"{progress.tokens:,} tokens"] if progress.tokens else []
    return said + ([] if progress.cost is None else [f"cost {_cost(progress)}"])


def _cost(progress: Progress) -> str:
    """Mark a sum that leaves something out."""
    return money(progress.cost) + ("+" if progress.cost is not None and progress.unpriced else "")


def _variant(variant: VariantState) -> str:
    progress = variant.progress
    trouble = f" ({', '.join(_trouble(progress))})" if _trouble(progress) else ""
    return f"{variant.name} {progress.done:,}/{progress.photos:,}{trouble}"


def _cells(progress: Progress) -> list[str]:
    lost = progress.failed + progress.cancelled + progress.deleted
    counts = [f"{progress.done:,}/{progress.photos:,}", f"{lost:,}", f"{progress.running:,}", f"{progress.tokens:,}"]
    return [*counts, _cost(progress)]
