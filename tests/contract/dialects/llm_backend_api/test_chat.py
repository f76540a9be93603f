"""Talking in a conversation over HTTP: the frames, what providers are asked, and what outlasts a restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import psycopg
import pytest

from shared.settings import Settings
from tests.contract.dialects.llm_backend_api.rig import (
    GPT,
    SERVER_KEY,
    Rig,
    ending,
    frames_of,
    message,
    names_in_redis,
    rig_with,
)
from tests.scripted_provider import ScriptedProvider, answer, openai_stream

OWN_KEY = "sk-anna-0123456789"
SYSTEM = {"role": "system", "content": "你是一个乐于回答各种问题的小助手"}
HELLO = "Hello from the script."


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def error_of(response: httpx.Response) -> tuple[int, str]:
    assert list(response.json()) == ["error"]
    return response.status_code, response.json()["error"]


@pytest.mark.covers("F002-14", "F002-15", "F002-21")
async def test_an_answer_comes_as_the_documented_frames_with_and_without_a_slash(rig: Rig):
    rig.provider.play(openai_stream(["Rust 是一种系统编程语言"]))
    number = await rig.create()
    for slash in ("", "/"):
        response = await rig.client.post(f"/api/chat/{number}{slash}", json={"message": "介绍一下RUST"})
        assert response.status_code == 200
        names = ("content-type", "cache-control", "connection")
        assert [response.headers[name] for name in names] == [
            *("text/event-stream", "no-cache, no-transform", "keep-alive")
        ]
        assert response.text == (
            '{"data":"Rust 是一种系统编程语言","event":"message"}\n\n'
            '{"data":"Stream finished","event":"done"}\n\n'
            '{"data":"Rust 是一种系统编程语言","event":"full_response"}\n\n'
        )
    assert (await rig.history(number))["messages"][:2] == [
        {"role": "user", "content": "介绍一下RUST", "message_id": 1},
        {"role": "assistant", "content": "Rust 是一种系统编程语言", "message_id": 2},
    ]


@pytest.mark.covers("F002-16")
async def test_quotes_and_new_lines_break_nothing(rig: Rig):
    said = 'He said "\\n"\n\n<b>&amp;</b>\u2028\x85{"event":"done"}'
    rig.provider.play(openai_stream([said]))
    number = await rig.create()
    assert await rig.say(number) == [message(said), *ending(said)]
    assert await rig.words(number) == [(1, "user", "Hi"), (2, "assistant", said)]


@pytest.mark.covers("F002-11", "F002-18", "F002-20")
async def test_a_conversation_is_told_whole_under_its_system_prompt_and_shown_without(rig: Rig, settings: Settings):
    rig.provider.play(openai_stream(["Green tea"]), openai_stream(["At 80"]))
    number = await rig.create()
    await rig.say(number, "Which tea?")
    await rig.say(number, "How hot?")
    first, second = [exchange.json for exchange in rig.asked]
    assert (first["model"], first["messages"]) == ("gpt-4o", [SYSTEM, user("Which tea?")])
    assert second["messages"] == [SYSTEM, user("Which tea?"), assistant("Green tea"), user("How hot?")]
    with psycopg.connect(settings.database.conninfo) as connection:
        connection.execute(
            "insert into message (chat_id, owner_id, turn, role, content)"
            " select id, owner_id, 0, 'system', 'Be brief.' from chat"
        )
    assert await rig.words(number) == [
        (1, "user", "Which tea?"),
        (2, "assistant", "Green tea"),
        (3, "user", "How hot?"),
        (4, "assistant", "At 80"),
    ]


async def test_two_who_talk_at_once_overwrite_nothing(rig: Rig):
    rig.provider.play(openai_stream(HELLO.split(" ")).paced(200))
    number = await rig.create()
    answers = await asyncio.gather(*(rig.say(number, said) for said in ("one", "two", "three")))
    assert [frames[-1] for frames in answers] == [ending(HELLO.replace(" ", ""))[-1]] * 3
    words = await rig.words(number)
    assert [role for _, role, _ in words] == ["user", "assistant"] * 3
    assert sorted(said for _, role, said in words if role == "user") == ["one", "three", "two"]
    assert len(rig.asked[-1].json["messages"]) == 6


@pytest.mark.covers("F002-17")
async def test_a_body_without_a_message_is_refused(rig: Rig):
    path = f"/api/chat/{await rig.create()}"
    for body in (b"", b"{", b"[]", b"{}", b"\xff", b'{"message": ""}', b'{"message": 1}', b'{"message": null}'):
        assert error_of(await rig.client.post(path, content=body)) == (400, "Invalid request body"), body
    nul = await rig.client.post(path, json={"message": "a\0b"})
    assert error_of(nul) == (400, "message: holds the character NUL, which no text has")
    assert error_of(await rig.client.post(path, json={"message": "x" * 1_000_001}))[0] == 413
    assert error_of(await rig.client.post(path, json={"message": "x" * 9_000_000}))[0] == 413
    assert error_of(await rig.client.post(path, content=b"x", headers={"Content-Encoding": "gzip"}))[0] == 415
    assert rig.asked == []


@pytest.mark.covers("F002-17", "F002-27")
async def test_a_failure_keeps_its_status_or_ends_the_stream_and_harms_no_later_turn(rig: Rig):
    whole = openai_stream(["Half", " and", " half"])
    refusal = answer({"error": {"message": f"no such key {SERVER_KEY}"}}, status=401)
    rig.provider.play(refusal, whole.ended_after(len(whole.pieces[0] + whole.pieces[1])), openai_stream(["Fine"]))
    number = await rig.create()
    refused = await rig.client.post(f"/api/chat/{number}", json={"message": "first"})
    assert error_of(refused) == (500, "The provider refused the configured credential")
    assert await rig.say(number, "second") == [
        message("Half"),
        {"data": "The provider's answer ended half-way", "event": "error"},
    ]
    assert (await rig.say(number, "third"))[-1] == ending("Fine")[-1]
    assert "first" not in str(rig.asked[-1].json["messages"])
    assert [said for _, role, said in await rig.words(number) if role == "user"] == ["first", "second", "third"]


async def test_silence_is_filled_with_what_no_reader_minds(settings: Settings, provider: ScriptedProvider):
    clocks = settings.clocks.model_copy(update={"heartbeat": timedelta(seconds=0.1)})
    provider.play(openai_stream(["Late"]).delayed(0.35))
    async with rig_with(settings.model_copy(update={"clocks": clocks}), provider) as rig:
        body = (await rig.client.post(f"/api/chat/{await rig.create()}", json={"message": "Hi"})).text
        silence = body.removesuffix(body.lstrip())
        assert set(silence) == {" "}
        assert frames_of(body) == [message("Late"), *ending("Late")]


def headers_of(rig: Rig, number: int = -1) -> tuple[str, str]:
    """Where a chat request went, and with which key."""
    exchange = rig.asked[number]
    return exchange.path, exchange.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.covers("F002-08", "F002-19")
async def test_a_key_of_ones_own_opens_a_provider_the_server_has_no_key_of(rig: Rig, settings: Settings):
    own = await rig.create(model="GLM-4", api_key=OWN_KEY)
    assert (await rig.say(own))[-1] == ending(HELLO)[-1]
    assert headers_of(rig) == ("/zhipu/chat/completions", OWN_KEY)
    assert rig.asked[-1].model == "GLM-4"
    shown = [await rig.client.get(path) for path in (f"/api/conversations/history/{own}", "/api/conversations/list")]
    shown += [await rig.client.get(path) for path in ("/v2/chats", "/v2/jobs")]
    assert [OWN_KEY in answer.text for answer in shown] == [False] * 4
    assert shown[0].json()["model"] == "GLM-4"
    with psycopg.connect(settings.database.conninfo) as connection:
        [(row, sealed)] = connection.execute("select chat::text, provider_key from chat").fetchall()
        bodies = str(connection.execute("select job_body::text from job_body").fetchall())
    assert OWN_KEY not in row + bodies
    assert OWN_KEY.encode() not in sealed


@pytest.mark.covers("F002-08")
async def test_a_key_is_used_for_its_own_conversation_only_and_never_repeated(rig: Rig):
    theirs, servers = await rig.create(api_key=OWN_KEY), await rig.create()
    for number in (theirs, servers, theirs):
        await rig.say(number)
    assert [headers_of(rig, turn) for turn in range(3)] == [
        ("/v1/chat/completions", key) for key in (OWN_KEY, SERVER_KEY, OWN_KEY)
    ]
    rig.provider.play(answer({"error": {"message": f"Incorrect API key provided: {OWN_KEY}"}}, status=401))
    refused = await rig.client.post(f"/api/chat/{theirs}", json={"message": "Hi"})
    assert error_of(refused) == (500, "The provider refused the configured credential")


@pytest.mark.covers("F002-26", "F002-19")
async def test_a_service_that_is_only_configured_is_asked_by_its_models_name(rig: Rig):
    for model, name in (("llama3", "llama3"), ("mylab/llama3", "llama3"), ("mylab/anything", "anything")):
        number = await rig.create(model=model)
        await rig.say(number)
        assert (rig.asked[-1].path, rig.asked[-1].model) == ("/mylab/chat/completions", name)
        assert (await rig.history(number))["model"] == f"mylab/{name}"


@pytest.fixture
async def flushed(settings: Settings, provider: ScriptedProvider) -> AsyncIterator[tuple[int, httpx.Headers, Rig]]:
    """A conversation with one turn, its owner's headers, and a new server after Redis forgot everything."""
    async with rig_with(settings, provider) as before:
        number = await before.create(**GPT)
        await before.say(number, "Which tea?")
        headers = before.client.headers
        names = await names_in_redis(before)
        assert names
        await before.api.front.redis.delete(*names)
        assert (await before.client.get("/api/conversations/list", headers=headers)).status_code == 200
    async with rig_with(settings, provider) as after:
        yield number, headers, after


@pytest.mark.covers("F002-22", "F002-23")
async def test_a_flush_and_a_restart_lose_neither_what_was_said_nor_the_login(
    flushed: tuple[int, httpx.Headers, Rig],
):
    number, headers, rig = flushed
    shown = await rig.api.stranger.get(f"/api/conversations/history/{number}", headers=headers)
    assert [said["content"] for said in shown.json()["messages"]] == ["Which tea?", HELLO]
    await rig.say(number, "How hot?")
    assert rig.asked[-1].json["messages"] == [SYSTEM, user("Which tea?"), assistant(HELLO), user("How hot?")]
