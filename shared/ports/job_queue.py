"""The doorbells: a message per job that says "there is work", harmless when lost or doubled."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from shared.domain.jobs import Queue


class Bell(msgspec.Struct, frozen=True):
    """One doorbell: which job, on which queue, and whether it must run alone in its worker."""

    job_id: UUID
    queue: Queue
    solo: bool = False


class JobQueue(Protocol):
    """Where doorbells go. Never called before the job's row is committed."""

    async def ring(self, bells: Sequence[Bell]) -> None:
        """Send the doorbells in one round trip; raises `Unavailable` if the broker cannot be reached."""
        ...
