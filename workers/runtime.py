"""Everything a worker process holds: opened before it takes work, in this one place, and closed in reverse."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import structlog

from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_job_queue import CeleryJobQueue
from shared.adapters.minio_object_store import MinioObjectStore
from shared.adapters.redis_connection import connect
from shared.adapters.redis_event_log import RedisEventLog
from shared.adapters.redis_first_tokens import RedisFirstTokens
from shared.adapters.redis_limits import RedisProviderLimits
from shared.adapters.redis_subscriber import Subscriber
from shared.database.claims import Claims
from shared.database.engine import create_engine
from shared.database.queries import Queries
from shared.database.ringer import Ringer
from shared.database.workers import WorkerLeases
from shared.domain.jobs import Queue
from shared.encryption import Sealer
from shared.ending import end
from shared.settings import Settings
from workers.gate import Gate
from workers.lease import LeaseKeeper
from workers.providers.studio.table import build_studios
from workers.providers.table import build_providers
from workers.publisher import Publisher
from workers.runner import Runner
from workers.running import Stop
from workers.services.attempt import Tools
from workers.services.first_tokens import FirstTokens
from workers.services.generation.left_orders import watch_left_orders
from workers.services.media.fetch_url import THE_WEB
from workers.services.pictures.decode_image import ImageDecoder
from workers.services.refresh_models import refresh_models
from workers.services.table import SERVICES
from workers.waking import Waker

DECODERS: Final = 2
"""Processes that open images: as many as the small machines that this is for have cores."""
LETTING_GO_S: Final = 10.0
"""How long jobs that are given back may take to be written, before the process leaves them to the sweep."""
FLUSH_S: Final = 1.0
"""How long the last events may take to reach Redis; their ends are in PostgreSQL already."""

_log = structlog.get_logger(__name__)


class Runtime:
    """The open resources of one worker process; lives on its loop."""

    def __init__(self, settings: Settings, *, queues: Sequence[Queue], slots: int, decoders: int) -> None:
        self.settings = settings
        self.queues = queues
        self.slots = slots
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.app = create_celery(settings.redis)
        self.redis = connect(settings.redis)
        self._subscriber = Subscriber(self.redis)
        self._publisher = Publisher(
            RedisEventLog(self.redis, settings.redis.prefix, settings.clocks), gap=settings.clocks.publish_gap
        )
        self._engine = create_engine(settings.database)
        self._claims = Claims(settings.database)
        self._leases = WorkerLeases(settings.database)
        self._objects = MinioObjectStore(settings.objects)
        self._decoder = ImageDecoder(processes=decoders, max_pixels=settings.limits.image_pixels)
        self._ringer = Ringer(
            self._engine, CeleryJobQueue(self.app, self.redis, settings.redis.prefix), settings.clocks
        )
        self._providers = build_providers(settings.endpoints)
        self._queries = Queries(self._engine)
        self._first_tokens = FirstTokens()
        self._gate = Gate(
            RedisProviderLimits(self.redis, settings.redis.prefix, lease=settings.clocks.lease),
            settings.endpoints,
            settings.clocks,
            wake=Waker(self._queries, self._ringer).wake,
        )
        self._tools = Tools(
            providers=self._providers,
            objects=self._objects,
            queries=self._queries,
            decoder=self._decoder,
            clocks=settings.clocks,
            sealer=Sealer(settings.master_key),
            prices=settings.prices,
            gate=self._gate,
            fallbacks=settings.fallbacks,
            first_tokens=self._first_tokens,
            web=THE_WEB if settings.fetch_remote_media else None,
            studios=build_studios(settings.endpoints),
        )
        self.runner = Runner(
            claims=self._claims,
            publisher=self._publisher,
            ringer=self._ringer,
            tools=self._tools,
            services=SERVICES,
        )
        self.lease = LeaseKeeper(
            leases=self._leases,
            runner=self.runner,
            subscriber=self._subscriber,
            prefix=settings.redis.prefix,
            clocks=settings.clocks,
            name=self.name,
            queues=queues,
            slots=slots,
        )
        self.on_failure: Callable[[], None] = lambda: None
        """Called when a part that should run as long as the process has died: the process should end."""
        self._closers = AsyncExitStack()

    @classmethod
    async def open(cls, settings: Settings, *, queues: Sequence[Queue], slots: int, decoders: int = DECODERS) -> Self:
        """Connect everything; the worker is not registered yet. `decoders` are the processes that open images.

        Raises:
            Unavailable: if PostgreSQL cannot be reached, or images cannot be decoded. Redis may be away.
        """
        runtime = cls(settings, queues=queues, slots=slots, decoders=decoders)
        try:
            await runtime._open()
        except BaseException:
            await runtime._closers.aclose()
            raise
        return runtime

    async def _open(self) -> None:
        closers = self._closers
        closers.push_async_callback(self.redis.aclose)
        closers.push_async_callback(self._engine.dispose)
        closers.push_async_callback(self._queries.settled)
        closers.callback(self._objects.close)
        for provider in self._providers.values():
            closers.push_async_callback(provider.close)
        for resource in (self._leases, self._claims):  # the impatient one first
            closers.push_async_callback(resource.close)
            await resource.open()
        closers.push_async_callback(self._decoder.close)
        await self._decoder.start()
        closers.push_async_callback(self._subscriber.close)
        await self._subscriber.start()
        closers.push_async_callback(self._ringer.close)
        closers.push_async_callback(self._gate.close)
        await self._gate.look()
        self.background(self._gate.run(), "gate")
        self.background(watch_left_orders(self._tools), "left_orders")
        self.background(self._publisher.run(), "publisher")
        counts = RedisFirstTokens(self.redis, self.settings.redis.prefix)
        self.background(self._first_tokens.tell(counts), "first_tokens")

    async def refresh_models(self, provider: str) -> None:
        """Ask a provider for its models, and note what it says."""
        await refresh_models(
            provider, providers=self._providers, queries=self._queries, within=self.settings.clocks.model_list
        )

    async def register(self) -> None:
        """Take a lease and keep it until `close`."""
        await self.lease.register()
        self.background(self.lease.keep(), "lease")

    async def drain(self, hurry: asyncio.Event) -> None:
        """Let running jobs finish for a while, or until told to hurry, then give the rest back."""
        in_hand = self.runner.in_hand
        _log.info("worker_drains", jobs=len(in_hand))
        await self.lease.drain()
        await _first(in_hand.empty(), hurry.wait(), within_s=self.settings.clocks.drain.total_seconds())
        if len(in_hand):
            _log.info("worker_gives_back", jobs=len(in_hand))
        await self.give_back()

    async def give_back(self) -> None:
        """Interrupt every job and queue it again; bounded, also where PostgreSQL is away."""
        in_hand = self.runner.in_hand
        in_hand.end_all(Stop.RELEASED)
        await _first(in_hand.empty(), within_s=LETTING_GO_S)
        if len(in_hand):
            _log.error("jobs_left_to_the_sweep", jobs=len(in_hand))

    async def close(self) -> None:
        """Deregister and close everything, the last events first."""
        await _first(self._publisher.settled(), within_s=FLUSH_S)
        await self.lease.deregister()
        await self._closers.aclose()

    def background(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something until `close`, or until its task is cancelled."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._notice_death)
        self._closers.push_async_callback(end, task)
        return task

    def _notice_death(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("background_task_died", task=task.get_name(), exc_info=error)
            self.on_failure()


async def _first(*waits: Coroutine[Any, Any, object], within_s: float) -> None:
    """Wait until the first of these is done, for a bounded time."""
    tasks = {asyncio.create_task(wait) for wait in waits}
    try:
        await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
