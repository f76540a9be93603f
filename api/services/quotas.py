"""Quotas of tokens: what a job may use is reserved when it is accepted, so that many at once cannot overspend one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.database.queries import Queries
from shared.database.statements import quotas as statements
from shared.database.submissions import Draft
from shared.domain.errors import TokensSpent
from shared.domain.ids import OwnerId

OWNER: Final = "owner"
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
        if payer.client_limit is None and not await self._any_of(payer.owner_id):
            return None
        opens = (
            {} if payer.client_limit is None or payer.client is None else {of_client(payer.client): payer.client_limit}
        )
        left = await self._left(payer, opens)
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

    def forget(self, owner_id: OwnerId) -> None:
        """Note that an owner's quotas were changed here."""
        self._has_any.pop(owner_id, None)

    async def _left(self, payer: Payer, opens: Mapping[str, int]) -> dict[str, int]:
        rows = await self._queries.rows(statements.quotas(payer.owner_id, payer.subjects))
        known = {row.subject: row.limit_tokens - row.used_tokens - row.reserved_tokens for row in rows}
        return {**opens, **known}

    async def _any_of(self, owner_id: OwnerId) -> bool:
        until, has_any = self._has_any.get(owner_id, (0.0, False))
        if until <= time.monotonic():
            has_any = bool(await self._queries.rows(statements.quotas(owner_id).limit(1)))
            self._has_any[owner_id] = (time.monotonic() + self._believed_for_s, has_any)
        return has_any
