"""The official SDK as a client: what it gets is what it would get from OpenAI."""

import asyncio
import base64
import json
import time
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream, OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel

from api.dialects.openai.attachments import INLINE_BYTES
from shared.domain.images import sniff
from shared.domain.jobs import State
from tests import images
from tests.contract.dialects.openai.conftest import NewClient
from tests.scripted_provider import ScriptedProvider, answer, openai_chunk, openai_stream, sse
from tests.served import Served
from tests.stack import eventually

WHY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
POUR: Any = {
    "type": "function",
    "function": {
        "name": "pour",
        "parameters": {"type": "object", "properties": {"ml": {"type": "integer"}}, "required": ["ml"]},
    },
}


class Cup(BaseModel):
    volume: int
    label: str


async def hear(stream: AsyncStream[ChatCompletionChunk], said: list[str]) -> None:
    """Note what a stream says, until it ends or breaks."""
    async for chunk in stream:
        said += [choice.delta.content or "" for choice in chunk.choices]


async def states(api: Served) -> list[State]:
    return [job.state for job in await api.front.reads.list(None, limit=100)]


async def test_a_whole_answer_and_what_the_provider_was_asked(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    provider.play(openai_stream(["Because", " of", " Rayleigh."], reasoning=["Hm."], usage=(7, 5)))
    before = int(time.time())
    got = await client.chat.completions.create(
        model="scripted", messages=WHY, temperature=0.5, max_completion_tokens=50, extra_body={"unheard_of": 1}
    )
    (job,) = await system.front.reads.list(None, limit=10)
    assert before <= got.created <= time.time()
    assert got.to_dict() == {
        "id": f"chatcmpl-{job.id.hex}",
        "object": "chat.completion",
        "created": got.created,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Because of Rayleigh.",
                    "refusal": None,
                    "reasoning_content": "Hm.",
                },
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": None,
    }
    asked = next(exchange for exchange in provider.exchanges if exchange.path.endswith("/chat/completions")).json
    assert asked == {
        "model": "scripted",
        "messages": WHY,
        "temperature": 0.5,
        "max_completion_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_stream_with_usage_and_its_headers(system: Served, client: AsyncOpenAI, provider: ScriptedProvider):
    provider.play(openai_stream(["Because", " of", "\u2028Rayleigh."], usage=(7, 5)))
    raw = await client.chat.completions.with_raw_response.create(
        model="openai/scripted", messages=WHY, stream=True, stream_options={"include_usage": True}
    )
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert raw.headers["cache-control"] == "no-cache, no-transform"
    assert raw.headers["x-request-id"] == raw.request_id
    chunks = [chunk async for chunk in raw.parse()]
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].model == "openai/scripted"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Because of\u2028Rayleigh."
    assert [chunk.choices[0].finish_reason for chunk in chunks[-3:-1]] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 5)


async def test_the_sync_sdk_gets_both_forms(system: Served, secret: str, provider: ScriptedProvider):
    provider.play(openai_stream(["Because", " of", " Rayleigh."]))

    def ask() -> tuple[str | None, str]:
        with OpenAI(api_key=secret, base_url=f"{system.url}/v1", max_retries=0) as client:
            whole = client.chat.completions.create(model="scripted", messages=WHY)
            chunks = list(client.chat.completions.create(model="scripted", messages=WHY, stream=True))
        return whole.choices[0].message.content, "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert await asyncio.to_thread(ask) == ("Because of Rayleigh.", "Because of Rayleigh.")


async def test_a_round_trip_of_tools(system: Served, client: AsyncOpenAI):
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Pour!"}]
    create = client.chat.completions.create
    called = await create(model="demo/demo", messages=asked, tools=[POUR], tool_choice="required")
    (call,) = called.choices[0].message.tool_calls or [None]
    assert (called.choices[0].finish_reason, called.choices[0].message.content) == ("tool_calls", None)
    assert call is not None
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("pour", {"ml": 0})
    async with client.chat.completions.stream(
        model="demo/demo", messages=asked, tools=[POUR], tool_choice="required"
    ) as stream:
        (streamed,) = (await stream.get_final_completion()).choices[0].message.tool_calls or [None]
    assert streamed is not None
    assert (streamed.function.name, streamed.function.arguments) == ("pour", call.function.arguments)
    asked.append({"role": "assistant", "content": None, "tool_calls": [call.to_dict()]})  # pyright: ignore[reportArgumentType] - what the SDK's own documents show
    asked.append({"role": "tool", "tool_call_id": call.id, "content": "poured 0 ml"})
    answered = await create(model="demo/demo", messages=asked, tools=[POUR])
    assert "poured 0 ml" in (answered.choices[0].message.content or "")


async def test_the_sdk_parses_an_answer_into_a_model_of_the_callers(system: Served, client: AsyncOpenAI):
    got = await client.chat.completions.parse(model="demo/demo", messages=WHY, response_format=Cup)
    assert isinstance(got.choices[0].message.parsed, Cup)


async def test_images_reach_the_provider_whether_they_travel_inside_or_are_stored_first(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    small, large = images.png(), images.photo() + bytes(INLINE_BYTES)
    urls = [
        f"data:image/{kind};base64,{base64.b64encode(it).decode()}" for kind, it in (("png", small), ("jpg", large))
    ]
    parts: Any = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    got = await client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": parts}])
    assert got.choices[0].finish_reason == "stop"
    asked = next(exchange for exchange in provider.exchanges if exchange.path.endswith("/chat/completions")).json
    shown = [part["image_url"] for part in asked["messages"][0]["content"]]
    assert [(it["detail"], it["url"].partition(",")[0]) for it in shown] == [("low", "data:image/jpeg;base64")] * 2
    sizes = [sniff(base64.b64decode(it["url"].partition(",")[2])) for it in shown]
    assert [(it.width, it.height) for it in sizes] == [(64, 48), (240, 240)]
    (kept,) = (await system.client.get("/v2/images")).json()["images"]
    assert kept["media_type"] == "image/jpeg"


async def test_models_are_listed_and_found_by_both_their_names(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    listed = [model.to_dict() async for model in client.models.list()]
    assert listed == [
        {"id": "openai/scripted", "object": "model", "created": 0, "owned_by": "openai"},
        {"id": "demo/demo", "object": "model", "created": 0, "owned_by": "demo"},
    ]
    assert (await client.models.retrieve("openai/scripted")).to_dict() == listed[0]
    assert (await client.models.retrieve("scripted")).to_dict() == listed[0]
    for name in ("nothing", "openai/nothing", "a b", "../jobs"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve(name)
        assert caught.value.code in ("model_not_found", "not_found")


async def test_a_client_that_closes_its_stream_stops_the_provider(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    provider.play(sse(*[openai_chunk({"content": "word "})] * 1000).paced(20))
    stream = await client.chat.completions.create(model="scripted", messages=WHY, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await provider.until(lambda: any(it.closed_at for it in provider.exchanges if "chat" in it.path))

    async def is_cancelled() -> bool:
        return await states(system) == [State.CANCELLED]

    await eventually(is_cancelled, expecting="the job to be cancelled")


async def test_a_client_that_does_not_wait_stops_the_provider_before_and_without_a_stream(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    provider.play(openai_stream(["too late"]).delayed(1.5))
    hasty = client.with_options(timeout=0.3)
    for stream in (False, True):
        with pytest.raises(openai.APITimeoutError):
            await hasty.chat.completions.create(model="scripted", messages=WHY, stream=stream)

    async def are_cancelled() -> bool:
        return await states(system) == [State.CANCELLED] * 2

    await eventually(are_cancelled, expecting="the jobs to be cancelled")


async def test_with_an_idempotency_key_a_client_comes_back_to_the_same_answer(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    provider.play(openai_stream(["in", " time"]).delayed(0.5))
    key = {"Idempotency-Key": "once"}
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.2).chat.completions.create(
            model="scripted", messages=WHY, extra_headers=key
        )
    whole = await client.chat.completions.create(model="scripted", messages=WHY, extra_headers=key)
    stream = await client.chat.completions.create(model="scripted", messages=WHY, extra_headers=key, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "in time"
    assert whole.choices[0].message.content == "in time"
    assert {chunk.id for chunk in chunks} == {whole.id}
    assert await states(system) == [State.SUCCEEDED]
    with pytest.raises(openai.BadRequestError, match="Idempotency-Key"):
        await client.chat.completions.create(model="demo/demo", messages=WHY, extra_headers=key)


async def test_a_provider_that_fails_is_an_error_once_however_often_the_sdk_would_try(
    system: Served, new_client: NewClient, secret: str, provider: ScriptedProvider
):
    provider.play(answer({"error": {"message": "upstream sk-scripted-secret"}}, status=503))
    persistent = new_client(secret, max_retries=2)
    with pytest.raises(openai.InternalServerError) as caught:
        await persistent.chat.completions.create(model="scripted", messages=WHY)
    assert (caught.value.type, caught.value.code) == ("server_error", "dead_letter")
    assert "sk-scripted-secret" not in str(caught.value.body)
    assert await states(system) == [State.FAILED]


async def test_a_model_the_provider_does_not_have_is_not_found_before_a_stream_begins(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    provider.play(answer({"error": {"message": "no such model", "code": "model_not_found"}}, status=404))
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="openai/gone", messages=WHY, stream=stream)
        assert (caught.value.code, caught.value.type) == ("model_not_found", "invalid_request_error")


async def test_an_answer_that_breaks_half_way_is_an_error_in_the_stream(
    system: Served, client: AsyncOpenAI, provider: ScriptedProvider
):
    whole = openai_stream(["Half", " an", " answer"])
    provider.play(whole.cut_after(sum(map(len, whole.pieces[:3]))))
    stream = await client.chat.completions.create(model="scripted", messages=WHY, stream=True)
    said: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        await hear(stream, said)
    assert not isinstance(caught.value, openai.APIStatusError | openai.APIConnectionError)
    assert caught.value.type == "server_error"
    assert "".join(said) == "Half an"
