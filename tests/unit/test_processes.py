"""Children that die with their parent, their logs, and the data directory they share."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.data_directory import open_data_directory, write_private
from compose.errors import CannotStart
from compose.leftovers import clear_stale_pid_file
from compose.processes import Program, Watcher, bound_log, last_words, spawn, wait_until
from tests.stack import eventually, temporary_directory


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that PostgreSQL's user can reach, too."""
    directory = temporary_directory()
    yield directory
    shutil.rmtree(directory)


def program(*argv: str, log: Path | None = None) -> Program:
    return Program(name="The child", argv=argv, environment={"PATH": "/usr/bin:/bin"}, log=log)


def test_a_child_that_stops_while_starting_is_reported_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = spawn(program("/bin/sh", "-c", "echo first; echo the port is taken; exit 3", log=log))
    with pytest.raises(CannotStart) as caught:
        wait_until(lambda: False, child)
    assert str(caught.value) == f"The child stopped while starting: the port is taken (see {log})"


def test_a_child_that_is_not_ready_in_time_is_reported() -> None:
    child = spawn(program("/bin/sleep", "60"))
    with pytest.raises(CannotStart, match="was not ready within 0 seconds"):
        wait_until(lambda: False, child, within_s=0.0)
    child.kill()
    assert not child.is_running


def test_a_full_disk_is_told_from_a_servers_log(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text("FATAL: could not write lock file: No space left on device\nshutting down\n")
    assert last_words(log) == f"the disk that holds {tmp_path} is full"


def test_a_program_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(CannotStart) as caught:
        spawn(program("/nowhere/server"))
    assert str(caught.value) == "The child cannot be started: No such file or directory (/nowhere/server)."


def test_children_of_threads_are_refused_because_they_would_die_with_them() -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            spawn(program("/bin/true"))
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(raised) == 1


async def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    child = orphan()

    async def is_gone() -> bool:
        return not is_alive(child)

    await eventually(is_gone, expecting="the child's end")


async def test_where_the_kernel_does_not_tell_a_pipe_does() -> None:
    child = spawn(program("/bin/sleep", "60"))
    Watcher(child.process.pid, signal.SIGTERM).alarm()

    async def has_ended() -> bool:
        return not child.is_running

    await eventually(has_ended, expecting="the child's end")
    assert child.process.returncode == -signal.SIGTERM


def test_a_dismissed_watcher_signals_nobody() -> None:
    child = spawn(program("/bin/sleep", "60"))
    Watcher(child.process.pid, signal.SIGTERM).dismiss()
    assert child.is_running
    child.kill()


def test_a_log_and_its_predecessor_stay_below_the_limit(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab") as stream:
        stream.write(b"x" * 150)
        stream.flush()
        bound_log(log, limit_bytes=100)
        stream.write(b"after")
    assert (log.read_bytes(), (tmp_path / "a.1.log").read_bytes()) == (b"after", b"x" * 100)


def test_a_disk_without_room_is_one_sentence(place: Path) -> None:
    with pytest.raises(CannotStart, match=r"^The disk that holds .* is full: \d+ MB are free and \d+ MB are needed\."):
        open_data_directory(place, needed_bytes=2**62)


def test_data_in_use_is_refused_and_free_again_when_released(place: Path) -> None:
    held = open_data_directory(place)
    with pytest.raises(CannotStart, match=f"is in use by a running system .process {os.getpid()}."):
        open_data_directory(place)
    held.release()
    open_data_directory(place).release()


def test_secrets_are_made_once_and_only_their_owner_can_read_them(place: Path) -> None:
    data = open_data_directory(place)
    first = data.secret("a.token")
    assert (data.secret("a.token"), (data.path / "a.token").stat().st_mode & 0o777) == (first, 0o600)
    data.release()


@pytest.mark.parametrize(("pid", "is_removed"), [(os.getpid(), True), (2**22 + 1, False)], ids=["ours", "nobodys"])
def test_a_lock_file_is_removed_only_where_another_living_program_has_its_number(
    tmp_path: Path, pid: int, is_removed: bool
) -> None:
    file = tmp_path / "postmaster.pid"
    write_private(file, f"{pid}\n/somewhere\n")
    clear_stale_pid_file(file, cluster=tmp_path / "18")
    assert file.exists() is not is_removed


def test_a_server_that_still_runs_is_not_started_twice(tmp_path: Path) -> None:
    cluster = tmp_path / "18"
    child = spawn(program("/bin/sh", "-c", "sleep 60; :", "postgres", "-D", str(cluster)))
    file = tmp_path / "postmaster.pid"
    write_private(file, f"{child.process.pid}\n")
    with pytest.raises(CannotStart, match="still uses"):
        clear_stale_pid_file(file, cluster=cluster)
    child.kill()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def orphan() -> int:
    """Start a process that starts a child, kill it, and return the child's number."""
    script = (
        "import sys, time\n"
        "from compose.processes import Program, spawn\n"
        "child = spawn(Program(name='c', argv=['/bin/sleep', '60'], environment={}))\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return child
