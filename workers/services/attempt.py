"""What a service gets to work with: the attempt at hand, and the tools of the process."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from shared.database.queries import Queries
from shared.domain.commands import JobSpec
from shared.domain.events import Event
from shared.domain.ids import JobId, OwnerId
from shared.encryption import Sealer
from shared.ports.object_store import ObjectStore
from shared.settings import Clocks
from shared.settings_dialects import Price
from workers.providers.base import Provider
from workers.services.decode_image import ImageDecoder


@dataclass(frozen=True)
class Tools:
    """What all attempts of a process share."""

    providers: dict[str, Provider]
    objects: ObjectStore
    queries: Queries
    decoder: ImageDecoder
    clocks: Clocks
    sealer: Sealer
    prices: Mapping[str, Price]
    """By `provider/model`."""


@dataclass(frozen=True)
class Turn:
    """The place in a chat that a job answers."""

    chat_id: UUID
    number: int


class Attempt:
    """One try at a job. A service reports through `emit` and returns the finish reason."""

    def __init__(
        self,
        *,
        job_id: JobId,
        owner_id: OwnerId,
        spec: JobSpec,
        tools: Tools,
        emit: Callable[[Event], None],
        turn: Turn | None = None,
    ) -> None:
        self.job_id = job_id
        self.owner_id = owner_id
        self.spec = spec
        self.turn = turn
        self.tools = tools
        self.emit = emit
        self.provider: Provider | None = None
        """The provider that was called, once it was."""
        self.media_bytes = 0
        """Size of the videos and recordings it loaded."""
        self.input_weight = 0
        """What it was sent, in quarters of a token (`shared.domain.tokens`)."""


Service: TypeAlias = Callable[[Attempt], Awaitable[str]]
"""Does one kind of job: reports events, returns the finish reason, raises what `workers.outcomes` judges.

It is interrupted by asyncio cancellation, and must let go of what it holds within a fraction of a second.
"""
