"""`smartsip batch pause`, `resume`, `cancel`, `retry` and `delete`."""

from typing import Any

import typer

from compose.batch_begin import budget_of
from compose.batch_names import find_batch, find_variant
from compose.batch_options import BudgetCost, BudgetTokens, Json, Named, OneVariant, Yes
from compose.batch_show import tell
from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server


def pause(
    batch: Named, *, json: Json = False, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Hold a batch: what runs is finished, nothing more is asked until it is resumed.

    Example: smartsip batch pause 12
    """
    server = find_server(url, token_file, data)
    tell(_act(server, find_batch(server, batch), "pause"), is_json=json)


def resume(
    batch: Named,
    *,
    budget_cost: BudgetCost = None,
    budget_tokens: BudgetTokens = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Let a paused batch go on, with a larger budget where that is what it waits for.

    Example: smartsip batch resume 12 --budget-cost 20
    """
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    if budget := budget_of(budget_cost, budget_tokens):
        before: dict[str, float | None] = found["budget"] or {}
        kept = {name: most for name, most in before.items() if most is not None}
        found = server.ask("PATCH", f"/v2/batches/{found['id']}", json={"budget": kept | budget})
    tell(_act(server, found, "resume"), is_json=json)


def cancel(
    batch: Named, *, json: Json = False, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """End a batch for good: what runs is cancelled, what was answered stays. To hold it, pause it.

    Example: smartsip batch cancel 12
    """
    server = find_server(url, token_file, data)
    tell(_act(server, find_batch(server, batch), "cancel"), is_json=json)


def retry(
    batch: Named,
    *,
    variant: OneVariant = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Ask once more about the photos that failed or were cancelled; a completed batch goes on.

    Example: smartsip batch retry 12 --variant 2
    """
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    number = None if variant is None else find_variant(found, variant)
    tell(_act(server, found, "retry", json={"variant": number}), is_json=json)


def delete(
    batch: Named, *, yes: Yes = False, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Remove a batch that is over, with everything that was answered. The photos stay.

    Example: smartsip batch delete 12 --yes
    """
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    if not yes:
        typer.confirm(
            f"Delete batch #{found['number']} ({found['name'] or found['id']}) and the answers about"
            f" {found['photos']:,} photos?",
            abort=True,
        )
    server.ask("DELETE", f"/v2/batches/{found['id']}")
    typer.echo(f"Batch #{found['number']} is deleted.")


def _act(server: Server, batch: dict[str, Any], action: str, **parts: Any) -> Any:  # JSON, httpx's arguments
    return server.ask("POST", f"/v2/batches/{batch['id']}/{action}", **parts)
