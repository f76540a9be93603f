"""One machine, no container: real Valkey, PostgreSQL and S3 as children of this process, on loopback.

The production code path: only the URLs differ. Nothing here waits in a thread; every child is spawned by the main one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from compose.data_directory import DataDirectory
from compose.objects import BUCKET, ObjectServer, new_object_server
from compose.postgres import Postgres, new_postgres
from compose.processes import Child, bound_log, stop, wait_until
from compose.valkey import Valkey, new_valkey


class Server(Protocol):
    """A server that can be started again with the same address."""

    def spawn(self) -> Child:
        """Start it."""
        ...

    def is_ready(self) -> bool:
        """Return whether it answers."""
        ...


@dataclass
class EmbeddedStack:
    """The three servers and the children they run in."""

    data: DataDirectory
    valkey: Valkey
    postgres: Postgres
    objects: ObjectServer
    children: dict[str, Child] = field(default_factory=dict[str, Child])

    @property
    def servers(self) -> dict[str, Server]:
        """The servers by name, quickest first."""
        return {"valkey": self.valkey, "objects": self.objects, "postgres": self.postgres}

    def start(self) -> None:
        """Start all three at once and wait until each answers.

        Raises:
            CannotStart: saying which one did not come up, and its last words; the others are stopped.
        """
        try:
            for name in self.servers:
                self.spawn(name)
            for name in self.servers:
                self.wait_ready(name)
        except BaseException:
            self.stop()
            raise

    def spawn(self, name: str) -> None:
        """Start one server, without waiting for it."""
        self.children[name] = self.servers[name].spawn()

    def wait_ready(self, name: str) -> None:
        """Wait until one server answers."""
        wait_until(self.servers[name].is_ready, self.children[name])

    def ended(self) -> list[str]:
        """Return the names of servers that stopped by themselves."""
        return [name for name, child in self.children.items() if not child.is_running]

    def bound_logs(self) -> None:
        """Keep the servers' logs from filling the disk."""
        for log in self.data.logs.glob("*.log"):
            if not log.name.endswith(".1.log"):
                bound_log(log)

    def stop(self, *, within_s: float = 15.0) -> None:
        """Stop what runs; data stays."""
        stop(list(self.children.values()), within_s=within_s)
        self.children.clear()

    def environment(self) -> dict[str, str]:
        """Return what clients of this stack need, under our own names, which win over all others."""
        return {
            "SMARTSIP_REDIS__URL": self.valkey.url,
            "SMARTSIP_DATABASE__URL": self.postgres.url,
            "SMARTSIP_OBJECTS__ENDPOINT_URL": self.objects.endpoint_url,
            "SMARTSIP_OBJECTS__ACCESS_KEY": self.objects.access_key,
            "SMARTSIP_OBJECTS__SECRET_KEY": self.objects.secret_key,
            "SMARTSIP_OBJECTS__BUCKET": BUCKET,
        }


def new_stack(data: DataDirectory, *, postgres_settings: Mapping[str, str] | None = None) -> EmbeddedStack:
    """Return a stack over a data directory, not started yet."""
    return EmbeddedStack(
        data, new_valkey(data), new_postgres(data, settings=postgres_settings), new_object_server(data)
    )
