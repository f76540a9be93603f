"""How promotions are shown: what was wanted, what was measured, and what came of it. Writes nothing itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable
from compose.device_view import ago


def results_table(promotion: dict[str, Any]) -> Table:  # JSON
    """Lay out each bar: what was wanted, what was measured, whether that is enough."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Bar", no_wrap=True)
    table.add_column("Wanted", justify="right", no_wrap=True)
    table.add_column("Measured", justify="right", no_wrap=True)
    table.add_column("")
    for result in promotion["results"]:
        measured = "–" if result["measured"] is None else f"{result['measured']:,.4g}"
        said = "passed" if result["passed"] else f"not passed{': ' if result['reason'] else ''}{result['reason']}"
        wanted = f"{'≥' if result['name'].startswith('min_') else '≤'} {result['wanted']:,.4g}"
        style = "green" if result["passed"] else "red"
        table.add_row(result["name"].replace("_", " "), wanted, measured, Text(printable(said), style=style))
    return table


def verdict(promotion: dict[str, Any]) -> str:  # JSON
    """Say what came of a promotion, whom it concerns, and how to take it back."""
    profile, devices = promotion["profile"], promotion["devices"]
    if promotion["reverted_at"]:
        return printable(f"Reverted: profile {profile} asks {_choice(promotion['before'])} as before.")
    if not promotion["passed"]:
        return printable(f"Not promoted: profile {profile} stays as it is. Recorded as {promotion['id']}.")
    before, after = _choice(promotion["before"]), _choice(promotion["after"])
    said = f"Promoted: profile {profile} asks {after}, not {before} any more. {_devices(devices['following'])} it"
    said += f"; {devices['overriding']:,} with a model or prompt of their own do not." if devices["overriding"] else "."
    return printable(f"{said} Take it back: smartsip batch revert {promotion['id']}")


def promotions_table(promotions: Sequence[dict[str, Any]], *, now: datetime) -> Table:  # JSON
    """Lay promotions out, one row each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("Made", "Profile", "Variant", "Model", "Prompt", "Result", "Id"):
        table.add_column(heading, no_wrap=True)
    for promotion in promotions:
        candidate = promotion["candidate"]
        result = "promoted" if promotion["passed"] else "not passed"
        result = f"reverted {ago(promotion['reverted_at'], now=now)}" if promotion["reverted_at"] else result
        cells = [ago(promotion["created_at"], now=now), promotion["profile"], candidate["name"], candidate["model"]]
        cells += [candidate["prompt"], result, promotion["id"]]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _choice(choice: dict[str, Any]) -> str:  # JSON
    return f"{choice['model'] or 'the default model'} with {choice['prompt'] or 'the default prompt'}"


def _devices(following: int) -> str:
    return f"{following:,} device{' follows' if following == 1 else 's follow'}"
