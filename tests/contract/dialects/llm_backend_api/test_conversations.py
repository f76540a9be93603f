"""Making, listing, reading and deleting conversations: the documented bytes, and whose they are."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from shared.settings import Settings
from tests.contract.dialects.llm_backend_api.rig import GPT, Rig, names_in_redis

KEY = "sk-anna-0123456789"
CREATE = "/api/conversations/create"
ROUTES = [("GET", "/api/conversations/history/{}"), ("POST", "/api/conversations/del/{}"), ("POST", "/api/chat/{}")]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert list(answer.json()) == ["error"]
    return answer.status_code, answer.json()["error"]


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:  # JSON
    answer = await client.get("/api/conversations/list")
    assert answer.status_code == 200
    return answer.json()


def rows_with(settings: Settings, text: str) -> list[str]:
    """Where PostgreSQL has a text, in the clear."""
    tables = ("chat", "message", "job", "job_body", "job_done")
    with psycopg.connect(settings.database.conninfo) as connection:
        return [
            table
            for table in tables
            if connection.execute(
                f'select 1 from "{table}" where position(%s in "{table}"::text) > 0', [text]
            ).fetchone()
        ]


@pytest.mark.covers("F002-07", "F002-08", "F002-21")
async def test_a_conversation_is_made_as_the_document_shows_it(rig: Rig):
    made = await rig.client.post(CREATE, json=GPT | {"title": "介绍 <RUST>", "api_key": KEY})
    facts = made.json()
    number, created = facts["conversation_id"], facts["created_time"]
    assert (made.status_code, made.text) == (
        200,
        f'{{"conversation_id":{number},"title":"介绍 \\u003cRUST\\u003e","model":"gpt-4o","api_key":"{KEY}",'
        f'"created_time":{created}}}',
    )
    assert made.headers["content-type"] == "application/json; charset=utf-8"
    assert isinstance(created, int)
    shown = await rig.history(number)
    assert shown == {
        "conversation_id": number,
        "title": "介绍 <RUST>",
        "model": "gpt-4o",
        "messages": [],
        "created_time": created,
    }
    for wanted in ({}, {"api_key": ""}, {"api_key": None}):
        assert (await rig.client.post(CREATE, json=GPT | wanted)).json()["api_key"] == ""


@pytest.mark.covers("F002-09")
async def test_a_body_without_a_title_or_a_model_is_refused(rig: Rig):
    bodies = [b"", b"{", b"[]", b"null", b"\xff", b'{"title": "T"}', b'{"model": "gpt-4o"}']
    bodies += [json.dumps(GPT | {name: value}).encode() for name in GPT for value in ("", 1, None, ["T"])]
    bodies += [json.dumps(GPT | {"api_key": 1}).encode()]
    for body in bodies:
        assert error_of(await rig.client.post(CREATE, content=body)) == (400, "Invalid request"), body
    status, words = error_of(await rig.client.post(CREATE, json=GPT | {"title": "a\0b"}))
    assert (status, words) == (400, "title: holds the character NUL, which no text has")
    assert await listed(rig.client) == []


@pytest.mark.covers("F002-19")
async def test_a_model_nobody_could_be_asked_for_is_refused_at_once(rig: Rig):
    for model in ("claude-3", "nobody/llama3", "a b"):
        refused = await rig.client.post(CREATE, json=GPT | {"model": model})
        assert error_of(refused) == (400, f"unsupported keyword: {model}")
    for model in ("glm-4", "zhipu/glm-4", "deepseek/deepseek-chat"):
        status, words = error_of(await rig.client.post(CREATE, json=GPT | {"model": model}))
        assert status == 400
        assert "is not configured on this server: give an api_key of it" in words
        assert (await rig.client.post(CREATE, json=GPT | {"model": model, "api_key": KEY})).status_code == 200
    assert (await rig.client.post(CREATE, json=GPT | {"model": "ollama/x", "api_key": KEY})).status_code == 400


@pytest.mark.covers("F002-10")
async def test_the_list_is_the_callers_own_with_the_newest_first(rig: Rig):
    assert (await rig.client.get("/api/conversations/list/")).content == b"[]"
    first, second = await rig.create(title="first"), await rig.create(title="second")
    await rig.say(first)
    rows = await listed(rig.client)
    assert rows == [
        {"conversation_id": second, "title": "second", "created_time": rows[0]["created_time"]},
        {"conversation_id": first, "title": "first", "created_time": rows[1]["created_time"]},
    ]
    assert list(rows[0]) == ["conversation_id", "title", "created_time"]
    assert await listed(rig.other) == []


@pytest.mark.covers("F002-12", "F002-13", "F002-17")
async def test_what_is_anothers_or_of_another_surface_or_no_id_is_refused(rig: Rig, settings: Settings):
    own = await rig.create()
    chat = (await rig.client.post("/v2/chats", json={"title": "elsewhere"})).json()
    with psycopg.connect(settings.database.conninfo) as connection:
        [(elsewhere,)] = connection.execute("select number from chat where id = %s", [chat["id"]]).fetchall()
    places = [(rig.other, own), (rig.client, elsewhere), (rig.client, 999_999), (rig.client, -1), (rig.client, 0)]
    for client, number in places:
        for method, path in ROUTES:
            answer = await client.request(method, path.format(number), json={"message": "Hi"})
            assert error_of(answer) == (404, "Conversation not found")
    for text in ("abc", "1.5", "9223372036854775808", "%20", "1%00"):
        for method, path in ROUTES:
            answer = await rig.client.request(method, path.format(text), json={"message": "Hi"})
            assert error_of(answer) == (400, "Invalid conversation ID")
    assert rig.asked == []
    assert [row["conversation_id"] for row in await listed(rig.client)] == [own]
    assert (await rig.client.get(f"/v2/chats/{chat['id']}")).status_code == 200


@pytest.mark.covers("F002-13")
async def test_a_deleted_conversation_is_gone_from_everywhere(rig: Rig, settings: Settings):
    number = await rig.create()
    await rig.say(number, "a word nobody else uses: zyzzyva")
    with psycopg.connect(settings.database.conninfo) as connection:
        [(job_id,)] = connection.execute("select id::text from job").fetchall()
    assert rows_with(settings, "zyzzyva") == ["message"]
    assert job_id in str(await names_in_redis(rig))
    deleted = await rig.client.post(f"/api/conversations/del/{number}")
    assert (deleted.status_code, deleted.content) == (200, b'{"message":"Conversation deleted successfully"}')
    assert rows_with(settings, "zyzzyva") == []
    assert rows_with(settings, job_id) == []
    assert job_id not in str(await names_in_redis(rig))
    for method, path in ROUTES:
        again = await rig.client.request(method, path.format(number) + "/", json={"message": "Hi"})
        assert error_of(again) == (404, "Conversation not found")
