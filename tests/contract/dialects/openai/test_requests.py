"""Who may ask, and what bad requests get: OpenAI's own shape, whatever is wrong."""

from typing import Any

import httpx
import openai
import pytest

from shared.settings import Settings
from shared.settings_dialects import Dialects
from tests.contract.dialects.openai.conftest import NewClient, new_key
from tests.contract.dialects.openai.test_sdk import WHY, states
from tests.hearing_worker import hearing_worker
from tests.integration.api.accounts import new_user
from tests.integration.api.devices import new_device
from tests.served import Served, bearer, served

PATH = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "demo/demo", "messages": WHY}
JSON = {"Content-Type": "application/json"}


def error_of(answer: httpx.Response) -> tuple[int, str, str | None, str]:
    """The status, type, param and code of an error; nothing else is in its body."""
    document = answer.json()
    assert set(document) == {"error"}
    error = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert error["message"]
    assert "Traceback" not in answer.text
    return answer.status_code, error["type"], error["param"], error["code"]


async def test_everything_wants_a_credential_that_is_good_for_jobs(api: Served, new_client: NewClient):
    device = await new_device(api)
    photos = await new_key(api, scope="images")
    for method, path in (("POST", PATH), ("GET", "/v1/models"), ("GET", "/v1/models/demo/demo")):
        for credential in ({}, bearer("sk-wrong"), {"Authorization": "Basic eDp5"}, bearer(f"{device.token}x")):
            answer = await api.stranger.request(method, path, headers=credential, json=BODY)
            assert error_of(answer) == (401, "invalid_request_error", None, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        for secret in (device.token, photos):
            answer = await api.stranger.request(method, path, headers=bearer(secret), json=BODY)
            assert error_of(answer) == (403, "invalid_request_error", None, "forbidden")
    with pytest.raises(openai.AuthenticationError) as wrong:
        await new_client("sk-wrong", max_retries=2).chat.completions.create(model="demo/demo", messages=WHY)
    assert wrong.value.code == "invalid_api_key"
    assert wrong.value.request_id
    with pytest.raises(openai.PermissionDeniedError):
        await new_client(device.token).models.list()
    with pytest.raises(openai.AuthenticationError):
        await new_client("sk-wrong", path="/d/wrong/v1").models.list()


async def test_users_and_keys_in_the_path_are_let_in_and_no_owner_gets_anothers_answer(
    api: Served, settings: Settings, new_client: NewClient
):
    anna, key = await new_user(api), await new_key(api, owner="ben")
    clients = [new_client(anna.token), new_client("placeholder", path=f"/d/{key}/v1")]
    once = {"Idempotency-Key": "the-same-for-both"}
    async with hearing_worker(settings):
        answers = [
            await client.chat.completions.create(model="scripted", messages=WHY, extra_headers=once)
            for client in clients
        ]
    assert len({answer.id for answer in answers}) == 2
    jobs = await api.front.reads.list(None, limit=10)
    assert len({job.owner_id for job in jobs}) == 2


async def test_a_body_that_cannot_be_read_is_refused_in_openais_shape(api: Served):
    too_large = b'{"messages": "' + b"x" * (8 * 1024 * 1024) + b'"}'
    for content, headers, status, code in (
        (b"", JSON, 400, "malformed_request"),
        (b"{", JSON, 400, "malformed_request"),
        (b"\xff\xfe{}", JSON, 400, "malformed_request"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', JSON, 400, "malformed_request"),
        (b"[" * 100_000, JSON, 400, "malformed_request"),
        (b"[]", JSON, 400, "invalid_request"),
        (b"null", {}, 400, "invalid_request"),
        (b"{}", JSON | {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (too_large, JSON, 413, "payload_too_large"),
    ):
        answer = await api.client.post(PATH, content=content, headers=headers)
        assert (answer.status_code, error_of(answer)[3]) == (status, code), content[:50]
        assert answer.headers["x-should-retry"] == "false"


async def test_a_request_that_cannot_be_taken_names_the_parameter(api: Served):
    remote = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    for changes, param in (
        ({"messages": [{"role": "user", "content": remote}]}, "messages[0].content[0].image_url.url"),
        ({"messages": [{"role": "user", "content": "x"}] * 10_000}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_completion_tokens"),
        ({"model": "a b"}, "model"),
    ):
        answer = await api.client.post(PATH, json=BODY | changes)
        assert error_of(answer) == (400, "invalid_request_error", param, "invalid_request")
    answer = await api.client.post(PATH, json=BODY, headers={"Idempotency-Key": "a b"})
    assert error_of(answer) == (400, "invalid_request_error", "Idempotency-Key", "invalid_request")
    assert await states(api) == []


async def test_other_paths_of_openais_are_not_found_in_its_shape_and_others_are_not_its_own(api: Served):
    for method, path, status, code in (
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("POST", "/v1/responses", 404, "not_found"),
        ("GET", "/v1/chat/completions/chatcmpl-1", 404, "not_found"),
        ("GET", PATH, 405, "method_not_allowed"),
        ("DELETE", "/v1/models/demo/demo", 405, "method_not_allowed"),
    ):
        assert error_of(await api.client.request(method, path)) == (status, "invalid_request_error", None, code)
    assert (await api.client.get(PATH)).headers["allow"] == "POST"
    for path in ("/v1", "/v1/nothing", "/v2/embeddings"):
        assert (await api.client.get(path)).headers["content-type"] == "application/problem+json"


async def test_switched_off_it_is_not_there(settings: Settings):
    off = settings.model_copy(update={"dialects": Dialects(openai="off")})
    async with served(off) as api:
        for method, path in (("POST", PATH), ("GET", "/v1/models"), ("GET", "/v1/models/demo/demo")):
            answer = await api.client.request(method, path, json=BODY)
            assert error_of(answer) == (404, "invalid_request_error", None, "not_found")


async def test_too_much_that_waits_and_a_quota_that_is_used_up_are_rate_limits(settings: Settings):
    limits = settings.limits.model_copy(update={"waiting_per_owner": 0})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        answer = await api.client.post(PATH, json=BODY)
        assert error_of(answer) == (429, "requests", None, "rate_limit_exceeded")
        assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("true", "5")
        await api.client.put("/v2/quotas/owner", json={"limit_tokens": 0})
        answer = await api.client.post(PATH, json=BODY)
        assert error_of(answer) == (429, "insufficient_quota", None, "insufficient_quota")
        assert answer.headers["x-should-retry"] == "false"
