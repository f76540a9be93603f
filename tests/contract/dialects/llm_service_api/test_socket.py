"""`WS /ws/{session_id}`: text in, frames out, and an end for everything that can happen."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from shared.domain.events import Restarted, Started, Text
from shared.settings import Settings
from tests.contract.dialects.llm_service_api.rig import (
    COMPLETE,
    Rig,
    answer_on,
    chunk,
    ending_of,
    hear,
    refusal_of,
    rig_with,
    shown_by,
)
from tests.integration.api.job_runner import JobRunner
from tests.scripted_provider import ScriptedProvider, answer, openai_stream
from tests.served import Served, served
from tests.stack import eventually


def said_in(frames: list[dict[str, Any]]) -> str:  # JSON
    return "".join(frame["chunk"] for frame in frames)


@pytest.mark.covers("F004-09", "F004-10", "F004-11", "F004-12")
async def test_what_is_said_is_answered_in_chunks_with_an_end_and_remembered(rig: Rig):
    rig.provider.play(
        openai_stream(["<start>", "I'm", " <to", "ol> an", " AI", "</end>"], reasoning=["who am I"]),
        openai_stream(["Ann."]),
        openai_stream(["Still Ann."]),
    )
    async with rig.socket("s") as websocket:
        frames = await answer_on(websocket, "I am Ann. And you?")
        assert (said_in(frames), frames[-1]) == ("I'm  an AI", COMPLETE)
        assert all(frame == chunk(frame["chunk"]) for frame in frames[:-1])
        assert said_in(await answer_on(websocket, "Who am I?")) == "Ann."
    async with rig.socket("s") as websocket:
        assert said_in(await answer_on(websocket, "And now?")) == "Still Ann."
    earlier = [("user", "I am Ann. And you?"), ("assistant", "<start>I'm <tool> an AI</end>"), ("user", "Who am I?")]
    assert rig.sent() == [*earlier, ("assistant", "Ann."), ("user", "And now?")]
    assert (await rig.chat("Over HTTP?", "s"))["response"] == "Still Ann."
    assert len(rig.sent()) == 7


@pytest.mark.covers("F004-05", "F004-16", "F004-20")
async def test_a_session_has_its_model_and_another_owners_of_the_same_name_is_another(rig: Rig):
    session_id = await rig.session(model_name="gpt-4", temperature=0.3)
    async with rig.socket(session_id) as websocket, rig.socket(session_id, client=rig.other) as foreign:
        assert (await answer_on(websocket, "A secret."))[-1] == COMPLETE
        assert (await answer_on(foreign, "Hi"))[-1] == COMPLETE
    ours, theirs = rig.asked()
    assert (ours["model"], ours["temperature"]) == ("gpt-4", 0.3)
    assert (theirs["model"], theirs.get("temperature")) == ("scripted", None)
    assert rig.sent() == [("user", "Hi")]


async def test_messages_wait_for_their_turn_and_two_sockets_do_not_mix(rig: Rig):
    def script(exchange: Any) -> Any:  # echoes what was said last
        said = exchange.json["messages"][-1]["content"]
        return openai_stream([said, " heard"]).delayed(0.05)

    rig.provider.play_with(script)
    async with rig.socket("s") as one, rig.socket("s") as two:
        for number in range(3):
            await one.send(f"one {number}")
            await two.send(f"two {number}")
        heard = {
            name: [said_in(await answer_on(websocket)) for _ in range(3)]
            for name, websocket in (("one", one), ("two", two))
        }
    assert heard == {name: [f"{name} {number} heard" for number in range(3)] for name in ("one", "two")}
    # One at a time: each answer was in the history of the next.
    assert [len(asked["messages"]) for asked in rig.asked()] == [1, 3, 5, 7, 9, 11]


@pytest.mark.covers("F004-13")
async def test_a_failure_is_an_error_frame_and_the_end_of_the_socket(rig: Rig):
    rig.provider.play(answer({"error": {"message": "The key sk-0123456789abcdef is wrong"}}, status=401))
    async with rig.socket("s") as websocket:
        await websocket.send("Hi")
        await websocket.send("never answered")
        frames, code = await ending_of(websocket)
        assert ([set(frame) for frame in frames], code) == ([{"error"}], 1000)
        assert "sk-0123456789abcdef" not in frames[0]["error"]
    rig.provider.play(openai_stream(["Hello."]))
    async with rig.socket("s") as websocket:
        assert said_in(await answer_on(websocket, "Hi again")) == "Hello."
    assert rig.sent() == [("user", "Hi again")]


@pytest.mark.covers("F004-13")
async def test_what_is_no_message_ends_the_socket_with_its_reason(rig: Rig):
    cases: list[tuple[str | bytes, list[dict[str, str]], int]] = [
        (b"binary", [], 1003),
        ("x" * (64 * 1024 + 1), [], 1009),
        ("ü" * (32 * 1024 + 1), [], 1009),
        ("", [{"error": "The message is empty."}], 1000),
        ("a\0b", [{"error": "The message holds the character NUL, which no text has."}], 1000),
    ]
    for message, frames, code in cases:
        async with rig.socket("s") as websocket:
            await websocket.send(message)
            assert await ending_of(websocket) == (frames, code)
    async with rig.socket("s") as websocket:
        await websocket.send([b"\xff\xfe"], text=True)
        assert await ending_of(websocket) == ([], 1007)
    assert (await rig.client.get("/v2/chats")).json()["chats"] == []
    async with rig.socket("s") as websocket:
        assert (await answer_on(websocket, "x" * 64 * 1024))[-1] == COMPLETE


async def test_more_than_can_wait_is_refused(rig: Rig):
    rig.provider.play(openai_stream(["slow"]).delayed(2))
    async with rig.socket("s") as websocket:
        for number in range(110):
            await websocket.send(str(number))
        frames, code = await ending_of(websocket)
        assert (frames, code) == ([{"error": "100 messages are waiting for their answers already."}], 1000)


async def test_an_answer_whose_client_left_is_in_the_history_when_it_comes_back(rig: Rig):
    rig.provider.play(openai_stream(["Forty", "-two."]).delayed(0.2), openai_stream(["Yes."]))
    async with rig.socket("s") as websocket:
        await websocket.send("What is the answer?")
        await rig.provider.wait_requests()
    async with rig.socket("s") as websocket:
        assert said_in(await answer_on(websocket, "Sure?")) == "Yes."
    assert rig.sent() == [("user", "What is the answer?"), ("assistant", "Forty-two."), ("user", "Sure?")]


@pytest.mark.covers("F004-13")
async def test_a_session_that_is_deleted_meanwhile_ends_its_answer(rig: Rig):
    whole = openai_stream(["Once", " upon"])
    rig.provider.play(whole.stalled_after(len(whole.body) // 2))
    async with rig.socket("s") as websocket:
        await websocket.send("Tell me a story.")
        await rig.provider.wait_requests()
        assert (await rig.client.delete("/v2/chats")).status_code == 204
        frames, code = await ending_of(websocket)
        assert (set(frames[-1]), code) == ({"error"}, 1000)
    rig.provider.play(openai_stream(["New."]))
    assert (await rig.chat("Hi", "s"))["response"] == "New."
    assert rig.sent() == [("user", "Hi")]


async def test_a_server_that_stops_says_so_and_closes(rig: Rig):
    whole = openai_stream(["Once", " upon"])
    rig.provider.play(whole.stalled_after(len(whole.body) // 2))
    async with rig.socket("busy") as busy, rig.socket("idle") as idle:
        await busy.send("Tell me a story.")
        await rig.provider.wait_requests()
        rig.api.front.hub.drain()
        frames, code = await ending_of(busy)
        assert (set(frames[-1]), code) == ({"error"}, 1001)
        assert await ending_of(idle) == ([], 1001)
        status, refusal = await refusal_of(rig.ws_url("s"), additional_headers=shown_by(rig.client))
        assert (status, set(refusal)) == (503, {"detail"})


async def test_a_restart_after_the_first_word_ends_in_an_error_and_not_in_another_answer(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        url = f"{api.url.replace('http', 'ws', 1)}/ws/s"
        async with connect(url, additional_headers=shown_by(api.client), proxy=None) as websocket:
            await websocket.send("Hi")
            attempt = await runner.claim(await only_job(api))
            await attempt.say(Started("demo", "demo"), Text("Hel"))
            assert await hear(websocket) == chunk("Hel")
            await attempt.give_back()
            attempt = await runner.claim(await only_job(api))
            await attempt.say(Restarted("demo", "demo", "worker_lost"), Text("Good day"))
            frames, code = await ending_of(websocket)
            assert ([set(frame) for frame in frames], code) == ([{"error"}], 1000)


async def only_job(api: Served) -> str:
    """Return the one job there is, once it waits for a worker."""
    found: list[str] = []

    async def waits() -> bool:
        jobs = (await api.client.get("/v2/jobs?state=queued")).json()["jobs"]
        found[:] = [job["id"] for job in jobs]
        return bool(found)

    await eventually(waits)
    return found[0]


async def test_handshakes_are_refused_in_the_dialects_shape(rig: Rig):
    headers = shown_by(rig.client)
    refusals = [
        await refusal_of(rig.ws_url("s")),
        await refusal_of(rig.ws_url("s"), additional_headers={"Authorization": "Bearer nonsense"}),
        await refusal_of(rig.ws_url("s"), additional_headers=headers, origin=Origin("https://elsewhere.example")),
        await refusal_of(rig.ws_url("s" * 129), additional_headers=headers),
        await refusal_of(rig.ws_url("a%00b"), additional_headers=headers),
    ]
    assert [(status, list(body)) for status, body in refusals] == [
        (status, ["detail"]) for status in (401, 401, 403, 422, 422)
    ]
    async with rig.socket("s", origin=Origin(rig.api.url)) as same_page:
        assert (await answer_on(same_page, "Hi"))[-1] == COMPLETE
    async with connect(rig.ws_url("s", "?v=2"), additional_headers=headers, proxy=None):
        pass


@pytest.mark.covers("F004-20")
async def test_browsers_come_with_a_ticket_or_a_subprotocol(rig: Rig):
    ticket = (await rig.client.post("/v2/tickets", json={"session_id": "s"})).json()
    url = f"{rig.api.url.replace('http', 'ws', 1)}{ticket['websocket']}"
    async with connect(url, origin=Origin(rig.api.url), proxy=None) as websocket:
        assert (await answer_on(websocket, "Hi"))[-1] == COMPLETE
    assert (await refusal_of(rig.ws_url("other", f"?ticket={ticket['ticket']}")))[0] == 404
    assert (await refusal_of(rig.ws_url("s", f"?ticket={ticket['ticket']}x")))[0] == 401
    bearer = Subprotocol(f"bearer.{rig.client.headers['authorization'].removeprefix('Bearer ')}")
    async with connect(rig.ws_url("s"), subprotocols=[bearer, Subprotocol("smartsip")], proxy=None) as websocket:
        assert websocket.subprotocol == "smartsip"
        assert (await answer_on(websocket, "Hi"))[-1] == COMPLETE
    assert len(rig.sent()) == 3


async def test_who_is_logged_out_is_not_answered_any_more(rig: Rig):
    async with rig.socket("s") as websocket:
        assert (await answer_on(websocket, "Hi"))[-1] == COMPLETE
        assert (await rig.client.post("/v2/users/me/logout")).status_code == 204
        await websocket.send("And now?")
        frames, code = await ending_of(websocket)
        assert ([set(frame) for frame in frames], code) == ([{"error"}], 1008)
    assert len(rig.asked()) == 1


async def test_open_sockets_are_counted_and_given_back(settings: Settings, provider: ScriptedProvider):
    limits = settings.limits.model_copy(update={"streams_per_owner": 2})
    async with rig_with(settings.model_copy(update={"limits": limits}), provider) as rig:
        async with rig.socket("a"), rig.socket("b"):
            status, refusal = await refusal_of(rig.ws_url("c"), additional_headers=shown_by(rig.client))
            assert (status, set(refusal)) == (429, {"detail"})
            async with rig.socket("c", client=rig.other):
                pass

        async def is_free() -> bool:
            return (await refusal_of(rig.ws_url("c"), additional_headers=shown_by(rig.client)))[0] == 101

        await eventually(is_free)
        assert rig.api.front.hub.open_readers == 0
        await asyncio.gather(*(rig.chat("Hi", f"{number}") for number in range(3)))
