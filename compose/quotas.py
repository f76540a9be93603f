"""`smartsip quota` and `smartsip usage`: what may be used, and what was. Speaks only HTTP, to a running server."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server

app = typer.Typer(name="quota", help="Look up, set, reset and lift quotas of tokens.", no_args_is_help=True)

Subject = Annotated[
    str, typer.Argument(help="owner, key:<id of an API key>, or client:<name>.", metavar="SUBJECT", show_default=False)
]
OwnerName = Annotated[str | None, typer.Option("--owner", help="Whose (default: yours).")]


class By(StrEnum):
    """What usage is summed by."""

    MODEL = "model"
    KIND = "kind"
    CLIENT = "client"
    KEY = "key"
    DAY = "day"


@app.command("list")
def list_(*, owner: OwnerName = None, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """List quotas: what is used, what is reserved, what is left.

    Example: smartsip quota list --owner anna
    """
    for quota in find_server(url, token_file, data).pages("/v2/quotas", "quotas", _query(owner)):
        typer.echo(_line(quota))


@app.command("set")
def set_(
    subject: Subject,
    tokens: Annotated[int, typer.Argument(help="How many tokens may be used at most.", min=0)],
    *,
    owner: OwnerName = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Set a quota; a new one counts what is accepted from now on.

    Example: smartsip quota set client:kitchen 500000
    """
    server = find_server(url, token_file, data)
    typer.echo(_line(_ask(server, "PUT", subject, owner, json={"limit_tokens": tokens})))


@app.command()
def reset(
    subject: Subject, *, owner: OwnerName = None, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Take what was used for nothing.

    Example: smartsip quota reset owner --owner anna
    """
    typer.echo(_line(_ask(find_server(url, token_file, data), "POST", subject, owner, action="/reset")))


@app.command()
def lift(
    subject: Subject, *, owner: OwnerName = None, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Remove a quota.

    Example: smartsip quota lift client:kitchen
    """
    _ask(find_server(url, token_file, data), "DELETE", subject, owner)
    typer.echo(f"{subject} may use what it likes.")


def usage(
    *,
    by: Annotated[By, typer.Option(help="What to sum by.")] = By.MODEL,
    since: Annotated[
        datetime | None, typer.Option("--from", help="First day or instant (default: 30 days before the last).")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="First day or instant that is not counted.")] = None,
    owner: OwnerName = None,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Sum the tokens that jobs used, and what they cost. Days are in UTC.

    Example: smartsip usage --by day --from 2026-03-01
    """
    span = {"from": since, "to": until}
    query = {"by": by.value, **_query(owner), **{name: f"{at.isoformat()}Z" for name, at in span.items() if at}}
    server = find_server(url, token_file, data)
    for group in server.pages("/v2/usage", "groups", query):
        typer.echo(f"{_sums(group)}  {group['name'] or '-'}")
    typer.echo(f"{_sums(server.ask('GET', '/v2/usage', params={'limit': 1} | query)['total'])}  in all")


def _ask(
    server: Server, method: str, subject: str, owner: str | None, *, action: str = "", **parts: Any
) -> Any:  # JSON out, httpx's keyword arguments in
    return server.ask(method, f"/v2/quotas/{quote(subject, safe='')}{action}", params=_query(owner), **parts)


def _query(owner: str | None) -> dict[str, Any]:
    return {} if owner is None else {"owner": owner}


def _line(quota: dict[str, Any]) -> str:  # JSON
    used, reserved, limit = (f"{quota[f'{name}_tokens']:,}" for name in ("used", "reserved", "limit"))
    return f"{quota['subject']}  {used} used, {reserved} reserved of {limit} tokens"


def _sums(used: dict[str, Any]) -> str:  # JSON
    sent, written = used["input_tokens"] + used["lost_tokens"], used["output_tokens"]
    cost = "no price" if used["cost"] is None else f"cost {used['cost']}"
    unpriced = f" ({used['unpriced_jobs']:,} without a price)" if used["cost"] and used["unpriced_jobs"] else ""
    return f"{used['jobs']:,} jobs  {sent:,} in  {written:,} out  {cost}{unpriced}"
