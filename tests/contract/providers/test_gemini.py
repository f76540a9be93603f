"""Gemini in its own protocol, over a real socket: requests, keys, refusals, silence, lists."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from shared.domain.commands import Parameters
from shared.domain.errors import (
    BadOutput,
    ContextTooLong,
    InvalidRequest,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRegion,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    StreamIncomplete,
)
from shared.domain.events import Finish, Noted, Reasoning, Text, Usage
from shared.settings import ProviderEndpoint
from tests.contract.providers.rows import PROMPT, collect
from tests.gemini_replies import PIXEL, gemini_event, gemini_stream, refusal
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer, openai_stream, sse
from workers.providers.base import Clocks, GeneratedImage, Prompt, Provider
from workers.providers.gemini.images import BOTH
from workers.providers.gemini.provider import MAX_PAGES
from workers.providers.table import build_providers

MODEL = "gemini-3.8-flash"
ASK = Prompt(MODEL, PROMPT.messages)
ASKED = {
    "contents": [{"role": "user", "parts": [{"text": "Capital of France?"}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
}
PARIS = [Text("Paris"), Usage(7, 5), Finish("stop")]
KEY = "0123456789-of-no-known-form"
OTHER_KEY = "own-key-9876543210"


def at(base_url: str, **endpoint: Any) -> Provider:
    """Gemini at an address; to be closed."""
    return build_providers({"gemini": ProviderEndpoint(base_url=base_url, api_key=SecretStr(KEY), **endpoint)})[
        "gemini"
    ]


@pytest.fixture
async def gemini(server: ScriptedProvider) -> AsyncIterator[Provider]:
    """Gemini, connected to the server."""
    server.play(gemini_stream(["Paris"]))
    provider = at(server.url)
    yield provider
    await provider.close()


async def test_a_request_names_its_model_in_the_address_and_its_key_in_a_header(
    gemini: Provider, server: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/leak")
    assert await collect(gemini, ASK) == (PARIS, None)
    [asked] = server.exchanges
    assert (asked.method, asked.path) == ("POST", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse")
    assert (asked.headers["x-goog-api-key"], asked.json) == (KEY, ASKED)
    assert not {"authorization", "cookie"} & asked.headers.keys()
    assert "leak" not in str(asked.headers)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-x", "models/gemini-x"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("a/../b?key=1#c:d", "models/a%2F..%2Fb%3Fkey%3D1%23c%3Ad"),
        ("..", "models/.."),
    ],
)
async def test_no_models_name_leads_elsewhere(
    gemini: Provider, server: ScriptedProvider, model: str, path: str
) -> None:
    await collect(gemini, Prompt(model, PROMPT.messages))
    assert server.exchanges[0].path == f"/v1beta/{path}:streamGenerateContent?alt=sse"


async def test_an_answer_is_told_with_its_thoughts_and_pictures(gemini: Provider, server: ScriptedProvider) -> None:
    picture = gemini_event({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
    broken = gemini_event({"inlineData": {"mimeType": "image/png", "data": "!"}})
    end = gemini_event(finish="STOP", usage={"promptTokenCount": 4, "candidatesTokenCount": 9})
    server.play(
        sse(gemini_event({"text": "Hm.", "thought": True}), gemini_event({"text": "So:"}), picture, broken, end)
    )
    deltas, error = await collect(gemini, ASK)
    [refused] = [delta for delta in deltas if isinstance(delta, Noted)]
    assert (error, refused.code) == (None, "image_refused")
    expected = [Reasoning("Hm."), Text("So:"), GeneratedImage(base64.b64decode(PIXEL)), refused, Usage(4, 9)]
    assert deltas == [*expected, Finish("stop")]


async def test_a_last_event_without_its_end_counts_if_it_is_whole(gemini: Provider, server: ScriptedProvider) -> None:
    server.play(sse(gemini_stream(["Paris"]).body.rstrip()))
    assert await collect(gemini, ASK) == (PARIS, None)


async def test_what_is_not_sent_is_told_before_the_first_word(gemini: Provider) -> None:
    prompt = Prompt(MODEL, PROMPT.messages, Parameters(user="me", options={"watermark": True}))
    deltas, _ = await collect(gemini, prompt)
    notes = [Noted("parameter_dropped", f"{name}: gemini does not take it") for name in ("watermark", "user")]
    assert deltas == [*notes, *PARIS]


async def test_a_model_that_refuses_a_member_is_asked_without_it_from_then_on(
    gemini: Provider, server: ScriptedProvider
) -> None:
    def script(exchange: Exchange) -> Reply:
        config = exchange.json.get("generationConfig", {})
        if "thinkingConfig" in config:
            said = refusal("INVALID_ARGUMENT", "Thinking level MINIMAL is not supported for this model.", 400)
        elif "presencePenalty" in config:
            said = refusal("INVALID_ARGUMENT", "Penalty is not enabled for models/x", 400)
        else:
            return gemini_stream(["Paris"])
        return answer(said, status=400)

    server.play_with(script)
    prompt = Prompt(MODEL, PROMPT.messages, Parameters(presence_penalty=0.5, reasoning_effort="none", temperature=1))
    names = ("reasoning_effort", "presence_penalty")
    notes = [Noted("parameter_dropped", f"{name}: gemini refuses it with this model") for name in names]
    for expected in (3, 4):
        assert await collect(gemini, prompt) == ([*notes, *PARIS], None)
        assert len(server.exchanges) == expected
    assert server.exchanges[-1].json == ASKED | {"generationConfig": {"temperature": 1}}


async def test_signatures_that_are_refused_are_left_out_for_this_conversation(
    gemini: Provider, server: ScriptedProvider
) -> None:
    server.play(
        answer(refusal("INVALID_ARGUMENT", "Corrupted thought signature.", 400), status=400), gemini_stream(["Paris"])
    )
    signed = type(PROMPT.messages[0])("assistant", PROMPT.messages[0].parts, signatures=("gemini:text:5:c2ln",))
    conversation = Prompt(MODEL, (*PROMPT.messages, signed, *PROMPT.messages))
    assert await collect(gemini, conversation) == (PARIS, None)
    await collect(gemini, conversation)
    assert [b"c2ln" in exchange.body for exchange in server.exchanges] == [True, False, True]


REFUSALS: list[tuple[int, Any, type[ProviderError], float | None]] = [
    (400, refusal("INVALID_ARGUMENT", "Bad key.", 400, {"reason": "API_KEY_INVALID"}), ProviderAuth, None),
    (400, [refusal("INVALID_ARGUMENT", "API key not valid. Please pass one.", 400)], ProviderAuth, None),
    (400, refusal("FAILED_PRECONDITION", "User location is not supported for the API use.", 400), ProviderRegion, None),
    (400, refusal("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8).", 400), ContextTooLong, None),
    (400, refusal("INVALID_ARGUMENT", "Please use a valid role.", 400), ProviderRejected, None),
    (400, refusal("INVALID_ARGUMENT", "Penalty is not enabled for models/x", 400), ProviderRejected, None),
    (403, refusal("PERMISSION_DENIED", "Not for you.", 403), ProviderAuth, None),
    (404, refusal("NOT_FOUND", "models/x is not found for API version v1beta", 404), ModelNotFound, None),
    (429, refusal("RESOURCE_EXHAUSTED", "Quota.", 429, {}, {"retryDelay": "38s"}), ProviderRateLimited, 38),
    (503, refusal("UNAVAILABLE", "The model is overloaded.", 503), ProviderOverloaded, None),
    (500, "<html>Error 500 (Server Error)!!1</html>", ProviderOverloaded, None),
    (302, "", ProviderError, None),
]


@pytest.mark.parametrize(("status", "body", "expected", "wait_s"), REFUSALS)
async def test_a_refusal_is_sorted_by_what_can_be_done(
    gemini: Provider,
    server: ScriptedProvider,
    status: int,
    body: Any,
    expected: type[ProviderError],
    wait_s: float | None,
) -> None:
    server.play(answer(body, status=status, headers={"location": "http://127.0.0.1:1/"}))
    deltas, error = await collect(gemini, ASK)
    assert error is not None
    assert (deltas, type(error), error.retry_after_s) == ([], expected, wait_s)
    assert (len(server.exchanges), str(status) in str(error)) == (1, True)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer("<html><body>Please log in</body></html>", media_type="text/html"), ProviderError),
        (answer({"candidates": [{"content": {"parts": [{"text": "Paris"}]}, "finishReason": "STOP"}]}), ProviderError),
        (answer([refusal("UNAVAILABLE", "Busy.", 503)]), ProviderOverloaded),
        (answer(refusal("RESOURCE_EXHAUSTED", "Slow down.", 429)), ProviderRateLimited),
        (sse(gemini_event({"text": "Hm", "thought": True}), gemini_event(finish="MAX_TOKENS")), BadOutput),
        (sse(gemini_event()), StreamIncomplete),
        (sse(), StreamIncomplete),
        (gemini_stream(["Paris"], usage=None).cut_after(10), StreamIncomplete),
    ],
    ids=["html", "whole", "error list", "error", "only thoughts", "no finish", "nothing", "cut"],
)
async def test_what_is_no_answer_is_no_success(
    gemini: Provider, server: ScriptedProvider, reply: Reply, expected: type[ProviderError]
) -> None:
    server.play(reply)
    deltas, error = await collect(gemini, ASK)
    assert not any(isinstance(delta, Text | Finish) for delta in deltas)
    assert type(error) is expected


async def test_nobody_there_is_unreachable() -> None:
    with ScriptedProvider() as gone:
        port = gone.port
    provider = at(f"http://127.0.0.1:{port}")
    _, error = await collect(provider, ASK)
    assert (type(error), str(error)) == (
        ProviderUnreachable,
        f"gemini (127.0.0.1:{port}) cannot be reached: connection refused",
    )
    await provider.close()


async def test_silence_is_cut_by_its_clock_and_counts_are_no_answer(gemini: Provider, server: ScriptedProvider) -> None:
    silent = gemini_event(usage={"promptTokenCount": 7})
    server.play(sse(gemini_event({"text": "a"}), *[silent] * 500).paced(50))
    deltas, error = await collect(gemini, ASK, Clocks(connect_s=1, first_delta_s=1, idle_s=0.2))
    assert (deltas[0], type(error)) == (Text("a"), ProviderTimeout)
    await server.wait_closed()


async def test_cancelling_closes_the_socket(gemini: Provider, server: ScriptedProvider) -> None:
    server.play(sse(*[gemini_event({"text": "a"})] * 500).paced(50))
    task = asyncio.create_task(collect(gemini, ASK))
    exchange = await server.wait_requests()
    await server.until(lambda: exchange.pieces_sent > 1)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await server.wait_closed() - cancelled_at < 0.5


async def test_another_key_goes_over_the_same_connections_and_is_shown_nowhere(
    gemini: Provider, server: ScriptedProvider
) -> None:
    derived = gemini.with_key(OTHER_KEY)
    for provider in (gemini, derived, gemini):
        assert await collect(provider, ASK) == (PARIS, None)
    await derived.close()
    assert [exchange.headers["x-goog-api-key"] for exchange in server.exchanges] == [KEY, OTHER_KEY, KEY]
    assert server.open_connections == 1
    server.play(answer(refusal("INVALID_ARGUMENT", f"Wrong: {OTHER_KEY}, unlike {KEY}", 400), status=400))
    _, error = await collect(derived, ASK)
    assert str(error) == "gemini answered 400: Wrong: [key], unlike [key]"
    assert OTHER_KEY not in repr(derived)
    for wrong in ("", "a b", "a\nX-Evil: 1", "schlüssel"):
        with pytest.raises(InvalidRequest):
            gemini.with_key(wrong)


@pytest.mark.covers("F003-49")
async def test_imagen_is_not_asked_any_more(gemini: Provider, server: ScriptedProvider) -> None:
    deltas, error = await collect(gemini, Prompt("imagen-4.0-generate-001", PROMPT.messages))
    assert (deltas, type(error), server.exchanges) == ([], ModelNotFound, [])


@pytest.mark.covers("F003-48")
async def test_a_picture_is_asked_for_and_had(gemini: Provider, server: ScriptedProvider) -> None:
    server.play(sse(gemini_event({"inlineData": {"mimeType": "image/png", "data": PIXEL}}, finish="STOP")))
    deltas, error = await collect(gemini, Prompt("gemini-3.1-flash-image", PROMPT.messages))
    assert (deltas, error) == ([GeneratedImage(base64.b64decode(PIXEL)), Finish("stop")], None)
    assert server.exchanges[0].json["generationConfig"] == {"responseModalities": BOTH}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"),
        ("/v1beta", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"),
        ("/proxy/v1", f"/proxy/v1/models/{MODEL}:streamGenerateContent?alt=sse"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
    ],
)
async def test_the_address_tells_which_protocol_is_spoken(server: ScriptedProvider, path: str, asked: str) -> None:
    server.play(openai_stream(["Paris"]) if path.endswith("/openai") else gemini_stream(["Paris"]))
    provider = at(server.url + path, headers={"X-Team": "tea"})
    assert await collect(provider, ASK) == (PARIS, None)
    [exchange] = server.exchanges
    assert (exchange.path, exchange.headers["x-team"]) == (asked, "tea")
    await provider.close()


def listed(name: str, *methods: str) -> dict[str, Any]:
    return {"name": f"models/{name}", "displayName": name.title(), "supportedGenerationMethods": methods}


async def test_models_that_answer_are_listed_page_by_page(gemini: Provider, server: ScriptedProvider) -> None:
    first = {"models": [listed("gemini-a", "generateContent"), listed("text-embedding-1", "embedContent")]}
    last = {"models": [listed("gemini-b", "countTokens", "generateContent") | {"inputTokenLimit": 1_048_576}]}
    server.play(answer(first | {"nextPageToken": "a b&c"}), answer(last | {"nextPageToken": ""}))
    models = await gemini.list_models(5)
    assert [(it.id, it.name, it.abilities.context_length) for it in models] == [
        ("gemini-a", "Gemini-A", None),
        ("gemini-b", "Gemini-B", 1_048_576),
    ]
    assert [exchange.path for exchange in server.exchanges] == [
        "/v1beta/models?pageSize=1000",
        "/v1beta/models?pageSize=1000&pageToken=a+b%26c",
    ]
    assert {exchange.headers["x-goog-api-key"] for exchange in server.exchanges} == {KEY}


async def test_pages_without_end_are_not_followed_for_ever(gemini: Provider, server: ScriptedProvider) -> None:
    server.play(answer({"models": [listed("gemini-a", "generateContent")], "nextPageToken": "again"}))
    assert [model.id for model in await gemini.list_models(5)] == ["gemini-a"]
    assert len(server.exchanges) == MAX_PAGES


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(refusal("INVALID_ARGUMENT", "Bad.", 400, {"reason": "API_KEY_INVALID"}), status=400), ProviderAuth),
        (answer("<html>", media_type="text/html"), ProviderError),
        (answer({"models": []}).delayed(60), ProviderTimeout),
    ],
    ids=["key", "html", "silence"],
)
async def test_a_list_that_cannot_be_had_is_an_error(
    gemini: Provider, server: ScriptedProvider, reply: Reply, expected: type[ProviderError]
) -> None:
    server.play(reply)
    with pytest.raises(ProviderError) as caught:
        await gemini.list_models(0.3)
    assert type(caught.value) is expected


def test_what_it_takes_and_what_an_abort_costs_are_known() -> None:
    provider = at("https://generativelanguage.googleapis.com")
    assert (provider.name, provider.media, provider.stops_billing_on_abort) == ("gemini", {"video", "audio"}, "no")
