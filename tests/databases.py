"""Databases of a test's own: cloned from a migrated template, and emptied for the next test where that is enough.

Making a database takes PostgreSQL a quarter of a second, emptying one that a test has used some milliseconds.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import psycopg

from shared.database.tables import metadata, owner
from shared.domain.ids import LOCAL_OWNER
from tests.stack import administer, database_named

SMALL_BYTES = 4 * 1024 * 1024
"""A database whose tables have grown beyond this is not emptied but dropped: what was deleted would slow it down."""
END_MS = 5_000
_TABLES = ", ".join(f"'{table.name}'" for table in metadata.sorted_tables)
_SHAPE = """
    select (select string_agg(relname, ',' order by relname) from pg_class where relnamespace = 'public'::regnamespace),
           (select string_agg(version_num, ',') from alembic_version),
           (select array_agg(owner::text) from owner where id = 1)
"""
"""What must be as it was: tables and indexes, the schema's version, the local owner."""
_SIZE = f"select sum(pg_total_relation_size(name)) from unnest(array[{_TABLES}]::regclass[]) as name"
_OTHERS = "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = current_database()"
_SEQUENCES = "select format('%I.%I', schemaname, sequencename), last_value from pg_sequences"
_Row = tuple[Any, ...]  # columns of several types


@dataclass
class Clone:
    """One database, and what it was like when nobody had used it."""

    name: str
    sequences: dict[str, int | None]
    shape: _Row
    size_bytes: int


@dataclass
class Databases:
    """Clean databases of one server; one is only ever used by one test at a time."""

    server_url: str
    template: str
    _clean: list[Clone] = field(default_factory=list[Clone])
    _all: set[str] = field(default_factory=set[str])

    def take(self) -> Clone:
        """Return a database as the migrations leave it."""
        return self._clean.pop() if self._clean else self._make()

    def give_back(self, clone: Clone) -> None:
        """End whoever is still connected, and empty the database for the next test; drop it if that is not enough."""
        if self._is_emptied(clone):
            self._clean.append(clone)
        else:
            self._drop(clone.name)

    def url(self, clone: Clone) -> str:
        """Return how a database is connected to."""
        return database_named(self.server_url, clone.name)

    def close(self) -> None:
        """Drop every one of them."""
        for name in sorted(self._all):
            self._drop(name)

    def _make(self) -> Clone:
        name = f"test_{secrets.token_hex(6)}"
        administer(self.server_url, f'create database "{name}" template "{self.template}" strategy file_copy')
        self._all.add(name)
        with psycopg.connect(database_named(self.server_url, name), autocommit=True) as connection:
            sequences = dict(connection.execute(_SEQUENCES).fetchall())
            return Clone(name, sequences, _row(connection, _SHAPE), int(_row(connection, _SIZE)[0]))

    def _drop(self, name: str) -> None:
        administer(self.server_url, f'drop database "{name}" with (force)')
        self._all.discard(name)

    def _is_emptied(self, clone: Clone) -> bool:
        with psycopg.connect(self.url(clone), autocommit=True) as connection:
            connection.execute(_OTHERS + " and pid <> pg_backend_pid()", (END_MS,))
            if _row(connection, _SHAPE) != clone.shape or _row(connection, _SIZE)[0] > clone.size_bytes + SMALL_BYTES:
                return False
            connection.execute(_emptying(clone).encode())  # all at once: one round trip, one transaction
            return True


def _emptying(clone: Clone) -> str:
    deletions = [
        f'delete from "{table.name}"' + (f" where id <> {LOCAL_OWNER}" if table is owner else "")
        for table in reversed(metadata.sorted_tables)
    ]
    starts = [
        f"select setval('{sequence}', {last or 1}, {str(last is not None).lower()})"
        for sequence, last in clone.sequences.items()
    ]
    return "; ".join([*deletions, *starts])


def _row(connection: psycopg.Connection[Any], query: str) -> _Row:
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found
