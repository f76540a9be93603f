"""`POST /set-llm` and `POST /chat`: sessions, what they remember, and whose they are."""

import json
import re
from typing import Any

import psycopg
import pytest

from shared.settings import Settings
from tests.contract.dialects.llm_service_api.rig import KEY, Rig, rig_with
from tests.scripted_provider import ScriptedProvider, answer, openai_stream

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
OWN_KEY = "sk-annas-own-0123456789"


@pytest.mark.covers("F004-04", "F004-05", "F004-15")
async def test_a_session_answers_with_the_model_and_parameters_it_was_made_with(rig: Rig):
    wanted = {"model_name": "gpt-4", "temperature": 0.8, "max_tokens": 2000, "top_p": 0.95}
    made = await rig.client.post("/set-llm", json=wanted)
    session_id = made.json()["session_id"]
    assert made.json() == {"session_id": session_id, "message": "LLM session created successfully"}
    assert ULID.fullmatch(session_id)
    rig.provider.play(openai_stream(["Fine", ", thanks."]))
    assert await rig.chat("How are you?", session_id) == {"response": "Fine, thanks.", "session_id": session_id}
    (asked,) = rig.asked()
    shown = {name: asked[name] for name in ("model", "temperature", "top_p")}
    assert shown == {"model": "gpt-4", "temperature": 0.8, "top_p": 0.95}
    assert 2000 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))
    assert rig.sent() == [("user", "How are you?")]


async def test_the_model_may_be_named_as_the_old_code_had_it(rig: Rig):
    for wanted in ({"provider": "openai", "model": "org/gpt-4"}, {"model": "openai/org/gpt-4"}):
        await rig.chat("Hi", await rig.session(**wanted))
        assert rig.asked()[-1]["model"] == "org/gpt-4"
    await rig.chat("Hi", await rig.session(temperature=0, top_p=0, max_tokens=None))
    assert rig.asked()[-1]["model"] == "scripted"


async def test_a_key_of_its_own_is_used_for_its_session_and_shown_nowhere(rig: Rig, settings: Settings):
    made = await rig.client.post("/set-llm", json={"provider": "openai", "model": "gpt-4", "api_key": OWN_KEY})
    await rig.chat("Hi", made.json()["session_id"])
    await rig.chat("Hi")
    shown = [exchange.headers["authorization"] for exchange in rig.provider.exchanges if exchange.method == "POST"]
    assert shown == [f"Bearer {OWN_KEY}", f"Bearer {KEY}"]
    with psycopg.connect(settings.database.conninfo) as connection:
        rows = connection.execute("select chat::text, encode(provider_key, 'escape') from chat").fetchall()
    assert OWN_KEY not in made.text + repr(rows)
    # A key whose provider is not named is not shown to whoever would be guessed.
    refused = await rig.client.post("/set-llm", json={"model_name": "gpt-4", "api_key": OWN_KEY})
    place = {"type": "missing", "loc": ["body", "provider"], "msg": "Field required with an api_key"}
    assert (refused.status_code, refused.json()) == (422, {"detail": [place]})


@pytest.mark.covers("F004-06", "F004-07", "F004-15", "F004-11")
async def test_a_message_without_a_session_begins_one_that_remembers(rig: Rig):
    rig.provider.play(openai_stream(["Hello, Ann."]), openai_stream(["Ann, of course."]))
    first = await rig.chat("I am Ann.")
    assert ULID.fullmatch(first["session_id"])
    second = await rig.chat("Who am I?", first["session_id"])
    assert second == {"response": "Ann, of course.", "session_id": first["session_id"]}
    assert rig.sent() == [("user", "I am Ann."), ("assistant", "Hello, Ann."), ("user", "Who am I?")]
    assert (await rig.chat("Hi"))["session_id"] != first["session_id"]
    assert rig.sent() == [("user", "Hi")]


@pytest.mark.covers("F004-16")
async def test_the_same_id_is_another_session_to_another_owner(rig: Rig):
    rig.provider.play(openai_stream(["Noted."]))
    await rig.chat("My secret is 42.", "our-session")
    other = await rig.chat("What is the secret?", "our-session", rig.other)
    assert other["session_id"] == "our-session"
    assert rig.sent() == [("user", "What is the secret?")]
    await rig.chat("And mine?", "another")
    assert rig.sent() == [("user", "And mine?")]
    for client, said in ((rig.client, "My secret is 42."), (rig.other, "What is the secret?")):
        chats = (await client.get("/v2/chats?origin=llm_service_api")).json()["chats"]
        ours = next(chat for chat in chats if chat["external_id"] == "our-session")
        assert ours["title"] == said


@pytest.mark.covers("F004-14")
async def test_only_the_newest_of_a_long_history_goes_along(settings: Settings, provider: ScriptedProvider):
    limits = settings.limits.model_copy(update={"history_tokens": 40})
    async with rig_with(settings.model_copy(update={"limits": limits}), provider) as rig:
        provider.play(openai_stream(["Yes."]))
        for number in range(3):
            await rig.chat(f"{number}: {'long ' * 15}", "s")
        assert [text[:2] for _, text in rig.sent()] == ["1:", "Ye", "2:"]


@pytest.mark.covers("F004-08")
async def test_a_models_failure_is_500_and_breaks_nothing(rig: Rig):
    rig.provider.play(answer({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401))
    failed = await rig.client.post("/chat", json={"message": "Hi", "session_id": "s"})
    assert (failed.status_code, set(failed.json()), KEY in failed.text) == (500, {"detail"}, False)
    rig.provider.play(openai_stream(["<start>Bet", "ter</e", "nd>"], reasoning=["hm"]))
    assert (await rig.chat("Again?", "s"))["response"] == "Better"
    assert rig.sent() == [("user", "Again?")]


REFUSED: list[tuple[str, Any, list[Any]]] = [
    ("/chat", {}, ["message"]),
    ("/chat", {"message": ""}, ["message"]),
    ("/chat", {"message": None}, ["message"]),
    ("/chat", {"message": 5}, ["message"]),
    ("/chat", {"message": "a\0b"}, ["message"]),
    ("/chat", {"message": "x" * 1_000_001}, ["message"]),
    ("/chat", {"message": "Hi", "session_id": "a/b"}, ["session_id"]),
    ("/chat", {"message": "Hi", "session_id": "a\nb"}, ["session_id"]),
    ("/chat", {"message": "Hi", "session_id": "a\0b"}, ["session_id"]),
    ("/chat", {"message": "Hi", "session_id": "s" * 129}, ["session_id"]),
    ("/chat", [], []),
    ("/set-llm", {"temperature": 2.1}, ["temperature"]),
    ("/set-llm", {"top_p": -0.1}, ["top_p"]),
    ("/set-llm", {"max_tokens": 0}, ["max_tokens"]),
    ("/set-llm", {"max_tokens": 10**30}, ["max_tokens"]),
    ("/set-llm", {"model_name": "a b"}, ["model"]),
    ("/set-llm", {"model_name": "a\0b"}, ["model_name"]),
    ("/set-llm", {"provider": "nobody", "model": "m"}, ["model"]),
    ("/set-llm", {"provider": "a/b", "model": "m"}, ["model_name"]),
    ("/set-llm", {"provider": "openai"}, ["model_name"]),
    ("/set-llm", {"provider": "openai", "model": "m", "api_key": "a b"}, ["api_key"]),
    ("/set-llm", {"provider": "nobody", "model": "m", "api_key": "abc"}, ["model"]),
]


@pytest.mark.covers("F004-08")
async def test_bad_input_is_refused_where_it_is_and_leaves_no_session(rig: Rig):
    for path, body, place in REFUSED:
        refused = await rig.client.post(path, json=body)
        assert refused.status_code == 422, (body, refused.text)
        (detail,) = refused.json()["detail"]
        assert (detail["loc"], set(detail)) == (["body", *place], {"type", "loc", "msg"})
    surrogate = b'{"message": "\\ud800"}'
    for content in (b"{", b"\xff", b"", surrogate, b'{"message": "\xff"}'):
        refused = await rig.client.post("/chat", content=content)
        assert (refused.status_code, refused.json()["detail"][0]["loc"][0]) == (422, "body")
    nothing = b'{"temperature": NaN}'
    assert (await rig.client.post("/set-llm", content=nothing)).status_code == 422
    too_long = await rig.client.post("/chat", content=b"x" * (8 * 1024 * 1024 + 1))
    assert (too_long.status_code, set(too_long.json())) == (413, {"detail"})
    assert (await rig.client.get("/v2/chats")).json()["chats"] == []
    assert rig.asked() == []


async def test_a_session_is_not_made_for_what_is_refused_later(rig: Rig):
    me = (await rig.client.get("/v2/users/me")).json()["username"]
    limited = await rig.api.client.put(f"/v2/quotas/owner?owner={me}", json={"limit_tokens": 1})
    assert limited.status_code < 300, limited.text
    refused = await rig.client.post("/chat", json={"message": "Hi"})
    assert (refused.status_code, set(refused.json())) == (402, {"detail"})
    assert (await rig.client.get("/v2/chats")).json()["chats"] == []


@pytest.mark.covers("F004-17", "F004-22")
async def test_health_and_docs_are_there_and_the_rest_is_not(rig: Rig):
    stranger = rig.api.stranger
    assert (await stranger.get("/health")).json()["status"] == "healthy"
    simulated = (await stranger.get("/health2")).json()
    assert simulated["response"].startswith("This is a  simulated  response t o: 'health '.")
    assert simulated["response"].replace(" ", "").endswith("astheybecomeavailable.")
    assert (await stranger.get("/docs")).status_code == 200
    paths = (await stranger.get("/openapi.json")).json()["paths"]
    assert {"/token", "/set-llm", "/chat", "/health2"} <= set(paths)
    for method, path, allowed in (("GET", "/chat", "POST"), ("PUT", "/token/", "POST"), ("POST", "/health2", "GET")):
        refused = await stranger.request(method, path)
        assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
        assert refused.headers["allow"] == allowed
    for path in ("/ws/s", "/ws/", "/ws/a/b"):
        absent = await stranger.get(path)
        assert (absent.status_code, json.loads(absent.content)) == (404, {"detail": "Not Found"})
