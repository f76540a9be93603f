"""A worker as a process, for tests: `python -m … <queues> <slots>`, the settings pickled on standard input."""

import pickle
import sys

from shared.domain.jobs import Queue
from shared.observability import set_up_logging
from workers.main import run_worker

if __name__ == "__main__":
    settings = pickle.load(sys.stdin.buffer)
    set_up_logging(log_format="json", log_level="info")
    names = [name for name in sys.argv[1].split(",") if name]
    sys.exit(run_worker(settings, queues=[Queue(name) for name in names], slots=int(sys.argv[2])))
