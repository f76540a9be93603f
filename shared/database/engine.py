"""The connection pool for everything that is not hot; hot statements go through `shared.database.lanes`."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.settings import Database


def create_engine(database: Database, *, pool_size: int = 4) -> AsyncEngine:
    """Return an engine whose connections are checked before use, so that a restarted server costs no error."""
    return create_async_engine(
        database.sqlalchemy_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "application_name": "smartsip"},
    )
