"""Users over HTTP: registering, logging in, what ends a token, and what administrators do."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import psycopg
import pytest
import structlog

from shared.settings import Settings
from tests.integration.api.accounts import PASSWORD, log_in, new_user, status_with, token_of
from tests.served import Served, bearer, served
from tests.stack import eventually

NEW = "a better password"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


def register(username: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:  # JSON
    return {"username": username, "password": password, **more}


def stored(settings: Settings) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database.conninfo) as connection:
        return connection.execute("select * from account order by owner_id").fetchall()


async def test_a_user_registers_logs_in_and_is_told_who_they_are(settings: Settings):
    async with served(settings.model_copy(update={"registration": "open"})) as api:
        made = await api.stranger.post("/v2/users", json=register("anna"))
        user = made.json()
        assert (made.status_code, user) == (
            201,
            {
                "id": user["id"],
                "username": "anna",
                "role": "user",
                "created_at": user["created_at"],
                "disabled_at": None,
                "last_login_at": None,
            },
        )
        login = await log_in(api, "anna", PASSWORD)
        body = login.json()
        assert (login.status_code, login.headers["cache-control"]) == (200, "no-store")
        assert body == {"token": body["token"], "token_type": "bearer", "expires_at": body["expires_at"], "user": user}
        lasts = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
        assert abs(lasts - timedelta(hours=24)) < timedelta(minutes=1)
        me = (await api.stranger.get("/v2/users/me", headers=bearer(body["token"]))).json()
        assert me["last_login_at"] is not None
        assert me | {"last_login_at": None} == user
        refused = await api.stranger.post("/v2/users", json=register("eve", role="admin"))
        assert (refused.status_code, refused.json()["field"]) == (403, "role")


async def test_a_token_acts_as_its_user_and_for_nobody_else(api: Served):
    anna, boris = await new_user(api, "anna"), await new_user(api, "boris")
    chat = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "x"}]}}
    job = (await api.stranger.post("/v2/jobs", json=chat, headers=bearer(anna.token))).json()["id"]
    assert await status_with(api, anna.token, f"/v2/jobs/{job}") == 200
    assert await status_with(api, boris.token, f"/v2/jobs/{job}") == 404
    assert (await api.stranger.get(f"/d/{anna.token}/v2/jobs/{job}")).status_code == 200


async def test_passwords_are_kept_as_bcrypt_makes_them(api: Served, settings: Settings):
    await new_user(api, "张三", password="пароль-密码")
    [row] = stored(settings)
    assert str(row[1]).startswith("$2b$04$")
    assert bcrypt.checkpw("пароль-密码".encode(), str(row[1]).encode())
    assert "пароль" not in str(row)


async def test_closed_registration_is_for_administrators(api: Served):
    user, admin = await new_user(api, "anna"), await new_user(api, "root", role="admin")
    for headers in ({}, bearer(user.token)):
        refused = await api.stranger.post("/v2/users", json=register("eve"), headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    wrong = await api.stranger.post("/v2/users", json=register("eve"), headers=bearer("nonsense"))
    assert wrong.status_code == 401
    made = await api.stranger.post("/v2/users", json=register("boris"), headers=bearer(admin.token))
    assert made.status_code == 201


async def test_a_name_is_given_once_and_owners_names_are_taken(api: Served):
    await new_user(api, "M\u00fcller")
    await api.client.post("/v2/keys", json={"name": "a key", "scopes": ["jobs"], "owner": "lab"})
    for name in ("M\u00fcller", "Mu\u0308ller", "local", "lab"):
        taken = await api.client.post("/v2/users", json=register(name))
        assert (taken.status_code, taken.json()["code"], taken.json()["field"]) == (409, "username_taken", "username")
    at_once = await asyncio.gather(*(api.client.post("/v2/users", json=register("eve")) for _ in range(8)))
    assert sorted(answer.status_code for answer in at_once) == [201] + [409] * 7
    assert await token_of(api, "Mu\u0308ller")


async def test_every_refusal_of_a_login_is_the_same(api: Served):
    user = await new_user(api, "anna")
    await new_user(api, "gone")
    gone = (await api.client.get("/v2/users?username=gone")).json()["users"][0]["id"]
    assert (await api.client.patch(f"/v2/users/{gone}", json={"disabled": True})).status_code == 200
    attempts = [
        ("anna", "wrong"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("anna", ""),
        ("anna", PASSWORD + "x" * 99),
    ]
    attempts += [("", ""), ("a\x00b", "x"), ("x" * 999, "x"), (f" {user.username}", PASSWORD), ("local", PASSWORD)]
    answers = [await log_in(api, name, password) for name, password in attempts]
    assert {answer.status_code for answer in answers} == {401}
    problems = [answer.json() | {"request_id": ""} for answer in answers]
    assert problems == [problems[0]] * len(attempts)


async def test_a_changed_password_ends_the_tokens_and_the_answer_has_a_new_one(api: Served):
    user = await new_user(api, "anna")
    wanted = {"old_password": PASSWORD, "new_password": NEW}
    assert await status_with(api, user.token) == 200
    wrong = await api.stranger.put(
        "/v2/users/me/password", json=wanted | {"old_password": "x"}, headers=bearer(user.token)
    )
    assert (wrong.status_code, wrong.json()["field"]) == (422, "old_password")
    changed = await api.stranger.put("/v2/users/me/password", json=wanted, headers=bearer(user.token))
    assert (changed.status_code, changed.json()["user"]["username"]) == (200, "anna")
    assert [await status_with(api, token) for token in (user.token, changed.json()["token"])] == [401, 200]
    assert [(await log_in(api, "anna", password)).status_code for password in (PASSWORD, NEW)] == [401, 200]


async def test_logging_out_is_everywhere_at_once_here_and_soon_elsewhere(api: Served, settings: Settings):
    user = await new_user(api, "anna")
    other = await token_of(api, "anna")
    async with served(settings) as elsewhere:
        assert await status_with(elsewhere, user.token) == 200
        logged_out = await api.stranger.post("/v2/users/me/logout", headers=bearer(other))
        assert logged_out.status_code == 204
        assert [await status_with(api, token) for token in (user.token, other)] == [401, 401]
        # Who logs in again is known at once, also where the old state is still believed.
        assert await status_with(elsewhere, await token_of(api, "anna")) == 200

        async def is_refused() -> bool:
            return await status_with(elsewhere, user.token) == 401

        await eventually(is_refused, within=2)


async def test_a_disabled_user_is_out_with_token_and_key_and_in_again_when_enabled(api: Served):
    user = await new_user(api, "anna")
    made = await api.stranger.post("/v2/keys", json={"name": "a key", "scopes": ["jobs"]}, headers=bearer(user.token))
    key = made.json()["secret"]
    assert await status_with(api, key, "/v2/providers") == 200
    disabled = (await api.client.patch(f"/v2/users/{user.id}", json={"disabled": True})).json()
    assert disabled["disabled_at"] is not None
    assert (await status_with(api, user.token), await status_with(api, key, "/v2/providers")) == (401, 401)
    again = (await api.client.patch(f"/v2/users/{user.id}", json={"disabled": True})).json()
    assert again["disabled_at"] == disabled["disabled_at"]
    enabled = (await api.client.patch(f"/v2/users/{user.id}", json={"disabled": False})).json()
    assert enabled["disabled_at"] is None
    assert await status_with(api, user.token) == 401
    token = await token_of(api, "anna")
    assert [await status_with(api, token), await status_with(api, key, "/v2/providers")] == [200, 200]


async def test_a_user_who_was_disabled_behind_our_back_is_out_soon(api: Served, settings: Settings):
    user = await new_user(api, "anna")
    assert await status_with(api, user.token) == 200
    with psycopg.connect(settings.database.conninfo) as connection:
        connection.execute("update account set disabled_at = now()")

    async def is_refused() -> bool:
        return await status_with(api, user.token) == 401

    await eventually(is_refused, within=2)


async def test_a_user_makes_keys_of_their_own_for_what_users_may_do(api: Served):
    user = await new_user(api, "anna")
    async with api.client_with(user.token) as client:
        made = (await client.post("/v2/keys", json={"name": "a key", "scopes": ["jobs", "keys"]})).json()
        assert (made["owner"], made["expires_at"]) == ("anna", None)
        later = (datetime.now(UTC) + timedelta(days=365)).isoformat()
        asked = [{"scopes": ["admin"]}, {"scopes": ["metrics"]}, {"owner": "local"}, {"expires_at": later}]
        answers = [await client.post("/v2/keys", json={"name": "x", "scopes": ["jobs"]} | wish) for wish in asked]
        assert [answer.status_code for answer in answers] == [403, 403, 403, 201]
        foreign = (await api.client.post("/v2/keys", json={"name": "y", "scopes": ["jobs"]})).json()["id"]
        assert (await client.delete(f"/v2/keys/{foreign}")).status_code == 404
        assert {key["owner"] for key in (await client.get("/v2/keys")).json()["keys"]} == {"anna"}
    # A key is no login: it cannot see or change the account.
    assert await status_with(api, made["secret"]) == 403
    assert await status_with(api, made["secret"], "/v2/users") == 403


async def test_who_is_no_administrator_any_more_keeps_nothing_of_it(api: Served):
    admin = await new_user(api, "root", role="admin")
    assert await status_with(api, admin.token, "/v2/users") == 200
    async with api.client_with(admin.token) as client:
        keys = [
            (await client.post("/v2/keys", json={"name": "x", "scopes": scopes})).json()["secret"]
            for scopes in (["admin"], ["jobs"])
        ]
    changed = await api.client.patch(f"/v2/users/{admin.id}", json={"role": "user"})
    assert changed.json()["role"] == "user"
    assert [await status_with(api, held, "/v2/providers") for held in (admin.token, *keys)] == [401, 401, 200]
    assert await status_with(api, await token_of(api, "root"), "/v2/users") == 403


async def test_an_administrator_gives_a_new_password_and_lists_users_in_pages(api: Served):
    users = [await new_user(api, name) for name in ("a", "b", "c")]
    assert (await api.client.patch(f"/v2/users/{users[0].id}", json={"password": NEW})).status_code == 200
    assert await status_with(api, users[0].token) == 401
    assert await token_of(api, "a", password=NEW)
    first = (await api.client.get("/v2/users?limit=2")).json()
    second = (await api.client.get(f"/v2/users?limit=2&cursor={first['next']}")).json()
    assert [user["username"] for user in first["users"] + second["users"]] == ["c", "b", "a"]
    assert second["next"] is None
    assert (await api.client.patch("/v2/users/999999", json={"disabled": True})).status_code == 404


async def test_a_password_hashed_at_another_cost_is_hashed_anew_at_the_next_login(api: Served, settings: Settings):
    limits = settings.limits.model_copy(update={"password_rounds": 5})
    async with served(settings.model_copy(update={"limits": limits})) as dearer:
        user = await new_user(api, "anna")
        assert await token_of(dearer, "anna")
        assert [str(row[1])[:7] for row in stored(settings)] == ["$2b$05$"]
        assert await status_with(dearer, user.token) == 200
        assert await token_of(api, "anna")


BAD_WISHES: list[tuple[str, str, dict[str, Any] | None, str | None]] = [
    ("POST", "", {"username": "a"}, "password"),
    ("POST", "", {"password": PASSWORD}, "username"),
    ("POST", "", {"username": "a", "password": "short"}, "password"),
    ("POST", "", {"username": "a", "password": "ü" * 37}, "password"),
    ("POST", "", {"username": "a", "password": PASSWORD, "role": "root"}, "role"),
    ("POST", "", {"username": "a", "password": PASSWORD, "email": "x"}, "email"),
    ("POST", "", {"username": "", "password": PASSWORD}, "username"),
    ("POST", "", {"username": "a\x00", "password": PASSWORD}, "username"),
    ("POST", "", {"username": "x" * 65, "password": PASSWORD}, "username"),
    ("POST", "", {"username": 7, "password": PASSWORD}, "username"),
    ("POST", "?colour=red", {"username": "a", "password": PASSWORD}, "colour"),
    ("POST", "/login", {"username": "a"}, "password"),
    ("POST", "/login", {"username": "a", "password": ["x"]}, "password"),
    ("POST", "/login", {"username": "a", "password": "x" * 1001}, "password"),
    ("PATCH", "/0", {"disabled": True}, "user_id"),
    ("PATCH", "/99999999999999999999", {"disabled": True}, "user_id"),
    ("PATCH", "/x", {"disabled": True}, "user_id"),
    ("PATCH", "/2", {"role": None}, "role"),
    ("PATCH", "/2", {"disabled": None}, "disabled"),
    ("PATCH", "/2", {"password": "short"}, "password"),
    ("PATCH", "/2", {"username": "b"}, "username"),
    ("PATCH", "/2", {}, None),
    ("GET", "?limit=0", None, "limit"),
    ("GET", "?cursor=x", None, "cursor"),
    ("GET", "?username=a%00", None, "username"),
    ("GET", "?colour=red", None, "colour"),
]


async def test_a_wrong_wish_is_refused_by_its_field_and_shows_no_password(api: Served):
    for method, path, body, field in BAD_WISHES:
        answer = await api.client.request(method, f"/v2/users{path}", json=body)
        assert (answer.status_code, answer.json().get("field")) == (422, field), (path, body, answer.text)
        assert not any(secret in answer.text for secret in (PASSWORD, '"short"', "üüü", "xxx"))


async def test_no_credential_of_a_user_reaches_a_log_or_an_error(api: Served, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, NEW, "typed-where-the-name-belongs"]
    with structlog.testing.capture_logs() as events:
        user = await new_user(api, "anna")
        texts = [
            (await log_in(api, "anna", NEW)).text,
            (await log_in(api, secrets[2], PASSWORD)).text,
            (await api.client.post("/v2/users", json=register("anna", NEW))).text,
            (await api.stranger.get(f"/d/{user.token}/v2/nothing?ticket={user.token}")).text,
            (await api.stranger.get("/v2/users/me", headers=bearer(f"{user.token}x"))).text,
            (await api.stranger.post("/v2/users/login", content=f'{{"password": "{PASSWORD}"'.encode())).text,
        ]
    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith(("api", "shared", "uvicorn.error"))
    ]
    told = "\n".join([*texts, *ours, *map(str, events)])
    assert all(secret not in told for secret in [*secrets, user.token, user.token.rpartition(".")[2]])
