"""Finding the batch, and the variant, that a person means."""

import re
from typing import Any, Final
from uuid import UUID

from compose.errors import CannotStart
from compose.server import Server

LATEST: Final = "latest"
_SHORTEST_BEGINNING: Final = 8
_NUMBER: Final = re.compile(r"#\d{1,18}|[1-9]\d{0,6}", re.ASCII)
"""Seven digits at most where nothing says that it is a number: eight may be the beginning of an id."""
_BEGINNING: Final = re.compile(r"[0-9a-f-]{8,36}", re.ASCII)


def find_batch(server: Server, wanted: str) -> dict[str, Any]:  # JSON
    """Return the batch with an id, the beginning of one, a number (`12`, `#12`), or the one begun last.

    Raises:
        CannotStart: if there is none, or which one is meant cannot be told.
    """
    text = wanted.strip().lower()
    if (whole := _uuid(text)) is not None:
        return server.ask("GET", f"/v2/batches/{whole}")
    if text == LATEST:
        return _latest(server)
    if _NUMBER.fullmatch(text):
        return _numbered(server, int(text.removeprefix("#")))
    if not _BEGINNING.fullmatch(text):
        raise CannotStart(
            f"{wanted!r} names no batch: give its number, its id, the first {_SHORTEST_BEGINNING} characters of it or"
            f" more, or {LATEST}."
        )
    return _beginning(server, text)


def find_variant(batch: dict[str, Any], wanted: str) -> int:  # JSON
    """Return the number of a batch's variant that is given by its number or its name.

    Raises:
        CannotStart: if the batch has none like this.
    """
    for variant in batch["variants"]:
        if wanted in (variant["name"], str(variant["number"]), f"#{variant['number']}"):
            return variant["number"]
    which = ", ".join(f"{variant['number']} ({variant['name']})" for variant in batch["variants"])
    raise CannotStart(f"Batch #{batch['number']} has no variant {wanted!r}: it has {which}.")


def _latest(server: Server) -> dict[str, Any]:  # JSON
    page = server.ask("GET", "/v2/batches", params={"limit": 1})
    if not page["batches"]:
        raise CannotStart("There are no batches: smartsip batch start begins one.")
    return page["batches"][0]


def _numbered(server: Server, number: int) -> dict[str, Any]:  # JSON
    for batch in server.pages("/v2/batches", "batches", {}):
        if batch["number"] == number:
            return batch
    raise CannotStart(f"There is no batch #{number}: smartsip batch list shows what there is.")


def _beginning(server: Server, beginning: str) -> dict[str, Any]:  # JSON
    found = [batch for batch in server.pages("/v2/batches", "batches", {}) if batch["id"].startswith(beginning)]
    if len(found) > 1:
        which = ", ".join(f"#{batch['number']} ({batch['id']})" for batch in found)
        raise CannotStart(f"Several batches begin with {beginning}: give more of the id, or the number: {which}.")
    if not found:
        raise CannotStart(f"No batch begins with {beginning}: smartsip batch list shows what there is.")
    return found[0]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
