"""`POST /token`: who logs in, for how long, and what a token opens."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from shared.settings import Limits, Settings
from shared.settings_sources import from_variables
from tests.contract.dialects.llm_service_api.rig import token_of
from tests.integration.api.accounts import PASSWORD, new_user
from tests.served import Served, bearer, served

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    settings = settings.model_copy(
        update={
            "jwt_secret": SecretStr(SECRET),
            "limits": Limits(password_rounds=4, logins_per_client=3),
        }
    )
    async with served(settings) as running:
        yield running


@pytest.mark.covers("F004-01", "F004-03", "F004-20")
async def test_a_login_gives_a_token_that_is_good_for_half_an_hour_and_opens_the_service(api: Served):
    user = await new_user(api)
    answer = await token_of(api, "anna")
    token = answer.json()["access_token"]
    assert answer.json() == {"access_token": token, "token_type": "bearer"}
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], audience="smartsip")
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (str(user.id), 30 * 60)
    assert claims["iat"] <= time.time()
    without = await api.stranger.post("/set-llm", json={})
    assert (without.status_code, without.headers["www-authenticate"]) == (401, "Bearer")
    assert set(without.json()) == {"detail"}
    with_token = await api.stranger.post("/set-llm", json={}, headers=bearer(token))
    assert with_token.status_code == 200
    chats = (await api.stranger.get("/v2/chats", headers=bearer(token))).json()["chats"]
    assert [chat["external_id"] for chat in chats] == [with_token.json()["session_id"]]


@pytest.mark.covers("F004-03")
async def test_a_token_lasts_as_long_as_the_setting_says(settings: Settings):
    values = from_variables({"ACCESS_TOKEN_EXPIRE_MINUTES": "5", "SECRET_KEY": SECRET})
    assert values == {"dialects": {"access_token": "PT5M"}, "jwt_secret": SECRET}
    dialects = settings.dialects.model_copy(update={"access_token": timedelta(milliseconds=1)})
    async with served(settings.model_copy(update={"dialects": dialects})) as api:
        await new_user(api)
        token = (await token_of(api, "anna")).json()["access_token"]
        assert (await api.stranger.post("/chat", json={"message": "Hi"}, headers=bearer(token))).status_code == 401


@pytest.mark.covers("F004-02")
async def test_who_is_wrong_is_told_the_same_in_every_case_until_it_is_too_often(api: Served):
    await new_user(api)
    for username, password in (("anna", "wrong"), ("nobody", PASSWORD), ("an\0na", PASSWORD), ("anna", "x" * 100)):
        answer = await token_of(api, username, password)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Incorrect username or password"})
        assert answer.headers["www-authenticate"] == "Bearer"
    await token_of(api, "anna", "wrong again")
    throttled = await token_of(api, "anna")
    assert (throttled.status_code, throttled.json()) == (429, {"detail": "Try again later."})
    assert int(throttled.headers["retry-after"]) >= 1


@pytest.mark.covers("F004-02")
async def test_a_form_is_taken_in_either_encoding_and_what_it_lacks_is_named(api: Served):
    await new_user(api)
    login = {"username": "anna", "password": PASSWORD, "grant_type": "password", "scope": "", "client_id": "x"}
    in_parts = await api.stranger.post("/token/", files={name: (None, text) for name, text in login.items()})
    assert in_parts.status_code == 200

    def missing(*names: str) -> dict[str, Any]:
        return {"detail": [{"type": "missing", "loc": ["body", name], "msg": "Field required"} for name in names]}

    refused: list[tuple[dict[str, Any], int, Any]] = [
        ({"data": {"username": "anna"}}, 422, missing("password")),
        ({"data": {"username": "", "password": PASSWORD}}, 422, missing("username")),
        ({"json": login}, 422, missing("username", "password")),
        ({}, 422, missing("username", "password")),
    ]
    for request, status, body in refused:
        answer = await api.stranger.post("/token", **request)
        assert (answer.status_code, answer.json()) == (status, body)
    other_grant = await api.stranger.post("/token", data=login | {"grant_type": "implicit"})
    assert (other_grant.status_code, other_grant.json()["detail"][0]["loc"]) == (422, ["body", "grant_type"])
    broken: list[tuple[dict[str, Any], int]] = [
        ({"data": {"username": "x" * 20_000, "password": "y"}}, 413),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"files": {"username": ("a.txt", b"anna")}, "data": {"password": PASSWORD}}, 400),
        ({"data": {f"f{number}": "x" for number in range(30)}}, 400),
    ]
    for request, status in broken:
        answer = await api.stranger.post("/token", **request)
        assert (answer.status_code, set(answer.json())) == (status, {"detail"})
        assert PASSWORD not in answer.text


async def test_where_it_is_switched_off_nothing_is_there(settings: Settings):
    dialects = settings.dialects.model_copy(update={"llm_service_api": "off"})
    async with served(settings.model_copy(update={"dialects": dialects})) as api:
        await new_user(api)
        answers = [
            await token_of(api, "anna"),
            await api.client.post("/chat", json={"message": "Hi"}),
            await api.client.post("/set-llm", json={}),
            await api.client.get("/health2"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4


async def test_where_it_is_open_this_machine_needs_no_token_and_a_wrong_one_is_wrong(settings: Settings):
    dialects = settings.dialects.model_copy(update={"llm_service_api": "open"})
    async with served(settings.model_copy(update={"dialects": dialects})) as api:
        assert (await api.stranger.post("/set-llm", json={})).status_code == 200
        assert (await api.stranger.post("/set-llm", json={}, headers=bearer("nonsense"))).status_code == 401
        page = {"Origin": "http://elsewhere.example"}
        assert (await api.stranger.post("/set-llm", json={}, headers=page)).status_code == 401
