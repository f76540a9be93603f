"""`smartsip key`: make, list and revoke API keys. Speaks only HTTP, to a server that is running."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from compose.server import LOCAL, Data, TokenFile, Url, find_server

app = typer.Typer(name="key", help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the key is for, as in 'report script'.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="jobs, images, devices, keys, metrics or admin; may be repeated.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Whose key it is (default: yours).")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires (default: never).", min=0.001)] = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Make a key and print it: this once, nobody can look it up later.

    A dispenser has no key but a token of its own: smartsip device add.

    Example: smartsip key add "report script" --scope jobs --scope images
    """
    wanted: dict[str, Any] = {"name": name, "scopes": scope or ["jobs", "images"]}  # JSON
    if owner is not None:
        wanted["owner"] = owner
    if days is not None:
        wanted["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    made = find_server(url, token_file, data).ask("POST", "/v2/keys", json=wanted)
    typer.echo(made["secret"])
    typer.echo(
        f"Key {made['id']} of {made['owner']} for {', '.join(made['scopes'])}. It is shown this once: keep it.",
        err=True,
    )


@app.command("list")
def list_(
    *,
    owner: Annotated[str | None, typer.Option(help="Only this owner's keys.")] = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """List keys, newest first: how each begins, whose it is, what it is good for.

    Example: smartsip key list --owner anna
    """
    server = find_server(url, token_file, data)
    for key in server.pages("/v2/keys", "keys", {"owner": owner} if owner else {}):
        typer.echo(_line(key))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `smartsip key list` shows it.", metavar="ID")],
    *,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """End a key; it stops working within seconds. Doing it again is harmless.

    Example: smartsip key revoke 019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10
    """
    find_server(url, token_file, data).ask("DELETE", f"/v2/keys/{key_id}")
    typer.echo(f"Key {key_id} is revoked.")


def _line(key: dict[str, Any]) -> str:  # JSON
    ends = key["expires_at"]
    state = "revoked" if key["revoked_at"] else f"until {ends[:16]}" if ends else "valid"
    return f"{key['id']}  {key['hint']}…  {key['owner']}  {','.join(key['scopes'])}  {state}  {key['name']}"
