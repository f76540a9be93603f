"""Jobs of the kind `image`, and chats with models that make pictures: asked once, stored, told."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.database.views import Ending
from shared.domain.commands import (
    ChatInput,
    ImageInput,
    ImagePart,
    JobSpec,
    Message,
    Parameters,
    Part,
    StoredImage,
    TextPart,
)
from shared.domain.errors import ContentBlocked, OutcomeUnknown, ProviderRateLimited
from shared.domain.events import Completed, ImageStored, Noted, Started, Usage
from shared.domain.ids import JobId
from shared.domain.jobs import Kind, State
from shared.settings import ProviderEndpoint, Settings
from tests import images
from tests.integration.workers.bench import Bench, events_of
from tests.integration.workers.studio_world import IMAGES, SEEDREAM, SENSITIVE, inline, pictures
from tests.scripted_provider import ScriptedProvider, answer, openai_chunk, sse
from tests.stack import eventually
from workers.running import Stop
from workers.runtime import Runtime
from workers.services.attempt import Attempt
from workers.services.generation.orders import dispatch


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """The settings of the workers' tests, with Ark and one that draws within its answers."""
    ark = ProviderEndpoint(base_url=f"{provider.url}/api/v3", api_key=SecretStr("ark-scripted-key"))
    router = ProviderEndpoint(base_url=f"{provider.url}/router", api_key=SecretStr("sk-or-scripted"))
    clocks = settings.clocks.model_copy(
        update={"retry_base": timedelta(milliseconds=10), "provider_images": timedelta(seconds=5)}
    )
    return settings.model_copy(
        update={"providers": {**settings.providers, "doubao": ark, "openrouter": router}, "clocks": clocks}
    )


def wish(model: str = SEEDREAM, *, parameters: Parameters | None = None, **asked: Any) -> JobSpec:
    asked = {"prompt": "A cup of tea"} | asked
    return JobSpec(kind=Kind.IMAGE, model=model, input=ImageInput(**asked), parameters=parameters or Parameters())


async def run(bench: Bench, runtime: Runtime, spec: JobSpec) -> JobId:
    job_id = await bench.accept(spec)
    await runtime.runner.run(job_id)
    return job_id


async def ended(bench: Bench, runtime: Runtime, spec: JobSpec) -> Ending:
    return await bench.ended(await run(bench, runtime, spec))


async def stored(bench: Bench) -> list[ImageStored]:
    rows = await bench.rows("select id, media_type, size_bytes from image where ready_at is not null order by id")
    return [ImageStored(str(image_id), media_type, size_bytes) for image_id, media_type, size_bytes in rows]


async def order_states(bench: Bench) -> list[tuple[Any, ...]]:
    return await bench.rows("select provider, model, order_id, state from provider_order")


async def test_a_picture_is_made_stored_charged_and_shown_as_an_event(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.photo())), path=IMAGES)
    ending = await ended(bench, runtime, wish(size="2K"))
    (image,) = await stored(bench)
    assert events_of(ending.entries) == [
        Started(*SEEDREAM.split("/")),
        image,
        Usage(0, 16384),
        Completed("stop"),
    ]
    (request,) = provider.exchanges
    assert request.json == {
        "model": "doubao-seedream-4-5-251128",
        "prompt": "A cup of tea",
        "response_format": "b64_json",
        "size": "2K",
    }
    assert request.headers["authorization"] == "Bearer ark-scripted-key"
    assert await bench.rows("select model, output_tokens, is_estimated from charge") == [(SEEDREAM, 16384, False)]


async def test_a_picture_at_an_address_is_fetched_at_once(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures({"url": f"{provider.url}/x.jpeg?sig=fix", "size": "64x48"}), path=IMAGES)
    provider.play(
        answer("busy", status=503),
        answer(images.photo(), headers={"content-type": "image/jpeg"}),
        path="/x.jpeg?sig=fix",
    )
    ending = await ended(bench, runtime, wish())
    assert (ending.state, ending.reply.images) == (State.SUCCEEDED, await stored(bench))
    assert [one.path for one in provider.exchanges] == [IMAGES, "/x.jpeg?sig=fix", "/x.jpeg?sig=fix"]


async def test_pictures_that_came_are_kept_where_others_failed(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    no_image = inline(images.html_page())
    provider.play(pictures(inline(images.png()), {"error": SENSITIVE}, no_image, None, "?"), path=IMAGES)
    ending = await ended(bench, runtime, wish())
    (image,) = await stored(bench)
    notes = [event for event in events_of(ending.entries) if isinstance(event, Noted)]
    assert (ending.state, ending.reply.images) == (State.SUCCEEDED, [image])
    assert [note.code for note in notes] == ["image_refused", "image_failed"]
    assert SENSITIVE["message"] in notes[1].text


async def test_where_no_picture_came_the_job_fails_with_the_reason_and_nothing_is_asked_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures({"error": SENSITIVE}, {"error": {"code": "Busy"}}, images=0), path=IMAGES)
    ending = await ended(bench, runtime, wish())
    error = ending.reply.error
    assert error is not None
    assert (error.code, len(provider.exchanges), await stored(bench)) == (ContentBlocked.code, 1, [])


async def test_each_of_several_pictures_is_a_call_and_their_costs_are_added(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(
        pictures(inline(images.png())), pictures(inline(images.photo())), answer("busy", status=503), path=IMAGES
    )
    ending = await ended(bench, runtime, wish(n=3))
    assert (ending.state, len(ending.reply.images), ending.reply.usage) == (State.SUCCEEDED, 2, Usage(0, 32768))
    assert [note.code for note in ending.reply.notes] == ["image_failed"]
    assert len(provider.exchanges) == 3


async def test_a_refusal_before_anything_was_taken_is_tried_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    busy = answer({"error": {"code": "RateLimitExceeded", "message": "slow down"}}, status=429)
    provider.play(busy, pictures(inline(images.png())), path=IMAGES)
    job_id = await run(bench, runtime, wish())
    assert (await bench.view(job_id)).state is State.QUEUED
    ((setback,),) = [await bench.reads.setbacks(job_id)]
    assert setback.error is not None
    assert (setback.error.code, await order_states(bench)) == (ProviderRateLimited.code, [])

    async def is_over() -> bool:  # once the cooldown that the refusal began has passed
        await bench.rows("update job set state = 0, run_after = null where id = %s and state in (0, 2)", job_id)
        await runtime.runner.run(job_id)
        return await bench.reads.ending(job_id) is not None

    await eventually(is_over, expecting="another try")
    assert ((await bench.ended(job_id)).state, len(provider.exchanges)) == (State.SUCCEEDED, 2)


async def test_an_answer_that_does_not_say_what_was_taken_ends_the_job_without_another_call(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"code": "InternalServiceError"}}, status=500), path=IMAGES)
    job_id = await run(bench, runtime, wish())
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, error.status, error.retryable) == (OutcomeUnknown.code, 502, False)
    assert len(provider.exchanges) == 1
    assert "ark-scripted-key" not in str(error)


async def test_a_job_whose_worker_was_lost_while_it_asked_is_not_asked_again(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.png())).stalled_after(10), pictures(inline(images.png())), path=IMAGES)
    job_id = await bench.accept(wish())
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.wait_requests(1)
    runtime.runner.in_hand.end(job_id, Stop.RELEASED)
    await running
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, len(provider.exchanges)) == (OutcomeUnknown.code, 1)


async def test_a_provider_that_may_have_been_asked_already_is_not_asked(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.png())), path=IMAGES)
    job_id = await bench.accept(wish())
    await bench.rows("insert into provider_order (job_id, provider, model) values (%s, 'doubao', 'm')", job_id)
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert (error.code, provider.exchanges) == (OutcomeUnknown.code, [])


async def test_of_several_that_would_ask_for_a_job_one_may(bench: Bench, runtime: Runtime) -> None:
    outcomes: list[BaseException | None] = []

    async def ask_at_once(attempt: Attempt) -> str:
        outcomes.extend(await asyncio.gather(*(dispatch(attempt) for _ in range(4)), return_exceptions=True))
        return "stop"

    runtime.runner.services[Kind.IMAGE] = ask_at_once
    await run(bench, runtime, wish())
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", *["OutcomeUnknown"] * 3]


async def test_cancelling_closes_the_call(bench: Bench, runtime: Runtime, provider: ScriptedProvider) -> None:
    provider.play(pictures(inline(images.png())).stalled_after(10), path=IMAGES)
    job_id = await bench.accept(wish())
    running = asyncio.create_task(runtime.runner.run(job_id))
    await provider.wait_requests(1)
    await bench.cancel(job_id)
    await provider.wait_closed()
    await running
    receipt = (await bench.ended(job_id)).reply.cancelled
    assert receipt is not None
    assert (receipt.phase, receipt.provider_stops_billing) == ("before_first_delta", "unknown")


@pytest.mark.covers("F003-39")
async def test_a_chat_with_such_a_model_is_answered_with_pictures_after_its_last_message(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.png()), inline(images.photo(64, 64)), images=2), path=IMAGES)
    shown = await bench.store(images.photo())
    last: list[Part] = [
        TextPart(type="text", text="Make it blue"),
        ImagePart(type="image", image=StoredImage(id=shown)),
    ]
    asked = ChatInput(
        messages=[
            Message(role="user", content="Hello"),
            Message(role="assistant", content="Hi"),
            Message(role="user", content=last),
        ]
    )
    options = {"sequential_image_generation": "auto", "max_images": 2, "watermark": False, "ratio": "16:9"}
    parameters = Parameters(temperature=1.0, seed=7, options=options)
    ending = await ended(bench, runtime, JobSpec(kind=Kind.CHAT, model=SEEDREAM, input=asked, parameters=parameters))
    urls = [f"![image](/v2/images/{image.image_id}/content)" for image in ending.reply.images]
    assert (ending.reply.text, len(urls)) == ("\n\n".join(urls), 2)
    assert [note.text.partition(":")[0] for note in ending.reply.notes] == ["ratio", "seed"]
    (request,) = provider.exchanges
    body = request.json
    data = body.pop("image")
    assert base64.b64decode(data.removeprefix("data:image/jpeg;base64,")) == images.photo()
    assert body == {
        "model": "doubao-seedream-4-5-251128",
        "prompt": "Make it blue",
        "response_format": "b64_json",
        "watermark": False,
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 2},
    }


async def test_openai_makes_pictures_and_changes_those_it_is_shown(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    usage = {"input_tokens": 50, "output_tokens": 1056, "input_tokens_details": {"text_tokens": 50}}
    made = answer({"created": 1789000000, "data": [inline(images.png())], "usage": usage})
    provider.play(made, path="/v1/images/generations")
    provider.play(made, path="/v1/images/edits")
    spec = wish("openai/gpt-image-2", n=2, size="1024x1024", parameters=Parameters(options={"quality": "low"}))
    ending = await ended(bench, runtime, spec)
    assert (ending.state, ending.reply.usage) == (State.SUCCEEDED, Usage(50, 1056))
    shown = StoredImage(id=await bench.store(images.photo()))
    assert (await ended(bench, runtime, wish("openai/gpt-image-2", images=[shown, shown]))).state is State.SUCCEEDED
    first, second = provider.exchanges
    assert first.json == {
        "model": "gpt-image-2",
        "prompt": "A cup of tea",
        "n": 2,
        "size": "1024x1024",
        "quality": "low",
    }
    assert second.headers["content-type"].startswith("multipart/form-data")
    assert second.body.count(b'name="image[]"') == 2
    assert images.photo() in second.body


async def test_a_model_that_draws_within_its_answers_is_asked_once_for_each_picture(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    drawn = [
        sse(
            openai_chunk({"content": "Here it is."}),
            openai_chunk(
                {
                    "images": [
                        {"image_url": {"url": f"data:image/png;base64,{base64.b64encode(content).decode()}"}},
                    ]
                }
            ),
            openai_chunk({}, finish="stop"),
        )
        for content in (images.png(), images.photo())
    ]
    provider.play(*drawn, path="/router/chat/completions")
    ending = await ended(bench, runtime, wish("openrouter/google/gemini-image", n=2, size="1024x1536"))
    assert (ending.state, ending.reply.images, ending.reply.text) == (State.SUCCEEDED, await stored(bench), "")
    assert [one.json["image_config"] for one in provider.exchanges] == [{"aspect_ratio": "2:3", "image_size": "1K"}] * 2
    assert provider.exchanges[0].json["modalities"] == ["image", "text"]


async def test_an_answer_without_a_picture_is_no_success(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    said = sse(openai_chunk({"content": "I cannot draw."}), openai_chunk({}, finish="stop"))
    provider.play(said, path="/router/chat/completions")
    error = (await ended(bench, runtime, wish("openrouter/a/b"))).reply.error
    assert error is not None
    assert (error.code, "I cannot draw." in (error.detail or "")) == ("bad_output", True)


async def test_a_model_that_makes_films_makes_no_pictures(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    error = (await ended(bench, runtime, wish("doubao/doubao-seedance-1-0-pro-250528"))).reply.error
    assert error is not None
    assert (error.field, provider.exchanges) == ("model", [])
