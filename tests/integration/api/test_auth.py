"""Who gets in, route by route, and that no credential is ever told to a log."""

import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import structlog

from shared.security import new_api_key
from shared.settings import Settings
from tests.images import photo
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, bearer, served

NOT_OURS = ("httpx", "httpcore", "uvicorn.access")
"""The test's own client; and uvicorn's log of requests, which is switched off wherever the api is served."""
OPEN_PATHS = {"/v2/devices/claim", "/v2/users/login"}
OPEN_OPERATIONS = {("post", "/v2/users")}
OURS = ("/v2/", "/metrics")
"""Dialects have tests of their own, and every route is in `test_scopes_route_by_route.py`."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


def operations(api: Served) -> list[tuple[str, str]]:
    """Every (method, path) of our own API that OpenAPI knows, with ids filled in."""
    paths: dict[str, dict[str, Any]] = api.app.openapi()["paths"]
    return [
        (method.upper(), "/".join(str(uuid4()) if part.startswith("{") else part for part in path.split("/")))
        for path, methods in paths.items()
        if path.startswith(OURS) and path not in OPEN_PATHS
        for method in methods
        if (method, path) not in OPEN_OPERATIONS
    ]


async def new_key(api: Served, *scopes: str) -> str:
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": scopes})
    secret: str = made.json()["secret"]
    return secret


async def test_every_route_refuses_who_shows_no_credential(api: Served):
    answers = {(method, path): await api.stranger.request(method, path) for method, path in operations(api)}
    assert len(answers) >= 8
    assert {key: answer.status_code for key, answer in answers.items()} == dict.fromkeys(answers, 401)
    for answer in answers.values():
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "unauthenticated"


async def test_every_route_refuses_a_credential_for_something_else(api: Served):
    metrics, jobs = await new_key(api, "metrics"), await new_key(api, "jobs")
    for method, path in operations(api):
        secret = jobs if path == "/metrics" else metrics
        answer = await api.stranger.request(method, path, headers=bearer(secret))
        assert (method, path, answer.status_code) == (method, path, 403)
        assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic YTpi", f"Basic {ADMIN_TOKEN}", ADMIN_TOKEN, f"Bearer {ADMIN_TOKEN}x", "AWS a:b"],
)
async def test_what_is_no_credential_of_ours_is_refused(api: Served, authorization: str):
    answer = await api.stranger.get("/v2/providers", headers={"Authorization": authorization})
    assert answer.status_code == 401


async def test_unknown_keys_are_refused_again_and_again(api: Served):
    key = new_api_key()
    assert {(await api.stranger.get("/v2/providers", headers=bearer(key))).status_code for _ in range(3)} == {401}


async def test_the_scheme_is_read_in_any_case(api: Served):
    answer = await api.stranger.get("/v2/providers", headers={"Authorization": f"bearer {ADMIN_TOKEN}"})
    assert answer.status_code == 200


async def test_a_key_in_the_path_is_good_for_what_its_scopes_allow(api: Served):
    jobs = await new_key(api, "jobs")
    assert (await api.stranger.get(f"/d/{jobs}/v2/providers")).status_code == 200
    assert (await api.stranger.get(f"/d/{jobs}/v2/keys")).status_code == 403


async def test_the_administrators_token_is_not_taken_from_a_path(api: Served):
    assert (await api.stranger.get(f"/d/{ADMIN_TOKEN}/v2/providers")).status_code == 401


@pytest.mark.parametrize("path", ["/d", "/d/", "/d//v2/providers", "/d/x/d/y/v2/providers"])
async def test_a_prefix_that_is_none_opens_nothing(api: Served, path: str):
    assert (await api.stranger.get(path)).status_code == 404


async def test_a_request_has_an_id_its_own_or_the_callers(api: Served):
    given = await api.stranger.get("/health", headers={"X-Request-Id": "abc-1.2_3"})
    refused = await api.stranger.get("/health", headers={"X-Request-Id": "a b\tc"})
    made = await api.stranger.get("/health")
    assert given.headers["x-request-id"] == "abc-1.2_3"
    assert refused.headers["x-request-id"] != "a b\tc"
    assert made.headers["x-request-id"] != refused.headers["x-request-id"]
    problem = await api.stranger.get("/v2/providers", headers={"X-Request-Id": "find-me"})
    assert problem.json()["request_id"] == "find-me"


async def test_no_credential_reaches_a_log_or_an_error(api: Served, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    good, unknown = await new_key(api, "jobs"), new_api_key()
    with structlog.testing.capture_logs() as events:
        texts = [
            (await api.stranger.get("/v2/providers", headers=bearer(good))).text,
            (await api.stranger.get("/v2/providers", headers=bearer(unknown))).text,
            (await api.stranger.get("/v2/keys", headers=bearer(good))).text,
            (await api.stranger.put(f"/d/{good}/test/a.jpg", content=photo())).text,
            (await api.stranger.put(f"/d/{unknown}/test/a.jpg", content=photo())).text,
            (await api.stranger.get(f"/d/{unknown}/nothing/here?ticket={good}")).text,
            (await api.stranger.get("/v2/providers", headers=bearer(ADMIN_TOKEN + "x"))).text,
            (await api.stranger.post("/v2/keys", headers=bearer(ADMIN_TOKEN), content=b"{")).text,
        ]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(NOT_OURS)]
    told = "\n".join([*texts, *ours, *map(str, events)])
    assert [event["path"] for event in events if event["event"] == "request"].count("/test/a.jpg") == 2
    assert all(secret not in told for secret in (good, unknown, ADMIN_TOKEN))


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(api: Served, settings: Settings):
    limit = settings.limits.body_bytes
    announced = await api.client.post("/v2/keys", json={"name": "x" * limit, "scopes": ["jobs"]})

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(limit // 65_536 + 1):
            yield b"x" * 65_536

    streamed = await api.client.post("/v2/keys", content=chunks(), headers={"Content-Type": "application/json"})
    assert [(answer.status_code, answer.json()["code"]) for answer in (announced, streamed)] == [
        (413, "payload_too_large")
    ] * 2
