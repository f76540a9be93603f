"""May a provider be asked now? What two processes answer together, over a real Valkey."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.adapters.redis_connection import connect
from shared.adapters.redis_limits import RedisProviderLimits
from shared.domain.errors import (
    ProviderRateLimited,
)
from shared.domain.events import Usage
from shared.domain.ids import new_job_id
from shared.domain.jobs import Queue
from shared.settings import Redis
from shared.settings_providers import ProviderLimits
from tests.integration.workers.gate_world import SECOND, World
from tests.quick_settings import quick_clocks
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import eventually
from workers.gate import Gate, NotNow


async def test_a_cooldown_is_known_to_other_processes_and_is_of_one_model_and_key(
    world: World,
) -> None:
    with pytest.raises(ProviderRateLimited):
        async with world.gate.admitted(world.asked()):
            raise ProviderRateLimited(retry_after_s=30)
    other = world.new_gate()

    async def has_heard() -> bool:
        await other.look()
        try:
            async with other.admitted(world.asked()):
                return False
        except NotNow:
            return True

    await eventually(has_heard, expecting="the other process to know")
    elsewhere = (world.asked(model="another"), world.asked(own_key="sk-own"), world.asked(provider="third"))
    for asked in elsewhere:
        async with other.admitted(asked):
            pass


async def test_what_a_batch_is_refused_holds_up_nobody_else_and_a_batch_heeds_all(
    world: World, provider: ScriptedProvider
) -> None:
    for_batch = ProviderRateLimited(retry_after_s=30)
    with pytest.raises(ProviderRateLimited):
        async with world.gate.admitted(world.asked(Queue.BATCH)):
            raise for_batch
    for queue in (Queue.DEVICE, Queue.CHAT):
        async with world.gate.admitted(world.asked(queue)):
            pass
    with pytest.raises(NotNow):
        async with world.gate.admitted(world.asked(Queue.BATCH)):
            pass
    with pytest.raises(ProviderRateLimited):
        async with world.gate.admitted(world.asked(Queue.DEVICE, model="another")):
            raise for_batch
    with pytest.raises(NotNow):
        async with world.gate.admitted(world.asked(Queue.BATCH, model="another")):
            pass


@pytest.mark.parametrize("world", [ProviderLimits(concurrency=1)], indirect=True)
async def test_the_end_of_a_call_wakes_who_waits_and_a_device_goes_first(world: World) -> None:
    chat, device = new_job_id(), new_job_id()
    async with world.gate.admitted(world.asked()):
        for queue, job_id in ((Queue.CHAT, chat), (Queue.DEVICE, device)):
            with pytest.raises(NotNow) as refused:
                async with world.new_gate().admitted(world.asked(queue, job_id)):
                    pass
            assert 0 < refused.value.wait_s <= 11
    await world.gate.close()
    assert world.woken == [str(device)]


@pytest.mark.parametrize("world", [ProviderLimits(concurrency=1)], indirect=True)
async def test_where_no_place_is_free_the_fallback_is_asked_at_once_by_a_device(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(SECOND, model="second")
    async with world.gate.admitted(world.asked()):
        assert await world.ask(world.attempt(queue=Queue.DEVICE)) == "from the second"
    assert world.reroutes == [("ollama", "second")]


@pytest.mark.parametrize("world", [ProviderLimits(tokens_per_minute=1000)], indirect=True)
async def test_tokens_that_were_not_used_are_given_back(world: World, provider: ScriptedProvider) -> None:
    provider.play(openai_stream(["short"], usage=(1, 1)))
    for _ in range(4):  # each is taken for 501
        assert await world.ask() == "short"
        await world.gate.close()
    assert world.events[-1] == Usage(1, 1)


@pytest.mark.parametrize("world", [ProviderLimits(concurrency=1)], indirect=True)
async def test_without_redis_everything_is_let_through_and_that_is_said_once(
    world: World,
) -> None:
    nowhere = RedisProviderLimits(
        connect(Redis(url=SecretStr("redis://127.0.0.1:1/0"))), "", lease=timedelta(seconds=5)
    )

    async def never(_holder: str) -> bool:
        raise AssertionError("nobody waits")

    gate = Gate(nowhere, world.endpoints, quick_clocks(), wake=never)
    with capture_logs() as logs:
        for _ in range(3):
            async with gate.admitted(world.asked()), gate.admitted(world.asked()):
                pass
            with pytest.raises(ProviderRateLimited):
                async with gate.admitted(world.asked(model=f"cooled-{_}")):
                    raise ProviderRateLimited(retry_after_s=30)
            await gate.look()
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["provider_limits_are_away"]
    with pytest.raises(NotNow):  # what this process learned itself it knows all the same
        async with gate.admitted(world.asked(model="cooled-0")):
            pass
    await gate.close()


@pytest.mark.parametrize("world", [ProviderLimits(concurrency=1)], indirect=True)
async def test_who_waits_no_more_is_passed_over(world: World) -> None:
    gone, waiting = sorted((new_job_id(), new_job_id()))  # as they were accepted, also within a millisecond
    world.gone.add(str(gone))
    async with world.gate.admitted(world.asked()):
        for job_id in (gone, waiting):
            with pytest.raises(NotNow):
                async with world.gate.admitted(world.asked(job_id=job_id)):
                    pass
    await world.gate.close()
    assert world.woken == [str(gone), str(waiting)]
    async with world.gate.admitted(world.asked(job_id=waiting)):
        pass


@pytest.mark.parametrize("world", [ProviderLimits(concurrency=1)], indirect=True)
async def test_a_place_that_redis_forgot_is_held_again_after_a_look(world: World) -> None:
    redis: Any = world.redis  # its stubs leave much unknown
    async with world.gate.admitted(world.asked()):
        await redis.delete(*[key async for key in redis.scan_iter(f"{world.prefix}*")])
        await world.gate.look()
        with pytest.raises(NotNow):
            async with world.new_gate().admitted(world.asked()):
                pass
