"""From a claimed job to its end: exact events, retries, cancels, deadlines, and what PostgreSQL has afterwards."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.commands import InlineImage, StoredImage
from shared.domain.errors import (
    DeadLetter,
    DeadlineExceeded,
    ImageRefused,
    Internal,
    InvalidRequest,
    NotFound,
    ProviderOverloaded,
    ProviderRateLimited,
    StreamIncomplete,
)
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Failed,
    Reasoning,
    Restarted,
    Result,
    Started,
    Text,
    Usage,
)
from shared.domain.ids import JobId, OwnerId, uuid7
from shared.domain.jobs import Kind, State
from tests.images import cut_off, photo
from tests.integration.workers.bench import Bench, events_of
from tests.scripted_provider import ScriptedProvider, answer, ollama_stream, openai_stream
from tests.stack import eventually
from workers.outcomes import Park
from workers.runtime import Runtime
from workers.services.attempt import Attempt, Service

STARTED = Started("openai", "scripted")
ANSWER = {
    "receivable": True,
    "container": "ceramic cup",
    "contents": "green tea leaves",
    "fill_level": 0.1,
    "child_present": False,
    "confidence": 0.9,
    "volume": 203,
    "degree": 80,
}


@asynccontextmanager
async def running(runtime: Runtime, job_id: JobId) -> AsyncGenerator[asyncio.Task[None]]:
    """Let the runner work beside the test."""
    task = asyncio.create_task(runtime.runner.run(job_id))
    yield task
    async with asyncio.timeout(10):
        await task


def an_image(content: bytes) -> InlineImage:
    return InlineImage(data=base64.b64encode(content).decode())


def text_of(entries: list[Entry]) -> str:
    return "".join(entry.event.text for entry in entries if isinstance(entry.event, Text))


async def test_a_chat_streams_ends_and_is_archived_as_it_was_streamed(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["Hel", "lo"], reasoning=["hm"], usage=(7, 5)).paced(20))
    job_id = await bench.chat("Say hello")
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    events = events_of(ending.entries)
    texts = [event for event in events if isinstance(event, Text)]  # a busy machine may hear two fragments as one
    assert "".join(text.text for text in texts) == "Hello"
    others = [event for event in events if event not in texts]
    assert (others, events[2 : 2 + len(texts)]) == ([STARTED, Reasoning("hm"), Usage(7, 5), Completed("stop")], texts)
    assert ending.state is State.SUCCEEDED
    assert (ending.reply.text, ending.reply.usage, ending.reply.finish_reason) == ("Hello", Usage(7, 5), "stop")
    await bench.said(job_id, Completed)
    assert await bench.log(job_id) == ending.entries
    assert provider.exchanges[0].json["messages"] == [{"role": "user", "content": "Say hello"}]


async def test_a_chat_at_ollama_goes_the_same_way(bench: Bench, runtime: Runtime, provider: ScriptedProvider) -> None:
    provider.play(ollama_stream(["Hel", "lo"]))
    job_id = await bench.chat(model="ollama/llava")
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert (ending.reply.text, ending.reply.provider, ending.reply.model) == ("Hello", "ollama", "llava")


async def test_a_photo_becomes_a_command_inside_the_envelope(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    said = json.dumps(ANSWER)
    provider.play(openai_stream([said[:30], said[30:]]))
    job_id = await bench.vision(an_image(photo()))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    kinds = [type(event) for event in events_of(ending.entries)]
    assert (kinds[0], kinds[-3:]) == (Started, [Usage, Result, Completed])
    assert text_of(ending.entries) == said
    result = ending.reply.result
    assert result is not None
    assert {name: result[name] for name in ("volume", "degree", "type", "is_safe_default")} == {
        "volume": 200,
        "degree": 80,
        "type": "ceramic cup",
        "is_safe_default": False,
    }
    asked = provider.exchanges[0].json
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert asked["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("said", ["I cannot tell.", '{"volume": 400, "degree": 95, "receivable": true}', "{"])
async def test_an_answer_that_cannot_be_trusted_is_a_success_that_pours_nothing(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, said: str
) -> None:
    provider.play(openai_stream([said]))
    job_id = await bench.vision(an_image(photo()))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert ending.state is State.SUCCEEDED
    result = ending.reply.result
    assert result is not None
    assert (result["volume"], result["degree"], result["is_safe_default"]) == (0, 0, True)
    assert result["interventions"]


async def test_a_broken_photo_fails_before_any_provider_is_asked(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    job_id = await bench.vision(an_image(cut_off(photo())))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, error.code, error.field) == (State.FAILED, ImageRefused.code, "input.image")
    assert provider.exchanges == []


async def test_an_image_that_the_owner_does_not_have_is_not_found(bench: Bench, runtime: Runtime) -> None:
    job_id = await bench.vision(StoredImage(id=uuid7()))
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, error.field) == (NotFound.code, "input.image.id")


async def test_a_stored_image_is_the_owners_only(bench: Bench, runtime: Runtime, provider: ScriptedProvider) -> None:
    await bench.rows("insert into owner (name) values ('other')")
    image_id = await bench.store(photo(), owner_id=OwnerId(2))
    provider.play(openai_stream([json.dumps(ANSWER)]))
    own = await bench.vision(StoredImage(id=image_id), owner_id=OwnerId(2))
    foreign = await bench.vision(StoredImage(id=image_id))
    await asyncio.gather(runtime.runner.run(own), runtime.runner.run(foreign))
    assert (await bench.ended(own)).state is State.SUCCEEDED
    error = (await bench.ended(foreign)).reply.error
    assert error is not None
    assert error.code == NotFound.code
    sent = provider.exchanges[0].json["messages"][0]["content"][1]["image_url"]["url"]
    assert base64.b64decode(sent.partition(",")[2]) == photo()


async def test_a_provider_nobody_configured_is_named(bench: Bench, runtime: Runtime) -> None:
    job_id = await bench.chat(model="nobody/nothing")
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, error.field) == (InvalidRequest.code, "model")


async def test_a_failure_before_the_first_delta_is_tried_again_later_and_readers_are_told(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "busy"}}, status=503), openai_stream(["ok"]))
    job_id = await bench.chat()
    before = datetime.now(UTC)
    await runtime.runner.run(job_id)
    view = await bench.view(job_id)
    assert (view.state, view.attempts, view.fence) == (State.QUEUED, 1, 1)
    assert view.run_after is not None
    assert before < view.run_after < datetime.now(UTC) + timedelta(seconds=0.2)
    assert [(setback.what, setback.error.code) for setback in await bench.reads.setbacks(job_id) if setback.error] == [
        ("failed", ProviderOverloaded.code)
    ]
    assert events_of(await bench.log(job_id)) in ([STARTED], [])  # no terminal event
    await due(bench, job_id)
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert events_of(ending.entries) == [
        Restarted("openai", "scripted", "retry"),
        Text("ok"),
        Usage(7, 5),
        Completed("stop"),
    ]
    assert ending.fence == 2


async def test_the_providers_hint_decides_when_to_try_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"}))
    job_id = await bench.chat()
    before = datetime.now(UTC)
    await runtime.runner.run(job_id)
    view = await bench.view(job_id)
    assert view.run_after is not None
    assert before + timedelta(seconds=7) < view.run_after < datetime.now(UTC) + timedelta(seconds=7)


async def test_a_hint_beyond_the_deadline_ends_the_job_at_once(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "3600"}))
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, error.code, error.retry_after_s) == (State.FAILED, ProviderRateLimited.code, 3600)


async def test_a_job_that_failed_three_times_is_a_dead_letter_that_names_the_last_error(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "busy"}}, status=503))
    job_id = await bench.chat()
    for _ in range(3):
        await due(bench, job_id)
        await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, ending.fence, error.code) == (State.FAILED, 3, DeadLetter.code)
    assert error.detail is not None
    assert "Tried 3 times" in error.detail
    assert ProviderOverloaded.code in error.detail
    assert len(provider.exchanges) == 3


async def test_a_failure_after_the_first_delta_ends_the_job_and_keeps_what_was_said(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    whole = openai_stream(["Half", " an", " answer"])
    provider.play(whole.cut_after(len(b"".join(whole.pieces[:3]))))
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, ending.fence, error.code) == (State.FAILED, 1, StreamIncomplete.code)
    assert ending.reply.text == "Half an"
    assert len(provider.exchanges) == 1


async def test_a_crash_of_ours_is_shown_bare_and_counts_as_an_attempt(bench: Bench, runtime: Runtime) -> None:
    async def crash(attempt: Attempt) -> str:
        raise ZeroDivisionError("secret detail")

    let_run(runtime, crash)
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    view = await bench.view(job_id)
    assert (view.state, view.attempts) == (State.QUEUED, 1)
    setbacks = await bench.reads.setbacks(job_id)
    assert [setback.error for setback in setbacks] == [Internal().info()]


async def test_a_crash_after_the_first_delta_ends_the_job_bare(bench: Bench, runtime: Runtime) -> None:
    async def crash(attempt: Attempt) -> str:
        attempt.emit(Text("well"))
        raise ZeroDivisionError("secret detail")

    let_run(runtime, crash)
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert events_of(ending.entries)[1:] == [Text("well"), Failed(Internal().info())]


async def test_a_parked_job_waits_without_an_end_and_goes_on_later(bench: Bench, runtime: Runtime) -> None:
    polls: list[int] = []

    async def order(attempt: Attempt) -> str:
        polls.append(1)
        if len(polls) == 1:
            raise Park(30)
        return "stop"

    let_run(runtime, order)
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    view = await bench.view(job_id)
    assert (view.state, view.attempts) == (State.WAITING, 0)
    await bench.rows("update job set state = 0, run_after = null where id = %s", job_id)
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert events_of(ending.entries) == [Restarted("openai", "scripted", "released"), Completed("stop")]


async def test_the_deadline_interrupts_the_provider(bench: Bench, runtime: Runtime, provider: ScriptedProvider) -> None:
    provider.play(openai_stream(["word "] * 100).paced(20))
    job_id = await bench.chat(deadline_in=timedelta(seconds=0.6))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, error.code) == (State.FAILED, DeadlineExceeded.code)
    assert ending.reply.text.startswith("word ")
    await provider.wait_closed()


async def test_a_cancel_closes_the_providers_socket_within_half_a_second_and_leaves_a_receipt(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 200).paced(20))
    job_id = await bench.chat("x" * 10)
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        asked_at = time.monotonic()
        await bench.cancel(job_id)
        closed_at = await provider.wait_closed()
    assert closed_at - asked_at < 0.5
    ending = await bench.ended(job_id)
    words = len(ending.reply.text) // len("word ")
    assert words > 0
    assert ending.state is State.CANCELLED
    assert events_of(ending.entries)[-1] == Cancelled(
        phase="streaming",
        provider_stops_billing="yes",
        usage=Usage(input_tokens=3, output_tokens=-(-5 * words // 4), is_estimated=True),
    )


async def test_a_cancel_before_the_first_delta_says_so(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["late"]).delayed(5))
    job_id = await bench.chat("x" * 8)
    async with running(runtime, job_id):
        await provider.wait_requests()
        await bench.cancel(job_id)
        await provider.wait_closed()
    ending = await bench.ended(job_id)
    assert events_of(ending.entries) == [
        STARTED,
        Cancelled(phase="before_first_delta", provider_stops_billing="yes", usage=Usage(2, 0, is_estimated=True)),
    ]


async def test_a_cancel_whose_hint_is_lost_comes_with_the_next_renewal(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 200).paced(20))
    job_id = await bench.chat()
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        await bench.cancel(job_id, hint=False)
    assert (await bench.ended(job_id)).state is State.CANCELLED


async def test_a_flushed_redis_has_the_whole_stream_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 40).paced(40))
    job_id = await bench.chat()
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        await forget_redis(bench)
        await bench.said(job_id, Text)
        await forget_redis(bench)
    ending = await bench.ended(job_id)
    assert ending.reply.text == "word " * 40
    await bench.said(job_id, Completed)
    assert await bench.log(job_id) == ending.entries
    events_of(ending.entries)


async def test_an_end_that_is_not_the_runners_any_more_is_neither_written_nor_published(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 10).paced(20))
    job_id = await bench.chat()
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        await bench.rows("update job set fence = fence + 1 where id = %s", job_id)
    assert await bench.reads.ending(job_id) is None
    assert not any(entry.is_terminal for entry in await bench.log(job_id))


async def test_a_lost_lease_interrupts_everything_writes_nothing_and_a_new_one_is_taken(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 400).paced(20))
    job_id = await bench.chat()
    before = runtime.runner.worker_id
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        await bench.rows("update worker set lease_until = now() - interval '1 s'")
        await provider.wait_closed()
    view = await bench.view(job_id)
    assert (view.state, view.worker_id) == (State.RUNNING, before)
    assert not any(entry.is_terminal for entry in await bench.log(job_id))

    async def has_registered_anew() -> bool:
        return runtime.runner.worker_id not in (None, before)

    await eventually(has_registered_anew, expecting="a new lease")


async def test_giving_back_queues_running_jobs_again_and_the_next_attempt_says_restarted(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["word "] * 400).paced(20), openai_stream(["whole"]))
    job_id = await bench.chat()
    async with running(runtime, job_id):
        await bench.said(job_id, Text)
        await runtime.give_back()
    view = await bench.view(job_id)
    assert (view.state, view.attempts, view.run_after) == (State.QUEUED, 0, None)
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert events_of(ending.entries)[:2] == [Restarted("openai", "scripted", "released"), Text("whole")]


async def test_a_doubled_bell_runs_the_job_once(bench: Bench, runtime: Runtime, provider: ScriptedProvider) -> None:
    provider.play(openai_stream(["once"]).delayed(0.2))
    job_id = await bench.chat()
    await asyncio.gather(*(runtime.runner.run(job_id) for _ in range(5)))
    await runtime.runner.run(job_id)
    assert (await bench.ended(job_id)).reply.text == "once"
    assert len(provider.exchanges) == 1


async def due(bench: Bench, job_id: JobId) -> None:
    """Do what the sweep does when a job's pause is over: the model's is over then as well."""

    async def is_over() -> bool:
        late = await bench.rows("select 1 from job where id = %s and coalesce(run_after, now()) > now()", job_id)
        return not late

    await eventually(is_over, expecting="the end of the pause")
    await bench.rows("update job set run_after = null where id = %s", job_id)


async def forget_redis(bench: Bench) -> None:
    """Lose every key of this test, as FLUSHALL would for all."""
    redis: Any = bench.redis  # its stubs leave much unknown
    await redis.delete(*[key async for key in redis.scan_iter(f"{bench.settings.redis.prefix}*")])


def let_run(runtime: Runtime, service: Service) -> None:
    """Register a service for chats that only this test has."""
    runtime.runner.services[Kind.CHAT] = service
