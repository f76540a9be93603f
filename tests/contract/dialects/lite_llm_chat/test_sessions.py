"""Sessions over HTTP: their life, their owners, and every wrong request in FastAPI's shape."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from shared.database.tables import chat, message
from shared.domain.events import Completed, Signature, Started, Text, fold
from tests.contract.dialects.lite_llm_chat.rig import API, ASK, Rig, said
from tests.scripted_provider import openai_stream
from tests.stack import eventually
from workers.chat_answers import answer_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = "Hello from the script."


async def made(rig: Rig, title: str = "T", **wanted: Any) -> dict[str, Any]:  # JSON
    answer = await rig.client.post(f"{API}/sessions", json=ASK | {"title": title} | wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.covers("F003-07", "F003-08", "F003-09", "F003-10", "F003-11", "F003-12", "F003-13")
async def test_the_life_of_sessions(rig: Rig) -> None:
    first, second = await made(rig, "One"), await made(rig, "Two", model="deepseek-reasoner")
    assert list(first) == ["id", "title", "provider", "model", "created_at", "updated_at", "message_count"]
    assert (first["title"], first["provider"], first["model"], first["message_count"]) == (
        *("One", "deepseek", "deepseek-chat"),
        0,
    )
    assert [len(first[name]) for name in ("created_at", "updated_at")] == [26, 26]  # 2026-11-21T09:14:03.154596
    assert await rig.sessions() == [second, first]
    assert (await rig.client.get(f"{API}/sessions?skip=1&limit=1")).json() == [first]

    renamed = await rig.client.patch(f"{API}/sessions/{first['id']}", json={"title": "Uno"})
    assert (renamed.status_code, renamed.json()) == (200, first | {"title": "Uno"})
    for nothing in ({}, {"title": ""}, {"title": None}):
        assert (await rig.client.patch(f"{API}/sessions/{first['id']}", json=nothing)).json()["title"] == "Uno"

    await rig.chat("Hi", session_id=first["id"])
    await rig.chat("Again", session_id=first["id"])
    session = await rig.session(first["id"])
    messages = session.pop("messages")
    assert session == (await rig.sessions())[0]
    assert session["message_count"] == len(messages) == 4
    assert messages[0] == {
        "id": messages[0]["id"],
        "role": "user",
        "content": "Hi",
        "images": None,
        "videos": None,
        "audios": None,
        "search_results": None,
        "provider": "deepseek",
        "model": "deepseek-chat",
        "thought_process": None,
        "thought_signatures": None,
        "created_at": messages[0]["created_at"],
    }
    assert [message["id"] for message in messages] == sorted(message["id"] for message in messages)

    for path in (f"{messages[2]['id']}", f"{messages[3]['id']}", f"{2**63}", f"{10**30}"):
        answer = await rig.client.delete(f"{API}/sessions/{first['id']}/truncate/{path}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert await rig.words(first["id"]) == [("user", "Hi"), ("assistant", HELLO)]
    assert (await rig.client.delete(f"{API}/sessions/{first['id']}/truncate/-1")).status_code == 204
    assert await rig.words(first["id"]) == []

    deleted = await rig.client.delete(f"{API}/sessions/{first['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await rig.sessions() == [second]
    await made(rig)
    others = (await rig.other.post(f"{API}/sessions", json=ASK | {"title": "Ben's"})).json()
    our_own = (await rig.client.post("/v2/chats", json={"title": "of our own API"})).headers["location"]
    deleted = await rig.client.delete(f"{API}/sessions")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await rig.sessions() == []
    assert (await rig.other.get(f"{API}/sessions")).json() == [others]
    assert (await rig.client.get(our_own)).status_code == 200


@pytest.mark.covers("F003-14")
async def test_what_is_not_there_and_what_is_not_the_callers_are_the_same_404(rig: Rig) -> None:
    theirs = (await made(rig))["id"]
    elsewhere = await number_of_ours(rig)
    for client, session_id in (
        (rig.client, 999),
        (rig.client, 0),
        (rig.client, -1),
        (rig.client, 2**63),
        (rig.client, 10**30),
        (rig.client, elsewhere),
        (rig.other, theirs),
    ):
        answers = [
            await client.get(f"{API}/sessions/{session_id}"),
            await client.patch(f"{API}/sessions/{session_id}", json={"title": "x"}),
            await client.delete(f"{API}/sessions/{session_id}"),
            await client.delete(f"{API}/sessions/{session_id}/truncate/1"),
        ]
        if session_id:  # 0 asks for a new one
            answers.append(await client.post(f"{API}/chat", json=said() | {"session_id": session_id}))
        expected = {"detail": f"Session {session_id} not found"}
        assert [(answer.status_code, answer.json()) for answer in answers] == [(404, expected)] * len(answers)
    assert (await rig.session(theirs))["title"] == "T"
    assert rig.provider.exchanges == []


async def number_of_ours(rig: Rig) -> int:
    """Return the number of a chat that the same owner has in our own API."""
    path = (await rig.client.post("/v2/chats", json={"title": "of our own API"})).headers["location"]
    rows = await rig.api.front.queries.rows(select(chat.c.number).where(chat.c.id == UUID(path.rpartition("/")[2])))
    return rows[0].number


async def test_a_session_is_forgotten_from_a_message_on_while_it_is_answered(rig: Rig) -> None:
    whole = openai_stream(["Once upon a time. ", "The rest."])
    rig.provider.play(whole.stalled_after(len(b"".join(whole.pieces[:2]))))
    session_id = (await made(rig))["id"]
    async with rig.client.stream(
        "POST",
        f"{API}/chat",
        json=said(
            "Tell me",
        )
        | {"session_id": session_id},
    ) as answer:
        await rig.provider.wait_requests(1)
        (asked,) = (await rig.session(session_id))["messages"]
        path = f"{API}/sessions/{session_id}/truncate/{asked['id']}"

        async def is_forgotten() -> bool:
            return (await rig.client.delete(path)).status_code == 204

        await eventually(is_forgotten, expecting="the answer to stop")
        assert b"error" in await answer.aread()
    assert await rig.words(session_id) == []


@pytest.mark.covers("F003-28")
async def test_signatures_are_kept_with_the_answer_and_shown(rig: Rig) -> None:
    kept = answer_of(fold([Started("gemini", "m"), Text("Hi."), Signature("c2lnbmVk")]), Completed("stop"))
    assert kept is not None
    session_id = (await rig.chat())[0]["session_id"]
    async with rig.api.front.queries.transaction() as connection:  # no adapter hears of signatures yet
        await connection.execute(
            update(message).values(signatures=kept.signatures).where(message.c.role == "assistant")
        )
    assert [it["thought_signatures"] for it in (await rig.session(session_id))["messages"]] == [None, ["c2lnbmVk"]]


async def test_wrong_requests_are_refused_as_fastapi_lists_them(rig: Rig) -> None:
    session_id = (await made(rig))["id"]
    wrong: list[tuple[str, str, Any, list[Any], str]] = [
        ("GET", "/sessions?skip=-1", None, ["query", "skip"], "greater_than_equal"),
        ("GET", "/sessions?skip=a", None, ["query", "skip"], "int_parsing"),
        ("GET", "/sessions?limit=0", None, ["query", "limit"], "greater_than_equal"),
        ("GET", "/sessions?limit=1001", None, ["query", "limit"], "less_than_equal"),
        ("GET", "/sessions/one", None, ["path", "session_id"], "int_parsing"),
        ("DELETE", f"/sessions/{session_id}/truncate/one", None, ["path", "message_id"], "int_parsing"),
        ("POST", "/sessions", {"title": "T", "provider": "deepseek"}, ["body", "model"], "missing"),
        ("POST", "/sessions", ASK | {"title": ""}, ["body", "title"], "string_too_short"),
        ("PATCH", f"/sessions/{session_id}", {"title": 5}, ["body", "title"], "string_type"),
        ("POST", "/chat", ASK | {"messages": "Hi"}, ["body", "messages"], "list_type"),
        ("POST", "/chat", said() | {"temperature": 3}, ["body", "temperature"], "less_than_equal"),
        ("POST", "/chat", said("a\0"), ["body", "messages", 0, "content"], "value_error"),
        ("POST", "/upload", {}, ["body", "file"], "missing"),
    ]
    for method, path, content, loc, kind in wrong:
        answer = await rig.client.request(method, f"{API}{path}", json=content)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/json"), path
        (fault,) = answer.json()["detail"]
        assert (fault["loc"], fault["type"], set(fault)) == (loc, kind, {"loc", "type", "msg"})
    for content in (b"", b"{", b"\xff", b'"text"'):
        answer = await rig.client.post(f"{API}/chat", content=content)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body"]
    large = await rig.client.post(f"{API}/chat", content=b" " * (8 * 1024 * 1024 + 1))
    assert (large.status_code, set(large.json())) == (413, {"detail"})


async def test_other_paths_and_methods_are_answered_as_fastapi_does(rig: Rig) -> None:
    unknown = await rig.client.get(f"{API}/nothing/here")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
    method = await rig.client.put(f"{API}/sessions", json={})
    assert (method.status_code, method.json()) == (405, {"detail": "Method Not Allowed"})
    assert method.headers["allow"] == "DELETE, GET, POST"
    upload = await rig.client.put("/uploads/a.png", content=b"x")
    assert (upload.status_code, upload.headers["allow"]) == (405, "GET")
    assert upload.json() == {"detail": "Method Not Allowed"}
    slash = await rig.client.get(f"{API}/sessions/?limit=5")
    assert (slash.status_code, slash.headers["location"]) == (307, "../sessions?limit=5")
    followed = await rig.client.get(f"{API}/sessions/?limit=5", follow_redirects=True)
    assert (followed.status_code, followed.json()) == (200, [])


async def test_nobody_comes_in_without_a_credential_unless_it_is_open(rig: Rig) -> None:
    stranger = rig.api.stranger
    for method, path in (
        *(("GET", f"{API}/{path}") for path in ("providers", "models", "sessions", "sessions/1")),
        *(("DELETE", f"{API}/{path}") for path in ("sessions", "sessions/1", "sessions/1/truncate/1")),
        *(("POST", f"{API}/{path}") for path in ("sessions", "chat", "upload")),
        ("PATCH", f"{API}/sessions/1"),
        ("GET", "/uploads/01a1ff66-c25e-7c1e-8876-a9da210a2ad5.png"),
    ):
        answer = await stranger.request(method, path)
        assert (answer.status_code, set(answer.json())) == (401, {"detail"}), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
