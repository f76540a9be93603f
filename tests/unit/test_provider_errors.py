"""The classifier, its hints, and the texts it makes; the classes by status are tested over real sockets."""

import json
import pickle
import socket
import ssl
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import (
    ContentBlocked,
    ContextTooLong,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderQuota,
    ProviderRateLimited,
    ProviderRegion,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    StreamIncomplete,
)
from tests.contract.providers.bodies.refusals import REFUSALS, Refused
from workers.providers.classify import classify
from workers.providers.hints import retry_after_s
from workers.providers.refusal import MAX_TEXT_CHARS, Refusal, text_of, tidy
from workers.providers.transport import TRANSPORT_ERRORS, classify_transport

NOW = 1_800_000_000.0
HTTP_DATE = "Fri, 15 Jan 2027 08:00:30 GMT"  # NOW + 30 s


def refusal(status: int | None, body: object, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(status, json.dumps(body).encode(), headers or {})


@pytest.mark.parametrize(
    ("status", "body", "provider", "expected"),
    [
        (400, {"error": {"type": "exceed_context_size_error", "message": "x", "code": 400}}, "local", ContextTooLong),
        (400, {"error": {"metadata": {"error_type": "token_limit_exceeded"}}}, "openrouter", ContextTooLong),
        (400, {"error": {"message": "input token count (9) exceeds"}}, "gemini", ContextTooLong),
        (500, {"error": {"message": "the context window is broken"}}, "x", ProviderOverloaded),
        (500, {"error": {"message": "image input is not supported - hint: mmproj"}}, "x", ProviderRejected),
        (400, [{"error": {"message": "Bad", "details": [{"reason": "API_KEY_INVALID"}]}}], "gemini", ProviderAuth),
        (400, {"error": {"message": "User location is not supported for the API use."}}, "gemini", ProviderRegion),
        (403, {"error": {"code": "AccountOverdueError", "message": "overdue"}}, "doubao", ProviderQuota),
        (403, {"code": 30001, "message": "balance", "data": ""}, "siliconflow", ProviderQuota),
        (403, {"code": 30001, "message": "balance", "data": ""}, "other", ProviderAuth),
        (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "x"}}, "doubao", ContentBlocked),
        (403, {"error": {"message": "flagged", "metadata": {"reasons": ["violence"]}}}, "openrouter", ContentBlocked),
        (404, {"error": {"code": "InvalidEndpointOrModel.NotFound", "message": "x"}}, "doubao", ModelNotFound),
        (None, {"error": {"message": "no such thing", "code": 404}}, "x", ModelNotFound),
        (None, {"error": {"message": "boom", "code": "insufficient_quota"}}, "x", ProviderQuota),
        (None, {"error": "Upstream overloaded"}, "x", ProviderOverloaded),
        (None, {"error": {"message": "boom"}}, "x", ProviderError),
        (None, {"error": True}, "x", ProviderError),
        (None, {"error": {"message": "x", "code": "429"}}, "x", ProviderRateLimited),
        (None, {"error": {"message": "x", "code": "ModelNotOpen"}}, "doubao", ModelNotFound),
        (None, {"error": {"message": "insufficient balance"}}, "x", ProviderQuota),
        (500, {"error": {"code": "1113", "message": "x"}}, "zhipu", ProviderOverloaded),
        (400, {"error": {"code": "1113", "message": "x"}}, "elsewhere", ProviderRejected),
    ],
)
def test_codes_tell_apart_what_a_status_does_not(
    status: int | None, body: object, provider: str, expected: type[ProviderError]
) -> None:
    assert type(classify(refusal(status, body), provider=provider)) is expected


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda it: f"{it.provider} {it.status} {it.kind.code}")
def test_every_providers_refusal_is_sorted_by_what_can_be_done(refused: Refused) -> None:
    body = refused.body if isinstance(refused.body, bytes) else json.dumps(refused.body).encode()
    error = classify(Refusal(refused.status, body, refused.headers), provider=refused.provider)
    assert (type(error), error.retry_after_s) == (refused.kind, refused.wait_s)
    assert refused.says in str(error)
    assert str(error).startswith((f"{refused.provider} answered {refused.status}: ", "The proxy before "))
    assert pickle.loads(pickle.dumps(error)).info() == error.info()


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, {}, 1.5),
        ({"retry-after": "2"}, {}, 2),
        ({"retry-after": "0.5"}, {}, 0.5),
        ({"retry-after": "1m30s"}, {}, 90),
        ({"ratelimit-reset": "3"}, {}, 3),
        ({"retry-after": HTTP_DATE}, {}, 30),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, {}, 0),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "-3"}, {}, None),
        ({"retry-after": "nan"}, {}, None),
        ({"retry-after": "1e300"}, {}, None),
        ({"x-ratelimit-reset-requests": "120ms"}, {}, 0.12),
        (
            {
                "x-ratelimit-reset-requests": "12ms",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
            },
            {},
            360,
        ),
        ({"x-ratelimit-reset-requests": "24h", "x-ratelimit-reset-tokens": "1.5s"}, {}, 1.5),
        ({"x-ratelimit-reset-tokens-minute": "41.5"}, {}, 41.5),
        ({"x-ratelimit-reset": str(int((NOW + 20) * 1000))}, {}, 20),
        ({"x-ratelimit-reset": str(int(NOW + 20))}, {}, 20),
        ({}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": str(int((NOW + 5) * 1000))}}}}, 5),
        ({}, {"error": {"details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "38s"}]}}, 38),
        ({}, [{"error": {"details": [{"retryDelay": "1.5s"}]}}], 1.5),
        ({}, {}, None),
    ],
)
def test_every_providers_hint_is_read(headers: dict[str, str], body: object, expected: float | None) -> None:
    assert retry_after_s(refusal(429, body, headers), now=NOW) == pytest.approx(expected)


def test_only_what_may_be_tried_again_carries_a_hint() -> None:
    hint = {"retry-after": "5"}
    assert classify(refusal(429, {}, hint), provider="p").retry_after_s == 5
    assert classify(refusal(400, {}, hint), provider="p").retry_after_s is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "one"}, "message": "two"}, "one"),
        ({"error": "one", "message": "two"}, "one"),
        ({"message": "one", "detail": "two"}, "one"),
        ({"detail": "one", "title": "two"}, "one"),
        ({"detail": [{"loc": ["body", "x"], "msg": "bad"}, {"loc": "y", "msg": "worse"}]}, "body -> x: bad; y: worse"),
        ([{"error": {"message": "one"}}], "one"),
        ({"title": "Too Many Requests", "status": 429}, "Too Many Requests"),
        ({"error": {"message": ""}, "x": 1}, '{"error": {"message": ""}, "x": 1}'),
        ({"code": 1, "msg": "one"}, "one"),
        ("one", "one"),
        ([], "[]"),
        (7, "7"),
    ],
)
def test_the_sentence_is_found_where_providers_put_it(body: object, expected: str) -> None:
    assert text_of(refusal(400, body)) == expected


def test_markup_and_line_ends_do_not_reach_people() -> None:
    page = b"<html><style>p{}</style><script>alert(1)</script><h1>502 &amp; gone</h1>\r\n<p>nginx\x00</p></html>"
    assert text_of(Refusal(502, page)) == "502 & gone nginx"
    assert len(text_of(Refusal(502, b"x" * 100_000))) == MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123def",
        "sk-ab**wxyz",
        "gsk_abcdef123",
        "xai-abcdef123",
        "nvapi-abc123",
        "AIzaSyABCDEF123",
        "hf_abc123",
    ],
)
def test_keys_do_not_reach_people(secret: str) -> None:
    for text in (f"key {secret}.", f'{{"key":"{secret}"}}', f"Bearer {secret}", f"http://u:{secret}@host/"):
        assert secret.rstrip(".") not in tidy(text)
    assert "my-very-own-key" not in tidy("my-very-own-key", secrets=["my-very-own-key"])


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "details", "metadata", "headers", "code", "status", "retryDelay"]
            )
            | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens"]),
    st.text() | st.floats().map(str) | st.integers().map(str) | st.just(HTTP_DATE),
)


@given(
    status=st.none() | st.integers(-1, 1000),
    body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    headers=HEADERS,
)
def test_nothing_a_provider_sends_crashes_the_classifier(
    status: int | None, body: bytes, headers: dict[str, str]
) -> None:
    error = classify(Refusal(status, body, headers), provider="p", secrets=["a-long-secret"])
    assert isinstance(error, ProviderError)
    assert str(error).isprintable()
    assert len(str(error)) <= MAX_TEXT_CHARS + 100
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= 24 * 3600
    assert pickle.loads(pickle.dumps(error)).info() == error.info()


def caused_by(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


REQUEST = httpx2.Request("POST", "http://x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (caused_by(openai.APITimeoutError(REQUEST), httpx2.ConnectTimeout("")), ProviderTimeout),
        (
            caused_by(
                openai.APITimeoutError(REQUEST),
                caused_by(httpx2.ConnectTimeout(""), aiohttp.ServerDisconnectedError()),
            ),
            ProviderUnreachable,
        ),
        (openai.APIConnectionError(request=REQUEST), ProviderUnreachable),
        (httpx2.ReadTimeout(""), ProviderTimeout),
        (httpx2.RemoteProtocolError(""), ProviderUnreachable),
        (httpx2.ReadError(""), ProviderUnreachable),
        (httpx2.DecodingError(""), StreamIncomplete),
        (aiohttp.ClientPayloadError(""), StreamIncomplete),
        (aiohttp.SocketTimeoutError(), ProviderTimeout),
        (aiohttp.ConnectionTimeoutError(), ProviderTimeout),
        (ssl.SSLCertVerificationError("bad"), ProviderUnreachable),
        (ConnectionResetError(), ProviderUnreachable),
        (socket.gaierror(), ProviderUnreachable),
    ],
)
def test_a_broken_connection_is_named_by_its_deepest_cause(error: Exception, expected: type[ProviderError]) -> None:
    assert isinstance(error, TRANSPORT_ERRORS)
    found = classify_transport(error, provider="p", base_url="https://user:password@host.example:8443/v1")
    assert type(found) is expected
    assert "p (host.example:8443)" in str(found)
    assert "password" not in str(found)
    assert found.retryable


def test_a_rate_limit_in_the_answer_carries_its_hint() -> None:
    body = {"error": {"code": 429, "message": "slow", "details": [{"retryDelay": "3s"}]}}
    error = classify(refusal(None, body), provider="p")
    assert (type(error), error.retry_after_s) == (ProviderRateLimited, 3)
