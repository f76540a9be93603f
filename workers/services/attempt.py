"""What a service gets to work with: the attempt at hand, and the tools of the process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from uuid import UUID

from shared.database.queries import Queries
from shared.domain.commands import JobSpec
from shared.domain.events import Event
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import Queue
from shared.encryption import Sealer
from shared.ports.object_store import ObjectStore
from shared.settings import Clocks
from shared.settings_dialects import Price
from workers.gate import Gate
from workers.providers.base import Provider
from workers.providers.studio.base import Studio
from workers.services.first_tokens import FirstTokens
from workers.services.media.fetch_url import Web
from workers.services.pictures.decode_image import ImageDecoder

FETCHES_AT_ONCE: Final = 4
"""Of one attempt: each is held in memory whole."""


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
    gate: Gate
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """As `shared.settings_fallbacks` reads them."""
    first_tokens: FirstTokens = field(default_factory=FirstTokens)
    web: Web | None = None
    """Where media are fetched that callers name by URL; None if they are not."""
    studios: Mapping[str, Studio] = field(default_factory=dict[str, Studio])
    """Those that make pictures and films by calls of their own, by their provider's name."""


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
        queue: Queue = Queue.CHAT,
    ) -> None:
        self.job_id = job_id
        self.owner_id = owner_id
        self.spec = spec
        self.turn = turn
        self.queue = queue
        self.tools = tools
        self.emit = emit
        self.provider: Provider | None = None
        """The provider that was called last, once one was."""
        self.model = spec.model
        """Which of its models that was, as `provider/model`; the job's own as long as none was."""
        self.own_key: str | None = None
        """The provider's key that the caller brought, where it is used instead of the configured one."""
        self.fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self.fetch_until: float | None = None
        """When it must have fetched everything, on the loop's clock."""
        self.media_bytes = 0
        """Size of the videos and recordings it loaded."""
        self.input_weight = 0
        """What it was sent, in quarters of a token (`shared.domain.tokens`)."""


Service: TypeAlias = Callable[[Attempt], Awaitable[str]]
"""Does one kind of job: reports events, returns the finish reason, raises what `workers.outcomes` judges.

It is interrupted by asyncio cancellation, and must let go of what it holds within a fraction of a second.
"""
