"""What this process read about accounts, believed for a while, so that a request with a user's token costs no query."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

from api.services.account_views import Account
from shared.domain.ids import OwnerId

REMEMBERED: Final = 10_000
"""Accounts kept at most; the longest unused go first."""
Read: TypeAlias = Callable[[OwnerId], Awaitable[Account | None]]


class AccountMemory:
    """Accounts by owner; a change that was made here is known here at once."""

    def __init__(self, read: Read, *, believed_for: timedelta) -> None:
        self._read = read
        self._believed_for_s = believed_for.total_seconds()
        self._remembered: OrderedDict[OwnerId, tuple[float, Account | None]] = OrderedDict()
        self._reading: dict[OwnerId, asyncio.Task[Account | None]] = {}

    async def find(self, owner_id: OwnerId, *, epoch: int) -> Account | None:
        """Return an account, at most `believed_for` behind changes made elsewhere; None if there is none.

        Who comes with a token of a later `epoch` than is known here logged in after such a change, at another process.
        """
        until, known = self._remembered.get(owner_id, (0.0, None))
        if until > time.monotonic() and (known is None or known.epoch >= epoch):
            return known
        task = self._reading.get(owner_id)
        if task is None:
            task = self._reading[owner_id] = asyncio.create_task(self._look(owner_id))
            task.add_done_callback(lambda _: self._reading.pop(owner_id, None))
        return await asyncio.shield(task)

    def remember(self, owner_id: OwnerId, account: Account | None) -> Account | None:
        """Believe what was read from now on, unless a later state is known; return what is believed."""
        known = self._remembered.get(owner_id, (0.0, None))[1]
        if known is not None and account is not None and known.epoch > account.epoch:
            account = known  # every change raises the epoch: what was read is older than what was changed here
        self._remembered[owner_id] = (time.monotonic() + self._believed_for_s, account)
        self._remembered.move_to_end(owner_id)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return account

    async def _look(self, owner_id: OwnerId) -> Account | None:
        return self.remember(owner_id, await self._read(owner_id))
