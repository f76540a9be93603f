"""What every route of the front works with: the opened adapters of one api process."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api.background import Background
from api.hub import StreamHub
from api.services.accounts import AccountStore
from api.services.chats import ChatStore
from api.services.devices import DeviceStore
from api.services.first_tokens import FirstTokenReader
from api.services.keys import KeyStore
from api.services.models import ModelLists
from api.services.profiles import ProfileStore
from api.services.prompts import PromptStore
from api.services.quotas import QuotaStore
from api.services.refreshes import Refreshes
from api.tickets import Tickets
from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_job_queue import CeleryJobQueue
from shared.adapters.celery_upkeep import CeleryUpkeep
from shared.adapters.minio_object_store import MinioObjectStore
from shared.adapters.redis_connection import connect
from shared.adapters.redis_event_log import RedisEventLog
from shared.adapters.redis_first_tokens import RedisFirstTokens
from shared.adapters.redis_subscriber import Subscriber
from shared.database.control import JobControl
from shared.database.engine import create_engine
from shared.database.looks import JobLooks
from shared.database.queries import Queries
from shared.database.reads import JobReads
from shared.database.ringer import Ringer
from shared.database.submissions import Submissions
from shared.encryption import Sealer
from shared.ports.event_log import EventLog
from shared.ports.job_queue import JobQueue
from shared.ports.object_store import ObjectStore
from shared.settings import Settings


@dataclass(frozen=True)
class Front:
    """The opened parts; closed in reverse order when the process stops."""

    settings: Settings
    engine: AsyncEngine
    queries: Queries
    submissions: Submissions
    reads: JobReads
    looks: JobLooks
    control: JobControl
    ringer: Ringer
    jobs: JobQueue
    redis: Redis
    events: EventLog
    subscriber: Subscriber
    hub: StreamHub
    objects: ObjectStore
    buckets: dict[str, list[ObjectStore]]
    """Buckets that devices write to themselves, by their owner's name."""
    keys: KeyStore
    devices: DeviceStore
    profiles: ProfileStore
    prompts: PromptStore
    chats: ChatStore
    quotas: QuotaStore
    models: ModelLists
    first_tokens: FirstTokenReader
    accounts: AccountStore
    tickets: Tickets
    background: Background


@asynccontextmanager
async def open_front(settings: Settings) -> AsyncGenerator[Front]:
    """Open everything an api process needs; Redis may be away, PostgreSQL may not."""
    prefix, clocks = settings.redis.prefix, settings.clocks
    async with AsyncExitStack() as stack:
        engine = create_engine(settings.database, pool_size=8)
        stack.push_async_callback(engine.dispose)
        queries = Queries(engine)
        stack.push_async_callback(queries.settled)
        redis = connect(settings.redis)
        stack.push_async_callback(redis.aclose)
        submissions = Submissions(settings.database)
        await submissions.open()
        stack.push_async_callback(submissions.close)
        looks = JobLooks(settings.database)
        await looks.open()
        stack.push_async_callback(looks.close)
        subscriber = Subscriber(redis)
        await subscriber.start()
        stack.push_async_callback(subscriber.close)
        events = RedisEventLog(redis, prefix, clocks)
        reads = JobReads(engine)
        hub = StreamHub(
            events=events, subscriber=subscriber, reads=reads, prefix=prefix, clocks=clocks, limits=settings.limits
        )
        await hub.start()
        stack.push_async_callback(hub.close)
        objects = MinioObjectStore(settings.objects)
        stack.callback(objects.close)
        celery = create_celery(settings.redis)
        jobs = CeleryJobQueue(celery, redis, prefix)
        background = Background()
        stack.push_async_callback(background.close)
        ringer = Ringer(engine, jobs, clocks)
        stack.push_async_callback(ringer.close)
        sealer = Sealer(settings.master_key)
        accounts = AccountStore(queries, sealer, settings)
        stack.callback(accounts.close)
        refreshes = Refreshes(queries, CeleryUpkeep(celery, redis, prefix), provider_may_take=clocks.model_list)
        stack.push_async_callback(refreshes.close)
        yield Front(
            settings=settings,
            engine=engine,
            queries=queries,
            submissions=submissions,
            reads=reads,
            looks=looks,
            control=JobControl(engine),
            ringer=ringer,
            jobs=jobs,
            redis=redis,
            events=events,
            subscriber=subscriber,
            hub=hub,
            objects=objects,
            buckets=_device_buckets(settings, stack),
            keys=KeyStore(queries, believed_for=clocks.key_cache),
            devices=DeviceStore(queries, sealer, clocks),
            profiles=ProfileStore(queries, settings.profiles),
            prompts=PromptStore(queries),
            chats=ChatStore(queries, sealer),
            quotas=QuotaStore(queries, believed_for_s=clocks.key_cache.total_seconds()),
            models=ModelLists(
                queries,
                refreshes,
                providers=settings.configured_providers,
                default_model=settings.default_model,
                cached_for=clocks.model_cache,
            ),
            first_tokens=FirstTokenReader(RedisFirstTokens(redis, prefix)),
            accounts=accounts,
            tickets=Tickets(sealer, lifetime=clocks.ticket),
            background=background,
        )


def _device_buckets(settings: Settings, stack: AsyncExitStack) -> dict[str, list[ObjectStore]]:
    buckets: dict[str, list[ObjectStore]] = {}
    for bucket, owner_name in settings.device_buckets.items():
        store = MinioObjectStore(settings.objects.model_copy(update={"bucket": bucket}))
        stack.callback(store.close)
        buckets.setdefault(owner_name, []).append(store)
    return buckets
