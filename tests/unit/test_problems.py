"""Every error of the tree has a rendering, in our API and in every dialect, and none gives anything away."""

import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from api.dialect import Dialect
from api.dialects import DIALECTS
from api.errors import PROBLEM, add_error_handlers, error_response
from api.middleware import BodyTooLarge, add_middleware
from shared.domain.errors import QuotaExceeded, SmartSipError
from shared.settings import Limits


def every_error(kind: type[SmartSipError] = SmartSipError) -> Iterator[type[SmartSipError]]:
    """The tree, without the classes that are made for one place of the code and take other arguments."""
    if kind.__module__ == SmartSipError.__module__:
        yield kind
    for child in kind.__subclasses__():
        yield from every_error(child)


@pytest.mark.parametrize("kind", list(every_error()))
def test_every_error_is_a_problem(kind: type[SmartSipError]):
    response = error_response({"request_id": "r-1"}, kind("what happened", field="a.b", retry_after_s=1.2))
    assert (response.status_code, response.media_type) == (kind.status, PROBLEM)
    assert response.headers["retry-after"] == "2"
    assert json.loads(bytes(response.body)) == {
        "type": f"urn:smartsip:error:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "what happened",
        "code": kind.code,
        "field": "a.b",
        "retryable": kind.retryable,
        "retry_after": 2,
        "request_id": "r-1",
    }


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("kind", list(every_error()))
def test_every_error_has_every_dialects_shape(kind: type[SmartSipError], dialect: Dialect):
    response = error_response({"dialect": dialect}, kind("what happened"))
    assert response.status_code >= 400
    assert response.headers["content-type"] != PROBLEM
    for word in (b"volume", b"degree"):
        assert word not in bytes(response.body)


async def test_what_was_not_expected_is_shown_bare():
    app = FastAPI()
    add_error_handlers(app)
    add_middleware(app, Limits())

    @app.get("/crash")
    async def crash(request: Request) -> None:
        raise LookupError(f"a secret: {request.headers['authorization']}")

    @app.get("/busy")
    async def busy() -> None:
        raise QuotaExceeded(retry_after_s=7)

    @app.get("/large")
    async def large() -> None:
        raise BodyTooLarge(10)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/crash", headers={"Authorization": "hunter2", "X-Request-Id": "r-7"})
        assert answer.json() == {
            "type": "urn:smartsip:error:internal",
            "title": "An internal error occurred",
            "status": 500,
            "code": "internal",
            "retryable": False,
            "request_id": "r-7",
        }
        busy_answer = await client.get("/busy")
        assert (busy_answer.status_code, busy_answer.headers["retry-after"]) == (429, "7")
        assert (await client.get("/large")).json()["code"] == "payload_too_large"
