"""One worker process: `python -m compose.worker_main --queues device`."""

import argparse
import sys
from collections.abc import Sequence

from compose.errors import CannotStart
from compose.gate import wait_at_gate
from shared.domain.jobs import Queue
from shared.observability import set_up_logging
from shared.settings import load_settings


def work(queues: str, *, slots: int | None, gate: int | None = None) -> int:
    """Serve queues until told to stop by a signal, and return the exit code.

    Raises:
        CannotStart: if a queue does not exist.
    """
    wanted = parse_queues(queues)
    settings = load_settings()
    set_up_logging(log_format=settings.log_format, log_level=settings.log_level)
    from workers.main import run_worker  # loads Celery and the providers' SDKs: only once the rest is known to be right

    wait_at_gate(gate)
    return run_worker(settings, queues=wanted, slots=slots or settings.worker.slots)


def parse_queues(text: str) -> list[Queue]:
    """Return the queues named in `a,b,c`.

    Raises:
        CannotStart: if one does not exist, or none is named.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - {queue.value for queue in Queue})
    if unknown or not names:
        raise CannotStart(f"There is no queue {', '.join(unknown) or 'named'!r}: the queues are {', '.join(Queue)}.")
    return list(dict.fromkeys(Queue(name) for name in names))


def main(arguments: Sequence[str] | None = None) -> None:
    """Work as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m compose.worker_main")
    parser.add_argument("--queues", required=True, help="queues to serve, separated by commas")
    parser.add_argument("--slots", type=int, help="jobs to run at a time")
    parser.add_argument("--gate", type=int, help="file descriptor that closes when the database is ready")
    options = parser.parse_args(arguments)
    queues: str = options.queues
    slots: int | None = options.slots
    gate: int | None = options.gate
    sys.exit(work(queues, slots=slots, gate=gate))


if __name__ == "__main__":
    main()
