"""The migrations and the tables say the same, and several processes may migrate at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.database.migrate import newest_revision, upgrade
from shared.database.schema import metadata
from shared.database.tables import STATE_CODES
from shared.domain.ids import LOCAL_OWNER
from shared.domain.jobs import State
from tests.stack import TestStack, administer, database_named, sqlalchemy_url


@pytest.mark.covers("F003-57")
def test_the_migrations_amount_to_the_tables(database_url: str) -> None:
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == newest_revision()
        assert connection.execute(text("select id, name from owner")).all() == [(LOCAL_OWNER, "local")]


def test_several_processes_may_migrate_at_once(stack: TestStack) -> None:
    administer(stack.database_url, 'create database "migrated_at_once"')
    try:
        url = sqlalchemy_url(database_named(stack.database_url, "migrated_at_once"))
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(upgrade, url) for _ in range(4)]:
                done.result()
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            assert connection.execute(text("select count(*) from owner")).scalar_one() == 1
    finally:
        administer(stack.database_url, 'drop database "migrated_at_once" with (force)')


def test_every_state_has_a_code_of_its_own() -> None:
    assert set(STATE_CODES) == set(State)
    assert len(set(STATE_CODES.values())) == len(State)
