"""`POST /chat` over HTTP: what clients read, what the provider is asked, and what is kept."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.settings import Settings
from tests.contract.dialects.lite_llm_chat.rig import (
    API,
    ASK,
    KEY,
    Rig,
    events_of,
    owners_of,
    said,
    settings_with,
    system_with,
    text_of,
)
from tests.scripted_provider import ScriptedProvider, answer, openai_chunk, openai_stream, sse, sse_event
from tests.stack import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = "Hello from the script."


@pytest.mark.covers("F003-15", "F003-16", "F003-26")
async def test_a_new_session_is_streamed_event_by_event_and_done_is_the_last(rig: Rig) -> None:
    async with rig.client.stream("POST", f"{API}/chat", json=said("Hi")) as response:
        body = await response.aread()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    events = [event async for event in events_of(response)]
    (session,) = await rig.sessions()
    assert events[0] == {"session_id": session["id"]}
    assert events[-1] == {"done": True}
    assert body.endswith(b'data: {"done": true}\n\n')
    assert [set(event) for event in events[1:-1]] == [{"content"}] * (len(events) - 2)
    assert text_of(events) == HELLO
    assert re.fullmatch(r"Chat \d{4}-\d\d-\d\d \d\d:\d\d", session["title"])


@pytest.mark.covers("F003-19", "F003-61")
async def test_a_session_goes_on_with_what_is_stored_and_only_the_news_of_the_request(rig: Rig) -> None:
    first = await rig.chat("One", title="Numbers")
    session_id = first[0]["session_id"]
    before = (await rig.sessions())[0]
    news = [
        {"role": "assistant", "content": "what the client believes I said"},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two"},
    ]
    events = await rig.chat(session_id=session_id, messages=news, model="deepseek-reasoner")
    assert events[0] == {"session_id": session_id}
    assert rig.sent_words() == [("user", "One"), ("assistant", HELLO), ("system", "Be brief."), ("user", "Two")]
    assert await rig.words(session_id) == [*rig.sent_words(), ("assistant", HELLO)]
    (after,) = await rig.sessions()
    changed = {"model": "deepseek-reasoner", "message_count": 5, "updated_at": after["updated_at"]}
    assert after == before | changed
    assert after["updated_at"] > before["updated_at"]


@pytest.mark.covers("F003-17")
async def test_an_answer_comes_whole_where_no_stream_is_wanted(rig: Rig) -> None:
    response = await rig.whole("Hi", title="Whole")
    assert response.status_code == 200, response.text
    document = response.json()
    kept = await rig.session(document["session_id"])
    assert document["message"] == kept["messages"][1]
    assert document["message"] == {
        "id": kept["messages"][1]["id"],
        "role": "assistant",
        "content": HELLO,
        "images": None,
        "videos": None,
        "audios": None,
        "search_results": None,
        "provider": "deepseek",
        "model": "deepseek-chat",
        "thought_process": None,
        "thought_signatures": None,
        "created_at": kept["messages"][1]["created_at"],
    }
    age = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(document["message"]["created_at"])
    assert 0 <= age.total_seconds() < 10


async def test_the_answer_can_be_fetched_the_moment_done_is_read(rig: Rig) -> None:
    async with rig.client.stream("POST", f"{API}/chat", json=said()) as response:
        session_id = 0
        async for line in response.aiter_lines():
            if line.startswith('data: {"session_id"'):
                session_id = int(line[len('data: {"session_id": ') : -1])
            if line == 'data: {"done": true}':
                break
        assert await rig.words(session_id) == [("user", "Hi"), ("assistant", HELLO)]


@pytest.mark.covers("F003-20")
async def test_a_system_prompt_goes_first_and_is_not_kept(rig: Rig) -> None:
    events = await rig.chat("Hi", system_prompt="You are a teapot.")
    assert rig.sent_words() == [("system", "You are a teapot."), ("user", "Hi")]
    assert await rig.words(events[0]["session_id"]) == [("user", "Hi"), ("assistant", HELLO)]


@pytest.mark.covers("F003-21")
async def test_provider_and_model_of_the_message_win_over_those_of_the_request(rig: Rig) -> None:
    events = await rig.chat("Hi", provider="nope", message_provider="deepseek", message_model="deepseek-reasoner")
    assert events[-1] == {"done": True}
    assert rig.sent()["model"] == "deepseek-reasoner"
    session = await rig.session(events[0]["session_id"])
    assert {(message["provider"], message["model"]) for message in session["messages"]} == {
        ("deepseek", "deepseek-reasoner")
    }


@pytest.mark.covers("F003-22")
async def test_what_is_refused_leaves_no_session(rig: Rig) -> None:
    unsupported = await rig.client.post(f"{API}/chat", json=said() | {"provider": "nope"})
    assert (unsupported.status_code, unsupported.json()) == (400, {"detail": "Unsupported provider: nope"})
    odd = await rig.client.post(f"{API}/chat", json=said() | {"provider": "No Such/Thing\n"})
    assert (odd.status_code, odd.json()) == (400, {"detail": "Unsupported provider: No Such/Thing\n"})
    nothing = await rig.client.post(f"{API}/chat", json=ASK | {"messages": [{"role": "assistant", "content": "x"}]})
    assert nothing.status_code == 422
    address = await rig.client.post(f"{API}/chat", json=said(images=["http://169.254.169.254/"]))
    assert address.status_code == 422
    assert await rig.sessions() == []
    assert rig.provider.exchanges == []


async def test_a_session_that_was_made_for_nothing_is_gone_again(rig: Rig) -> None:
    limited = await rig.api.client.put(f"/v2/quotas/owner?owner={rig.owner}", json={"limit_tokens": 1})
    assert limited.is_success, limited.text
    refused = await rig.client.post(f"{API}/chat", json=said())
    assert refused.status_code == 402
    assert set(refused.json()) == {"detail"}
    assert await rig.sessions() == []


@pytest.mark.covers("F003-23")
async def test_a_provider_that_fails_is_an_error_event_or_a_500_and_what_was_said_stays(rig: Rig) -> None:
    rig.provider.play(answer({"error": {"message": f"Wrong key {KEY}"}}, status=401))
    events = await rig.chat("Hi")
    session_id = events[0]["session_id"]
    assert events == [{"session_id": session_id}, {"error": "Error: deepseek answered 401: Wrong key [key]"}]
    whole = await rig.whole("Again", session_id=session_id)
    expected = {"detail": "Provider error: deepseek answered 401: Wrong key [key]"}
    assert (whole.status_code, whole.json()) == (500, expected)
    assert await rig.words(session_id) == [("user", "Hi"), ("user", "Again")]
    rig.provider.play(openai_stream(["Fine."]))
    assert text_of(await rig.chat("And now?", session_id=session_id)) == "Fine."
    assert rig.sent_words() == [("user", "And now?")]


async def test_an_empty_answer_is_told_as_such(rig: Rig) -> None:
    rig.provider.play(openai_stream([]))
    events = await rig.chat()
    assert events[1:] == [{"error": "Error: Empty response from provider"}]
    whole = await rig.whole()
    assert (whole.status_code, whole.json()) == (500, {"detail": "Empty response from provider"})


@pytest.mark.covers("F003-24", "F003-25")
async def test_reasoning_is_told_apart_however_it_comes(rig: Rig) -> None:
    rig.provider.play(openai_stream(["It ", "is 4."], reasoning=["2 + 2", "..."]), model="deepseek-reasoner")
    rig.provider.play(openai_stream(["<thi", "nk>2 + 2..", ".</thin", "k>It is 4."]), model="deepseek-chat")
    for model in ("deepseek-reasoner", "deepseek-chat"):
        events = await rig.chat("2 + 2?", model=model)
        assert "".join(event.get("reasoning", "") for event in events) == "2 + 2..."
        assert text_of(events) == "It is 4."
        message = (await rig.session(events[0]["session_id"]))["messages"][1]
        whole = (await rig.whole("2 + 2?", model=model)).json()["message"]
        for shown in (message, whole):
            assert (shown["content"], shown["thought_process"]) == ("It is 4.", "2 + 2...")


@pytest.mark.covers("F003-27")
async def test_sources_are_events_are_kept_and_stand_beneath_a_whole_answer(rig: Rig) -> None:
    cited: dict[str, Any] = {"type": "url_citation", "url_citation": {"url": "http://a/", "title": "A", "content": "x"}}
    cites = openai_chunk({"annotations": [cited]})
    rig.provider.play(sse(openai_chunk({"content": "See A."}), cites, openai_chunk(finish="stop"), sse_event("[DONE]")))
    source = {"url": "http://a/", "title": "A", "content": "x"}
    events = await rig.chat()
    assert [event for event in events if "search_results" in event] == [{"search_results": [source]}]
    kept = (await rig.session(events[0]["session_id"]))["messages"][1]
    assert (kept["content"], kept["search_results"]) == ("See A.", [source])
    whole = (await rig.whole()).json()["message"]
    assert (whole["content"], whole["search_results"]) == ("See A.\n\nSources:\n- [A](http://a/) — x", [source])


@pytest.mark.covers("F003-36")
async def test_a_client_that_leaves_stops_the_answer_and_its_words_stay(rig: Rig) -> None:
    whole = openai_stream(["Once upon a time. ", "The rest."])
    rig.provider.play(whole.stalled_after(len(b"".join(whole.pieces[:2]))))
    async with rig.client.stream("POST", f"{API}/chat", json=said("Tell me")) as response:
        async for line in response.aiter_lines():
            if "Once upon" in line:
                break
    await rig.provider.wait_closed(0)
    (session,) = await rig.sessions()

    async def is_kept() -> bool:
        return await rig.words(session["id"]) == [("user", "Tell me"), ("assistant", "Once upon a time. ")]

    await eventually(is_kept, expecting="the words that were said")


async def test_a_second_message_waits_for_the_answer_to_the_first(rig: Rig) -> None:
    session_id = (await rig.client.post(f"{API}/sessions", json=ASK | {"title": "T"})).json()["id"]
    slow = openai_stream(["One."]).paced(20)
    rig.provider.play(slow, openai_stream(["Two."]))
    async with rig.client.stream("POST", f"{API}/chat", json=said("1", session_id=None) | {"session_id": session_id}):
        await rig.provider.wait_requests(1)
        second = await rig.chat("2", session_id=session_id)
    assert second[-1] == {"done": True}
    assert [role for role, _ in await rig.words(session_id)] == ["user", "assistant", "user", "assistant"]


@pytest.mark.covers("F003-18", "F003-32", "F003-37", "F003-52")
async def test_parameters_reach_the_provider_that_knows_them_and_disturb_no_other(rig: Rig) -> None:
    page = {
        "temperature": 0.5,
        "top_p": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0,
        "max_tokens": 50,
        "stop": ["END"],
        "thinking": True,
        "image_detail": "auto",
        "video_detail": "auto",
        "fps": 1.0,
        "max_frames": 4,
        "image_pixel_limit": {"max_pixels": 1000},
        "safety_threshold": "BLOCK_NONE",
        "watermark": False,
        "thinking_level": "high",
        "reasoning": {"effort": "medium", "summary": "auto"},
        "nobody_knows": {"this": 1},
    }
    events = await rig.chat("Hi", **page)
    assert events[-1] == {"done": True}
    request = rig.provider.exchanges[-1]
    assert (request.path, request.headers["authorization"]) == ("/chat/completions", f"Bearer {KEY}")
    assert rig.sent() == {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "stop": ["END"],
        "thinking": {"type": "enabled"},
        "reasoning_effort": "high",
    }
    await rig.chat("Hi")
    assert {name: rig.sent().get(name) for name in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 1.0,
        "top_p": None,
        "max_tokens": None,
    }


async def test_the_stream_ends_in_an_error_when_the_server_restarts(
    settings: Settings, provider: ScriptedProvider
) -> None:
    whole = openai_stream(["Once upon a time. ", "The rest."])
    provider.play(whole.stalled_after(len(b"".join(whole.pieces[:2]))))
    async with (
        system_with(settings_with(settings, provider), provider) as system,
        owners_of(system) as rig,
        rig.client.stream("POST", f"{API}/chat", json=said()) as response,
    ):
        await provider.wait_requests(1)
        system.api.front.hub.drain()
        events = [event async for event in events_of(response)]
    assert set(events[-1]) == {"error"}
    assert events[-1]["error"].startswith("Error: The answer was interrupted")
