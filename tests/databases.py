"""Databases of a test's own: cloned from a migrated template, and emptied for the next test where that is enough.

Making a database takes PostgreSQL a quarter of a second, emptying one that a test has used some milliseconds.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import psycopg

from shared.database.schema import metadata
from shared.database.tables import owner
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
    connection: psycopg.Connection[Any]
    """Kept, because emptying takes a new one ten times as long: it has yet to learn of every table."""
    sequences: dict[str, int | None]
    shape: _Row
    size_bytes: int


@dataclass
class Databases:
    """Clean databases of one server; one is only ever used by one test at a time."""

    server_url: str
    template: str
    _clean: list[Clone] = field(default_factory=list[Clone])
    _all: dict[str, Clone] = field(default_factory=dict[str, Clone])

    def take(self) -> Clone:
        """Return a database as the migrations leave it."""
        return self._clean.pop() if self._clean else self._make()

    def give_back(self, clone: Clone) -> None:
        """End whoever is still connected, and empty the database for the next test; drop it if that is not enough."""
        try:
            is_clean = _is_emptied(clone)
        except psycopg.OperationalError:  # a test ended our connection too
            is_clean = False
        if is_clean:
            self._clean.append(clone)
        else:
            self._drop(clone)

    def url(self, clone: Clone) -> str:
        """Return how a database is connected to."""
        return database_named(self.server_url, clone.name)

    def close(self) -> None:
        """Drop every one of them."""
        for clone in list(self._all.values()):
            self._drop(clone)

    def _make(self) -> Clone:
        name = f"test_{secrets.token_hex(6)}"
        administer(self.server_url, f'create database "{name}" template "{self.template}" strategy file_copy')
        connection = psycopg.connect(database_named(self.server_url, name), autocommit=True)
        sequences = dict(connection.execute(_SEQUENCES).fetchall())
        shape, size_bytes = _row(connection, _SHAPE), int(_row(connection, _SIZE)[0])
        self._all[name] = Clone(name, connection, sequences, shape, size_bytes)
        return self._all[name]

    def _drop(self, clone: Clone) -> None:
        clone.connection.close()
        administer(self.server_url, f'drop database "{clone.name}" with (force)')
        del self._all[clone.name]


def _is_emptied(clone: Clone) -> bool:
    connection = clone.connection
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
