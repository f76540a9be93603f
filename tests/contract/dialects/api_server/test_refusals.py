"""Who may ask, and what wrong requests get: always `{"msg": …}`, never a page and never a 500."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.dialects.api_server.parse import MISSING
from shared.settings import Settings, load_settings
from tests.contract.dialects.api_server.rig import QUESTION, Rig, asking, client_of
from tests.integration.api.accounts import new_user
from tests.integration.api.devices import new_device
from tests.served import Served, bearer, served

JSON = {"Content-Type": "application/json"}
INVALID_TOKEN = {"msg": "Invalid token!"}


@pytest.fixture
async def api(settings: Settings):
    async with served(settings) as running:
        yield running


async def test_wrong_requests_are_refused_in_the_old_shape_and_nobody_is_asked(rig: Rig) -> None:
    whole = json.dumps(asking()).encode()
    refusals: list[tuple[bytes, dict[str, str], int, str]] = [
        (b"", JSON, 400, "The body is not JSON: "),
        (b"{", JSON, 400, "The body is not JSON: "),
        (b"\xff\xfe", JSON, 400, "The body is not JSON: "),
        (b"[" * 100_000, JSON, 400, "The body is not JSON: "),
        (b"[]", JSON, 400, "Input should be an object"),
        (b"{}", JSON, 400, MISSING),
        (whole, {}, 400, "Content-Type: The body must be JSON: "),
        (whole, {"Content-Type": "text/plain"}, 400, "Content-Type: The body must be JSON: "),
        (whole, {"Content-Type": "application/x-www-form-urlencoded"}, 400, "Content-Type: The body must be JSON: "),
        (whole, JSON | {"Content-Encoding": "gzip"}, 415, "Content-Encoding: Send the body as it is"),
        (b" " * (8 * 1024 * 1024) + whole, JSON, 413, "At most "),
        (json.dumps(asking(question="a\0")).encode(), JSON, 400, "question: holds the character NUL"),
        (json.dumps(asking(history=[{"role": "system", "content": "x"}])).encode(), JSON, 400, "history.0.role: "),
    ]
    for body, headers, status, words in refusals:
        response = await rig.client.post("/v1/ask", content=body, headers=headers)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json"), body[:40]
        assert set(response.json()) == {"msg"}
        assert response.json()["msg"].startswith(words)
    assert rig.provider.exchanges == []
    assert (await rig.client.get("/v2/jobs")).json()["jobs"] == []
    json_like = {"Content-Type": "application/vnd.gptdock+json; charset=utf-8"}
    assert (await rig.client.post("/v1/ask", content=whole, headers=json_like)).status_code == 200


@pytest.mark.covers("F001-01")
async def test_health_is_told_to_everybody_and_other_methods_are_refused(api: Served) -> None:
    for path in ("/v1/health", "/api/v1/health"):
        healthy = await api.stranger.get(path)
        assert (healthy.status_code, healthy.content) == (200, b'{"status": "ok"}')
        assert healthy.headers["content-type"] == "application/json"
        assert (await api.stranger.head(path)).status_code == 200
    for method, path, allowed in (
        ("GET", "/v1/ask", "OPTIONS, POST"),
        ("PUT", "/v1/ask", "OPTIONS, POST"),
        ("POST", "/v1/health", "GET, HEAD, OPTIONS"),
        ("POST", "/api/v1/health", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/client/info", "GET, OPTIONS"),
    ):
        refused = await api.client.request(method, path)
        assert (refused.status_code, refused.json()) == (405, {"msg": "Method Not Allowed"})
        assert refused.headers["allow"] == allowed
        asked = await api.stranger.options(path)
        assert (asked.status_code, asked.content, asked.headers["allow"]) == (200, b"", allowed)


@pytest.mark.covers("F001-18")
async def test_a_key_or_a_users_token_lets_in_and_nothing_else_does(rig: Rig) -> None:
    api = rig.api
    user = await new_user(api, "carla")
    secret = rig.client.headers["Authorization"].removeprefix("Bearer ")
    for headers, prefix in ((bearer(secret), ""), (bearer(user.token), ""), ({}, f"/d/{secret}")):
        response = await api.stranger.post(f"{prefix}/v1/ask", json=asking(), headers=headers, timeout=10)
        assert response.status_code == 200, response.text
    device = (await new_device(api)).token
    async with await client_of(api, "anna", "images") as images:
        other_scope = images.headers["Authorization"].removeprefix("Bearer ")
    for headers, prefix, status in (
        ({}, "", 401),
        (bearer("wrong"), "", 401),
        ({}, "/d/wrong", 401),
        (bearer(other_scope), "", 403),
        ({}, f"/d/{device}", 403),
    ):
        for method, path in (("POST", "/v1/ask"), ("GET", "/v1/client/info?client_id=1234")):
            refused = await api.stranger.request(method, prefix + path, headers=headers, json=asking())
            assert (refused.status_code, refused.json()) == (status, INVALID_TOKEN)
            assert ("www-authenticate" in refused.headers) == (status == 401)


async def test_what_is_open_lets_this_machine_in_and_what_is_off_is_not_there(settings: Settings) -> None:
    def with_access(access: str) -> Settings:
        return settings.model_copy(
            update={
                "dialects": settings.dialects.model_copy(update={"api_server": access}),
                "default_model": "demo/demo",
            }
        )

    async with served(with_access("open")) as api:
        here = await api.stranger.post("/v1/ask", json=asking(stream=7))
        assert here.status_code == 400
        page = await api.stranger.post("/v1/ask", json=asking(), headers={"Origin": "http://evil.example"})
        assert (page.status_code, page.json()) == (401, INVALID_TOKEN)
    async with served(with_access("off")) as api:
        for method, path in (
            *(("POST", "/v1/ask"), ("GET", "/v1/ask"), ("OPTIONS", "/v1/ask")),
            *(("GET", "/v1/client/info"), ("GET", "/v1/health"), ("GET", "/api/v1/health")),
        ):
            gone = await api.client.request(method, path)
            assert (gone.status_code, gone.json()) == (404, {"msg": "Not Found!"})


async def test_questions_are_in_no_log(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    history: list[Any] = [{"role": "user", "content": "a-very-private-word"}]
    await rig.ask(history=history, client_id="private-client")
    await rig.ask(history=[*history, 7])
    printed = "".join(capfd.readouterr())
    assert "/v1/ask" in printed
    assert "a-very-private-word" not in printed
    assert QUESTION not in printed


@pytest.mark.covers("F001-17")
def test_the_old_port_is_a_setting_and_only_this_machine_is_listened_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "REDIS_URL": "redis://localhost:6379/0",
        "DATABASE_URL": "postgresql://app@localhost/smartsip",
        "MINIO_ENDPOINT_URL": "http://localhost:9000",
        "MINIO_ACCESS_KEY": "access",
        "MINIO_SECRET_KEY": "secret",
        "SMARTSIP_ADMIN_TOKEN": "an-administrators-token",
        "SMARTSIP_MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "SMARTSIP_PORT": "5001",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 5001)
