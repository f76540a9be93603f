"""The event log: what a runner writes while it works and readers follow live. A hint: it may be lost at any moment."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from shared.domain.events import Entry


class Append(msgspec.Struct, frozen=True):
    """Entries to append to one attempt's log: those at positions `first_seq` … of (`job_id`, `attempt`).

    Where `is_brief`, the log is kept but a moment once it has its end.
    """

    job_id: UUID
    attempt: int
    first_seq: int
    entries: Sequence[Entry]
    is_brief: bool = False


class EventLog(Protocol):
    """Per attempt one dense list of entries, and one channel per job on which each append is announced."""

    async def append(self, appends: Sequence[Append]) -> list[bool]:
        """Append and announce, atomically per attempt, all in one round trip.

        Returns, per append, whether the log held exactly `first_seq - 1` entries before. If not, nothing was written
        or announced: the log was lost, and the runner must `rewrite` it.
        """
        ...

    async def rewrite(self, job_id: UUID, attempt: int, entries: Sequence[Entry], *, announce_from: int) -> None:
        """Replace an attempt's whole log; announce the entries from position `announce_from` on."""
        ...

    async def read(self, job_id: UUID, attempt: int, *, after_seq: int = 0) -> list[Entry]:
        """Return the attempt's entries after a position; empty if there are none or the log was lost."""
        ...

    async def forget(self, attempts: Mapping[UUID, int]) -> None:
        """Remove every log of some jobs, each given with the number of its last attempt; what is not there is fine."""
        ...
