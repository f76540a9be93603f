"""Every way a provider fails: exactly one error of the right class, with what was said before kept."""

import asyncio
import pickle
from typing import Any

import pytest

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
    ProviderUnreachable,
    RequestTooLarge,
    StreamIncomplete,
)
from shared.domain.events import Text
from tests.contract.providers.rows import KEY, OLLAMA, OPENAI_LIKE, Row, collect, collect_at
from tests.scripted_provider import ScriptedProvider, answer, ollama_line, openai_answer, openai_chunk, sse_event
from tests.scripted_replies import Reply
from workers.providers.base import Provider

Body = dict[str, Any] | str


def said(message: str, **fields: object) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "param": None, "type": None, "code": None} | fields}


REFUSALS: list[tuple[int, Body, type[ProviderError]]] = [
    (400, said("'temperature' does not support 0", code="unsupported_value"), ProviderRejected),
    (
        400,
        said("This model's maximum context length is 128000 tokens.", code="context_length_exceeded"),
        ContextTooLong,
    ),
    (400, said("the request exceeds the available context size"), ContextTooLong),
    (400, said("blocked", code="content_policy_violation"), ContentBlocked),
    (
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***f."},
        ProviderAuth,
    ),
    (400, {"error": '"llama3.2" does not support this'}, ProviderRejected),
    (401, said("Incorrect API key provided: sk-fix****.", code="invalid_api_key"), ProviderAuth),
    (402, said("Insufficient Balance"), ProviderQuota),
    (403, said("not supported", code="unsupported_country_region_territory"), ProviderRegion),
    (403, said("You have no access"), ProviderAuth),
    (404, said("The model `nope` does not exist", code="model_not_found"), ModelNotFound),
    (404, {"error": "model 'nope' not found"}, ModelNotFound),
    (408, said("timed out"), ProviderOverloaded),
    (409, said("conflict"), ProviderRejected),
    (410, said("Live search is deprecated"), ModelNotFound),
    (413, said("Request too large for model: context window"), RequestTooLarge),
    (422, {"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]}, ProviderRejected),
    (429, said("You exceeded your current quota", code="insufficient_quota"), ProviderQuota),
    (429, said("Rate limit reached", code="rate_limit_exceeded"), ProviderRateLimited),
    (429, {"error": {"code": "ServerOverloaded", "message": "busy"}}, ProviderOverloaded),
    (498, said("capacity", code="capacity_exceeded"), ProviderRateLimited),
    (500, said("The server had an error", type="server_error"), ProviderOverloaded),
    (502, "<html><title>502</title><body><h1>Bad Gateway</h1></body></html>", ProviderOverloaded),
    (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, ProviderOverloaded),
    (529, "", ProviderOverloaded),
    (302, "", ProviderError),
]


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
async def test_a_refusal_is_sorted_by_what_can_be_done(
    row: Row, provider: Provider, server: ScriptedProvider, status: int, body: Body, expected: type[ProviderError]
) -> None:
    server.play(answer(body, status=status, headers={"retry-after": "7"}))
    deltas, error = await collect(provider)
    assert error is not None
    assert (deltas, type(error), error.retry_after_s) == ([], expected, 7 if expected.retryable else None)
    assert str(status) in str(error)
    assert "Error code" not in str(error)
    assert pickle.loads(pickle.dumps(error)).info() == error.info()
    assert len(server.exchanges) == 1


async def test_an_echoed_key_is_not_repeated(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(answer(said(f"Wrong key {KEY} in Authorization: Bearer {KEY}, or sk-ab12****wxyz"), status=401))
    _, error = await collect(provider)
    assert str(error) == f"{row.name} answered 401: Wrong key [key] in Authorization: [key], or [key]"


async def test_a_key_is_not_shown(provider: Provider) -> None:
    assert KEY not in repr(provider) + str(vars(provider).get("_client", ""))


FAULTS: list[tuple[bytes, type[ProviderError]]] = [
    (b"data: {not json}\n\n", StreamIncomplete),
    (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', StreamIncomplete),
    (b'data: {"choices":"none"}\n\n', StreamIncomplete),
    (b"data: []\n\n", StreamIncomplete),
    (openai_chunk({"content": "lost"})[:-30], StreamIncomplete),
    (openai_chunk({"content": "lost"})[:-4], StreamIncomplete),
    (b"", StreamIncomplete),
    (sse_event("[DONE]"), StreamIncomplete),
    (sse_event(said("The server had an error", type="server_error")), ProviderOverloaded),
    (sse_event(said("slow down", code="rate_limit_exceeded")), ProviderRateLimited),
    (
        sse_event(said("Tool call failed", type="invalid_request_error", status_code=400), event="error"),
        ProviderRejected,
    ),
    (sse_event({"message": "no"}, event="error"), ProviderError),
    (sse_event({"error": "The service is currently unavailable. Please try again later."}), ProviderOverloaded),
    (openai_chunk(finish="error", error={"code": 502, "message": "Provider disconnected"}), ProviderOverloaded),
    (b'error: {"code":500,"message":"context size exceeded","type":"server_error"}\n\n', ProviderOverloaded),
]


@pytest.mark.parametrize("row", OPENAI_LIKE, ids=str)
@pytest.mark.parametrize(("fault", "expected"), FAULTS)
@pytest.mark.parametrize("shape", ["whole", "byte by byte"])
async def test_a_fault_in_mid_stream_is_one_error(
    row: Row, provider: Provider, server: ScriptedProvider, fault: bytes, expected: type[ProviderError], shape: str
) -> None:
    reply = row.frame(row.piece("Paris") + fault)
    server.play(reply if shape == "whole" else reply.byte_by_byte())
    deltas, error = await collect(provider)
    assert (deltas, type(error)) == ([Text("Paris")], expected)


@pytest.mark.parametrize("row", [OLLAMA], ids=str)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (b"{not json}\n", StreamIncomplete),
        (b'"text"\n', StreamIncomplete),
        (b'{"message":{"content":"\xff"}}\n', StreamIncomplete),
        (ollama_line({"content": "lost"})[:-9], StreamIncomplete),
        (b"", StreamIncomplete),
        (b'{"error":"an error was encountered while running the model"}\n', ProviderOverloaded),
        (b'{"error":"something else"}\n', ProviderError),
    ],
)
async def test_a_fault_between_ollamas_lines_is_one_error(
    provider: Provider, server: ScriptedProvider, fault: bytes, expected: type[ProviderError]
) -> None:
    server.play(OLLAMA.frame(OLLAMA.piece("Paris") + fault))
    deltas, error = await collect(provider)
    assert (deltas, type(error)) == ([Text("Paris")], expected)


async def test_a_connection_that_breaks_in_mid_stream_is_one_error(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    reply = row.frame(*[row.piece(word) for word in "abcdef"])
    for broken in (reply.cut_after(len(reply.body) - 7), reply.reset_after(len(reply.body) - 7)):
        server.play(broken)
        _, error = await collect(provider)
        assert isinstance(error, StreamIncomplete | ProviderUnreachable)


@pytest.mark.parametrize(
    "reply",
    [
        answer("<html><body><h1>Please log in</h1></body></html>", media_type="text/html"),
        answer("OK", media_type="text/plain"),
    ],
    ids=["html", "text"],
)
async def test_a_page_instead_of_a_stream_is_an_error(
    provider: Provider, server: ScriptedProvider, reply: Reply
) -> None:
    server.play(reply)
    deltas, error = await collect(provider)
    assert (deltas, type(error)) == ([], ProviderError)
    assert "is its" in str(error)


@pytest.mark.parametrize("row", OPENAI_LIKE, ids=str)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (openai_answer("Paris"), ProviderError),
        (answer({"code": "unavailable", "error": "Please try again later."}), ProviderOverloaded),
        (answer(said("slow", code="rate_limit_exceeded")), ProviderRateLimited),
        (answer({}, status=201), ProviderError),
    ],
)
async def test_json_instead_of_a_stream_is_an_error(
    provider: Provider, server: ScriptedProvider, reply: Reply, expected: type[ProviderError]
) -> None:
    server.play(reply)
    deltas, error = await collect(provider)
    assert (deltas, type(error)) == ([], expected)


async def test_nobody_there_is_unreachable(row: Row, server: ScriptedProvider) -> None:
    with ScriptedProvider() as gone:
        port = gone.port
    deltas, error = await collect_at(row, f"http://127.0.0.1:{port}")
    assert (deltas, type(error)) == ([], ProviderUnreachable)
    assert str(error) == f"{row.name} (127.0.0.1:{port}) cannot be reached: connection refused"


async def test_a_name_nobody_knows_is_unreachable(row: Row) -> None:
    deltas, error = await collect_at(row, "http://nowhere.invalid")
    assert (deltas, type(error)) == ([], ProviderUnreachable)
    assert "nowhere.invalid" in str(error)


async def test_a_server_that_speaks_no_http_is_unreachable(row: Row) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    greeter = await asyncio.start_server(greet, "127.0.0.1", 0)
    deltas, error = await collect_at(row, f"http://127.0.0.1:{greeter.sockets[0].getsockname()[1]}")
    greeter.close()
    await greeter.wait_closed()
    assert (deltas, type(error)) == ([], ProviderUnreachable)


@pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed:DeprecationWarning")  # in the SDK's transport
async def test_a_proxy_that_wants_a_password_says_so(row: Row, server: ScriptedProvider) -> None:
    with ScriptedProvider() as proxy:
        proxy.play(answer("", status=407))
        deltas, error = await collect_at(row, server.url, proxy=f"http://user:secret-word@127.0.0.1:{proxy.port}")
    assert (deltas, type(error)) == ([], ProviderAuth)
    assert "proxy" in str(error)
    assert "secret-word" not in repr(error) + str(error)
    assert server.exchanges == []
