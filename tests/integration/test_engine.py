"""The pool over a real server that closes its connections."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.database.queries import AT_A_TIME, Queries
from shared.database.tables import owner
from shared.settings import Settings
from tests.stack import eventually

OURS = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'smartsip'"
CLOSE = OURS.replace("count(*)", "pg_terminate_backend(pid)")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings.database, pool_size=AT_A_TIME)
    yield engine
    await engine.dispose()


async def test_connections_that_the_server_closed_cost_no_error(engine: AsyncEngine, settings: Settings):
    queries = Queries(engine)
    async with await psycopg.AsyncConnection.connect(settings.database.conninfo, autocommit=True) as other:
        slow = text("select pg_sleep(0.1)")
        await asyncio.gather(*(queries.rows(slow) for _ in range(AT_A_TIME)))
        assert await (await other.execute(OURS)).fetchone() == (AT_A_TIME,)
        await other.execute(CLOSE)

        async def are_gone() -> bool:
            return await (await other.execute(OURS)).fetchone() == (0,)

        await eventually(are_gone)
        found = await asyncio.gather(*(queries.rows(select(owner.c.name)) for _ in range(4 * AT_A_TIME)))
        assert [[row.name for row in rows] for rows in found] == [["local"]] * (4 * AT_A_TIME)
