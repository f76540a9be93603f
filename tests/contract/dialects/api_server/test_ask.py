"""`POST /v1/ask` over HTTP: what clients read, and what the provider is asked."""

import re
from datetime import UTC, datetime

import httpx
import pytest

from api.dialects.api_server.parse import system_prompt
from tests.contract.dialects.api_server.rig import QUESTION, Rig, asking, chunks_of, text_of, words_of
from tests.scripted_provider import answer, openai_chunk, openai_stream, sse
from tests.stack import eventually

HELLO = "Hello from the script."
HISTORY = [{"role": "user", "content": "hello."}, {"role": "assistant", "content": "Hi."}]


@pytest.mark.covers("F001-02", "F001-05", "F001-06", "F001-12", "F001-16")
async def test_an_answer_comes_whole_and_the_provider_is_asked_as_before(rig: Rig) -> None:
    before = datetime.now(UTC)
    response = await rig.ask(history=HISTORY, model="ignored", product_id="ignored")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    document = response.json()
    assert document == {
        "id": document["id"],
        "object": "chat.completion",
        "created": document["created"],
        "model": "gpt-3.5-turbo",
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        "choices": [{"message": {"role": "assistant", "content": HELLO}, "finish_reason": "stop", "index": 0}],
    }
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", document["id"])
    assert abs(document["created"] - before.timestamp()) < 10
    days = {before.date(), datetime.now(UTC).date()}
    asked = rig.sent()
    assert asked.pop("messages")[0]["content"] in {system_prompt("gpt-3.5-turbo", day) for day in days}
    assert {name: asked.get(name) for name in ("model", "temperature", "top_p", "presence_penalty", "user")} == {
        "model": "gpt-3.5-turbo",
        "temperature": 0.9,
        "top_p": 1,
        "presence_penalty": 0.4,
        "user": "1234_5678",
    }
    assert [message["content"] for message in rig.sent()["messages"][1:]] == ["hello.", "Hi.", QUESTION]
    await rig.ask(question="And tomorrow?")
    assert [message["role"] for message in rig.sent()["messages"]] == ["system", "user"]
    assert (await rig.client.get("/v2/chats")).json()["chats"] == []


@pytest.mark.covers("F001-03", "F001-04", "F001-20")
async def test_an_answer_comes_in_chunks(rig: Rig) -> None:
    rig.provider.play(openai_stream(["Hé", "", "llo"]))
    response = await rig.ask(stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    chunks = chunks_of(response)
    first = {name: chunks[0][name] for name in ("id", "object", "created", "model")}
    assert first["object"] == "chat.completion.chunk"
    deltas = [{"role": "assistant"}, *({"content": words_of(chunk)} for chunk in chunks[1:-1]), {}]
    assert chunks == [
        first | {"choices": [{"delta": delta, "index": 0, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    assert text_of(chunks) == "Héllo"
    assert list(chunks[0]) == ["id", "object", "created", "model", "choices"]
    assert list(chunks[0]["choices"][0]) == ["delta", "index", "finish_reason"]


@pytest.mark.covers("F001-13")
async def test_a_provider_that_asks_to_slow_down_is_asked_again(rig: Rig) -> None:
    rig.provider.play(answer({"error": {"message": "slow down"}}, status=429), openai_stream(["At last"]))
    assert text_of(chunks_of(await rig.ask(stream=True))) == "At last"
    assert len(rig.provider.exchanges) == 2


@pytest.mark.covers("F001-14")
async def test_a_provider_that_breaks_off_is_an_error_and_a_stop(rig: Rig) -> None:
    rig.provider.play(sse(openai_chunk({"content": "Half an"}), openai_chunk({"content": " answer"})))
    chunks = chunks_of(await rig.ask(stream=True))
    assert text_of(chunks) == "Half an answer"
    assert chunks[-1]["choices"] == [{"delta": {}, "index": 0, "finish_reason": "stop"}]
    assert chunks[-1]["error"] == {"code": "stream_incomplete", "message": "The provider's answer ended half-way"}
    assert not any("error" in chunk for chunk in chunks[:-1])
    whole = await rig.ask()
    assert (whole.status_code, whole.json()) == (500, {"msg": "The provider's answer ended half-way"})


async def test_what_fails_before_the_first_word_has_a_status_and_no_secret_and_costs_nothing(rig: Rig) -> None:
    rig.provider.play(answer({"error": {"message": "Incorrect API key provided: sk-scripted"}}, status=401))
    for stream in (True, False):
        response = await rig.ask(stream=stream)
        assert (response.status_code, response.headers["content-type"]) == (500, "application/json")
        assert response.json() == {"msg": "The provider refused the configured credential"}
    assert (await rig.info("1234"))["quota_used"] == 0


async def test_a_silent_stream_shows_signs_of_life_that_say_nothing(rig: Rig) -> None:
    heartbeat_s = rig.api.front.settings.clocks.heartbeat.total_seconds()
    rig.provider.play(openai_stream(["Well"]).delayed(heartbeat_s + 0.4))
    chunks = chunks_of(await rig.ask(stream=True))
    assert text_of(chunks) == "Well"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}


@pytest.mark.covers("F001-10", "F001-20")
async def test_an_answer_nobody_waits_for_is_finished_and_counted(rig: Rig) -> None:
    rig.provider.play(openai_stream(["a"] * 30).paced(100))
    async with rig.client.stream("POST", "/v1/ask", json=asking(stream=True, client_id="left")) as response:
        await anext(response.aiter_bytes())
    with pytest.raises(httpx.ReadTimeout):
        await rig.client.post("/v1/ask", json=asking(client_id="left"), timeout=0.1)

    async def both_ended() -> bool:
        jobs = (await rig.client.get("/v2/jobs", params={"label": "client_id:left"})).json()["jobs"]
        return [job["state"] for job in jobs] == ["succeeded"] * 2

    await eventually(both_ended, expecting="the end of both answers")
    assert await rig.info("left") == {"client_id": "left", "quota_used": 24, "max_quota": 500_000}
