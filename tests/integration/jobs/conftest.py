"""Every part of the job core, opened on the test's own database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.claims import Claims
from shared.database.control import JobControl
from shared.database.engine import create_engine
from shared.database.reads import JobReads
from shared.database.ringer import Ringer
from shared.database.submissions import Submissions
from shared.database.sweep import Sweep
from shared.database.workers import WorkerLeases
from shared.domain.ids import WorkerId
from shared.domain.jobs import Queue
from shared.settings import Settings
from tests.integration.jobs.factory import Bells, Clock, Database, Epoch
from tests.stack import eventually

LONG_LEASE = timedelta(minutes=10)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings.database)
    yield engine
    await engine.dispose()


@pytest.fixture
async def submissions(settings: Settings) -> AsyncIterator[Submissions]:
    submissions = Submissions(settings.database)
    await submissions.open()
    yield submissions
    await submissions.close()


@pytest.fixture
async def claims(settings: Settings) -> AsyncIterator[Claims]:
    claims = Claims(settings.database)
    await claims.open()
    yield claims
    await claims.close()


@pytest.fixture
async def leases(settings: Settings) -> AsyncIterator[WorkerLeases]:
    leases = WorkerLeases(settings.database)
    await leases.open()
    yield leases
    await leases.close()


@pytest.fixture
async def worker(leases: WorkerLeases) -> WorkerId:
    return await leases.register("worker-1", list(Queue), 10, LONG_LEASE)


@pytest.fixture
async def other_worker(leases: WorkerLeases, worker: WorkerId) -> WorkerId:
    return await leases.register("worker-2", list(Queue), 10, LONG_LEASE)


@pytest.fixture
def reads(engine: AsyncEngine) -> JobReads:
    return JobReads(engine)


@pytest.fixture
def control(engine: AsyncEngine) -> JobControl:
    return JobControl(engine)


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
def epoch() -> Epoch:
    return Epoch()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ringer(engine: AsyncEngine, bells: Bells, settings: Settings) -> AsyncIterator[Ringer]:
    ringer = Ringer(engine, bells, settings.clocks)
    yield ringer
    await ringer.close()


@pytest.fixture
async def sweep(
    settings: Settings, ringer: Ringer, epoch: Epoch, clock: Clock, database: Database
) -> AsyncIterator[Sweep]:
    """A sweep on a server that has been up for a lease, so that lapsed leases mean dead workers."""
    await eventually(lambda: database.has_been_up_for(settings.clocks.lease))
    sweep = Sweep(settings.database, ringer, epoch, settings.clocks, monotonic=clock)
    yield sweep
    await sweep.close()
