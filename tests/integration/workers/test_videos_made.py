"""Jobs of the kind `video`, and chats with models that make films: ordered once, looked at without a slot, stored."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.domain.commands import ChatInput, JobSpec, Message, Parameters, StoredImage, VideoInput
from shared.domain.errors import ContentBlocked, OrderCancelled, OrderExpired, OutcomeUnknown
from shared.domain.events import Cancelled, Completed, Noted, Progress, Restarted, Started, Usage, VideoStored
from shared.domain.ids import LOCAL_OWNER, JobId
from shared.domain.jobs import Kind, State
from shared.domain.media import media_key
from shared.settings import ProviderEndpoint, Settings
from tests import images, media
from tests.integration.workers.bench import Bench, events_of
from tests.integration.workers.studio_world import ORDER, SEEDANCE, TASKS, calls, film_at, task
from tests.scripted_provider import Reply, ScriptedProvider, answer
from tests.stack import eventually
from workers.running import Stop
from workers.runtime import Runtime

PROVIDER, MODEL = SEEDANCE.split("/")
LOOK = f"{TASKS}/{ORDER}"
FILM = "/film.mp4"


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """The settings of the workers' tests, with Ark, and workers that look for orders that were left behind."""
    ark = ProviderEndpoint(base_url=f"{provider.url}/api/v3", api_key=SecretStr("ark-scripted-key"))
    clocks = settings.clocks.model_copy(
        update={"order_look": timedelta(milliseconds=50), "provider_idle": timedelta(seconds=5)}
    )
    return settings.model_copy(update={"providers": {**settings.providers, "doubao": ark}, "clocks": clocks})


@pytest.fixture
def seedance(provider: ScriptedProvider) -> Callable[..., None]:
    """Scripts what is said of orders: one after the other, to looks; every order is taken."""

    def script(*looks: Reply, order: Reply | None = None, cancel: Reply | None = None) -> None:
        ahead = iter(looks[:-1])
        said = {
            "POST": lambda: order or answer({"id": ORDER}),
            "GET": lambda: next(ahead, looks[-1]),
            "DELETE": lambda: cancel or answer({}),
        }
        for path in (TASKS, LOOK):
            provider.play_with(lambda exchange: said[exchange.method](), path=path)
        provider.play(answer(media.mp4(), media_type="video/mp4"), path=FILM)

    return script


def done(provider: ScriptedProvider) -> Reply:
    return task("succeeded", **film_at(f"{provider.url}{FILM}"))


def wish(*, parameters: Parameters | None = None, model: str = SEEDANCE, **asked: Any) -> JobSpec:
    asked = {"prompt": "Tea is poured"} | asked
    return JobSpec(kind=Kind.VIDEO, model=model, input=VideoInput(**asked), parameters=parameters or Parameters())


async def looked(bench: Bench, runtime: Runtime, job_id: JobId) -> None:
    """Do what the sweep and a bell do when a waiting job is due."""
    await bench.rows("update job set state = 0, run_after = null where id = %s and state in (0, 2)", job_id)
    await runtime.runner.run(job_id)


async def order(bench: Bench) -> tuple[Any, ...]:
    ((*row,),) = await bench.rows("select provider, model, order_id, state from provider_order")
    return tuple(row)


async def test_a_film_is_ordered_once_looked_at_without_a_slot_and_stored(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("queued"), task("running"), answer("busy", status=502), done(provider))
    shown = StoredImage(id=await bench.store(images.photo()))
    job_id = await bench.accept(wish(images=[shown], aspect_ratio="16:9", duration_s=5))
    await runtime.runner.run(job_id)
    view = await bench.view(job_id)
    assert (view.state, view.attempts, len(runtime.runner.in_hand)) == (State.WAITING, 0, 0)
    assert await order(bench) == (PROVIDER, MODEL, ORDER, "ordered")
    states: list[tuple[State, str]] = []
    for _ in range(4):
        await looked(bench, runtime, job_id)
        states.append(((await bench.view(job_id)).state, (await order(bench))[3]))
    assert states == [
        (State.WAITING, "queued"),
        (State.WAITING, "running"),
        (State.WAITING, "running"),
        (State.SUCCEEDED, "succeeded"),
    ]
    ending = await bench.ended(job_id)
    sha256 = hashlib.sha256(media.mp4()).digest()
    rows = "select id, kind, media_type, size_bytes, object_key, ready_at is not null from media"
    ((film_id, *film),) = await bench.rows(rows)
    key = media_key(LOCAL_OWNER, sha256, "mp4")
    assert film == ["video", "video/mp4", len(media.mp4()), key, True]
    assert await bench.objects.get(key) == media.mp4()
    assert events_of(ending.entries) == [
        Restarted(PROVIDER, MODEL, "released"),
        VideoStored(str(film_id), "video/mp4", len(media.mp4())),
        Usage(0, 108900),
        Completed("stop"),
    ]
    assert await bench.rows("select model, output_tokens from charge") == [(SEEDANCE, 108900)]
    (placed,) = calls(provider, "POST")
    body = placed.json
    assert body.pop("content")[1]["role"] == "first_frame"
    assert body == {"model": "doubao-seedance-1-5-pro-251215", "ratio": "16:9", "duration": 5}


async def test_what_is_told_while_it_is_made_is_how_far_the_order_is(
    bench: Bench, runtime: Runtime, seedance: Callable[..., None]
) -> None:
    seedance(task("queued"), task("running"), answer("busy", status=502))
    job_id = await bench.accept(wish(parameters=Parameters(options={"image_detail": "high"})))
    await runtime.runner.run(job_id)
    for _ in range(3):
        await looked(bench, runtime, job_id)
    await bench.said(job_id, Progress, attempt=4)
    note = Noted("parameter_dropped", f"image_detail: {MODEL} does not take it")
    again = Restarted(PROVIDER, MODEL, "released")
    assert [[entry.event for entry in await bench.log(job_id, attempt)] for attempt in (1, 2, 3, 4)] == [
        [Started(PROVIDER, MODEL), note, Progress("queued")],
        [again, note, Progress("queued")],
        [again, note, Progress("running")],
        [again, note, Progress("running")],
    ]


async def test_an_order_that_makes_no_film_ends_its_job_with_the_reason(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    ends = {
        ContentBlocked.code: task("failed", error={"code": "OutputVideoSensitiveContentDetected", "message": "no"}),
        "provider_error": task("failed", error={"code": "InternalServiceError", "message": "no"}),
        "provider_error, no reason": task("failed", error=None),
        "provider_error, no film": task("succeeded", content=None),
        "provider_error, unknown": answer({"error": {"code": "NotFound", "message": "no such task"}}, status=404),
        "provider_error, no order": answer([]),
        OrderExpired.code: task("expired"),
        OrderCancelled.code: task("cancelled"),
    }
    for code, said in ends.items():
        provider.forget()
        seedance(said)
        job_id = await bench.accept(wish())
        await runtime.runner.run(job_id)
        await looked(bench, runtime, job_id)
        error = (await bench.ended(job_id)).reply.error
        assert error is not None
        assert (error.code, error.retryable) == (code.partition(",")[0], False)
        assert len(calls(provider, "POST")) == 1


async def test_an_order_is_picked_up_by_its_name_after_a_worker_was_lost(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("running").stalled_after(10), done(provider))
    job_id = await bench.accept(wish())
    await runtime.runner.run(job_id)
    await bench.rows("update job set state = 0, run_after = null where id = %s", job_id)
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.until(lambda: len(calls(provider, "GET")) == 1)
    runtime.runner.in_hand.end(job_id, Stop.LEASE_LOST)
    await running
    await bench.rows("update job set state = 0, worker_id = null where id = %s", job_id)  # as the sweep takes it back
    await runtime.runner.run(job_id)
    assert (await bench.ended(job_id)).state is State.SUCCEEDED
    assert len(calls(provider, "POST")) == 1


async def test_a_worker_lost_between_the_order_and_its_name_orders_nothing_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("queued"))
    job_id = await bench.accept(wish())
    noted = "insert into provider_order (job_id, provider, model) values (%s, 'doubao', 'm')"
    await bench.rows(noted, job_id)
    await runtime.runner.run(job_id)
    assert (await bench.view(job_id)).state is State.WAITING  # it may be on its way
    await bench.rows("update provider_order set dispatched_at = now() - interval '1 minute'")
    await looked(bench, runtime, job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, error.status, provider.exchanges) == (OutcomeUnknown.code, 502, [])


async def test_a_job_that_is_given_back_while_it_orders_goes_on_with_that_order(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("running"), done(provider), order=answer({"id": ORDER}).delayed(0.2))
    job_id = await bench.accept(wish())
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.wait_requests(1)
    runtime.runner.in_hand.end(job_id, Stop.RELEASED)
    await running
    await until_named(bench)
    for _ in range(2):
        await looked(bench, runtime, job_id)
    assert ((await bench.ended(job_id)).state, len(calls(provider, "POST"))) == (State.SUCCEEDED, 1)


async def test_only_what_was_certainly_not_ordered_may_be_ordered_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    refusals = {
        "provider_rejected": answer({"error": {"code": "InvalidParameter", "message": "duration"}}, status=400),
        "outcome_unknown": answer({"error": {"code": "InternalServiceError"}}, status=500),
        "outcome_unknown, no name": answer({"message": "thank you"}),
        "tried again": answer({"error": {"code": "RateLimit"}}, status=429),  # last: the model cools down after it
    }
    for code, refusal in refusals.items():
        provider.forget()
        seedance(task("queued"), order=refusal)
        job_id = await bench.accept(wish())
        await runtime.runner.run(job_id)
        ending = await bench.reads.ending(job_id)
        told = "tried again" if ending is None or ending.reply.error is None else ending.reply.error.code
        assert (told, len(provider.exchanges)) == (code.partition(",")[0], 1)
        noted = await bench.rows("select state from provider_order where job_id = %s", job_id)
        assert noted == ([("dispatched",)] if told == OutcomeUnknown.code else [])


async def test_cancelling_a_job_that_waits_cancels_its_order(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("queued"))
    job_id = await bench.accept(wish())
    await runtime.runner.run(job_id)
    assert (await bench.cancel(job_id)).state is State.CANCELLED
    receipt = (await bench.ended(job_id)).reply.cancelled
    assert receipt == Cancelled("before_first_delta", "unknown")
    await provider.until(lambda: bool(calls(provider, "DELETE", LOOK)))
    await until_state(bench, "cancelled")
    assert calls(provider, "DELETE")[0].headers["authorization"] == "Bearer ark-scripted-key"


async def test_cancelling_while_it_is_ordered_cancels_the_order_too(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(task("queued"), order=answer({"id": ORDER}).delayed(0.2))
    job_id = await bench.accept(wish())
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.wait_requests(1)
    await bench.cancel(job_id)
    await running
    assert (await bench.ended(job_id)).state is State.CANCELLED
    await until_state(bench, "cancelled")
    assert [one.method for one in provider.exchanges] == ["POST", "DELETE"]


async def test_an_order_that_cannot_be_cancelled_is_given_up_and_a_busy_provider_is_asked_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    refusals = iter([answer("busy", status=503), answer({"error": {"code": "OperationDenied"}}, status=409)])
    seedance(task("running"))
    provider.play_with(lambda exchange: next(refusals) if exchange.method == "DELETE" else task("running"), path=LOOK)
    job_id = await bench.accept(wish())
    await runtime.runner.run(job_id)
    await bench.rows("update job set state = 6, ended_at = now() where id = %s", job_id)  # as the sweep lets it expire
    await until_state(bench, "given_up")
    assert len(calls(provider, "DELETE")) == 2


async def test_a_film_that_cannot_be_fetched_is_fetched_again_and_not_ordered_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(done(provider))
    whole = answer(media.mp4(), media_type="video/mp4")
    provider.play(answer("gone", status=500), whole.ended_after(40), whole, path=FILM)
    job_id = await bench.accept(wish())
    for _ in range(3):
        await looked(bench, runtime, job_id)
    view = await bench.view(job_id)
    assert (view.state, view.attempts) == (State.QUEUED, 2)
    await looked(bench, runtime, job_id)
    assert ((await bench.ended(job_id)).state, len(calls(provider, "POST"))) == (State.SUCCEEDED, 1)


@pytest.mark.covers("F003-40")
async def test_a_chat_with_such_a_model_is_answered_with_a_film(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, seedance: Callable[..., None]
) -> None:
    seedance(done(provider))
    asked = ChatInput(messages=[Message(role="system", content="S"), Message(role="user", content="Tea is poured")])
    options = {"ratio": "16:9", "resolution": "720p", "duration": 5, "watermark": False, "generate_audio": True}
    spec = JobSpec(
        kind=Kind.CHAT, model=SEEDANCE, input=asked, parameters=Parameters(temperature=1.0, options=options, seed=9)
    )
    job_id = await bench.accept(spec)
    for _ in range(2):
        await looked(bench, runtime, job_id)
    reply = (await bench.ended(job_id)).reply
    assert reply.text == f"Video generated: ![video](/v2/media/{reply.videos[0].video_id}/content)"
    assert calls(provider, "POST")[0].json == {
        "model": "doubao-seedance-1-5-pro-251215",
        "content": [{"type": "text", "text": "Tea is poured"}],
        **options,
        "seed": 9,
    }


async def test_a_provider_without_films_is_asked_for_none(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    for model in ("ollama/llava", "openai/gpt-4o", "doubao/doubao-seedream-4-0-250828"):
        job_id = await bench.accept(wish(model=model))
        await runtime.runner.run(job_id)
        error = (await bench.ended(job_id)).reply.error
        assert error is not None
        assert (error.code, error.field) == ("invalid_request", "model")
    assert provider.exchanges == []


async def until_state(bench: Bench, state: str) -> None:
    """Wait until this is what is known of the order."""

    async def is_so() -> bool:
        return (await order(bench))[3] == state

    await eventually(is_so, expecting=f"an order that is {state}")


async def until_named(bench: Bench) -> None:
    """Wait until the order has a name."""

    async def is_named() -> bool:
        return (await order(bench))[2] is not None

    await eventually(is_named, expecting="the order's name")
