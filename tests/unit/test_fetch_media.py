"""What one attempt fetches: nothing unless it may, few things at a time, all within one clock."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from shared.domain.commands import ChatInput, JobSpec, Message
from shared.domain.errors import MediaRefused
from shared.domain.ids import OwnerId, new_job_id
from shared.domain.jobs import Kind
from shared.settings import Clocks
from tests.scripted_provider import Exchange, ScriptedProvider
from tests.scripted_replies import Reply
from workers.services.attempt import FETCHES_AT_ONCE, Attempt, Tools
from workers.services.media.fetch_media import fetch_media
from workers.services.media.fetch_url import Web

SPEC: Final = JobSpec(kind=Kind.CHAT, model="demo/m", input=ChatInput(messages=[Message(role="user", content="Hi")]))
THING: Final = Reply((b"thing",))


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


def an_attempt(web: Web | None, *, within_s: float = 5) -> Attempt:
    """An attempt of which only what fetching looks at is there."""
    clocks = Clocks(fetch_media=timedelta(seconds=within_s))
    parts: dict[str, Any] = dict.fromkeys(Tools.__dataclass_fields__) | {"clocks": clocks, "web": web}
    return Attempt(job_id=new_job_id(), owner_id=OwnerId(1), spec=SPEC, tools=Tools(**parts), emit=lambda _: None)


async def test_nothing_is_fetched_unless_the_setting_allows_it(server: ScriptedProvider) -> None:
    server.forget()
    with pytest.raises(MediaRefused, match="its setting SMARTSIP_FETCH_REMOTE_MEDIA is off"):
        await fetch_media(an_attempt(None), server.url, max_bytes=9)
    assert server.exchanges == []


async def test_few_things_are_fetched_at_a_time(server: ScriptedProvider) -> None:
    server.forget()
    active: list[int] = []

    def answered_late(_: Exchange) -> Reply:
        active.append(server.active)
        return THING.delayed(0.05)

    server.play_with(answered_late)
    attempt = an_attempt(Web().with_private())
    fetches = [fetch_media(attempt, server.url, max_bytes=9) for _ in range(2 * FETCHES_AT_ONCE)]
    assert await asyncio.gather(*fetches) == [b"thing"] * len(fetches)
    assert max(active) == FETCHES_AT_ONCE


async def test_one_clock_is_for_all_of_them(server: ScriptedProvider) -> None:
    server.forget()
    server.play(THING.delayed(0.4))  # alone, each would be in time
    attempt = an_attempt(Web().with_private(), within_s=0.6)
    assert await fetch_media(attempt, server.url, max_bytes=9) == b"thing"
    with pytest.raises(MediaRefused, match="did not send it within"):
        await fetch_media(attempt, server.url, max_bytes=9)
