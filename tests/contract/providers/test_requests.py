"""What is sent: only known keys, no nulls, nobody's headers, images as each provider wants them."""

import base64
import json
from typing import Any

import ollama
import pytest

from shared.domain.commands import Parameters
from shared.domain.errors import ProviderRejected, UnsupportedMediaType
from tests.contract.providers.rows import KEY, OLLAMA, OPENAI_LIKE, Row, collect, collect_at, connected
from tests.scripted_provider import Exchange, ScriptedProvider, answer
from workers.providers.base import Prompt, PromptImage, PromptMessage, PromptText, PromptVideo, Provider, ResponseSchema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"volume": {"type": "integer"}},
    "required": ["volume"],
    "additionalProperties": False,
}
PIXELS = b"\xff\xd8 not really a photo"
PROMPT = Prompt(
    "some/model:1",
    (
        PromptMessage("system", (PromptText("Be brief."),)),
        PromptMessage("user", (PromptText("What is"), PromptImage(PIXELS, "image/png"))),
        PromptMessage("assistant", (PromptText("A cup."), PromptText("A red one."))),
        PromptMessage("user", (PromptText("And now?"),)),
    ),
    Parameters(temperature=0, top_p=0.9, max_output_tokens=64, stop=["x"], seed=7, presence_penalty=0),
)
VISION = Prompt(
    "m", (PromptMessage("user", (PromptText("How much?"),)),), response_schema=ResponseSchema("dispense", SCHEMA)
)
openai_only = pytest.mark.parametrize("row", OPENAI_LIKE[:1], ids=str)
ollama_only = pytest.mark.parametrize("row", [OLLAMA], ids=str)
openai_like = pytest.mark.parametrize("row", OPENAI_LIKE, ids=str)


async def sent(provider: Provider, server: ScriptedProvider, prompt: Prompt) -> Exchange:
    _, error = await collect(provider, prompt)
    assert error is None
    return server.exchanges[-1]


@openai_like
async def test_a_chat_completion_asks_for_exactly_what_the_prompt_says(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    request = await sent(provider, server, PROMPT)
    tokens = "max_completion_tokens" if row.name == "openai" else "max_tokens"
    picture = "data:image/png;base64," + base64.b64encode(PIXELS).decode()
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json == {
        "model": "some/model:1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is"},
                    {"type": "image_url", "image_url": {"url": picture}},
                ],
            },
            {"role": "assistant", "content": "A cup.\nA red one."},
            {"role": "user", "content": "And now?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "top_p": 0.9,
        tokens: 64,
        "stop": ["x"],
        "seed": 7,
    }


@ollama_only
async def test_ollama_is_asked_for_exactly_what_the_prompt_says(provider: Provider, server: ScriptedProvider) -> None:
    request = await sent(provider, server, PROMPT)
    assert (request.method, request.path) == ("POST", "/api/chat")
    assert request.json == {
        "model": "some/model:1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is", "images": [base64.b64encode(PIXELS).decode()]},
            {"role": "assistant", "content": "A cup.\nA red one."},
            {"role": "user", "content": "And now?"},
        ],
        "stream": True,
        "options": {"temperature": 0, "top_p": 0.9, "num_predict": 64, "stop": ["x"], "seed": 7, "presence_penalty": 0},
    }


@ollama_only
async def test_ollama_gets_what_its_own_sdk_would_send(provider: Provider, server: ScriptedProvider) -> None:
    ours = await sent(provider, server, PROMPT)
    messages = [message | {"images": [PIXELS]} if "images" in message else message for message in ours.json["messages"]]
    sdk: Any = ollama.AsyncClient(server.url, trust_env=False)  # its parameters are not typed
    async for _ in await sdk.chat(ours.json["model"], messages, stream=True, options=ours.json["options"]):
        pass
    await sdk.close()
    theirs = server.exchanges[-1]
    assert (theirs.method, theirs.path) == (ours.method, ours.path)
    assert theirs.json == ours.json | {"tools": []}


async def test_a_bare_prompt_sends_no_parameters_and_no_nulls(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    prompt = Prompt("m", (PromptMessage("user", (PromptText("Hi"),)),))
    bare = await sent(provider, server, prompt)
    assert set(bare.json) - {"stream_options"} == {"model", "messages", "stream"}
    assert b"null" not in bare.body + (await sent(provider, server, VISION)).body


async def test_only_our_own_credential_is_sent(
    row: Row, server: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaks = {
        "OPENAI_ORG_ID": "leak-org",
        "OPENAI_PROJECT_ID": "leak-project",
        "OPENAI_CUSTOM_HEADERS": "X-Custom: leak-custom\nAuthorization: Bearer leak-bearer",
        "OPENAI_ADMIN_KEY": "leak-admin",
        "OPENAI_API_KEY": "leak-key",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/leak",
        "OLLAMA_API_KEY": "leak-ollama",
        "OLLAMA_HOST": "http://127.0.0.1:1/leak",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    for name, value in leaks.items():
        monkeypatch.setenv(name, value)
    async with connected(row, server) as provider:
        request = await sent(provider, server, VISION)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "leak" not in str(request.headers) + request.body.decode()
    assert not {"openai-organization", "openai-project"} & set(request.headers)


@pytest.mark.covers("F000-14", "F003-53")
async def test_a_configured_proxy_is_used(row: Row, server: ScriptedProvider) -> None:
    with ScriptedProvider() as proxy:
        await collect_at(row, "http://provider.invalid/base", proxy=proxy.url)
    assert [exchange.headers["host"] for exchange in proxy.exchanges] == ["provider.invalid"]


async def test_a_redirect_is_not_followed(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    with ScriptedProvider() as elsewhere:
        server.play(answer("", status=307, headers={"location": elsewhere.openai_url}))
        _, error = await collect(provider)
    assert error is not None
    assert elsewhere.exchanges == []


@openai_only
async def test_openai_is_asked_for_a_strict_schema(provider: Provider, server: ScriptedProvider) -> None:
    request = await sent(provider, server, VISION)
    assert request.json["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "dispense", "schema": SCHEMA, "strict": True},
    }
    assert request.json["messages"] == [{"role": "user", "content": "How much?"}]


@openai_like
async def test_a_refused_schema_is_put_in_words_and_that_is_remembered(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    refused = {"error": {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported."}}
    server.play(answer(refused, status=400), row.stream(["{}"]))
    await sent(provider, server, VISION)
    await sent(provider, server, VISION)
    first, second, third = (exchange.json for exchange in server.exchanges)
    lower = {"type": "json_object"} if row.name == "openai" else None
    assert first != second == third
    assert second.get("response_format") == lower
    assert second["messages"][0]["role"] == "system"
    assert json.dumps(SCHEMA, separators=(",", ":")) in second["messages"][0]["content"]
    assert second["messages"][1:] == [{"role": "user", "content": "How much?"}]


@openai_like
async def test_a_schema_is_stepped_down_once_per_call(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(answer({"error": {"message": "response_format is not supported"}}, status=422))
    _, error = await collect(provider, VISION)
    assert type(error) is ProviderRejected
    assert len(server.exchanges) == 2


@openai_like
async def test_other_refusals_are_not_taken_for_one_of_the_schema(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(answer({"error": {"message": "image too small"}}, status=400))
    _, error = await collect(provider, VISION)
    assert type(error) is ProviderRejected
    assert len(server.exchanges) == 1


@ollama_only
async def test_ollama_gets_the_schema_twice_and_answers_without_thinking(
    provider: Provider, server: ScriptedProvider
) -> None:
    body = (await sent(provider, server, VISION)).json
    assert (body["format"], body["think"]) == (SCHEMA, False)
    assert "JSON schema" in body["messages"][0]["content"]


@ollama_only
async def test_a_model_that_cannot_think_is_asked_without_that_word(
    provider: Provider, server: ScriptedProvider
) -> None:
    server.play(answer({"error": '"llama3.2" does not support thinking'}, status=400), OLLAMA.stream(["{}"]))
    await sent(provider, server, VISION)
    assert ["think" in exchange.json for exchange in server.exchanges] == [True, False]


@ollama_only
async def test_a_long_prompt_gets_a_context_it_fits_in(provider: Provider, server: ScriptedProvider) -> None:
    long = Prompt("m", (PromptMessage("user", (PromptText("x" * 20_000),)),))
    endless = Prompt("m", (PromptMessage("user", (PromptText("x" * 900_000),)),))
    sizes = [(await sent(provider, server, prompt)).json["options"]["num_ctx"] for prompt in (long, endless)]
    assert sizes == [16_384, 131_072]


@pytest.mark.parametrize("row", [OPENAI_LIKE[0], OLLAMA], ids=str)
async def test_media_that_are_not_taken_are_refused_before_the_call(
    provider: Provider, server: ScriptedProvider
) -> None:
    prompt = Prompt("m", (PromptMessage("user", (PromptVideo(b"", "video/mp4"),)),))
    with pytest.raises(UnsupportedMediaType):
        await collect(provider, prompt)
    assert server.exchanges == []


@pytest.mark.parametrize("row", [OPENAI_LIKE[0], OLLAMA], ids=str)
async def test_a_large_request_arrives_whole_with_its_length(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    pixels = bytes(1_200_000) + b"\x01"
    request = await sent(provider, server, Prompt("m", (PromptMessage("user", (PromptImage(pixels, "image/jpeg"),)),)))
    message = request.json["messages"][0]
    encoded = message["images"][0] if row.is_ollama else message["content"][0]["image_url"]["url"].partition(",")[2]
    assert base64.b64decode(encoded) == pixels
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers
