"""Registering and logging in as llm-backend-api's clients do, and what their token opens."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from shared.settings import Settings
from tests.contract.dialects.llm_backend_api.rig import JWT_SECRET, PASSWORD
from tests.served import Served, bearer, served

ANNA = {"username": "anna", "password": PASSWORD}
GUARDED = [
    ("POST", "/api/conversations/create"),
    ("GET", "/api/conversations/history/1"),
    ("GET", "/api/conversations/list"),
    ("POST", "/api/conversations/del/1"),
    ("POST", "/api/chat/1"),
]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def register(api: Served, **wanted: Any) -> httpx.Response:
    return await api.stranger.post("/api/users/register", json=ANNA | wanted)


async def log_in(api: Served, **wanted: Any) -> httpx.Response:
    return await api.stranger.post("/api/users/login", json=ANNA | wanted)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == ["error"]
    return answer.status_code, answer.json()["error"]


@pytest.mark.covers("F002-01", "F002-03", "F002-05", "F002-24")
async def test_a_user_registers_and_gets_a_token_for_a_day(api: Served, settings: Settings):
    made = await register(api)
    assert (made.status_code, made.content) == (201, b'{"message":"User registered successfully"}')
    assert made.headers["content-type"] == "application/json; charset=utf-8"
    login = await log_in(api)
    assert (login.status_code, list(login.json())) == (200, ["token"])
    token = login.json()["token"]
    claims = jwt.decode(token, JWT_SECRET, algorithms=["HS256"], options={"verify_aud": False})
    assert claims["exp"] - claims["iat"] == 24 * 60 * 60
    with psycopg.connect(settings.database.conninfo) as connection:
        [(owner_id, password_hash)] = connection.execute("select owner_id, password_hash from account").fetchall()
    assert claims["user_id"] == owner_id
    assert password_hash.startswith("$2")
    assert (await api.stranger.get("/v2/users/me", headers=bearer(token))).json()["username"] == "anna"


@pytest.mark.covers("F002-02")
async def test_a_name_is_given_once_and_bad_input_is_400(api: Served):
    await register(api)
    assert error_of(await register(api)) == (400, "username already exists")
    assert error_of(await register(api, username="local")) == (400, "username already exists")
    bodies = [b"", b"{", b"[]", b"null", b'"anna"', b'{"username": "eve"}', b'{"username": "eve", "password": ""}']
    bodies += [b'{"username": "", "password": "x"}', b'{"username": 1, "password": "x"}', b"\xff", b'{"a": "\\ud800"}']
    for path in ("register", "login"):
        for body in bodies:
            refused = await api.stranger.post(f"/api/users/{path}", content=body)
            assert error_of(refused) == (400, "Invalid input"), body
    for wanted, field in (
        ({"username": "a\0b"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"username": "eve", "password": "x" * 73}, "password"),
    ):
        status, words = error_of(await register(api, **wanted))
        assert (status, words.partition(":")[0]) == (400, field)
    too_large = await api.stranger.post("/api/users/register", json=ANNA | {"more": "x" * 9_000_000})
    assert error_of(too_large)[0] == 413


@pytest.mark.covers("F002-04")
async def test_every_refused_login_is_told_the_same(api: Served):
    await register(api)
    for wrong in ({"password": "wrong"}, {"username": "nobody"}, {"username": "a\0b"}, {"password": "x\0" * 99}):
        assert error_of(await log_in(api, **wrong)) == (401, "invalid username or password")


async def test_guessing_is_slowed_down_and_registering_may_be_closed(settings: Settings):
    limits = settings.limits.model_copy(update={"logins_per_client": 2})
    async with served(settings.model_copy(update={"registration": "closed", "limits": limits})) as api:
        assert error_of(await register(api))[0] == 403
        statuses = [error_of(await log_in(api))[0] for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert int((await log_in(api)).headers["retry-after"]) > 0


@pytest.mark.covers("F002-06", "F002-17")
async def test_each_refusal_has_its_own_text(api: Served):
    forged = "eyJhbGciOiJIUzI1NiJ9.e30.x"
    refusals: list[tuple[dict[str, str], str]] = [
        ({}, "Authorization header missing"),
        ({"Authorization": ""}, "Authorization header missing"),
        ({"Authorization": "Basic YTpi"}, "Invalid token format"),
        ({"Authorization": forged}, "Invalid token format"),
        (bearer(forged), "Invalid or expired token"),
        (bearer("nonsense"), "Invalid or expired token"),
    ]
    for headers, words in refusals:
        for method, path in GUARDED:
            for slash in ("", "/"):
                refused = await api.stranger.request(method, path + slash, headers=headers)
                assert error_of(refused) == (401, words)
                assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.covers("F002-06")
async def test_api_keys_are_as_good_as_tokens_where_they_are_for_jobs(api: Served):
    keys = {
        scope: (await api.client.post("/v2/keys", json={"name": scope, "scopes": [scope]})).json()["secret"]
        for scope in ("jobs", "images")
    }
    path = "/api/conversations/list"
    assert (await api.stranger.get(path, headers=bearer(keys["jobs"]))).content == b"[]"
    assert (await api.stranger.get(f"/d/{keys['jobs']}{path}")).content == b"[]"
    assert error_of(await api.stranger.get(f"/d/nonsense{path}")) == (401, "Invalid or expired token")
    assert error_of(await api.stranger.get(path, headers=bearer(keys["images"])))[0] == 403


async def test_other_paths_and_methods_are_not_there(api: Served):
    for method, path in (
        ("GET", "/api/users/register"),
        ("GET", "/api/chat/1"),
        ("PUT", "/api/conversations/list"),
        ("POST", "/api/conversations/history/1"),
        ("GET", "/api/conversations/history/"),
        ("GET", "/api/conversations/list//"),
        ("POST", "/api/users/"),
    ):
        answer = await api.client.request(method, path)
        assert error_of(answer) == (404, "404 page not found"), path


async def test_switched_off_nothing_of_it_is_there(settings: Settings):
    spoken = settings.dialects.model_copy(update={"llm_backend_api": "off"})
    async with served(settings.model_copy(update={"dialects": spoken})) as api:
        for method, path in [("POST", "/api/users/register"), ("POST", "/api/users/login"), *GUARDED]:
            answer = await api.client.request(method, path, json=ANNA)
            assert error_of(answer) == (404, "404 page not found")
