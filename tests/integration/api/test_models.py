"""`GET /v2/models` and `GET /v2/providers`: what is offered, and what is asked of a worker for it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from shared.providers_known import KNOWN
from shared.settings import ProviderEndpoint, Settings
from tests.integration.api.upkeep import InProcess, upkeep_of
from tests.scripted_provider import ScriptedProvider, answer, model_list
from tests.served import Served, served


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        provider.play(model_list("llama-9", "openai/gpt-oss"))
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    groq = ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr("gsk-scripted"))
    deepseek = ProviderEndpoint(base_url=provider.openai_url)  # without a key it is not configured
    return settings.model_copy(
        update={"providers": {"groq": groq, "deepseek": deepseek}, "default_model": "groq/llama-9"}
    )


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[InProcess]:
    async with upkeep_of(settings) as (upkeep, _):
        yield upkeep


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def models(api: Served, path: str = "/v2/models") -> httpx.Response:
    return await api.client.get(path)


async def test_a_first_list_is_asked_of_a_worker_and_waited_for(
    api: Served, settings: Settings, worker: InProcess
) -> None:
    asking = asyncio.create_task(models(api, "/v2/models?provider=groq"))
    key = f"{settings.redis.prefix}media"
    heard = await api.front.redis.brpop([key], timeout=5)  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType, reportUnknownVariableType]
    assert heard is not None
    await worker.fetch("groq")
    told = (await asking).json()
    assert re.fullmatch(r"20\d\d-.*Z", told["lists"][0]["listed_at"])
    assert told == {
        "models": [
            {"id": "groq/llama-9", "provider": "groq", "name": "llama-9", "context_length": None},
            {"id": "groq/openai/gpt-oss", "provider": "groq", "name": "openai/gpt-oss", "context_length": None},
        ],
        "lists": [{"provider": "groq", "listed_at": told["lists"][0]["listed_at"], "error": None}],
    }


async def test_a_failed_list_tells_why_and_what_is_known_anyway(
    api: Served, worker: InProcess, provider: ScriptedProvider
) -> None:
    provider.play(answer({"error": {"message": "Invalid API Key gsk-scripted"}}, status=401))
    await worker.fetch("groq")
    told = (await models(api)).json()
    assert [model["id"] for model in told["models"]] == [
        *(f"groq/{model}" for model in KNOWN["groq"].models),
        "demo/demo",
    ]
    assert told["lists"] == [
        {"provider": "groq", "listed_at": None, "error": "groq answered 401: Invalid API Key [key]"},
        {"provider": "demo", "listed_at": None, "error": None},
    ]


async def test_the_providers_are_told_with_what_else_could_be_configured(api: Served) -> None:
    told = (await models(api, "/v2/providers")).json()
    others = sorted(KNOWN.keys() - {"groq", "demo"})
    assert [one["name"] for one in told["unconfigured"]] == others
    assert told["unconfigured"][others.index("deepseek")] == {
        "name": "deepseek",
        "title": "DeepSeek",
        "description": "DeepSeek AI language models",
        "how_to_configure": "set DEEPSEEK_API_KEY",
    }
    assert told["default_model"] == "groq/llama-9"
    assert told["providers"] == [
        {
            "name": "demo",
            "title": "Demo",
            "description": "Needs no key, and says in every answer that it is not a model",
            "is_default": False,
        },
        {
            "name": "groq",
            "title": "Groq",
            "description": "Groq (OpenAI-compatible) language models",
            "is_default": True,
        },
    ]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v2/models?provider=openai", 422, "provider"),
        ("/v2/models?provider=%00", 422, "provider"),
        (f"/v2/models?provider={'x' * 41}", 422, "provider"),
        ("/v2/models?providers=groq", 422, "providers"),
        ("/v2/providers?all=1", 422, "all"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_field(api: Served, path: str, status: int, field: str) -> None:
    refused = await models(api, path)
    assert (refused.status_code, refused.json()["field"]) == (status, field)


async def test_a_job_is_refused_for_a_provider_that_is_known_and_not_configured(api: Served) -> None:
    asked = {
        "kind": "chat",
        "model": "deepseek/deepseek-flash",
        "input": {"messages": [{"role": "user", "content": "?"}]},
    }
    refused = await api.client.post("/v2/jobs", json=asked)
    assert (refused.status_code, refused.json()["field"]) == (422, "model")
    assert "configured: demo, groq" in refused.json()["detail"]
