"""The connection pool for everything that is not hot; hot statements go through `shared.database.lanes`."""

import select
import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared.settings import Database

TRUSTED_S: Final = 1.0
"""A connection that was used a moment ago is not asked whether it lives, which costs a round trip, while it is silent:
a server that closes a connection says so."""


def create_engine(database: Database, *, pool_size: int = 4) -> AsyncEngine:
    """Return an engine whose idle connections are checked before use, so that a restarted server costs no error."""
    engine = create_async_engine(
        database.sqlalchemy_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        skip_autocommit_rollback=True,
        connect_args={"connect_timeout": 5, "application_name": "smartsip"},
    )
    _check_idle_connections(engine.sync_engine)
    return engine


def _check_idle_connections(engine: Engine) -> None:
    def check(connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:  # Any: the driver's
        is_trusted = time.monotonic() - entry.info["used_at"] < TRUSTED_S and _is_silent(connection)
        if not is_trusted and not _is_alive(engine, connection):
            raise DisconnectionError("the server has closed an idle connection")  # the pool makes another

    def remember(_connection: object, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()

    event.listen(engine, "checkout", check)
    event.listen(engine, "connect", remember)
    event.listen(engine, "checkin", remember)


def _is_silent(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.driver_connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _is_alive(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error:
        return False
