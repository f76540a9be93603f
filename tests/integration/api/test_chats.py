"""Making, listing, changing and deleting chats, and whose they are."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.settings import Settings
from tests.integration.api.chats import new_chat
from tests.integration.api.photos import client_of
from tests.served import Served, served

KEY = "sk-anna-0123456789"
NOBODY = "/v2/chats/0198f3b0-0000-7000-8000-000000000000"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def titles(api: Served, query: str = "") -> list[str]:
    return [chat["title"] for chat in (await api.client.get(f"/v2/chats{query}")).json()["chats"]]


async def test_a_chat_is_made_shown_and_listed_without_its_provider_key(api: Served, settings: Settings):
    wanted = {
        "title": "Tea",
        "model": "openai/gpt-4o",
        "system_prompt": "Answer in verse.",
        "parameters": {"temperature": 0.5, "options": {"verbosity": "low"}},
    }
    made = await api.client.post("/v2/chats", json=wanted | {"provider_key": KEY})
    assert made.status_code == 201
    chat = made.json()
    path = f"/v2/chats/{chat['id']}"
    assert made.headers["location"] == path
    assert chat == wanted | {
        "id": chat["id"],
        "origin": "chats",
        "external_id": None,
        "has_own_key": True,
        "messages": 0,
        "last_provider": None,
        "last_model": None,
        "created_at": chat["created_at"],
        "updated_at": chat["created_at"],
        "links": {"self": path, "messages": f"{path}/messages", "stop": f"{path}/stop"},
    }
    listed = await api.client.get("/v2/chats")
    assert (await api.client.get(path)).json() == chat
    assert listed.json() == {"chats": [chat], "next": None}
    assert KEY not in made.text + listed.text
    with psycopg.connect(settings.database.conninfo) as connection:
        (row,) = connection.execute("select chat::text, provider_key from chat").fetchall()
    assert KEY not in row[0]
    assert KEY.encode() not in row[1]


async def test_a_chat_of_which_nothing_is_said_has_defaults(api: Served):
    chat = (await api.client.post("/v2/chats", json={})).json()
    names = ("title", "model", "system_prompt", "parameters", "has_own_key")
    assert [chat[name] for name in names] == ["New chat", None, None, {}, False]


async def test_repeating_a_request_with_its_key_makes_one_chat(api: Served):
    headers = {"Idempotency-Key": "chat-1"}
    wanted = {"title": "Tea", "model": "openai/gpt-4o", "provider_key": KEY}
    first = await api.client.post("/v2/chats", json=wanted, headers=headers)
    again = await api.client.post("/v2/chats", json=wanted, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    for other in ({"title": "Coffee"}, {"provider_key": KEY + "x"}):
        refused = await api.client.post("/v2/chats", json=wanted | other, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
        assert KEY not in refused.text
    assert await titles(api) == ["Tea"]


async def test_two_owners_may_use_the_same_idempotency_key(api: Served):
    headers = {"Idempotency-Key": "chat-1"}
    async with await client_of(api, "anna") as anna:
        first = await api.client.post("/v2/chats", json={}, headers=headers)
        second = await anna.post("/v2/chats", json={}, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)


async def test_pages_follow_each_other_and_the_chat_used_last_comes_first(api: Served):
    paths = [await new_chat(api.client, title=f"chat {number}") for number in range(5)]
    assert (await api.client.post(f"{paths[1]}/messages", json={"text": "Hi"})).status_code == 202
    first = (await api.client.get("/v2/chats?limit=3")).json()
    second = (await api.client.get(f"/v2/chats?limit=3&cursor={first['next']}")).json()
    assert [chat["title"] for chat in first["chats"] + second["chats"]] == [
        *("chat 1", "chat 4", "chat 3"),
        *("chat 2", "chat 0"),
    ]
    assert second["next"] is None


async def test_chats_are_listed_by_the_surface_they_were_made_through(api: Served, settings: Settings):
    await new_chat(api.client, title="ours")
    old = await new_chat(api.client, title="old")
    with psycopg.connect(settings.database.conninfo) as connection:
        connection.execute(
            "update chat set origin = 'llm_service_api', external_id = 's-1' where id = %s", [old.rpartition("/")[2]]
        )
    assert await titles(api, "?origin=chats") == ["ours"]
    assert await titles(api, "?origin=llm_service_api") == ["old"]
    assert await titles(api) == ["old", "ours"]
    assert (await api.client.get(old)).json()["external_id"] == "s-1"


async def test_what_is_given_is_changed_and_null_goes_back_to_the_default(api: Served):
    path = await new_chat(api.client, title="Tea", system_prompt="Be short.")
    before = (await api.client.get(path)).json()
    changes: dict[str, Any] = {
        "title": "Coffee",
        "model": "demo/demo",
        "system_prompt": "Be long.",
        "parameters": {"temperature": 1.5},
    }
    for name, value in changes.items():
        changed = await api.client.patch(path, json={name: value})
        before[name] = value
        assert (changed.status_code, changed.json()) == (200, before)
    assert (await api.client.patch(path, json={})).json() == before
    reset = await api.client.patch(path, json=dict.fromkeys(changes))
    assert reset.json() == before | {"title": "New chat", "model": None, "system_prompt": None, "parameters": {}}
    assert (await api.client.get(path)).json() == reset.json()


async def test_a_chat_stays_with_the_provider_whose_key_it_brought(api: Served):
    path = await new_chat(api.client, model="deepseek/deepseek-flash", provider_key=KEY)
    assert (await api.client.patch(path, json={"model": "deepseek/deepseek-pro"})).status_code == 200
    assert (await api.client.post(f"{path}/messages", json={"text": "Hi"})).status_code == 202
    for model in ("openai/gpt-4o", "demo/demo"):
        for answer in (
            await api.client.patch(path, json={"model": model}),
            await api.client.post(f"{path}/messages", json={"text": "Hi", "model": model}),
        ):
            assert (answer.status_code, answer.json()["field"]) == (422, "model")
    assert (await api.client.patch(path, json={"model": None})).json()["field"] == "model"
    assert (await api.client.get(path)).json()["model"] == "deepseek/deepseek-pro"


async def test_deleting_all_chats_is_deleting_all_of_ones_own(api: Served):
    async with await client_of(api, "anna") as anna:
        hers = await new_chat(anna, title="hers")
        mine = [await new_chat(api.client) for _ in range(3)]
        assert (await api.client.delete(mine[0])).status_code == 204
        assert (await api.client.delete(mine[0])).status_code == 404
        assert (await api.client.get(mine[0])).status_code == 404
        for _ in range(2):
            assert (await api.client.delete("/v2/chats")).status_code == 204
            assert await titles(api) == []
        assert (await anna.get(hers)).status_code == 200


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"title": "mine now"}),
    ("PATCH", "", {}),
    ("POST", "/stop", None),
    ("GET", "/messages", None),
    ("POST", "/messages", {"text": "Hi"}),
    ("POST", "/messages", {"text": "Hi", "if_busy": "interrupt"}),
    ("POST", "/messages/{message}/regenerate", {}),
    ("DELETE", "/messages/{message}", None),
    ("DELETE", "", None),
]


async def test_another_owners_chat_is_not_found_on_any_route_and_stays_as_it_is(api: Served):
    path = await new_chat(api.client, title="Tea")
    job = (await api.client.post(f"{path}/messages", json={"text": "Hi"})).json()
    messages = (await api.client.get(f"{path}/messages")).json()
    before = (await api.client.get(path)).json()
    message = str(messages["messages"][0]["id"])
    async with await client_of(api, "anna") as anna:
        for method, route, body in ROUTES:
            answers = [
                await anna.request(method, chat + route.replace("{message}", message), json=body)
                for chat in (path, NOBODY)
            ]
            assert [answer.status_code for answer in answers] == [404, 404], (method, route)
            assert answers[0].json()["detail"] == answers[1].json()["detail"]
        assert (await anna.get("/v2/chats")).json() == {"chats": [], "next": None}
        own = await new_chat(anna)
        for method, route in (("POST", "/regenerate"), ("DELETE", "")):  # another's message, in a chat of one's own
            answer = await anna.request(method, f"{own}/messages/{message}{route}")
            assert answer.status_code == 404
    assert (await api.client.get(path)).json() == before
    assert (await api.client.get(f"{path}/messages")).json() == messages
    assert (await api.client.get(f"/v2/jobs/{job['id']}")).json()["state"] == "queued"


LONG = "x" * 1_000_001
DEEP = '{"parameters": {"options": {"a": ' + "[" * 40 + "]" * 40 + "}}}"
BAD_CHATS: list[tuple[str, str | None]] = [
    ("[]", None),
    ('"chat"', None),
    ('{"title": 7}', "title"),
    ('{"title": ""}', "title"),
    ('{"title": "a\\u0000b"}', "title"),
    ('{"title": "a\\nb"}', "title"),
    ('{"title": "\\ud800"}', "title"),
    (f'{{"title": "{"x" * 256}"}}', "title"),
    ('{"model": "gpt"}', "model"),
    ('{"model": "nobody/gpt"}', "model"),
    ('{"model": "demo/a b"}', "model"),
    ('{"model": 7}', "model"),
    ('{"system_prompt": "a\\u0000"}', "system_prompt"),
    ('{"system_prompt": ["a"]}', "system_prompt"),
    (f'{{"system_prompt": "{LONG}"}}', "system_prompt"),
    ('{"parameters": 7}', "parameters"),
    ('{"parameters": {"temperature": "hot"}}', "parameters.temperature"),
    ('{"parameters": {"temperature": 3}}', "parameters.temperature"),
    ('{"parameters": {"heat": 1}}', "parameters.heat"),
    ('{"parameters": {"tools": [{"type": "function"}]}}', "parameters.tools"),
    ('{"parameters": {"tool_choice": "auto"}}', "parameters.tool_choice"),
    ('{"parameters": {"parallel_tool_calls": true}}', "parameters.parallel_tool_calls"),
    ('{"parameters": {"stop": ["\\u0000"]}}', "parameters.stop"),
    ('{"parameters": {"user": "a\\u0000"}}', "parameters.user"),
    ('{"parameters": {"options": {"a": "\\u0000"}}}', "parameters.options"),
    ('{"parameters": {"options": {"\\u0000": 1}}}', "parameters.options"),
    ('{"parameters": {"options": {"a": "\\ud800"}}}', "parameters.options"),
    ('{"parameters": {"options": {"a": 1e999}}}', "parameters.options"),
    ('{"parameters": {"response_format": {"a": [NaN]}}}', "parameters.response_format"),
    (DEEP, "parameters.options"),
    ('{"unknown": 1}', "unknown"),
]
BAD_KEYS: list[tuple[str, str | None]] = [
    ('{"provider_key": "sk-secret"}', "model"),
    ('{"provider_key": "sk-secret", "model": "nobody/x"}', "model"),
    ('{"provider_key": "sk secret", "model": "openai/x"}', "provider_key"),
    ('{"provider_key": "", "model": "openai/x"}', "provider_key"),
    ('{"provider_key": 7, "model": "openai/x"}', "provider_key"),
    ('{"messages": 7}', "messages"),
]


async def test_what_cannot_be_a_chat_is_refused_by_its_field(api: Served):
    path = await new_chat(api.client, title="Tea")
    before = (await api.client.get(path)).json()
    json = {"Content-Type": "application/json"}
    for method, address, bodies in (("POST", "/v2/chats", BAD_CHATS + BAD_KEYS), ("PATCH", path, BAD_CHATS)):
        for body, field in bodies:
            answer = await api.client.request(method, address, content=body, headers=json)
            assert (answer.status_code, answer.json().get("field")) == (422, field), (method, body[:100], answer.text)
            assert "secret" not in answer.text
        for body in ("", "{", '{"title": }', b"\xff"):
            answer = await api.client.request(method, address, content=body, headers=json)
            assert answer.status_code in (400, 422), (method, body, answer.text)
    assert (await api.client.get("/v2/chats")).json() == {"chats": [before], "next": None}


BAD_PARAMETERS: list[tuple[str, str]] = [
    ("?limit=0", "limit"),
    ("?limit=101", "limit"),
    ("?origin=nowhere", "origin"),
    ("?cursor=", "cursor"),
    ("?cursor=1", "cursor"),
    (f"?cursor=x-{uuid4().hex}", "cursor"),
    (f"?cursor={10**30}-{uuid4().hex}", "cursor"),
    ("?colour=red", "colour"),
    ("/7", "chat_id"),
    (f"/{uuid4()}?colour=red", "colour"),
    (f"/{uuid4()}/messages?limit=0", "limit"),
]


async def test_bad_parameters_are_named(api: Served):
    for path, field in BAD_PARAMETERS:
        answer = await api.client.get(f"/v2/chats{path}")
        assert (answer.status_code, answer.json()["field"]) == (422, field), path
    for cursor in ("", "1", "1.x", "-1.2", f"{10**19}.1", "١.١"):
        path = await new_chat(api.client)
        answer = await api.client.get(f"{path}/messages", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor"), cursor
    for query in ("?colour=red",):
        assert (await api.client.post(f"/v2/chats{query}", json={})).json()["field"] == "colour"
        assert (await api.client.delete(f"/v2/chats{query}")).json()["field"] == "colour"
