"""Pictures for OpenAI's SDK: what is asked of the provider, and how they come back."""

import asyncio
import base64
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr, ValidationError

from api.dialects.openai.parse import NotTaken
from api.dialects.openai.parse_images import parse_images
from api.dialects.openai.wire_images import ImagesRequest
from shared.domain.commands import ImageInput, Parameters
from shared.domain.jobs import OnDisconnect, State
from shared.settings import ProviderEndpoint, Settings
from tests import images
from tests.contract.dialects.openai.conftest import NewClient
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer
from tests.served import NO_TLS, Served
from tests.stack import eventually

MODEL = "openai/gpt-image-1"
ARK = "doubao/doubao-seedream-4-5-251128"
GENERATIONS = "/v1/images/generations"


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    ark = ProviderEndpoint(base_url=f"{provider.url}/api/v3", api_key=SecretStr("ark-scripted-secret"))
    return settings.model_copy(update={"providers": {**settings.providers, "doubao": ark}})


def made(*contents: bytes) -> Reply:
    """What OpenAI answers."""
    usage = {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106}
    data = [{"b64_json": base64.b64encode(content).decode()} for content in contents]
    return answer({"created": 1789000000, "data": data, "usage": usage})


def calls(provider: ScriptedProvider) -> list[Exchange]:
    """The requests for pictures."""
    return [one for one in provider.exchanges if one.path.endswith("/images/generations")]


def parsed(**members: Any) -> tuple[ImageInput, Parameters]:
    asked = parse_images(ImagesRequest.model_validate({"prompt": "Tea", **members}))
    return asked.input, asked.parameters


def test_what_the_core_knows_is_said_in_its_words_and_the_rest_is_the_providers() -> None:
    asked, parameters = parsed(
        n=3,
        size="1024x1536",
        quality="high",
        background="transparent",
        output_format="webp",
        output_compression=80,
        moderation="low",
        style="vivid",
        user="u-1",
        seed=7,
        watermark=False,
        response_format="url",
        partial_images=0,
        stream=False,
        nothing=None,
    )
    assert asked == ImageInput(prompt="Tea", n=3, size="1024x1536")
    assert parameters == Parameters(
        seed=7,
        options={
            "quality": "high",
            "background": "transparent",
            "output_format": "webp",
            "output_compression": 80,
            "moderation": "low",
            "style": "vivid",
            "user": "u-1",
            "watermark": False,
        },
    )
    assert parsed(size="auto", n=None, quality=None, user=None) == (ImageInput(prompt="Tea"), Parameters())


@pytest.mark.parametrize(
    "members",
    [
        {"n": 0},
        {"n": 11},
        {"n": "2"},
        {"n": True},
        {"prompt": ""},
        {"prompt": "a\x00b"},
        {"prompt": None},
        {"prompt": ["a"]},
        {"size": "1024 x 1024"},
        {"size": 1024},
        {"quality": 1},
        {"response_format": "jpeg"},
        {"stream": True},
        {"aspect_ratio": "wide"},
        {"seed": "x"},
    ],
)
def test_what_cannot_be_asked_for_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, NotTaken)):
        parsed(**members)


MEMBERS = sorted({*ImagesRequest.model_fields, "watermark", "images", "kind", "input"})
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just("url")


@settings_of_hypothesis(max_examples=100)
@given(members=st.dictionaries(st.sampled_from(MEMBERS), VALUES), prompt=st.text(min_size=1))
def test_any_request_is_understood_or_refused_and_no_extra_member_takes_anothers_place(
    members: dict[str, Any], prompt: str
) -> None:
    try:
        asked = parse_images(ImagesRequest.model_validate({**members, "prompt": prompt}))
    except (ValidationError, NotTaken):
        return
    command = asked.command(MODEL, on_disconnect=OnDisconnect.CANCEL)
    assert (command.model, command.input.prompt, command.input.images) == (MODEL, prompt, [])
    assert set(command.parameters.options).isdisjoint({"model", "prompt", "n", "size", "response_format", "stream"})


async def test_pictures_come_as_base64_and_are_kept(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
) -> None:
    provider.play(made(images.png(), images.png(32, 32)), path=GENERATIONS)
    got = await client.images.generate(
        model="gpt-image-1", prompt="A cup", n=2, size="1024x1024", quality="low", extra_body={"unheard_of": 1}
    )
    contents = [base64.b64decode(one.b64_json or "") for one in got.data or ()]
    listed = (await system.client.get("/v2/images")).json()["images"]
    kept = [(await system.client.get(f"/v2/images/{one['id']}/content")).content for one in listed]
    assert contents == kept[::-1]
    assert got.to_dict() == {
        "created": got.created,
        "data": [{"b64_json": base64.b64encode(content).decode()} for content in contents],
        "output_format": "png",
        "usage": {
            "input_tokens": 50,
            "output_tokens": 1056,
            "total_tokens": 1106,
            "input_tokens_details": {"text_tokens": 50, "image_tokens": 0},
        },
    }
    (call,) = calls(provider)
    assert call.json == {"model": "gpt-image-1", "prompt": "A cup", "n": 2, "size": "1024x1024", "quality": "low"}


async def test_the_sync_sdk_gets_links_that_anybody_can_open_for_a_while(
    system: Served, secret: str, provider: ScriptedProvider
) -> None:
    provider.play(made(images.png()), path=GENERATIONS)

    def ask() -> str:
        with OpenAI(api_key=secret, base_url=f"{system.url}/v1", max_retries=0) as client:
            got = client.images.generate(model=MODEL, prompt="A cup", response_format="url")
        (picture,) = got.data or [None]
        assert picture is not None
        assert picture.b64_json is None
        return picture.url or ""

    url = await asyncio.to_thread(ask)
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as stranger:
        opened = await stranger.get(url)
    assert (opened.status_code, opened.headers["content-type"]) == (200, "image/png")
    (listed,) = (await system.client.get("/v2/images")).json()["images"]
    assert opened.content == (await system.client.get(f"/v2/images/{listed['id']}/content")).content


async def test_what_is_refused_has_openais_shape_names_what_to_change_and_asks_nobody(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
) -> None:
    refused: list[tuple[int, str | None, str | None]] = []
    asked: tuple[dict[str, Any], ...] = (
        {"model": "gpt-4o"},
        {"model": None},  # the server's default one talks
        {"model": "doubao/doubao-seed-1-6-251015"},
        {"model": "doubao/doubao-seedance-1-5-pro-251215"},
        {"model": "a b"},
        {"model": MODEL, "n": 11},
        {"model": MODEL, "size": "a b"},
        {"model": MODEL, "prompt": "a\x00b"},
        {"model": MODEL, "stream": True},
    )
    for body in asked:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post("/images/generations", cast_to=object, body={"prompt": "A cup", **body})
        refused.append((caught.value.status_code, caught.value.type, caught.value.param))
    fields = [*["model"] * 5, "n", "size", "prompt", "stream"]
    assert refused == [(400, "invalid_request_error", field) for field in fields]
    assert calls(provider) == []
    with pytest.raises(openai.APIStatusError) as not_allowed:
        await client.get("/images/generations", cast_to=object)
    assert not_allowed.value.status_code == 405


async def test_a_failure_has_its_status_and_is_not_tried_again_by_the_sdk(
    system: Served, new_client: NewClient, secret: str, provider: ScriptedProvider
) -> None:
    persistent = new_client(secret, max_retries=2)
    blocked = {"error": {"code": "moderation_blocked", "message": "Your request was rejected by the safety system."}}
    provider.play(answer(blocked, status=400), answer("broken sk-scripted-secret", status=500), path=GENERATIONS)
    with pytest.raises(openai.BadRequestError) as refused:
        await persistent.images.generate(model=MODEL, prompt="Something")
    assert refused.value.code == "content_filter"
    with pytest.raises(openai.InternalServerError) as unclear:
        await persistent.images.generate(model=MODEL, prompt="Something")
    assert (unclear.value.status_code, unclear.value.type, unclear.value.code) == (
        502,
        "server_error",
        "outcome_unknown",
    )
    assert "sk-scripted-secret" not in str(unclear.value.body)
    assert len(calls(provider)) == 2


async def test_a_client_that_leaves_stops_it_and_one_with_a_key_comes_back_to_the_same_pictures(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
) -> None:
    provider.play(made(images.png()).delayed(5), made(images.png()).delayed(0.4), path=GENERATIONS)
    hasty = client.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        await hasty.images.generate(model=MODEL, prompt="A cup")
    await provider.until(lambda: bool(calls(provider)) and calls(provider)[0].closed_at is not None)
    key = {"Idempotency-Key": "one-cup"}
    with pytest.raises(openai.APITimeoutError):
        await hasty.images.generate(model=MODEL, prompt="A cup", extra_headers=key)
    got = await client.images.generate(model=MODEL, prompt="A cup", extra_headers=key)
    assert (len(got.data or ()), len(calls(provider))) == (1, 2)

    async def are_over() -> bool:
        jobs = await system.front.reads.list(None, limit=100)
        return [job.state for job in jobs] == [State.SUCCEEDED, State.CANCELLED]

    await eventually(are_over, expecting="one that was made, and one that was stopped")


async def test_a_server_that_stops_does_not_let_the_sdk_order_again(
    system: Served, new_client: NewClient, secret: str, provider: ScriptedProvider
) -> None:
    provider.play(made(images.png()).delayed(0.5), path=GENERATIONS)
    asking = asyncio.create_task(new_client(secret, max_retries=2).images.generate(model=MODEL, prompt="A cup"))
    await provider.until(lambda: bool(calls(provider)))
    system.front.hub.drain()
    with pytest.raises(openai.InternalServerError, match="made all the same") as caught:
        await asking
    assert (caught.value.status_code, caught.value.response.headers["x-should-retry"]) == (503, "false")

    async def is_made() -> bool:
        return [job.state for job in await system.front.reads.list(None, limit=9)] == [State.SUCCEEDED]

    await eventually(is_made, expecting="the picture")
    assert len(calls(provider)) == 1


async def test_any_provider_that_makes_pictures_does(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
) -> None:
    picture = {"b64_json": base64.b64encode(images.photo()).decode(), "size": "240x240"}
    usage = {"generated_images": 1, "output_tokens": 16384, "total_tokens": 16384}
    provider.play(answer({"data": [picture], "usage": usage}), path="/api/v3/images/generations")
    got = await client.images.generate(model=ARK, prompt="A cup", size="2K", extra_body={"watermark": False})  # pyright: ignore[reportArgumentType] - a size that is not OpenAI's
    assert (len(got.data or ()), got.output_format) == (1, "jpeg")
    (call,) = calls(provider)
    assert call.json == {
        "model": "doubao-seedream-4-5-251128",
        "prompt": "A cup",
        "size": "2K",
        "watermark": False,
        "response_format": "b64_json",
    }
