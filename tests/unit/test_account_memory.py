"""What is believed of accounts: for a while, once for many, and never what is older than a change made here."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from api.services.account_memory import AccountMemory
from api.services.account_views import Account, Role
from shared.domain.ids import OwnerId

ANNA = OwnerId(7)
ACCOUNT = Account(
    owner_id=ANNA,
    username="anna",
    role=Role.USER,
    epoch=1,
    created_at=datetime.now(UTC),
    disabled_at=None,
    last_login_at=None,
)
LATER = replace(ACCOUNT, epoch=2)


class Table:
    """Accounts that are read when they are let out."""

    def __init__(self) -> None:
        self.reads = 0
        self.holds = ACCOUNT
        self.open = asyncio.Event()

    async def read(self, owner_id: OwnerId) -> Account | None:
        self.reads += 1
        found = self.holds if owner_id == ANNA else None
        await self.open.wait()
        return found


async def test_a_thousand_requests_share_one_look():
    table = Table()
    memory = AccountMemory(table.read, believed_for=timedelta(minutes=1))
    table.open.set()
    assert await asyncio.gather(*(memory.find(ANNA, epoch=1) for _ in range(1000))) == [ACCOUNT] * 1000
    assert (await memory.find(ANNA, epoch=1), table.reads) == (ACCOUNT, 1)
    assert (await memory.find(OwnerId(8), epoch=1), await memory.find(OwnerId(8), epoch=1)) == (None, None)
    assert table.reads == 2


async def test_what_is_believed_ends():
    table = Table()
    memory = AccountMemory(table.read, believed_for=timedelta(0))
    table.open.set()
    for reads in (1, 2):
        assert (await memory.find(ANNA, epoch=1), table.reads) == (ACCOUNT, reads)


async def test_a_look_that_began_before_a_change_does_not_undo_it():
    table = Table()
    memory = AccountMemory(table.read, believed_for=timedelta(minutes=1))
    looking = asyncio.create_task(memory.find(ANNA, epoch=1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    memory.remember(ANNA, LATER)
    table.open.set()
    assert await looking == LATER
    assert await memory.find(ANNA, epoch=1) == LATER
    assert table.reads == 1


async def test_who_shows_a_later_epoch_than_is_known_is_looked_at_anew():
    table = Table()
    memory = AccountMemory(table.read, believed_for=timedelta(minutes=1))
    table.open.set()
    assert await memory.find(ANNA, epoch=1) == ACCOUNT
    table.holds = LATER
    assert await memory.find(ANNA, epoch=1) == ACCOUNT
    assert await memory.find(ANNA, epoch=2) == LATER
    assert table.reads == 2
