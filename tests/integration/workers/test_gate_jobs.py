"""Jobs at a provider's limits: who finds no place waits in its row, goes on when it is its turn, and none is lost."""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from shared.domain.errors import ProviderRateLimited, ProviderTimeout
from shared.domain.events import Completed, Rerouted, Restarted, Started, Text, Usage
from shared.domain.ids import JobId
from shared.domain.jobs import Queue, State
from shared.settings import Clocks, ProviderEndpoint, Settings
from shared.settings_dialects import Price
from shared.settings_providers import ProviderLimits
from tests.integration.workers.bench import Bench, events_of
from tests.scripted_provider import ScriptedProvider, answer, openai_stream, sse
from tests.stack import eventually
from workers.runtime import Runtime

KEEP_ALIVE = b": keep-alive\n\n"
SILENCE = timedelta(seconds=0.3)


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """One place at OpenAI, a fallback for one model of it, and little patience."""
    openai = ProviderEndpoint(
        base_url=provider.openai_url, api_key=SecretStr("sk-scripted"), limits=ProviderLimits(concurrency=1)
    )
    clocks = settings.clocks.model_dump() | {"provider_first_delta": SILENCE, "provider_idle": SILENCE}
    return settings.model_copy(
        update={
            "providers": settings.providers | {"openai": openai},
            "fallbacks": {"openai/lost": ("ollama/found",)},
            "prices": {"openai/lost": Price(input=Decimal(1), output=Decimal(1))},
            "clocks": Clocks.model_validate(clocks),
        }
    )


@pytest.fixture
async def runtimes(settings: Settings, runtime: Runtime) -> AsyncGenerator[list[Runtime]]:
    """Two workers."""
    other = await Runtime.open(settings, queues=list(Queue), slots=10, decoders=1)
    await other.register()
    yield [runtime, other]
    await other.close()


async def state_of(bench: Bench, job_id: JobId) -> State:
    return (await bench.view(job_id)).state


async def test_who_finds_no_place_waits_without_an_attempt_and_is_woken_by_the_end_of_the_one_before(
    bench: Bench, runtimes: list[Runtime], provider: ScriptedProvider
) -> None:
    one, other = runtimes
    provider.play(openai_stream(["slowly "] * 10).paced(20), model="scripted")
    first, second = await bench.chat(), await bench.chat()
    running = asyncio.create_task(one.runner.run(first))
    await provider.wait_requests()
    await other.runner.run(second)
    view = await bench.view(second)
    assert (view.state, view.attempts, len(provider.exchanges)) == (State.WAITING, 0, 1)
    assert view.run_after is not None
    await running

    async def is_woken() -> bool:
        return await state_of(bench, second) is State.QUEUED

    await eventually(is_woken, expecting="the one that waits to be woken")
    await other.runner.run(second)
    ending = await bench.ended(second)
    assert (ending.state, events_of(ending.entries)[0]) == (
        State.SUCCEEDED,
        Restarted("openai", "scripted", "released"),
    )
    assert [setback.what for setback in await bench.reads.setbacks(second)] == []


async def test_many_jobs_of_two_workers_all_end_and_never_ask_for_more_than_there_are_places(
    bench: Bench, runtimes: list[Runtime], provider: ScriptedProvider
) -> None:
    most = 0

    def script(_: object) -> Any:
        nonlocal most
        most = max(most, provider.active)
        return openai_stream(["ok"]).paced(100)

    provider.play_with(script, model="scripted")
    jobs = [await bench.chat() for _ in range(8)]

    async def work(number: int, job_id: JobId) -> None:
        while (await state_of(bench, job_id)) not in (State.SUCCEEDED, State.FAILED):
            await bench.rows("update job set state = 0, run_after = null where id = %s and run_after <= now()", job_id)
            await runtimes[number % 2].runner.run(job_id)

    async with asyncio.timeout(20):
        await asyncio.gather(*(work(number, job_id) for number, job_id in enumerate(jobs)))
    assert most == 1
    assert [await state_of(bench, job_id) for job_id in jobs] == [State.SUCCEEDED] * 8


async def test_a_job_that_cannot_wait_until_its_turn_says_so(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "50"}))
    patient, hasty = await bench.chat(), await bench.chat(deadline_in=timedelta(seconds=20))
    await runtime.runner.run(patient)
    await runtime.runner.run(hasty)
    error = (await bench.ended(hasty)).reply.error
    assert error is not None
    assert (error.code, error.status) == (ProviderRateLimited.code, 503)
    assert len(provider.exchanges) == 1


async def test_another_models_answer_is_recorded_and_charged_as_its_own(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "no such model"}}, status=404), model="lost")
    job_id = await bench.chat(model="openai/lost")
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    events = events_of(ending.entries)
    reason = "openai answered 404: no such model"
    assert [event for event in events if not isinstance(event, Text)] == [
        Started("openai", "lost"),
        Rerouted("ollama", "found", reason),
        Usage(7, 5),
        Completed("stop"),
    ]
    reply = ending.reply
    assert (reply.provider, reply.model, [note.text for note in reply.notes]) == ("ollama", "found", [reason])
    charged = await bench.rows("select model, input_tokens, output_tokens, cost from charge where job_id = %s", job_id)
    assert charged == [("ollama/found", 7, 5, None)]


WHOLE = openai_stream(["Half", " an answer"])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(WHOLE.delayed(30), None, id="before the headers"),
        pytest.param(WHOLE.stalled_after(len(WHOLE.pieces[0])), None, id="before the first delta"),
        pytest.param(WHOLE.stalled_after(len(b"".join(WHOLE.pieces[:2]))), "Half", id="in mid-stream"),
        pytest.param(sse(*[KEEP_ALIVE] * 400).paced(50), None, id="but for keep-alives"),
        pytest.param(sse(*WHOLE.pieces[:2], *[KEEP_ALIVE] * 400).paced(50), "Half", id="but for keep-alives, later"),
    ],
)
async def test_a_provider_that_stalls_holds_a_slot_and_a_place_no_longer_than_its_clocks_say(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, reply: Any, said: str | None
) -> None:
    provider.play(reply, openai_stream(["ok"]), model="scripted")
    job_id, following = await bench.chat(), await bench.chat()
    began = time.monotonic()
    await runtime.runner.run(job_id)
    assert SILENCE.total_seconds() <= time.monotonic() - began < SILENCE.total_seconds() + 1.5
    await provider.wait_closed()
    if said is None:
        [setback] = await bench.reads.setbacks(job_id)
        error, text = setback.error, None
    else:
        ended = (await bench.ended(job_id)).reply
        error, text = ended.error, ended.text
    assert error is not None
    assert (error.code, text) == (ProviderTimeout.code, said)
    assert len(runtime.runner.in_hand) == 0

    async def is_answered() -> bool:
        await bench.rows("update job set state = 0, run_after = null where id = %s and state = 2", following)
        await runtime.runner.run(following)
        return await state_of(bench, following) is State.SUCCEEDED

    await eventually(is_answered, expecting="the next job to have its place")
