"""`smartsip key`: make, list and revoke API keys. Speaks only HTTP, to a server that is running."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from compose.errors import CannotStart

TIMEOUT_S: Final = 10.0
PAGE: Final = 100

app = typer.Typer(name="key", help="Make, list and revoke API keys.", no_args_is_help=True)

Url = Annotated[str, typer.Option(help="Where the server is.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with a token (default: SMARTSIP_TOKEN or SMARTSIP_ADMIN_TOKEN, else the local stack's).",
        metavar="FILE",
    ),
]
Data = Annotated[
    Path | None, typer.Option(help="Data directory of the local stack, where its token is.", metavar="DIRECTORY")
]
LOCAL: Final = "http://127.0.0.1:8888"


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the key is for, as in 'kitchen dispenser'.")],
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help="jobs, images, device, keys, metrics or admin; may be repeated.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Whose key it is (default: yours).")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires (default: never).", min=0.001)] = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Make a key and print it: this once, nobody can look it up later.

    Example: smartsip key add "kitchen dispenser" --scope device
    """
    wanted: dict[str, Any] = {"name": name, "scopes": scope or ["jobs", "images"]}  # JSON
    if owner is not None:
        wanted["owner"] = owner
    if days is not None:
        wanted["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    made = _ask("POST", url, "/v2/keys", token_file, data, json=wanted)
    typer.echo(made["secret"])
    typer.echo(
        f"Key {made['id']} of {made['owner']} for {', '.join(made['scopes'])}. It is shown this once: keep it.",
        err=True,
    )
    if "device" in made["scopes"]:
        address = f"{url.rstrip('/')}/d/<key>"
        typer.echo(f"A dispenser takes it in both its addresses, SERVICE_ADDRESS and MINIO_URL: {address}", err=True)


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
    query: dict[str, Any] = {"limit": PAGE} | ({"owner": owner} if owner else {})  # JSON
    while True:
        page = _ask("GET", url, "/v2/keys", token_file, data, params=query)
        for key in page["keys"]:
            typer.echo(_line(key))
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


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
    _ask("DELETE", url, f"/v2/keys/{key_id}", token_file, data)
    typer.echo(f"Key {key_id} is revoked.")


def _ask(
    method: str, url: str, path: str, token_file: Path | None, data: Path | None, **parts: Any
) -> Any:  # JSON out, httpx's keyword arguments in
    import httpx

    from compose.credentials import find_token

    token = find_token(token_file, data)
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.request(method, path, headers={"Authorization": f"Bearer {token}"}, **parts)
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise CannotStart(
            f"No server answers at {url} ({type(error).__name__}): start it with ./smartsip up."
        ) from error
    if answer.is_success:
        return answer.json() if answer.content else None
    raise CannotStart(_refusal(answer.status_code, answer))


def _refusal(status: int, answer: Any) -> str:  # httpx.Response, whose import is put off
    try:
        problem = answer.json()
        return f"The server refused ({status}): {problem.get('detail') or problem['title']}"
    except (ValueError, KeyError, AttributeError):
        return f"The server at this address is not SmartSip, or is not well: it answered {status}."


def _line(key: dict[str, Any]) -> str:  # JSON
    ends = key["expires_at"]
    state = "revoked" if key["revoked_at"] else f"until {ends[:16]}" if ends else "valid"
    return f"{key['id']}  {key['hint']}…  {key['owner']}  {','.join(key['scopes'])}  {state}  {key['name']}"
