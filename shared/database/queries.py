"""Running statements on SQLAlchemy's pool: fairly, in autocommit, and with "the database is away" as our own error."""

import asyncio
import builtins
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import structlog
from sqlalchemy import Executable
from sqlalchemy.engine import Row
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.domain.errors import Unavailable

logger = structlog.get_logger(__name__)

AnyRow: TypeAlias = Row[*tuple[Any, ...]]  # its columns are what each statement selects

AT_A_TIME: Final = 4
"""SQLAlchemy's pool serves waiting callers in no order; a semaphore, which is first come, first served, stands before
it. As many as `engine.create_engine` makes connections."""


SETTLE_S: Final = 5.0


class Queries:
    """One statement, one transaction, unless `transaction` is asked for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def settled(self) -> None:
        """Wait until nothing runs, a moment at most: a pool that is closed under a statement loses its connection."""
        taken = 0
        try:
            async with asyncio.timeout(SETTLE_S):
                while taken < AT_A_TIME:
                    await self._turns.acquire()
                    taken += 1
        except builtins.TimeoutError:
            logger.warning("queries_still_running")
        finally:
            for _ in range(taken):
                self._turns.release()

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[AnyRow]:
        """Run one statement and return its rows.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        async with self._turns, _told_as_unavailable(), self._autocommit.connect() as connection:
            return (await connection.execute(statement, values)).fetchall()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """Run several statements that are committed together, or not at all if an error leaves the block.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        async with self._turns, _told_as_unavailable(), self._engine.begin() as connection:
            yield connection


@asynccontextmanager
async def _told_as_unavailable() -> AsyncGenerator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError, OSError) as error:
        raise Unavailable("PostgreSQL cannot be reached at the moment") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("PostgreSQL cannot be reached at the moment") from error
        raise
