"""Which photos a command means: given ids, or a filter that the server freezes when the batch begins."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import typer

from compose.server import PAGE, Refused, Server

COUNTED: Final = 1000
"""Photos that are counted before a batch begins: ten pages at most."""


def selection(
    filters: Mapping[str, Any], ids: list[str], *, everything: bool, limit: int | None, sample: int | None
) -> dict[str, Any]:  # JSON
    """Return the selection as `/v2/batches` takes it; `filters` are parameters of `GET /v2/images`.

    Raises:
        typer.BadParameter: if nothing is selected, or in two ways at once.
    """
    if limit is not None and sample is not None:
        raise typer.BadParameter("give either --limit or --sample", param_hint="--sample")
    if ids:
        if filters or everything or limit is not None or sample is not None:
            raise typer.BadParameter("ids stand alone: give no filter beside them", param_hint="--id")
        return {"ids": ids}
    if everything and filters:
        raise typer.BadParameter("give either a filter or --all", param_hint="--all")
    sizes = {name: size for name, size in (("limit", limit), ("sample", sample)) if size is not None}
    if not filters and not sizes and not everything:
        raise typer.BadParameter(
            "no photos are selected: give a filter (as --tag kitchen), --id, --limit, --sample, or --all for every"
            " photo in the library"
        )
    return {"filter": dict(filters)} | sizes


def count(server: Server, selected: Mapping[str, Any]) -> int | None:
    """Return how many photos are selected now, `COUNTED` for that many or more; None if this token may not look."""
    if "ids" in selected:
        return len(set(selected["ids"]))
    most = min(COUNTED, selected.get("limit", COUNTED), selected.get("sample", COUNTED))
    query = {"state": "ready", "limit": min(most, PAGE)} | selected["filter"]
    try:
        return sum(1 for _ in islice(server.pages("/v2/images", "images", query), most))
    except Refused as no:
        if no.status != 403:
            raise
        return None


def plan(selected: Mapping[str, Any], photos: int | None, variants: int) -> str:
    """Say what starting will do, in one line."""
    by = _counted(variants, "variant")
    if photos is None:
        return f"The photos that match × {by}: so many jobs."
    asked = max(selected.get("limit", 0), selected.get("sample", 0))
    if "filter" in selected and photos == COUNTED and asked != COUNTED:
        most = f" (at most {asked:,} photos)" if asked else ""
        return f"{photos:,} photos or more × {by} = {photos * variants:,} jobs or more{most}."
    return f"{_counted(photos, 'photo')} × {by} = {_counted(photos * variants, 'job')}."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
