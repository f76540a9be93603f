"""`smartsip batch list`, `show` and `watch`, and how any command tells of the batch it changed."""

import json as json_text
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from compose.batch_names import find_batch
from compose.batch_options import Json, Named, State
from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server


def list_(
    *,
    state: Annotated[State | None, typer.Option(help="Only batches in this state.")] = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """List batches, newest first: how far each is, and what it has cost.

    Example: smartsip batch list --state running
    """
    query = {"state": state.value} if state else {}
    found = list(find_server(url, token_file, data).pages("/v2/batches", "batches", query))
    if json:
        typer.echo(json_text.dumps(found, ensure_ascii=False, indent=2))
        return
    if not found:
        which = f" that are {state.value}" if state else ""
        typer.echo(f"There are no batches{which}: smartsip batch start begins one.", err=True)
        return
    from compose.batch_states import batch_state
    from compose.batch_view import list_table, print_out

    print_out(list_table([batch_state(document) for document in found], now=datetime.now(UTC)))


def show(
    batch: Named, *, json: Json = False, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Show everything about one batch, and how far each of its variants is.

    Example: smartsip batch show latest
    """
    found = find_batch(find_server(url, token_file, data), batch)
    if json:
        tell(found, is_json=True)
        return
    from compose.batch_states import batch_state
    from compose.batch_view import facts_grid, print_out, variants_table

    known = batch_state(found)
    print_out(facts_grid(known, now=datetime.now(UTC)), "", variants_table(known, has_bars=False))


def watch(batch: Named, *, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """Watch a batch to its end: a live table on a terminal, plain lines where it is piped.

    Exit code 0 if everything succeeded, 1 if something failed or was cancelled, 130 after Ctrl-C (the batch goes on).

    Example: smartsip batch watch 12
    """
    server = find_server(url, token_file, data)
    raise typer.Exit(watched(server, find_batch(server, batch)))


def watched(server: Server, batch: dict[str, Any]) -> int:  # JSON
    """Watch a batch to its end and return the exit code."""
    from compose.batch_watch import watch_batch

    return watch_batch(server, batch["id"], batch["number"])


def tell(batch: dict[str, Any], *, is_json: bool) -> None:  # JSON
    """Print how a batch stands: as JSON, or in one line."""
    if is_json:
        typer.echo(json_text.dumps(batch, ensure_ascii=False, indent=2))
        return
    from compose.batch_states import batch_state
    from compose.batch_view import line

    typer.echo(line(batch_state(batch)))
