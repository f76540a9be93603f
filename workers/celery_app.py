"""Celery's part of a worker: hears the doorbells in the main thread and hands them to the pool. Nothing else is its."""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from celery import Celery
from celery.app.trace import setup_worker_optimizations
from celery.worker import WorkController
from celery.worker import state as worker_state

from shared.domain.jobs import Queue
from workers.pool import Hub, TaskPool

STEPS_NOT_WANTED: Final = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
"""Workers that talk to each other through the broker are a load and a failure the job rows make needless."""


class Ear(WorkController):
    """Celery's worker without its program: signals, logging and the banner are `workers.main`'s business."""

    def on_before_init(self, **kwargs: Any) -> None:
        """Do what Celery's own program does here: finalise the app and let the fast tracer find its tasks."""
        setup_worker_optimizations(self.app, cast(Any, self).hostname)  # the stub does not know hostname


def new_ear(
    app: Celery,
    pool: type[TaskPool],
    *,
    name: str,
    queues: Sequence[Queue],
    on_ready: Callable[[], None] = lambda: None,
) -> Ear:
    """Return a consumer of these queues; its `start` blocks until `stop_hearing`.

    `on_ready` is called when it hears for the first time.
    """
    app.conf.update(
        # What is heard is noted in memory, not in Redis: two round trips less per bell, in a thread that waits for the
        # interpreter's lock after each. A bell that dies with the process is rung again by the sweep.
        broker_transport_options={**app.conf.broker_transport_options, "ack_emulation": False},
        # No message is taken from the broker while all slots are full: another worker may have room.
        worker_disable_prefetch=True,
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # only late acknowledged ones; unset, Celery warns
    )
    worker_state.should_stop = worker_state.should_terminate = None
    return Ear(
        app=app,
        hostname=name,
        pool_cls=pool,
        concurrency=1,
        prefetch_multiplier=1,
        queues=[queue.value for queue in queues],
        ready_callback=lambda _consumer: on_ready(),  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        **STEPS_NOT_WANTED,
    )


def stop_hearing(ear: Ear) -> None:
    """Make `ear.start` return soon, giving back what was heard and not accepted. From any thread.

    Not from a signal handler: the hub's lock may be held by the very code that the signal interrupted.
    """
    worker_state.should_stop = 0
    _hub(ear).call_soon(int)  # wakes it, so that it looks at the flag


def break_connection(ear: Ear) -> None:
    """Make the consumer drop its connection to the broker and make a new one. From any thread."""
    _hub(ear).call_soon(_lose_connection)


def _hub(ear: Ear) -> Hub:
    return cast(Hub, ear.hub)  # the stub knows the boot step of the same name


def _lose_connection() -> None:
    raise ConnectionResetError("the consumer heard nothing although there were bells")
