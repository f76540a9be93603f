"""How `smartsip device` shows devices: the lines for a firmware's configuration, a table, one device's facts."""

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compose.analysis_view import printable
from compose.firmware import BUCKET

_WIDE: Final = 250
"""Columns for a reader that is no terminal, so that nothing is cut off."""
_HOST: Final = re.compile(r"(?P<name>[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?", re.ASCII)
_URL: Final = re.compile(r"https?://[\w.:/\[\]-]+", re.ASCII)
_UNITS: Final = (("day", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def base_for_devices(url: str, host: str | None) -> str:
    """Return the URL at which devices reach the server: the url's own, or the same at another host.

    Raises:
        typer.BadParameter: if `host` is neither a host, nor host:port, nor a URL.
    """
    if host is None:
        return url.rstrip("/")
    if _URL.fullmatch(host):
        return host.rstrip("/")
    there = _HOST.fullmatch(host)
    if there is None:
        raise typer.BadParameter("give a host, as in 192.168.1.20 or water.lan:8888, or a URL", param_hint="--host")
    here = urlsplit(url)
    port = there["port"] or here.port
    return f"{here.scheme}://{there['name']}{f':{port}' if port else ''}{here.path.rstrip('/')}"


def is_loopback(base: str) -> bool:
    """Say whether a URL names the machine it is used on, so that no device can reach it."""
    host = urlsplit(base).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def firmware_constants(credential: dict[str, Any], base: str) -> dict[str, str]:  # JSON
    """Return what is to be compiled into the firmware, by name; the keys only if its signature is verified."""
    address = f"{base}{credential['address']}"
    constants = {"SERVICE_ADDRESS": address, "MINIO_URL": address, "BUCKET_NAME": BUCKET}
    if credential["access_key"] is not None:
        constants |= {"ACCESS_KEY": credential["access_key"], "SECRET_KEY": credential["secret_key"]}
    return constants


def config_lines(constants: dict[str, str]) -> str:
    """Return constants as the firmware's `config.cpp` has them, ready to paste."""
    return "\n".join(f'const char* {name} = "{value}";' for name, value in constants.items())


def ago(moment: str | None, *, now: datetime) -> str:
    """Say how long ago an instant (RFC 3339) was, in its largest unit; the server's clock may be a little ahead."""
    if moment is None:
        return "never"
    passed = max(now - datetime.fromisoformat(moment), timedelta())
    for unit, length in _UNITS:
        if count := passed // length:
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return f"{passed // timedelta(seconds=1)} s ago"


def print_table(devices: Sequence[dict[str, Any]]) -> None:  # JSON
    """Print a row for each device; the owner is named where there are several."""
    has_owners = len({device["owner"] for device in devices}) > 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Name", "State", "Last seen", "Firmware", "Profile", *(["Owner"] if has_owners else []), "Id"):
        table.add_column(column, no_wrap=True)
    now = datetime.now(UTC)
    for device in devices:
        cells = [device["name"], device["state"], ago(device["last_seen_at"], now=now)]
        cells += [device["firmware"] or "–", device["profile"] or "default"]
        cells += [device["owner"]] if has_owners else []
        table.add_row(*(Text(printable(cell)) for cell in [*cells, device["id"]]))
    _print(table)


def print_device(device: dict[str, Any]) -> None:  # JSON
    """Print everything about one device, and what each of its tokens begins with."""
    now = datetime.now(UTC)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    facts = {
        "Name": device["name"],
        "Id": device["id"],
        "Owner": device["owner"],
        "State": device["state"],
        "Last seen": ago(device["last_seen_at"], now=now),
        "Firmware": device["firmware"] or "never told",
        "Profile": device["profile"] or "the default",
        "Prompt": device["prompt"] or "the profile's",
        "Model": device["model"] or "the profile's, else as the device asks, else the server's",
        "Registered": ago(device["created_at"], now=now),
    }
    for name, text in facts.items():
        grid.add_row(name, Text(printable(text)))
    for place, credential in enumerate(device["credentials"]):
        grid.add_row("" if place else "Tokens", Text(printable(_credential(credential, now))))
    _print(grid)


def _credential(credential: dict[str, Any], now: datetime) -> str:  # JSON
    signs = f", signs as {credential['access_key']}" if credential["access_key"] else ""
    ends = f", until {credential['expires_at'][:16]}" if credential["expires_at"] else ""
    return f"{credential['hint']}…, made {ago(credential['created_at'], now=now)}{signs}{ends}"


def _print(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    console.print(table)
