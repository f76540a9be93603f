"""The directory that holds everything one machine's system remembers, and the lock that keeps it to one supervisor."""

import errno
import fcntl
import os
import pwd
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compose.errors import CannotStart
from compose.processes import Account, run

NEEDED_BYTES: Final = 256 * 1024 * 1024
"""A fresh PostgreSQL takes 40 MB and its write-ahead log grows from there."""
LEAVING_S: Final = 20.0
"""How long the children of a killed supervisor may take to be gone."""


@dataclass(frozen=True)
class DataDirectory:
    """A locked data directory. The lock is inherited by every child, so it is free only when all of them are gone."""

    path: Path
    lock_fd: int

    @property
    def logs(self) -> Path:
        """Where the servers write what they have to say."""
        return self.folder("logs")

    def folder(self, name: str, *, owner: Account | None = None) -> Path:
        """Return a private folder in here, made if missing, owned by `owner` if given."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner is not None and folder.stat().st_uid != owner.uid:
            os.chown(folder, owner.uid, owner.gid)
        return folder

    def secret(self, name: str, *, make: str | None = None) -> str:
        """Return the secret kept in a file only its owner can read; made once, from `make` or at random."""
        file = self.path / name
        if not file.exists():
            write_private(file, make if make is not None else secrets.token_hex(24))
        return file.read_text(encoding="utf-8").strip()

    def release(self) -> None:
        """Give the directory up."""
        os.close(self.lock_fd)


def default_path(*, environment: dict[str, str]) -> Path:
    """Return where data goes unless told otherwise (root: where PostgreSQL's own user can reach it)."""
    if os.geteuid() == 0:
        return Path("/var/lib/smartsip")
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "smartsip"


def open_data_directory(path: Path, *, needed_bytes: int = NEEDED_BYTES) -> DataDirectory:
    """Make, check and lock a data directory.

    Raises:
        CannotStart: if it cannot be used, is in use, or its disk is full.
    """
    path = path.expanduser().absolute()
    _check_reachable(path)  # before anything is made that would have to be removed again
    try:
        path.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(_unusable(path, error)) from error
    try:
        _lock(lock_fd, path)
        _check_reachable(path)
        free = shutil.disk_usage(path).free
        if free < needed_bytes:
            raise CannotStart(
                f"The disk that holds {path} is full: {free // 2**20} MB are free and {needed_bytes // 2**20} MB are"
                " needed. Make room, or name another directory with --data."
            )
    except BaseException:
        os.close(lock_fd)
        raise
    return DataDirectory(path, lock_fd)


def server_account() -> Account | None:
    """Return whom PostgreSQL runs as: it refuses root, and its user must exist in the password file."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise CannotStart("PostgreSQL does not run as root, and this system has no user `nobody`.") from error
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
    fresh.replace(file)


def can_reach(path: Path, account: Account) -> bool:
    """Return whether a user may enter a directory, as the operating system sees it (modes, ACLs, mounts)."""
    argv = ["/bin/sh", "-c", 'cd -- "$1"', "sh", path]
    return run(argv, account=account, environment={"PATH": "/usr/bin:/bin"}) == 0


def _check_reachable(path: Path) -> None:
    account = server_account()
    if account is None:
        return
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not can_reach(existing, account):
        raise CannotStart(
            f"PostgreSQL runs as the user `nobody` here (it refuses root), who may not enter {path}. Name a directory"
            " whose parents everyone may enter with --data, or leave --data out to use /var/lib/smartsip."
        )


def _lock(fd: int, path: Path) -> None:
    deadline = time.monotonic() + LEAVING_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise CannotStart(_unusable(path, error)) from error
        else:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            return
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
        if holder.isdigit() and _is_alive(int(holder)):
            raise CannotStart(
                f"{path} is in use by a running system (process {holder}). Stop that one first, or name another"
                " directory with --data."
            )
        if time.monotonic() > deadline:
            raise CannotStart(
                f"{path} is still held by servers of an earlier run (process {holder or 'unknown'}), which was killed."
                " End them, then start again."
            )
        time.sleep(0.05)  # the servers of a killed supervisor are leaving


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unusable(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk that holds {path} is full. Make room, or name another directory with --data."
    return f"{path} cannot be used for data: {error.strerror}. Name a directory you may write to with --data."
