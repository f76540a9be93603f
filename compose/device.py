"""`smartsip device`: register dispensers, look at them, change their tokens, end them, play them.

Speaks only HTTP, to a server that is running. What is secret goes to standard output, once; words about it to standard
error, so that a script can take the one without the other.
"""

import json as json_text
import re
from typing import Annotated, Any, Final

import typer

from compose.device_names import find_device
from compose.server import LOCAL, Data, TokenFile, Url, find_server
from compose.simulate import simulate

app = typer.Typer(
    name="device",
    help="Register dispensers, look at them, change their tokens, end them, and play them.",
    no_args_is_help=True,
)

Named = Annotated[str, typer.Argument(help="The device's name, or its id.", metavar="NAME|ID")]
Host = Annotated[
    str | None,
    typer.Option(help="Where devices reach the server, as in 192.168.1.20 (default: the host of --url)."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
_OVERLAP: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What you call it, as in 'kitchen'.")],
    *,
    profile: Annotated[str | None, typer.Option(help="What its hardware can do (default: smartsip-v0.1).")] = None,
    prompt: Annotated[str | None, typer.Option(help="What its photos are asked, as in smartsip@2.")] = None,
    model: Annotated[str | None, typer.Option(help="provider/model that answers, whatever it asks for.")] = None,
    signing: Annotated[bool, typer.Option("--signing", help="Verify its AWS signature, with keys of its own.")] = False,
    claim: Annotated[bool, typer.Option("--claim", help="No token yet: a code with which it gets one itself.")] = False,
    owner: Annotated[str | None, typer.Option(help="Whose it is (default: yours).")] = None,
    host: Host = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Register a device and print what goes into its firmware: this once, nobody can look it up later.

    Example: smartsip device add kitchen --host 192.168.1.20 --signing
    """
    wanted = {"name": name, "profile": profile, "prompt": prompt, "model": model, "owner": owner}
    body: dict[str, Any] = {field: value for field, value in wanted.items() if value is not None}  # JSON
    body |= ({"signing": "new"} if signing else {}) | ({"claim": True} if claim else {})
    base = _base(url, host)
    _show_secrets(find_server(url, token_file, data).ask("POST", "/v2/devices", json=body), base, is_json=json)


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are revoked.")] = False,
    owner: Annotated[str | None, typer.Option(help="Only this owner's devices.")] = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """List devices, newest first: when each was last seen, with which firmware.

    Example: smartsip device list --all
    """
    found = find_server(url, token_file, data).pages("/v2/devices", "devices", {"owner": owner} if owner else {})
    devices = [device for device in found if everything or device["revoked_at"] is None]
    if json:
        typer.echo(_json(devices))
        return
    from compose.device_view import print_table

    if devices:
        print_table(devices)
    else:
        typer.echo("There are no devices: smartsip device add NAME registers one.", err=True)


@app.command()
def show(
    device: Named, *, json: Json = False, url: Url = LOCAL, token_file: TokenFile = None, data: Data = None
) -> None:
    """Show everything about one device but its secrets.

    Example: smartsip device show kitchen
    """
    found = find_device(find_server(url, token_file, data), device)
    if json:
        typer.echo(_json(found))
        return
    from compose.device_view import print_device

    print_device(found)


@app.command()
def rotate(
    device: Named,
    *,
    overlap: Annotated[
        str | None,
        typer.Option(help="How long the old token stays good: 0, 90s, 30m, 24h, 7d (default: the server's)."),
    ] = None,
    signing: Annotated[bool, typer.Option("--signing", help="From now on, verify its AWS signature.")] = False,
    host: Host = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Give a device a new token and print what goes into its firmware; for a while the old one is good too.

    Example: smartsip device rotate kitchen --overlap 7d
    """
    body: dict[str, Any] = {} if overlap is None else {"overlap_s": _seconds(overlap)}  # JSON
    body |= {"signing": "new"} if signing else {}
    base = _base(url, host)
    server = find_server(url, token_file, data)
    found = find_device(server, device)
    _show_secrets(server.ask("POST", f"/v2/devices/{found['id']}/rotate", json=body), base, is_json=json)


@app.command()
def claim(
    device: Named,
    *,
    host: Host = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Print a new code with which a device gets its token itself, once; its old token is good until then.

    Example: smartsip device claim kitchen
    """
    base = _base(url, host)
    server = find_server(url, token_file, data)
    found = find_device(server, device)
    _show_secrets(found | server.ask("POST", f"/v2/devices/{found['id']}/claim"), base, is_json=json)


@app.command()
def revoke(
    device: Named,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """End a device: its tokens are refused from this moment on. Doing it again is harmless.

    Example: smartsip device revoke kitchen --yes
    """
    server = find_server(url, token_file, data)
    found = find_device(server, device)
    if not yes:
        typer.confirm(
            f"Revoke {found['name']} ({found['id']}), last seen {found['last_seen_at'] or 'never'}?", abort=True
        )
    server.ask("DELETE", f"/v2/devices/{found['id']}")
    typer.echo(f"Device {found['name']} ({found['id']}) is revoked.")


app.command()(simulate)


def _show_secrets(device: dict[str, Any], base: str, *, is_json: bool) -> None:  # JSON
    """Print a device's new credential or claim code: what is secret on standard output, how to use it beside it."""
    from compose.device_view import config_lines, firmware_constants, is_loopback

    credential, code = device.get("credential"), device.get("claim")
    constants = firmware_constants(credential, base) if credential else {}
    if is_json:
        typer.echo(_json(device | {"firmware_constants": constants}))
        return
    if credential:
        typer.echo(config_lines(constants))
        _explain_credential(device, credential, base)
    if code:
        typer.echo(code["code"])
        _say(f"With this code, once and until {_minute(code['expires_at'])}, {device['name']} gets its own token:")
        _say(f'POST {base}/v2/devices/claim {{"code": "…"}}')
    if is_loopback(base):
        _say("No device can reach this address, which is this machine's own: name another with --host.")


def _explain_credential(device: dict[str, Any], credential: dict[str, Any], base: str) -> None:  # JSON
    _say(f"Device {device['name']} ({device['id']}). This is shown once: put it into the firmware's config.cpp.")
    for earlier in device["credentials"]:
        if earlier["expires_at"]:
            _say(f"Its token {earlier['hint']}… is good until {_minute(earlier['expires_at'])}.")
    if credential["access_key"] is None:
        _say("ACCESS_KEY and SECRET_KEY may be anything: this device's signature is not verified (--signing).")
    _say(f"Newer firmware sends a photo to POST {base}/v2/devices/me/jobs?wait=4 with Authorization: Bearer <token>;")
    _say("the token is what follows /d/ in the addresses.")


def _base(url: str, host: str | None) -> str:
    from compose.device_view import base_for_devices

    return base_for_devices(url, host)


def _seconds(text: str) -> int:
    match = _OVERLAP.fullmatch(text)
    if match is None and text != "0":
        raise typer.BadParameter("give 0, or a number with s, m, h or d, as in 24h", param_hint="--overlap")
    return int(match[1]) * _SECONDS[match[2]] if match else 0


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"


def _json(document: object) -> str:
    return json_text.dumps(document, ensure_ascii=False, indent=2)


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)
