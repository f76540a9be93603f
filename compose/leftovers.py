"""What a killed PostgreSQL leaves behind, and how it is told from a living one."""

import subprocess
from pathlib import Path

from compose.errors import CannotStart


def clear_stale_pid_file(pid_file: Path, *, cluster: Path) -> None:
    """Remove a lock file whose number belongs to another, living program by now, as after a reboot.

    PostgreSQL believes that any living process of its user is a server. The lock of a dead one is left to PostgreSQL,
    which finds out from it whether backends of that server are still there.

    Raises:
        CannotStart: if a server still runs on this cluster.
    """
    try:
        pid = int(pid_file.read_text(encoding="ascii", errors="replace").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    command = command_line(pid)
    if "postgres" in command and str(cluster) in command:
        raise CannotStart(f"A PostgreSQL server (process {pid}) still uses {cluster}: end it, then start again.")
    if command:
        pid_file.unlink(missing_ok=True)


def command_line(pid: int) -> str:
    """Return the command a process runs, or nothing if there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self/cmdline").exists():
            return ""
    listed = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()
