"""Saying something in a chat and having it answered: turns, what becomes of them, and what is kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.routes.job_models import AcceptedModel, JobModel, JobsModel
from api.routes.message_models import TurnModel
from shared.domain.events import Text
from shared.domain.ids import JobId
from shared.settings import Settings
from tests import media
from tests.images import photo
from tests.integration.api.chats import SERVER_KEY, Chatting, chatting_with
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.jobs import all_events, read
from tests.integration.api.photos import client_of
from tests.scripted_provider import Reply, ScriptedProvider, answer, openai_stream
from tests.stack import eventually

JPEG = {"Content-Type": "image/jpeg"}
MP4 = {"Content-Type": "video/mp4"}
WAV = {"Content-Type": "audio/wav"}


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
async def chatting(settings: Settings, provider: ScriptedProvider) -> AsyncIterator[Chatting]:
    async with chatting_with(settings, provider) as chatting:
        yield chatting


def halfway(text: str) -> Reply:
    """An answer that says something and then hangs."""
    reply = openai_stream([text])
    return reply.stalled_after(sum(len(piece) for piece in reply.pieces[:2]))


async def test_what_is_said_is_answered_by_a_job_and_both_are_kept(chatting: Chatting):
    chatting.provider.play(openai_stream(["Ray", "leigh."], reasoning=["Hm."], usage=(7, 5)))
    chat = await chatting.new(system_prompt="Be brief.", parameters={"temperature": 0.5, "seed": 1})
    accepted = await chatting.api.client.post(
        f"{chat}/messages", json={"text": "Why is the sky blue?", "parameters": {"temperature": 0.7}}
    )
    assert accepted.status_code == 202
    job = AcceptedModel.model_validate_json(accepted.content)
    assert accepted.headers["location"] == job.links["self"] == f"/v2/jobs/{job.id}"
    await chatting.run(str(job.id))
    asked, answered = await chatting.messages(chat)
    common: dict[str, Any] = {
        "turn": asked["turn"],
        "images": [],
        "videos": [],
        "audios": [],
        "search_results": [],
        "signatures": [],
        "tool_calls": [],
        "provider": "openai",
        "model": "scripted",
        "job_id": str(job.id),
    }
    assert asked == common | {
        "id": asked["id"],
        "role": "user",
        "text": "Why is the sky blue?",
        "reasoning": None,
        "usage": None,
        "finish_reason": None,
        "created_at": asked["created_at"],
    }
    assert answered == common | {
        "id": answered["id"],
        "role": "assistant",
        "text": "Rayleigh.",
        "reasoning": "Hm.",
        "usage": {
            "input_tokens": 7,
            "output_tokens": 5,
            "reasoning_tokens": 0,
            "cached_tokens": 0,
            "is_estimated": False,
        },
        "finish_reason": "stop",
        "created_at": answered["created_at"],
    }
    assert asked["id"] < answered["id"]
    shown = (await chatting.api.client.get(chat)).json()
    assert (shown["messages"], shown["last_provider"], shown["last_model"]) == (2, "openai", "scripted")
    sent = chatting.provider.exchanges[0].json
    assert chatting.sent() == [("system", "Be brief."), ("user", "Why is the sky blue?")]
    assert (sent["temperature"], sent["seed"]) == (0.7, 1)
    whole = JobModel.model_validate_json((await chatting.api.client.get(f"/v2/jobs/{job.id}")).content)
    assert whole.reply is not None
    assert (whole.kind, whole.state, whole.reply.text) == ("chat", "succeeded", "Rayleigh.")


async def test_who_prefers_to_wait_gets_the_job_with_the_answer_as_it_is_kept(chatting: Chatting):
    chat = await chatting.new()
    asking = asyncio.create_task(
        chatting.api.client.post(f"{chat}/messages", json={"text": "Hi"}, headers={"Prefer": "wait=10"})
    )
    await chatting.run(await only_job(chatting))
    whole = await asking
    assert (whole.status_code, whole.headers["preference-applied"]) == (200, "wait=10")
    turn = TurnModel.model_validate_json(whole.content)
    assert turn.message is not None
    assert turn.message.text == "Hello from the script."
    assert whole.json()["message"] == (await chatting.messages(chat))[1]
    late = await chatting.api.client.post(f"{chat}/messages", json={"text": "Hi"}, headers={"Prefer": "wait=1"})
    assert (late.status_code, late.json()["state"], late.json()["message"]) == (202, "queued", None)


async def test_who_asks_for_events_gets_them_and_can_read_them_again(chatting: Chatting):
    chat = await chatting.new()
    headers = {"Accept": "text/event-stream"}
    async with chatting.api.client.stream("POST", f"{chat}/messages", json={"text": "Hi"}, headers=headers) as response:
        assert response.status_code == 200
        job_id = response.headers["location"].rpartition("/")[2]
        running = asyncio.create_task(chatting.run(job_id))
        heard = [event async for event in read(response)]
        await running
    assert [event.type for event in heard][:2] == ["queued", "started"]
    assert heard[-1].type == "completed"
    assert "".join(event.data["text"] for event in heard if event.type == "text") == "Hello from the script."
    again = await all_events(chatting.api, job_id)
    assert [event.id for event in again if event.type == "completed"] == [heard[-1].id]


async def test_two_messages_at_once_are_answered_one_after_the_other(chatting: Chatting):
    chatting.provider.play(openai_stream(["one"]), openai_stream(["two"]))
    chat = await chatting.new()
    first, second = [await chatting.said(chat, text) for text in ("first", "second")]
    waiting = JobModel.model_validate_json((await chatting.api.client.get(f"/v2/jobs/{second}")).content)
    assert (waiting.state, waiting.position, waiting.run_after) == ("queued", None, waiting.deadline)
    listed = JobsModel.model_validate_json((await chatting.api.client.get("/v2/jobs")).content)
    assert [str(job.id) for job in listed.jobs] == [second, first]
    await chatting.run(second)  # a bell that comes too early finds nothing to take
    assert chatting.provider.exchanges == []
    await chatting.run(first)
    await chatting.run(second)
    assert chatting.sent() == [("user", "first"), ("assistant", "one"), ("user", "second")]
    assert await chatting.words(chat) == [
        *(("user", "first"), ("assistant", "one")),
        *(("user", "second"), ("assistant", "two")),
    ]


async def test_a_message_for_an_idle_chat_only_is_refused_while_it_is_busy(chatting: Chatting):
    chat = await chatting.new()
    job_id = await chatting.said(chat, "first")
    refused = await chatting.api.client.post(f"{chat}/messages", json={"text": "second", "if_busy": "reject"})
    assert (refused.status_code, refused.json()["code"]) == (409, "chat_busy")
    assert refused.headers["retry-after"] == "1"
    assert await chatting.words(chat) == [("user", "first")]
    await chatting.run(job_id)
    assert (await chatting.answered(chat, "second", if_busy="reject"))["state"] == "succeeded"


async def test_a_message_may_interrupt_what_is_being_written_and_what_was_written_stays(chatting: Chatting):
    chatting.provider.play(halfway("Once upon"), openai_stream(["Four."]))
    chat = await chatting.new()
    first = await chatting.said(chat, "Tell me a story")
    running = asyncio.create_task(chatting.run(first))
    await said_something(chatting, first)
    headers = {"Idempotency-Key": "again"}
    wanted = {"text": "2+2?", "if_busy": "interrupt"}
    second = await chatting.api.client.post(f"{chat}/messages", json=wanted, headers=headers)
    assert second.status_code == 202
    await running
    repeated = await chatting.api.client.post(f"{chat}/messages", json=wanted, headers=headers)
    assert (repeated.json()["id"], repeated.json()["state"]) == (second.json()["id"], "queued")
    await chatting.run(second.json()["id"])
    await chatting.provider.wait_closed()
    assert chatting.sent() == [("user", "Tell me a story"), ("assistant", "Once upon"), ("user", "2+2?")]
    assert [(message["text"], message["finish_reason"]) for message in await chatting.messages(chat)] == [
        ("Tell me a story", None),
        ("Once upon", "cancelled"),
        ("2+2?", None),
        ("Four.", "stop"),
    ]


async def test_a_turn_that_failed_is_shown_and_breaks_nothing(chatting: Chatting):
    chatting.provider.play(answer({"error": {"message": "no such thing"}}, status=400), openai_stream(["Fine."]))
    chat = await chatting.new()
    failed = await chatting.answered(chat, "first")
    assert (failed["state"], failed["error"]["code"]) == ("failed", "provider_rejected")
    assert await chatting.words(chat) == [("user", "first")]
    assert (await chatting.answered(chat, "second"))["state"] == "succeeded"
    assert chatting.sent() == [("user", "second")]
    assert await chatting.words(chat) == [("user", "first"), ("user", "second"), ("assistant", "Fine.")]


async def test_a_chats_own_key_is_used_for_it_and_for_nothing_else(chatting: Chatting):
    own = await chatting.new(model="openai/scripted", provider_key="sk-anna-0123456789")
    other = await chatting.new()
    for chat, key in ((own, "sk-anna-0123456789"), (other, SERVER_KEY)):
        assert (await chatting.answered(chat, "Hi"))["state"] == "succeeded"
        assert chatting.provider.exchanges[-1].headers["authorization"] == f"Bearer {key}"
    shown = [await chatting.api.client.get(path) for path in (own, f"{own}/messages", "/v2/jobs")]
    assert "sk-anna" not in "".join(answer.text for answer in shown)


async def test_deleting_a_chat_stops_its_answer_and_leaves_nothing_of_it(chatting: Chatting, settings: Settings):
    chatting.provider.play(halfway("Once upon"))
    chat = await chatting.new()
    first, second = [await chatting.said(chat, text) for text in ("secret wish", "another")]
    running = asyncio.create_task(chatting.run(first))
    await said_something(chatting, first)
    assert (await chatting.api.client.delete(chat)).status_code == 204
    await running
    await chatting.provider.wait_closed()
    for path in (chat, f"{chat}/messages", f"/v2/jobs/{first}", f"/v2/jobs/{second}/events"):
        assert (await chatting.api.client.get(path)).status_code == 404
    with psycopg.connect(settings.database.conninfo) as connection:
        for table in ("chat", "message", "job", "job_body", "job_done"):
            assert connection.execute(f"select * from {table}").fetchall() == [], table  # pyright: ignore[reportArgumentType] - names from here


async def test_repeating_a_message_with_its_key_says_it_once(chatting: Chatting):
    chat = await chatting.new()
    headers = {"Idempotency-Key": "m-1"}

    async def say(text: str, **extra: str) -> Any:
        return await chatting.api.client.post(f"{chat}/messages", json={"text": text}, headers=headers | extra)

    first, again = await say("Hi"), await say("Hi")
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 202, first.json()["id"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = await say("Ho")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    await chatting.run(first.json()["id"])
    for extra in ({}, {"Prefer": "wait=5"}):
        ended = await say("Hi", **extra)
        assert (ended.status_code, ended.json()["message"]["text"]) == (200, "Hello from the script.")
    assert await chatting.words(chat) == [("user", "Hi"), ("assistant", "Hello from the script.")]
    elsewhere = await chatting.new()
    foreign = await chatting.api.client.post(f"{elsewhere}/messages", json={"text": "Hi"}, headers=headers)
    assert (foreign.status_code, foreign.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("by_answer", [True, False], ids=["by the answer", "by the question"])
async def test_an_answer_is_given_anew_and_what_followed_is_gone(chatting: Chatting, by_answer: bool):
    chatting.provider.play(*(openai_stream([text]) for text in ("one", "two", "three", "anew")))
    chat = await chatting.new()
    for text in ("first", "second", "third"):
        await chatting.answered(chat, text)
    messages = await chatting.messages(chat)
    path = f"{chat}/messages/{messages[3 if by_answer else 2]['id']}/regenerate"
    headers = {"Idempotency-Key": "r-1"}
    made = await chatting.api.client.post(path, json={"parameters": {"seed": 7}}, headers=headers)
    assert made.status_code == 202
    assert await chatting.messages(chat) == messages[:3]
    await chatting.run(made.json()["id"])
    again = await chatting.api.client.post(path, json={"parameters": {"seed": 7}}, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["message"]["text"] == "anew"
    assert chatting.sent() == [("user", "first"), ("assistant", "one"), ("user", "second")]
    assert chatting.provider.exchanges[-1].json["seed"] == 7
    words = [("user", "first"), ("assistant", "one"), ("user", "second"), ("assistant", "anew")]
    assert await chatting.words(chat) == words
    other = await chatting.api.client.post(path, json={"parameters": {"seed": 8}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await chatting.words(chat) == words


async def test_a_new_answer_that_is_refused_leaves_the_old_one(chatting: Chatting):
    chat = await chatting.new()
    await chatting.answered(chat, "first")
    before = await chatting.messages(chat)
    path = f"{chat}/messages/{before[1]['id']}/regenerate"
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"model": "nobody/x"}, 422, "model"),
        ({"parameters": {"tools": []}}, 422, "parameters.tools"),
        ({"text": "Hi"}, 422, "text"),
    ]
    for wanted, status, field in refusals:
        refused = await chatting.api.client.post(path, json=wanted)
        assert (refused.status_code, refused.json()["field"]) == (status, field)
    await chatting.said(chat, "second")
    busy = await chatting.api.client.post(path, json={"if_busy": "reject"})
    assert (busy.status_code, busy.json()["code"]) == (409, "chat_busy")
    unknown = await chatting.api.client.post(f"{chat}/messages/999/regenerate")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (await chatting.messages(chat))[:2] == before


async def test_stopping_ends_what_is_written_and_what_waits(chatting: Chatting):
    chatting.provider.play(halfway("Once upon"))
    chat = await chatting.new()
    first, second = [await chatting.said(chat, text) for text in ("first", "second")]
    running = asyncio.create_task(chatting.run(first))
    await said_something(chatting, first)
    stopped = await chatting.api.client.post(f"{chat}/stop")
    assert (stopped.status_code, stopped.json()) == (200, {"turns": 2, "state": "stopped"})
    await running
    states = [(await chatting.api.client.get(f"/v2/jobs/{job_id}")).json()["state"] for job_id in (first, second)]
    assert states == ["cancelled", "cancelled"]
    assert await chatting.words(chat) == [("user", "first"), ("assistant", "Once upon"), ("user", "second")]
    idle = await chatting.api.client.post(f"{chat}/stop")
    assert (idle.status_code, idle.json()) == (200, {"turns": 0, "state": "stopped"})


async def test_a_stop_that_no_worker_confirms_says_so(settings: Settings, provider: ScriptedProvider):
    clocks = settings.clocks.model_copy(update={"cancel_confirm": timedelta(seconds=0.2)})
    impatient = settings.model_copy(update={"clocks": clocks})
    async with chatting_with(impatient, provider) as chatting, JobRunner(chatting.api.front) as deaf:
        chat = await chatting.new()
        job_id = await chatting.said(chat, "first")
        await deaf.begin(job_id)
        stopped = await chatting.api.client.post(f"{chat}/stop")
        assert (stopped.status_code, stopped.json()) == (202, {"turns": 1, "state": "stopping"})
        interrupting = {"text": "Hi", "if_busy": "interrupt"}
        refused = await chatting.api.client.post(f"{chat}/messages", json=interrupting)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert (await chatting.api.client.delete(chat)).status_code == 409
        assert await chatting.words(chat) == [("user", "first")]


async def test_a_message_is_removed_with_all_that_follows(chatting: Chatting):
    elsewhere = await chatting.new()
    await chatting.said(elsewhere, "before")
    (other,) = await chatting.messages(elsewhere)
    chat = await chatting.new()
    jobs = [(await chatting.answered(chat, text))["id"] for text in ("first", "second")]
    ids = [message["id"] for message in await chatting.messages(chat)]
    for unknown in (other["id"], 10**15):
        assert (await chatting.api.client.delete(f"{chat}/messages/{unknown}")).status_code == 404
    assert (await chatting.api.client.delete(f"{chat}/messages/{ids[2]}")).status_code == 204
    assert (await chatting.api.client.delete(f"{chat}/messages/{ids[2]}")).status_code == 404
    assert [message["id"] for message in await chatting.messages(chat)] == ids[:2]
    assert [(await chatting.api.client.get(f"/v2/jobs/{job_id}")).status_code for job_id in jobs] == [200, 404]
    await chatting.answered(chat, "third")
    assert [content for _, content in chatting.sent()] == ["first", "Hello from the script.", "third"]
    assert (await chatting.api.client.delete(f"{chat}/messages/{ids[1]}")).status_code == 204
    assert await chatting.words(chat) == [("user", "first")]


async def test_ten_thousand_messages_are_listed_and_go_to_the_model_as_far_as_they_fit(
    chatting: Chatting, settings: Settings
):
    chat = await chatting.new()
    with psycopg.connect(settings.database.conninfo) as connection:
        connection.execute(
            "insert into message (chat_id, owner_id, turn, role, content, provider, model)"
            " select chat.id, chat.owner_id, turn, role, repeat(role || ' ', 200), 'openai', 'scripted'"
            " from chat, generate_series(1, 5000) as turn, (values ('user'), ('assistant')) as said(role)"
            " order by turn, role desc"
        )
        connection.execute("select setval('turn_number', 5000)")
    began = time.monotonic()
    ids, cursor = list[int](), ""
    while cursor is not None:
        query = f"?limit=100{cursor and f'&cursor={cursor}'}"
        page = (await chatting.api.client.get(f"{chat}/messages{query}")).json()
        ids += [message["id"] for message in page["messages"]]
        cursor = page["next"]
    assert (len(ids), ids) == (10_000, sorted(set(ids)))
    listed = (await chatting.api.client.get("/v2/chats")).json()["chats"]
    assert [one["messages"] for one in listed] == [10_000]
    assert (await chatting.answered(chat, "And now?"))["state"] == "succeeded"
    sent = chatting.sent()
    assert [role for role, _ in sent] == ["user", "assistant"] * (len(sent) // 2) + ["user"]
    assert 10 < len(sent) < 200
    newest = await chatting.api.client.get(f"{chat}/messages?cursor=5000.{ids[-1]}")
    assert [message["text"] for message in newest.json()["messages"]] == ["And now?", "Hello from the script."]
    assert time.monotonic() - began < 30


async def test_a_message_shows_what_its_owner_has_stored_and_nothing_else(chatting: Chatting):
    client = chatting.api.client
    image = (await client.post("/v2/images", content=photo(), headers=JPEG)).json()["id"]
    video = (await client.post("/v2/media", content=media.mp4(), headers=MP4)).json()["id"]
    audio = (await client.post("/v2/media", content=media.wav(), headers=WAV)).json()["id"]
    async with await client_of(chatting.api, "anna") as anna:
        foreign = (await anna.post("/v2/images", content=photo(), headers=JPEG)).json()["id"]
        hers = (await anna.post("/v2/media", content=media.mp4(), headers=MP4)).json()["id"]
    chat = await chatting.new()
    shown = {"images": [image], "videos": [video], "audios": [audio]}
    assert (await client.post(f"{chat}/messages", json=shown)).status_code == 202
    (message,) = await chatting.messages(chat)
    assert {name: message[name] for name in ("text", *shown)} == {
        "text": "",
        "images": [{"id": image, "url": f"/v2/images/{image}/content"}],
        "videos": [{"id": video, "url": f"/v2/media/{video}/content"}],
        "audios": [{"id": audio, "url": f"/v2/media/{audio}/content"}],
    }
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"images": [image, foreign]}, "images.1"),
        ({"images": [str(uuid4())]}, "images.0"),
        ({"images": [video]}, "images.0"),
        ({"videos": [hers]}, "videos.0"),
        ({"videos": [image]}, "videos.0"),
        ({"videos": [audio]}, "videos.0"),
        ({"audios": [video]}, "audios.0"),
        ({"images": [image] * 32, "videos": [video]}, "videos.0"),
        ({"images": [image] * 33}, "images"),
        ({"images": ["https://example.com/cup.jpg"]}, "images.0"),
        ({"images": [f"/v2/images/{image}/content"]}, "images.0"),
        ({"images": image}, "images"),
    ]
    for wanted, field in refusals:
        refused = await client.post(f"{chat}/messages", json={"text": "Look"} | wanted)
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
    assert len(await chatting.messages(chat)) == 1


BAD_MESSAGES: list[tuple[str, str | None]] = [
    ("[]", None),
    ("{}", "text"),
    ('{"text": " \\n "}', "text"),
    ('{"text": 7}', "text"),
    ('{"text": ["Hi"]}', "text"),
    ('{"text": "a\\u0000b"}', "text"),
    ('{"text": "\\udfff"}', "text"),
    (f'{{"text": "{"x" * 1_000_001}"}}', "text"),
    ('{"text": "Hi", "model": "nobody/x"}', "model"),
    ('{"text": "Hi", "model": "scripted"}', "model"),
    ('{"text": "Hi", "system_prompt": "\\u0000"}', "system_prompt"),
    ('{"text": "Hi", "if_busy": "panic"}', "if_busy"),
    ('{"text": "Hi", "on_disconnect": "panic"}', "on_disconnect"),
    ('{"text": "Hi", "timeout_s": 0}', "timeout_s"),
    ('{"text": "Hi", "timeout_s": "60"}', "timeout_s"),
    ('{"text": "Hi", "timeout_s": NaN}', "timeout_s"),
    ('{"text": "Hi", "timeout_s": 1e9}', "timeout_s"),
    ('{"text": "Hi", "parameters": {"tools": [{"type": "function"}]}}', "parameters.tools"),
    ('{"text": "Hi", "parameters": {"options": {"a": "\\ud800"}}}', "parameters.options"),
    ('{"text": "Hi", "parameters": {"top_p": 7}}', "parameters.top_p"),
    ('{"text": "Hi", "role": "system"}', "role"),
]


async def test_what_cannot_be_said_is_refused_by_its_field_and_not_kept(chatting: Chatting):
    chat = await chatting.new()
    json = {"Content-Type": "application/json"}
    for body, field in BAD_MESSAGES:
        refused = await chatting.api.client.post(f"{chat}/messages", content=body, headers=json)
        assert (refused.status_code, refused.json().get("field")) == (422, field), (body[:100], refused.text)
    for header, value in (("Prefer", "wait=soon"), ("Idempotency-Key", "a b")):
        refused = await chatting.api.client.post(f"{chat}/messages", json={"text": "Hi"}, headers={header: value})
        assert (refused.status_code, refused.json()["field"]) == (422, header)
    for message_id in ("0", "x", str(2**63)):
        refused = await chatting.api.client.delete(f"{chat}/messages/{message_id}")
        assert (refused.status_code, refused.json()["field"]) == (422, "message_id")
    refused = await chatting.api.client.post(f"{chat}/messages?wait=7", json={"text": "Hi"})
    assert (refused.status_code, refused.json()["field"]) == (422, "wait")
    large = await chatting.api.client.post(f"{chat}/messages", content=b" " * 9_000_000, headers=json)
    assert large.status_code == 413
    assert await chatting.messages(chat) == []
    assert (await chatting.api.client.get("/v2/jobs")).json()["jobs"] == []


async def only_job(chatting: Chatting) -> str:
    """Wait for the one job that is queued."""
    found: list[str] = []

    async def is_queued() -> bool:
        jobs = (await chatting.api.client.get("/v2/jobs?state=queued")).json()["jobs"]
        found[:] = [job["id"] for job in jobs]
        return bool(found)

    await eventually(is_queued)
    (job_id,) = found
    return job_id


async def said_something(chatting: Chatting, job_id: str) -> None:
    """Wait until the answer has begun."""

    async def has_text() -> bool:
        entries = await chatting.api.front.events.read(JobId(UUID(job_id)), 1)
        return any(isinstance(entry.event, Text) for entry in entries)

    await eventually(has_text, expecting="the first words")
