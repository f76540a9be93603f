"""Makes the environment of a checkout, exactly as `requirements.lock` says, and runs a `smartsip` command in it.

Run by the launcher with any Python from 3.11 on; standard library only. The environment is `.venv` in the checkout, or
in the user's cache directory where that one belongs to somebody else or cannot be written. Nothing is built: a path
file makes the checkout importable.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import venv
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.8"  # ten times quicker than pip; not needed
STAMP = "smartsip-stamp"
LOCK = "smartsip-lock"
COMMAND = """#!{python}
import sys

from compose.cli import main

sys.exit(main())
"""


class CannotInstall(Exception):
    """The environment cannot be made; the text says why and what to do."""


def main(arguments: Sequence[str]) -> None:
    """Make sure of the environment, then become the command."""
    try:
        environment = choose_environment()
        wanted = wanted_stamp()
        if not is_complete(environment, wanted):
            with only_one(environment):
                if not is_complete(environment, wanted):
                    install(environment, wanted)
    except CannotInstall as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"The environment cannot be made: {error.strerror} ({error.filename or CHECKOUT}).")
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next start continues.")
    python = str(python_of(environment))
    os.execv(python, [python, "-P", "-m", "compose.cli", *arguments])  # noqa: S606 - it takes our place


def choose_environment() -> Path:
    """Return where the environment is, or is to be made."""
    local = CHECKOUT / ".venv"
    if is_complete(local, wanted_stamp()):
        return local
    if local.exists():
        is_ours = local.stat().st_uid == os.geteuid() and os.access(local, os.W_OK)
    else:
        is_ours = os.access(CHECKOUT, os.W_OK)
    if is_ours:
        return local
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    elsewhere = cache / "smartsip" / hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
    try:
        elsewhere.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotInstall(
            f"Neither {local} nor {elsewhere} can be written by this user: make one of them writable, or set"
            " XDG_CACHE_HOME to a directory that is."
        ) from error
    return elsewhere


def wanted_stamp() -> str:
    """Return what a complete environment is stamped with: it changes when anything it was made from does."""
    parts = [sys.version, sys.base_prefix, platform.machine(), str(CHECKOUT)]
    files = [(CHECKOUT / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
    return hashlib.sha256(b"\0".join([*(part.encode() for part in parts), *files])).hexdigest()


def is_complete(environment: Path, wanted: str) -> bool:
    """Return whether the environment is as wanted and its Python may be run by this user."""
    try:
        stamp = (environment / STAMP).read_text(encoding="ascii")
    except OSError:
        return False
    return stamp == wanted and os.access(python_of(environment), os.X_OK)


def python_of(environment: Path) -> Path:
    """Return an environment's Python."""
    return environment / "bin" / "python"


@contextmanager
def only_one(environment: Path) -> Generator[None]:
    """Wait until nobody else installs into the environment."""
    environment.mkdir(exist_ok=True)
    with (environment / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(environment: Path, wanted: str) -> None:
    """Make the environment; stamp it only when it is whole."""
    say(f"Installing (once) into {environment} …")
    (environment / STAMP).unlink(missing_ok=True)
    if not has_our_python(environment):
        for left in environment.iterdir():
            if left.name != LOCK:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    install_packages(environment)
    (packages_of(environment) / "smartsip.pth").write_text(f"{CHECKOUT}\n", encoding="utf-8")
    command = environment / "bin" / "smartsip"
    command.write_text(COMMAND.format(python=python_of(environment)), encoding="utf-8")
    command.chmod(0o755)
    (environment / STAMP).write_text(wanted, encoding="ascii")


def has_our_python(environment: Path) -> bool:
    """Return whether the environment was made with the Python we run on, and works."""
    ask = "import sys; print(sys.version, sys.base_prefix, sep='\\n')"
    try:
        answer = subprocess.run([python_of(environment), "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout == f"{sys.version}\n{sys.base_prefix}\n"


def install_packages(environment: Path) -> None:
    """Install exactly the lock: with uv, and where that fails with pip."""
    pip = pip_for(environment)
    python, lock = str(python_of(environment)), str(CHECKOUT / "requirements.lock")
    if succeeds([*pip, "install", "--quiet", "--disable-pip-version-check", UV]):
        uv = str(environment / "bin" / "uv")
        # Compiled now, or the first start would take seconds longer.
        options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", python]
        if succeeds([uv, "pip", "install", *options, "-r", lock]):
            return
    say("uv did not work here; installing with pip, which takes longer …")
    if not succeeds([*pip, "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock]):
        raise CannotInstall("The packages could not be installed; pip's messages above say why.")


def pip_for(environment: Path) -> list[str]:
    """Return how to call a pip that installs into the environment, also where Python came without ensurepip."""
    python = str(python_of(environment))
    if succeeds([python, "-c", "import pip"], is_quiet=True):
        return [python, "-m", "pip"]
    if succeeds([python, "-m", "ensurepip", "--default-pip"], is_quiet=True):
        return [python, "-m", "pip"]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--python", python]
    raise CannotInstall(
        f"{sys.executable} has neither ensurepip nor pip: install them (Debian and Ubuntu: apt install python3-venv)."
    )


def packages_of(environment: Path) -> Path:
    """Return the directory packages are installed into."""
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def succeeds(argv: Sequence[str], *, is_quiet: bool = False) -> bool:
    """Run a program, its messages shown unless they are expected, and return whether it succeeded."""
    output = subprocess.DEVNULL if is_quiet else None
    try:
        return subprocess.call(argv, stdout=output, stderr=output) == 0
    except OSError:
        return False


def say(sentence: str) -> None:
    """Tell the person who waits; not on standard output, which belongs to the command."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
