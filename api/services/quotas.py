"""Quotas of tokens: what a job may use is reserved when it is accepted, so that many at once cannot overspend one."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.engine import Row

from shared.database.queries import Queries
from shared.database.statements import quotas as statements
from shared.database.submissions import Draft
from shared.domain.errors import NotFound, TokensSpent
from shared.domain.ids import OwnerId

OWNER: Final = "owner"
CLIENT_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
"""What a client may be called: text without controls."""
LEAST_OUTPUT_TOKENS: Final = 16
"""An answer shorter than this is worth nothing."""
MOST_OUTPUT_TOKENS: Final = 4096
"""What is reserved for an answer that its caller did not limit; it is then limited to it."""


def of_key(key_id: UUID) -> str:
    """Return the subject of an API key's quota."""
    return f"key:{key_id}"


def of_client(client: str) -> str:
    """Return the subject of a client's quota."""
    return f"client:{client}"


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Who a job is paid by: an owner, the key that was used, and a client of the owner's with a quota of its own."""

    owner_id: OwnerId
    key_id: UUID | None = None
    client: str | None = None
    client_limit: int | None = None
    """What the client's quota begins with; None if clients have none unless somebody sets it."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """The quotas that may apply."""
        key = () if self.key_id is None else (of_key(self.key_id),)
        client = () if self.client is None else (of_client(self.client),)
        return (OWNER, *key, *client)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota as it stands; `left_tokens` may be below zero, because answers can cost more than was thought."""

    subject: str
    limit_tokens: int
    used_tokens: int
    reserved_tokens: int
    updated_at: datetime

    @property
    def left_tokens(self) -> int:
        """What further jobs may reserve."""
        return self.limit_tokens - self.used_tokens - self.reserved_tokens


class QuotaStore:
    """The quotas of all owners. Which owners have any is believed for a while; what is left is always read."""

    def __init__(self, queries: Queries, *, believed_for_s: float) -> None:
        self._queries = queries
        self._believed_for_s = believed_for_s
        self._has_any: dict[OwnerId, tuple[float, bool]] = {}

    async def draft(self, payer: Payer, *, input_tokens: int, max_output_tokens: int | None) -> Draft | None:
        """Return what to reserve for a job; None if no quota applies.

        The answer gets what its caller allows, or `MOST_OUTPUT_TOKENS`, but not more than is left: the caller of this
        limits the answer to `output_tokens`.

        Raises:
            TokensSpent: if a quota has not even enough for a few words of an answer.
        """
        if not await self.may_apply(payer):
            return None
        left = await self._left(payer)
        opens = {subject: limit for subject, limit in _beginnings(payer) if subject not in left}
        left |= opens
        if not left:
            return None
        wanted = max_output_tokens or MOST_OUTPUT_TOKENS
        subject, room = min(left.items(), key=lambda item: item[1])
        output_tokens = min(wanted, room - input_tokens)
        if output_tokens < min(wanted, LEAST_OUTPUT_TOKENS):
            raise TokensSpent(
                f"the quota {subject} has {max(0, room)} tokens left; this request may use {input_tokens + wanted}"
            )
        return Draft(subjects=tuple(left), input_tokens=input_tokens, output_tokens=output_tokens, opens=opens)

    async def may_apply(self, payer: Payer) -> bool:
        """Whether any quota may have to be drawn from; a first one that was set elsewhere is noticed within seconds."""
        return payer.client_limit is not None or await self._any_of(payer.owner_id)

    async def page(self, owner_id: OwnerId, *, after: str | None, limit: int) -> list[Quota]:
        """Return an owner's quotas by their subjects."""
        rows = await self._queries.rows(statements.page(owner_id, after=after, limit=limit))
        return [_quota(row) for row in rows]

    async def put(self, owner_id: OwnerId, subject: str, limit_tokens: int) -> Quota:
        """Set what may be used at most; a new quota counts what is accepted from now on."""
        rows = await self._queries.rows(statements.put(owner_id, subject, limit_tokens))
        self.forget(owner_id)
        return _quota(rows[0])

    async def reset(self, owner_id: OwnerId, subject: str) -> Quota:
        """Take what was used for nothing; what is reserved stays reserved.

        Raises:
            NotFound: if there is no such quota.
        """
        rows = await self._queries.rows(statements.reset(owner_id, subject))
        if not rows:
            raise no_such_quota()
        return _quota(rows[0])

    async def remove(self, owner_id: OwnerId, subject: str) -> None:
        """Lift a quota, also from the jobs that have reserved of it: one that is set later owes them nothing.

        Raises:
            NotFound: if there is no such quota.
        """
        async with self._queries.transaction() as connection:
            if (await connection.execute(statements.lock(owner_id, subject))).first() is None:
                raise no_such_quota()
            for statement in statements.removal(owner_id, subject):
                await connection.execute(statement)
        self.forget(owner_id)

    async def has_key(self, owner_id: OwnerId, key_id: UUID) -> bool:
        """Whether an API key is the owner's."""
        return bool(await self._queries.rows(statements.key_of(owner_id, key_id)))

    def forget(self, owner_id: OwnerId) -> None:
        """Look anew whether an owner has quotas when it matters next."""
        self._has_any.pop(owner_id, None)

    async def _left(self, payer: Payer) -> dict[str, int]:
        rows = await self._queries.rows(statements.quotas(payer.owner_id, payer.subjects))
        return {quota.subject: quota.left_tokens for quota in map(_quota, rows)}

    async def _any_of(self, owner_id: OwnerId) -> bool:
        until, has_any = self._has_any.get(owner_id, (0.0, False))
        if until <= time.monotonic():
            has_any = bool(await self._queries.rows(statements.quotas(owner_id).limit(1)))
            self._has_any[owner_id] = (time.monotonic() + self._believed_for_s, has_any)
        return has_any


def _beginnings(payer: Payer) -> Iterator[tuple[str, int]]:
    """Give the quota that a payer has from the first request on, and what it begins with."""
    if payer.client is not None and payer.client_limit is not None:
        yield of_client(payer.client), payer.client_limit


def no_such_quota() -> NotFound:
    """Return the one error for a quota that does not exist and for another owner's."""
    return NotFound("There is no quota of this subject.")


def _quota(row: Row[Any]) -> Quota:  # Any: the columns of `quota`
    return Quota(
        subject=row.subject,
        limit_tokens=row.limit_tokens,
        used_tokens=row.used_tokens,
        reserved_tokens=row.reserved_tokens,
        updated_at=row.updated_at,
    )
