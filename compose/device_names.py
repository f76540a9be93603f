"""Finding the device that a person means, by its name or its id."""

from typing import Any
from uuid import UUID

from compose.errors import CannotStart
from compose.server import Server


def find_device(server: Server, wanted: str) -> dict[str, Any]:  # JSON
    """Return the device with an id or a name; of several with one name the one that is not revoked.

    Raises:
        CannotStart: if there is none, or which one is meant cannot be told.
    """
    if _is_id(wanted):
        return server.ask("GET", f"/v2/devices/{UUID(wanted)}")
    named = [device for device in server.pages("/v2/devices", "devices", {"name": wanted}) if device["name"] == wanted]
    current = [device for device in named if device["revoked_at"] is None]
    if len(current) > 1:
        which = ", ".join(f"{device['id']} of {device['owner']}" for device in current)
        raise CannotStart(f"Several devices are called {wanted!r}: give the id ({which}).")
    if not named:
        raise CannotStart(f"There is no device called {wanted!r}: smartsip device list shows what there is.")
    return (current or named)[0]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
