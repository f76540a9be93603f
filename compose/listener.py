"""The socket api processes share: bound before anything else starts, so that a port in use is known at once."""

import socket
from typing import Final

from compose.errors import CannotStart

BACKLOG: Final = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        CannotStart: if the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except PermissionError as error:
        raise CannotStart(f"Port {port} may be opened by root only: name another with --port.") from error
    except OSError as error:
        raise CannotStart(_why_not(host, port, error)) from error
    bound.setblocking(False)
    return bound


def _why_not(host: str, port: int, error: OSError) -> str:
    reason = (error.strerror or str(error)).partition(" (while attempting")[0]  # create_server repeats the address
    if "already in use" in reason:
        return f"Port {port} on {host} is in use by another program: stop it, or name another port with --port."
    return f"{host}:{port} cannot be listened on: {reason}."
