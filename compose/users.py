"""`smartsip user`: make, list, disable and enable users, give them passwords. Speaks only HTTP, to a running server.

A password is typed or piped, never an argument: those are seen by everybody on the machine.
"""

import sys
from typing import Annotated, Any

import typer

from compose.errors import CannotStart
from compose.server import LOCAL, Data, Server, TokenFile, Url, find_server

app = typer.Typer(
    name="user", help="Make, list, disable and enable users, and give them passwords.", no_args_is_help=True
)

Named = Annotated[str, typer.Argument(help="The user's name.", metavar="NAME")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How the user logs in, as in 'anna'.", metavar="NAME")],
    *,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Make a user. The password is asked for, or is the first line of standard input.

    Example: smartsip user add anna
    """
    server = find_server(url, token_file, data)
    wanted = {"username": name, "password": _new_password(), "role": "admin" if admin else "user"}
    made = server.ask("POST", "/v2/users", json=wanted)
    typer.echo(f"User {made['username']} ({made['role']}) has the id {made['id']}.")


@app.command("list")
def list_(*, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """List users, newest first: id, role, last login.

    Example: smartsip user list
    """
    for user in find_server(url, token_file, data).pages("/v2/users", "users", {}):
        typer.echo(_line(user))


@app.command()
def disable(name: Named, *, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """Keep a user out: no login, token or API key of theirs is good. Their devices go on.

    Example: smartsip user disable anna
    """
    _change(find_server(url, token_file, data), name, {"disabled": True})
    typer.echo(f"User {name} is disabled.")


@app.command()
def enable(name: Named, *, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """Let a disabled user in again.

    Example: smartsip user enable anna
    """
    _change(find_server(url, token_file, data), name, {"disabled": False})
    typer.echo(f"User {name} is enabled.")


@app.command()
def password(name: Named, *, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None) -> None:
    """Give a user a new password, asked for or the first line of standard input; they are logged out everywhere.

    Example: smartsip user password anna
    """
    server = find_server(url, token_file, data)
    _change(server, name, {"password": _new_password()})
    typer.echo(f"User {name} has a new password.")


def _change(server: Server, name: str, change: dict[str, Any]) -> None:  # JSON
    found = server.ask("GET", "/v2/users", params={"username": name})["users"]
    if not found:
        raise CannotStart(f"There is no user {name}: `smartsip user list` shows all.")
    server.ask("PATCH", f"/v2/users/{found[0]['id']}", json=change)


def _new_password() -> str:
    if sys.stdin.isatty():
        typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _line(user: dict[str, Any]) -> str:  # JSON
    login = user["last_login_at"]
    state = "disabled" if user["disabled_at"] else f"last login {login[:16]}" if login else "never logged in"
    return f"{user['id']}  {user['role']}  {state}  {user['username']}"
