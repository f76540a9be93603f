"""What bad input gets: the right status, a problem that names the field, and nothing stored."""

from typing import Any

import httpx

from api.routes.job_models import ProblemModel
from shared.settings import Settings
from tests.integration.api.jobs import CHAT
from tests.served import Served, served

JSON = {"Content-Type": "application/json"}
VISION: dict[str, Any] = {"kind": "vision", "input": {"image": {"id": "0198f3b0-0000-7000-8000-000000000000"}}}


def chat(**changes: Any) -> dict[str, Any]:
    return CHAT | changes


def saying(*messages: Any) -> dict[str, Any]:
    return chat(input={"messages": list(messages)})


BAD_JOBS: list[tuple[Any, int, str | None]] = [
    (b"", 400, None),
    (b"{", 400, None),
    (b"\xff\xfe", 400, None),
    (b'{"kind": "chat",}', 400, None),
    (b"[" * 100_000, 400, None),
    ([], 422, None),
    ("chat", 422, None),
    (b"null", 422, None),
    ({}, 422, "kind"),
    ({"kind": "tea"}, 422, "kind"),
    ({"kind": None}, 422, "kind"),
    ({"kind": "chat"}, 422, "input"),
    (chat(input=7), 422, "input"),
    (chat(input={}), 422, "input.messages"),
    (chat(input={"messages": []}), 422, "input.messages"),
    (saying(7), 422, "input.messages.0"),
    (saying({"role": "user"}), 422, "input.messages.0.content"),
    (saying({"role": "robot", "content": "x"}), 422, "input.messages.0.role"),
    (saying({"role": "user", "content": 7}), 422, "input.messages.0.content"),
    (saying({"role": "user", "content": [{"type": "text"}]}), 422, "input.messages.0.content.0.text"),
    (saying({"role": "user", "content": [{"type": "smell"}]}), 422, "input.messages.0.content.0.type"),
    (saying({"role": "user", "content": "x", "extra": 1}), 422, "input.messages.0.extra"),
    (chat(unknown=1), 422, "unknown"),
    (chat(parameters={"temperature": "hot"}), 422, "parameters.temperature"),
    (chat(parameters={"temperature": 3}), 422, "parameters.temperature"),
    (chat(parameters={"heat": 1}), 422, "parameters.heat"),
    (chat(model="demo"), 422, "model"),
    (chat(model="nobody/model"), 422, "model"),
    (chat(model=7), 422, "model"),
    (chat(timeout_s=0), 422, "timeout_s"),
    (chat(timeout_s="60"), 422, "timeout_s"),
    (chat(timeout_s=10**9), 422, "timeout_s"),
    (chat(deadline="2001-01-01T00:00:00Z"), 422, "deadline"),
    (chat(deadline="2999-01-01T00:00:00Z"), 422, "deadline"),
    (chat(deadline="soon"), 422, "deadline"),
    (chat(on_disconnect="panic"), 422, "on_disconnect"),
    (chat(labels={"a": 1}), 422, "labels.a"),
    (chat(labels={"a": "x\x00"}), 422, "labels.a"),
    (chat(labels=[]), 422, "labels"),
    (VISION, 422, "input.image.id"),
    (VISION | {"input": {"image": {"id": "../x"}}}, 422, "input.image.id"),
    (VISION | {"input": {"image": {"data": "%%%"}}}, 422, "input.image.data"),
    (VISION | {"input": {"image": {}}}, 422, "input.image.id"),
    (VISION | {"input": VISION["input"] | {"profile": "../x"}}, 422, "input.profile"),
]


async def problem_of(answer: httpx.Response, status: int, field: str | None) -> ProblemModel:
    """Check what every problem has."""
    assert answer.status_code == status, (answer.status_code, answer.text, field)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = ProblemModel.model_validate_json(answer.content)
    assert (problem.status, problem.field) == (status, field), answer.text
    assert problem.type == f"urn:smartsip:error:{problem.code}"
    assert problem.request_id == answer.headers["x-request-id"]
    return problem


async def nothing_was_stored(api: Served) -> bool:
    return (await api.client.get("/v2/jobs")).json() == {"jobs": [], "next": None}


async def test_every_bad_job_is_refused_and_its_field_is_named(settings: Settings):
    async with served(settings) as api:
        for body, status, field in BAD_JOBS:
            if isinstance(body, bytes):
                answer = await api.client.post("/v2/jobs", content=body, headers=JSON)
            else:
                answer = await api.client.post("/v2/jobs", json=body)
            await problem_of(answer, status, field)
        assert await nothing_was_stored(api)


async def test_every_bad_photo_is_refused(settings: Settings):
    photos: list[tuple[str, dict[str, str], bytes, int, str | None]] = [
        ("kind=vision", {"Content-Type": "image/jpeg"}, b"", 422, "body"),
        ("kind=vision", {"Content-Type": "image/jpeg"}, b"<html><body>no</body></html>", 415, "body"),
        ("kind=vision", {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff\xe0\x00\x10JFIF", 422, "body"),
        ("kind=chat", {"Content-Type": "image/jpeg"}, b"x", 422, "kind"),
        ("", {"Content-Type": "image/jpeg"}, b"x", 422, "kind"),
        ("", {"Content-Type": "application/x-www-form-urlencoded"}, b'{"kind":"chat"}', 415, "Content-Type"),
        ("kind=vision&colour=red", {"Content-Type": "image/jpeg"}, b"x", 422, "colour"),
        ("kind=vision&model=x", {"Content-Type": "image/jpeg"}, b"x", 422, "model"),
        ("kind=vision&model=nobody/x", {"Content-Type": "image/jpeg"}, b"x", 422, "model"),
        ("kind=vision&timeout_s=-1", {"Content-Type": "image/jpeg"}, b"x", 422, "timeout_s"),
        ("kind=vision&timeout_s=x", {"Content-Type": "image/jpeg"}, b"x", 422, "timeout_s"),
        ("kind=vision&profile=../x", {"Content-Type": "image/jpeg"}, b"x", 422, "profile"),
        ("kind=vision&label=nocolon", {"Content-Type": "image/jpeg"}, b"x", 422, "label.0"),
        ("kind=vision&label=a%20b:c", {"Content-Type": "image/jpeg"}, b"x", 422, "label"),
        ("kind=vision&kind=vision", {"Content-Type": "image/jpeg"}, b"x", 422, "kind"),
        ("kind=vision", {"Content-Type": "text/plain"}, b"x", 415, "Content-Type"),
        ("kind=vision", {"Content-Type": "multipart/form-data; boundary=x"}, b"x", 415, "Content-Type"),
        ("kind=vision", JSON, b"{}", 422, "kind"),
    ]
    async with served(settings) as api:
        for query, headers, body, status, field in photos:
            answer = await api.client.post(f"/v2/jobs?{query}", content=body, headers=headers)
            await problem_of(answer, status, field)
        assert await nothing_was_stored(api)


BAD_HEADERS: list[tuple[str, str]] = [
    ("Prefer", "wait=-1"),
    ("Prefer", "wait=soon"),
    ("Prefer", "wait="),
    ("Idempotency-Key", ""),
    ("Idempotency-Key", "a b"),
    ("Idempotency-Key", "ü"),
    ("Idempotency-Key", "x" * 256),
]
BAD_PARAMETERS: list[tuple[str, str]] = [
    ("?limit=0", "limit"),
    ("?limit=101", "limit"),
    ("?limit=x", "limit"),
    ("?state=lost", "state"),
    ("?kind=tea", "kind"),
    ("?queue=q", "queue"),
    ("?label=x", "label"),
    ("?cursor=x", "cursor"),
    ("?cursor=", "cursor"),
    ("?unknown=1", "unknown"),
    ("/0198f3b0-0000-7000-8000-000000000000?wait=-1", "wait"),
    ("/0198f3b0-0000-7000-8000-000000000000?wait=x", "wait"),
    ("/0198f3b0-0000-7000-8000-000000000000?wait=nan", "wait"),
    ("/0198f3b0-0000-7000-8000-000000000000?wait=1e9", "wait"),
    ("/0198f3b0-0000-7000-8000-000000000000?weight=1", "weight"),
    ("/0198f3b0-0000-7000-8000-000000000000/events?before=1.1", "before"),
    ("/not-an-id", "job_id"),
]


async def test_bad_headers_are_named(settings: Settings):
    async with served(settings) as api:
        for name, value in BAD_HEADERS:
            request = api.client.build_request("POST", "/v2/jobs", json=CHAT)
            request.headers[name] = value.encode().decode("latin-1")
            await problem_of(await api.client.send(request), 422, name)
        assert await nothing_was_stored(api)


async def test_bad_parameters_are_named(settings: Settings):
    async with served(settings) as api:
        for path, field in BAD_PARAMETERS:
            await problem_of(await api.client.get(f"/v2/jobs{path}"), 422, field)


async def test_bodies_beyond_the_limits_are_refused_also_when_their_length_is_not_announced(settings: Settings):
    limits = settings.limits.model_copy(update={"body_bytes": 10_000, "image_bytes": 20_000})

    async def endless():
        for _ in range(100):
            yield b" " * 1000

    async with served(settings.model_copy(update={"limits": limits})) as api:
        for path, media_type in (("/v2/jobs", "application/json"), ("/v2/jobs?kind=vision", "image/jpeg")):
            for body in (b" " * 100_000, endless()):
                answer = await api.client.post(path, content=body, headers={"Content-Type": media_type})
                await problem_of(answer, 413, None)


async def test_unknown_paths_and_methods_are_problems_too(settings: Settings):
    async with served(settings) as api:
        assert (await problem_of(await api.client.get("/v2/nothing"), 404, None)).code == "not_found"
        assert (await problem_of(await api.client.get("/v2/jobs/"), 404, None)).code == "not_found"
        assert (await problem_of(await api.client.delete("/v2/jobs"), 405, None)).code == "method_not_allowed"
        answer = await api.stranger.get("/v2/jobs")
        await problem_of(answer, 401, None)
        assert answer.headers["www-authenticate"] == "Bearer"
