"""The protocols of OpenAI, Ollama and Gemini, as a server speaks them that nobody here wrote (@copilotkit/aimock)."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pytest
from pydantic import SecretStr

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    StreamIncomplete,
)
from shared.domain.events import Finish, Reasoning, Text, ToolCall, Usage
from shared.settings import ProviderEndpoint
from tests.contract.providers.rows import KEY, collect
from tests.images import png
from tests.peers.servers import Json, aimock, fetch
from workers.providers.base import (
    Prompt,
    PromptImage,
    PromptMessage,
    PromptText,
    Provider,
    ProviderDelta,
    ResponseSchema,
)
from workers.providers.table import build_providers

TEXT: Final = "Paris is the capital. Grüße 你好 🥤"
BROKEN: Final[Json] = {"response": {"content": "water " * 20}, "chunkSize": 4, "latency": 10}  # 300 ms, if whole
POUR: Final[Json] = {"type": "function", "function": {"name": "pour", "parameters": {"type": "object"}}}
ANSWERS: Final[list[Json]] = [
    {"match": {"userMessage": "Poured?", "hasToolResult": True}, "response": {"content": "It is poured."}},
    {
        "match": {"userMessage": "A reading", "responseFormat": "json_schema"},
        "response": {"content": {"label": "cat"}},
    },
    {
        "match": {"userMessage": "Capital"},
        "response": {
            "content": TEXT,
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "promptTokenCount": 11, "candidatesTokenCount": 7},
        },
        "chunkSize": 3,
    },
    {"match": {"userMessage": "Think"}, "response": {"content": "Paris.", "reasoning": "Recall maps."}},
    {"match": {"userMessage": "Pour"}, "response": {"toolCalls": [{"name": "pour", "arguments": {"ml": 200}}]}},
    {
        "match": {"userMessage": "Too often"},
        "response": {"error": {"message": "Slow down", "type": "rate_limit_error"}, "status": 429, "retryAfter": 7},
    },
    {
        "match": {"userMessage": "Stranger"},
        "response": {"error": {"message": "Wrong key", "type": "invalid_request_error"}, "status": 401},
    },
    {"match": {"userMessage": "Dropped"}, "response": {"content": TEXT}, "chaos": {"dropRate": 1}},
    {"match": {"userMessage": "Garbled"}, "response": {"content": TEXT}, "chaos": {"malformedRate": 1}},
    {"match": {"userMessage": "Truncated"}, "truncateAfterChunks": 3, **BROKEN},
    {"match": {"userMessage": "Disconnected"}, "disconnectAfterMs": 100, **BROKEN},
]


@dataclass(frozen=True)
class Protocol:
    """One of three ways to ask; `base` is behind the server's address, `path` is where requests of it arrive."""

    name: str
    base: str
    path: str

    def __str__(self) -> str:
        return self.name


OPENAI = Protocol("openai", "/v1", "/v1/chat/completions")
OLLAMA = Protocol("ollama", "", "/api/chat")
GEMINI = Protocol("gemini", "/v1beta", "/v1beta/models/tiny:streamGenerateContent")
every_protocol = pytest.mark.parametrize("protocol", [OPENAI, OLLAMA, GEMINI], ids=str)
with_thoughts = pytest.mark.parametrize("protocol", [OPENAI, GEMINI], ids=str)
only_openai = pytest.mark.parametrize("protocol", [OPENAI], ids=str)


class Told(NamedTuple):
    """What a provider said, however it was cut into pieces."""

    text: str = ""
    reasoning: str = ""
    called: str = ""
    arguments: str = ""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aimock(tmp_path_factory.mktemp("aimock"), ANSWERS) as url:
        yield url


@pytest.fixture
async def provider(protocol: Protocol, url: str) -> AsyncIterator[Provider]:
    async with connected(protocol, url) as ready:
        yield ready


@asynccontextmanager
async def connected(protocol: Protocol, url: str) -> AsyncGenerator[Provider]:
    endpoint = ProviderEndpoint(base_url=url + protocol.base, api_key=SecretStr(KEY))
    provider = build_providers({protocol.name: endpoint})[protocol.name]
    try:
        yield provider
    finally:
        await provider.close()


def asked(
    question: str, *before: PromptMessage, image: bytes | None = None, **parameters: Any
) -> Prompt:  # of many types
    shown = () if image is None else (PromptImage(image, "image/png"),)
    message = PromptMessage("user", (PromptText(question), *shown))
    return Prompt("tiny", (*before, message), Parameters(**parameters))


def told(deltas: Sequence[ProviderDelta]) -> Told:
    calls = [delta for delta in deltas if isinstance(delta, ToolCall)]
    return Told(
        "".join(delta.text for delta in deltas if isinstance(delta, Text)),
        "".join(delta.text for delta in deltas if isinstance(delta, Reasoning)),
        "".join(call.name or "" for call in calls),
        "".join(call.arguments for call in calls),
    )


def last_request(url: str) -> Json:
    return fetch(f"{url}/__aimock/journal")[-1]


@every_protocol
async def test_an_answer_comes_whole(provider: Provider) -> None:
    deltas, error = await collect(provider, asked("Capital of France?"))
    assert (told(deltas), deltas[-1], error) == (Told(TEXT), Finish("stop"), None)


@with_thoughts
async def test_what_was_used_is_told_once(provider: Provider) -> None:
    deltas, _ = await collect(provider, asked("Capital of France?"))
    assert [delta for delta in deltas if isinstance(delta, Usage)] == [Usage(input_tokens=11, output_tokens=7)]


@with_thoughts
async def test_thoughts_are_told_apart_from_words(provider: Provider) -> None:
    deltas, error = await collect(provider, asked("Think about France."))
    assert (told(deltas), error) == (Told("Paris.", "Recall maps."), None)


@every_protocol
async def test_a_request_arrives_where_and_as_it_was_meant(protocol: Protocol, provider: Provider, url: str) -> None:
    before = PromptMessage("system", (PromptText("Be brief."),))
    await collect(provider, asked("Capital of France?", before, temperature=0.5, max_output_tokens=9))

    request = last_request(url)
    body = {name: value for name, value in request["body"].items() if not name.startswith("_")}
    limit = "max_completion_tokens" if protocol == OPENAI else "max_tokens"  # the journal's name for the others'
    more = {"stream_options": {"include_usage": True}} if protocol == OPENAI else {}
    assert (request["path"].partition("?")[0], body) == (
        protocol.path,
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Capital of France?"},
            ],
            "stream": True,
            "temperature": 0.5,
            limit: 9,
            **more,
        },
    )


@only_openai  # of others' images the journal says nothing
async def test_an_image_arrives_with_the_question(provider: Provider, url: str) -> None:
    await collect(provider, asked("Capital of France?", image=png(8, 8)))
    words, image = last_request(url)["body"]["messages"][0]["content"]
    assert (words, image["type"]) == ({"type": "text", "text": "Capital of France?"}, "image_url")
    assert image["image_url"]["url"].startswith("data:image/png;base64,")


@every_protocol
async def test_a_tool_is_called(provider: Provider) -> None:
    deltas, error = await collect(provider, asked("Pour some water.", tools=[POUR]))
    assert (told(deltas), error) == (Told(called="pour", arguments='{"ml":200}'), None)
    assert next(delta.id for delta in deltas if isinstance(delta, ToolCall))


@every_protocol
async def test_a_tools_result_is_answered(protocol: Protocol, provider: Provider, url: str) -> None:
    call = CalledTool(id="call_1", name="pour", arguments='{"ml":200}')
    prompt = Prompt(
        "tiny",
        (
            PromptMessage("user", (PromptText("Poured?"),)),
            PromptMessage("assistant", (), tool_calls=(call,)),
            PromptMessage("tool", (PromptText('{"poured":true}'),), tool_call_id="call_1"),
        ),
        Parameters(tools=[POUR]),
    )
    deltas, error = await collect(provider, prompt)
    assert (told(deltas), error) == (Told("It is poured."), None)


@only_openai
async def test_a_schema_is_asked_for_as_one(provider: Provider, url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"type": "string"}},
        "required": ["label"],
        "additionalProperties": False,
    }
    prompt = asked("A reading, please.")
    deltas, error = await collect(
        provider, Prompt(prompt.model, prompt.messages, response_schema=ResponseSchema("reading", schema))
    )

    assert (told(deltas), error) == (Told('{"label":"cat"}'), None)
    assert last_request(url)["body"]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reading", "schema": schema, "strict": True},
    }


@every_protocol
@pytest.mark.parametrize(
    ("question", "expected", "retry_after_s"),
    [
        ("Too often?", ProviderRateLimited, 7),
        ("Stranger?", ProviderAuth, None),
        ("Dropped?", ProviderOverloaded, None),
        ("Never heard of it", ProviderOverloaded, None),
    ],
)
async def test_a_refusal_says_what_can_be_done(
    provider: Provider, question: str, expected: type[ProviderError], retry_after_s: float | None
) -> None:
    deltas, error = await collect(provider, asked(question))
    assert error is not None
    assert (deltas, type(error), error.retry_after_s) == ([], expected, retry_after_s)


@every_protocol
async def test_an_answer_that_is_no_answer_is_an_error(provider: Provider) -> None:
    deltas, error = await collect(provider, asked("Garbled?"))
    assert (deltas, isinstance(error, ProviderError)) == ([], True)


@every_protocol
@pytest.mark.parametrize("question", ["Truncated?", "Disconnected?"])
async def test_an_answer_that_breaks_off_is_an_error_after_what_was_said(provider: Provider, question: str) -> None:
    deltas, error = await collect(provider, asked(question))
    assert type(error) is StreamIncomplete
    assert BROKEN["response"]["content"].startswith(told(deltas).text)
    assert deltas
