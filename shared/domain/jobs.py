"""Jobs: their kinds, queues, states and the moves between states."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

RUN_JOB: Final = "smartsip.run_job"
"""Name of the one Celery task: a doorbell whose arguments are a job id and whether it must run alone."""


class Kind(StrEnum):
    """What a job does."""

    CHAT = "chat"
    VISION = "vision"
    UPLOAD = "upload"
    IMAGE = "image"
    VIDEO = "video"


class Queue(StrEnum):
    """Where jobs wait. A device's photo never waits behind a batch."""

    DEVICE = "device"
    CHAT = "chat"
    BATCH = "batch"
    MEDIA = "media"


QUEUE_OF: Final = {
    Kind.CHAT: Queue.CHAT,
    Kind.VISION: Queue.DEVICE,
    Kind.UPLOAD: Queue.MEDIA,
    Kind.IMAGE: Queue.MEDIA,  # a minute each: a hundred of them must not stand before a chat
    Kind.VIDEO: Queue.MEDIA,
}
DEFAULT_TIMEOUT: Final = {
    Kind.CHAT: timedelta(minutes=15),
    Kind.VISION: timedelta(minutes=2),
    Kind.UPLOAD: timedelta(minutes=10),
    Kind.IMAGE: timedelta(minutes=15),
    Kind.VIDEO: timedelta(hours=2),
}
"""How long a job may take, waiting included, when its caller does not say."""
MAX_TIMEOUT: Final = timedelta(hours=24)


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # between polls of a long order at the provider: holds no slot
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ACTIVE: Final = frozenset({State.QUEUED, State.RUNNING, State.WAITING})
TERMINAL: Final = frozenset(State) - ACTIVE

TRANSITIONS: Final = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.FAILED}),
    State.RUNNING: frozenset(
        {State.QUEUED, State.WAITING, State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED}
    ),
    State.WAITING: frozenset({State.QUEUED, State.CANCELLED, State.EXPIRED, State.FAILED}),
    State.SUCCEEDED: frozenset[State](),
    State.FAILED: frozenset({State.QUEUED}),  # only an administrator's replay of a dead letter
    State.CANCELLED: frozenset[State](),
    State.EXPIRED: frozenset[State](),
}

MAX_ATTEMPTS: Final = 3
"""How often a job may fail by itself before it is a dead letter."""
MAX_LOSSES: Final = 10
"""How often the process under a job may die before the job is a dead letter."""
SOLO_AFTER_LOSSES: Final = 2
"""From this many losses on the job runs alone in its worker, so that a poison job takes no innocent one with it."""


class OnDisconnect(StrEnum):
    """What becomes of a job whose last reader goes away."""

    CONTINUE = "continue"
    CANCEL = "cancel"
