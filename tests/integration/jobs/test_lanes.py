import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from shared.database.connection import Connection, Raw
from shared.database.lanes import MAX_ROWS, Lane
from shared.domain.errors import Unavailable
from shared.settings import Settings
from tests.integration.jobs.factory import Database
from tests.stack import eventually


class Batches:
    """Batches as they were sent; divides 100 by each number in PostgreSQL, which refuses to divide by zero."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []

    async def __call__(self, raw: Raw, numbers: list[int], _is_retry: bool) -> Sequence[int]:
        self.sent.append(list(numbers))
        cursor = await raw.execute(
            "select 100 / number from unnest(%s::bigint[]) with ordinality as asked(number, place) order by place",
            (numbers,),
        )
        return [row[0] for row in await cursor.fetchall()]


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[Connection]:
    connection = Connection(settings.database, name="smartsip-test", patience=timedelta(seconds=5))
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
def lane(connection: Connection, batches: Batches) -> Lane[int, int]:
    return Lane(connection, batches, key=lambda number: number)


async def test_what_arrives_in_one_turn_goes_out_as_one_sorted_batch(lane: Lane[int, int], batches: Batches) -> None:
    assert await asyncio.gather(*map(lane.submit, [5, 2, 10, 1])) == [20, 50, 10, 100]
    assert batches.sent == [[1, 2, 5, 10]]


async def test_what_arrives_during_a_flight_goes_out_with_the_next(lane: Lane[int, int], batches: Batches) -> None:
    first = lane.submit(1)

    async def is_flying() -> bool:
        return bool(batches.sent)

    await eventually(is_flying)
    rest = [lane.submit(number) for number in (4, 2)]
    assert [await first, *await asyncio.gather(*rest)] == [100, 25, 50]
    assert batches.sent == [[1], [2, 4]]


async def test_batches_are_not_larger_than_the_limit(lane: Lane[int, int], batches: Batches) -> None:
    await asyncio.gather(*map(lane.submit, range(1, 601)))
    assert [len(batch) for batch in batches.sent] == [MAX_ROWS, MAX_ROWS, 600 - 2 * MAX_ROWS]


async def test_a_row_that_is_refused_fails_its_caller_only(lane: Lane[int, int], batches: Batches) -> None:
    results = await asyncio.gather(*map(lane.submit, [1, 0, 2, 0]), return_exceptions=True)
    assert [result if isinstance(result, int) else type(result).__name__ for result in results] == [
        100,
        "DivisionByZero",
        50,
        "DivisionByZero",
    ]
    assert batches.sent == [[0, 0, 1, 2], [0], [0], [1], [2]]


async def test_a_caller_who_goes_away_takes_nobody_with_him(lane: Lane[int, int]) -> None:
    first, second = lane.submit(1), lane.submit(2)
    first.cancel()
    assert await second == 50


async def test_a_batch_is_sent_again_when_the_connection_broke(
    lane: Lane[int, int], batches: Batches, database: Database
) -> None:
    assert await lane.submit(1) == 100
    assert await database.kill_connections("smartsip-test") == 1
    assert await lane.submit(2) == 50
    assert batches.sent == [[1], [2], [2]]


async def test_a_statement_that_hangs_is_given_up(settings: Settings) -> None:
    """A server that neither answers nor closes: the connection is replaced, and in the end given up."""
    connection = Connection(settings.database, name="smartsip-test", patience=timedelta(0), statement_s=0.1)

    async def sleep(raw: Raw, _is_retry: bool) -> None:
        await raw.execute("select pg_sleep(60)")

    with pytest.raises(Unavailable):
        await connection.run(sleep)
    await connection.close()


async def test_draining_waits_for_every_answer(lane: Lane[int, int]) -> None:
    futures = [lane.submit(number) for number in range(1, 1_000)]
    await lane.drain()
    assert all(future.done() for future in futures)
