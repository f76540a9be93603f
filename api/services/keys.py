"""API keys: made, listed, revoked, and looked up on every request, which is why what was read is believed for a while.

Only a key's hash is kept, in PostgreSQL as here; the key itself leaves this module once, when it is made.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.engine import Row

from api.scopes import Scope
from shared.database.queries import Queries
from shared.database.statements import keys as statements
from shared.database.tables import api_key
from shared.domain.ids import OwnerId, uuid7
from shared.security import hash_of_key, hint_of_key, is_api_key, new_api_key

REMEMBERED: Final = 10_000
"""Hashes kept at most, known and unknown ones together; the longest unused go first."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as its owner may see it: everything but the key."""

    id: UUID
    owner_id: OwnerId
    owner_name: str
    name: str
    hint: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def is_valid(self) -> bool:
        """Whether it opens anything, by this machine's clock."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key that was just made, with its secret, which is shown this once."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r})"


class KeyStore:
    """The keys of all owners, and a short memory of those that were used here."""

    def __init__(self, queries: Queries, *, believed_for: timedelta) -> None:
        self._queries = queries
        self._believed_for_s = believed_for.total_seconds()
        self._remembered: OrderedDict[bytes, tuple[float, Key | None]] = OrderedDict()
        self._reading: dict[bytes, asyncio.Task[Key | None]] = {}

    async def find(self, secret: str) -> Key | None:
        """Return the valid key that a secret is, or None; at most `believed_for` behind a revocation elsewhere."""
        if not is_api_key(secret):
            return None
        hashed = hash_of_key(secret)
        known = self._remembered.get(hashed)
        if known is not None and known[0] > time.monotonic():
            key = known[1]
        else:
            key = await self._read_once(hashed)
        return key if key is not None and key.is_valid else None

    async def create(
        self, *, owner_name: str, name: str, scopes: frozenset[Scope], expires_at: datetime | None
    ) -> NewKey:
        """Make a key, and its owner where there is none of that name."""
        secret, key_id = new_api_key(), uuid7()
        async with self._queries.transaction() as connection:
            await connection.execute(statements.new_owner(owner_name))
            owner_id = (await connection.execute(statements.owner_named(owner_name))).scalar_one()
            row = {
                "id": key_id,
                "owner_id": owner_id,
                "name": name,
                "hash": hash_of_key(secret),
                "hint": hint_of_key(secret),
                "scopes": sorted(scopes),
                "expires_at": expires_at,
            }
            await connection.execute(insert(api_key).values(row))
            made = (await connection.execute(statements.key_with_id(key_id))).one()
        self._remembered.pop(hash_of_key(secret), None)
        return NewKey(key=_key(made), secret=secret)

    async def page(
        self, *, owner_id: OwnerId | None, owner_name: str | None, after: UUID | None, limit: int
    ) -> list[Key]:
        """Return keys, newest first; `owner_id` None means everybody's."""
        statement = statements.keys_page(owner_id=owner_id, owner_name=owner_name, after=after, limit=limit)
        return [_key(row) for row in await self._queries.rows(statement)]

    async def revoke(self, key_id: UUID, *, owner_id: OwnerId | None) -> bool:
        """End a key at once in this process; return whether there is such a key (of this owner, unless None)."""
        rows = await self._queries.rows(statements.revocation(key_id, owner_id=owner_id))
        for row in rows:
            self._remember(row.hash, None)
        return bool(rows)

    async def restrict(self, owner_id: OwnerId, scopes: frozenset[Scope]) -> None:
        """End an owner's keys that are good for more than these scopes."""
        await self._queries.rows(statements.end_of_keys_beyond(owner_id, scopes=sorted(scopes)))
        self.forget(owner_id)

    def forget(self, owner_id: OwnerId) -> None:
        """Read an owner's keys anew when they are used next, and those that were not valid, whosever they are."""
        doubtful = [hashed for hashed, (_, key) in self._remembered.items() if not key or key.owner_id == owner_id]
        for hashed in doubtful:
            del self._remembered[hashed]

    async def _read_once(self, hashed: bytes) -> Key | None:
        """Read a key; a thousand requests that come with it at the same time share one look."""
        task = self._reading.get(hashed)
        if task is None:
            task = asyncio.create_task(self._read(hashed))
            self._reading[hashed] = task
            task.add_done_callback(lambda _: self._reading.pop(hashed, None))
        return await asyncio.shield(task)

    async def _read(self, hashed: bytes) -> Key | None:
        rows = await self._queries.rows(statements.valid_key(hashed))
        key = _key(rows[0]) if rows else None
        self._remember(hashed, key)
        return key

    def _remember(self, hashed: bytes, key: Key | None) -> None:
        self._remembered[hashed] = (time.monotonic() + self._believed_for_s, key)
        self._remembered.move_to_end(hashed)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


def _key(row: Row[Any]) -> Key:  # Any: the columns of statements.keys
    return Key(
        id=row.id,
        owner_id=OwnerId(row.owner_id),
        owner_name=row.owner_name,
        name=row.name,
        hint=row.hint,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
