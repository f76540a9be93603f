"""`GET /v2/models` and `GET /v2/providers`: what is offered, and what is asked of a worker for it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from shared.adapters.redis_first_tokens import RedisFirstTokens
from shared.domain.first_tokens import Noted, bucket_of
from shared.providers_known import KNOWN
from shared.settings import ProviderEndpoint, Settings
from tests.integration.api.upkeep import InProcess, upkeep_of
from tests.scripted_provider import ScriptedProvider, answer, model_list
from tests.served import Served, served

GROQS_LEAST = {
    "vision": None,
    "audio": False,
    "video": False,
    "reasoning": None,
    "tools": None,
    "schema_mode": "json_schema",
    "makes": ["answer"],
}
"""What a model can do of which nothing is known but that Groq has it."""


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
            {
                "id": "groq/llama-9",
                "provider": "groq",
                "name": "llama-9",
                "aliases": [],
                "context_length": None,
                "max_output_tokens": None,
                "capabilities": GROQS_LEAST,
                "stops_billing_on_abort": "no",
                "first_token": None,
            },
            {
                "id": "groq/openai/gpt-oss",
                "provider": "groq",
                "name": "openai/gpt-oss",
                "aliases": [],
                "context_length": None,
                "max_output_tokens": None,
                "capabilities": GROQS_LEAST | {"vision": False, "reasoning": True, "tools": True},
                "stops_billing_on_abort": "no",
                "first_token": None,
            },
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


async def test_a_list_tells_what_its_models_can_do_and_by_that_they_are_found(
    api: Served, worker: InProcess, provider: ScriptedProvider
) -> None:
    sees = {"id": "seer", "context_window": 8192, "max_completion_tokens": 4096, "capabilities": {"vision": True}}
    reads = {"id": "reader", "aliases": ["reader-1"], "capabilities": {"vision": False}}
    provider.play(answer({"data": [sees, reads, {"id": "stranger"}]}))
    await worker.fetch("groq")
    found = {
        query: [model["id"] for model in (await models(api, f"/v2/models?provider=groq{query}")).json()["models"]]
        for query in ("", "&vision=true", "&vision=false", "&vision=true&audio=false", "&audio=true", "&makes=images")
    }
    assert found == {
        "": ["groq/seer", "groq/reader", "groq/stranger"],
        "&vision=true": ["groq/seer"],
        "&vision=false": ["groq/reader"],
        "&vision=true&audio=false": ["groq/seer"],
        "&audio=true": [],
        "&makes=images": [],
    }
    [seer] = (await models(api, "/v2/models?vision=true")).json()["models"]
    assert (seer["context_length"], seer["max_output_tokens"]) == (8192, 4096)
    assert seer["capabilities"] == GROQS_LEAST | {"vision": True}
    [reader] = (await models(api, "/v2/models?vision=false")).json()["models"]
    assert reader["aliases"] == ["groq/reader-1"]
    by_alias = [(await models(api, f"/v1/models/{name}")).json()["id"] for name in ("reader-1", "groq/reader-1")]
    assert by_alias == ["groq/reader", "groq/reader"]


async def test_who_draws_and_films_is_found_by_what_is_wanted(settings: Settings) -> None:
    doubao = ProviderEndpoint(base_url="http://127.0.0.1:1", api_key=SecretStr("ark"))
    async with served(settings.model_copy(update={"providers": {"doubao": doubao}})) as api:
        made = {kind: (await models(api, f"/v2/models?makes={kind}")).json()["models"] for kind in ("images", "video")}
    assert {kind: {model["id"].rpartition("-")[0] for model in found} for kind, found in made.items()} == {
        "images": {"doubao/doubao-seedream-4-0", "doubao/doubao-seedream-4-5"},
        "video": {
            f"doubao/doubao-seedance-{version}"
            for version in ("1-0-lite-i2v", "1-0-lite-t2v", "1-0-pro", "1-0-pro-fast", "1-5-pro")
        },
    }


async def test_the_time_to_the_first_token_is_told_of_models_and_providers(
    api: Served, settings: Settings, worker: InProcess
) -> None:
    await worker.fetch("groq")
    counts = RedisFirstTokens(api.front.redis, settings.redis.prefix)
    minute = int(time.time() // 60)
    await counts.add({Noted(minute, "groq/llama-9", bucket_of(0.2)): 96, Noted(minute, "groq/x", bucket_of(4)): 4})
    told = (await models(api, "/v2/models?provider=groq")).json()["models"]
    of_provider = [one for one in (await models(api, "/v2/providers")).json()["providers"] if one["first_token"]]
    assert [model["first_token"] for model in told] == [{"p50_s": 0.203, "p95_s": 0.203, "calls": 96}, None]
    assert [(one["id"], one["first_token"]["calls"]) for one in of_provider] == [("groq", 100)]


async def test_the_providers_are_told_and_nobody_is_waited_for(
    api: Served, worker: InProcess, provider: ScriptedProvider
) -> None:
    before = (await models(api, "/v2/providers")).json()["providers"]
    assert [(one["id"], one["listed_at"], one["model_count"]) for one in before[:2]] == [
        ("demo", None, 1),
        ("groq", None, len(KNOWN["groq"].models)),
    ]
    provider.play(answer({"data": [{"id": "a", "capabilities": {"vision": True}}, {"id": "gpt-oss"}]}))
    await worker.fetch("groq")
    await models(api)  # with it the new list is believed
    told = (await models(api, "/v2/providers")).json()
    others = sorted(KNOWN.keys() - {"groq", "demo"})
    assert [one["id"] for one in told["providers"]] == ["demo", "groq", *others]
    demo, groq, deepseek = (one for one in told["providers"] if one["id"] in ("demo", "groq", "deepseek"))
    assert re.fullmatch(r"20\d\d-.*Z", groq["listed_at"])
    assert told["default_model"] == "groq/llama-9"
    assert groq == {
        "id": "groq",
        "name": "Groq",
        "description": "Groq (OpenAI-compatible) language models",
        "is_configured": True,
        "is_default": True,
        "how_to_configure": None,
        "has_list": True,
        "listed_at": groq["listed_at"],
        "error": None,
        "model_count": 2,
        "capabilities": GROQS_LEAST,
        "stops_billing_on_abort": "no",
        "first_token": None,
    }
    assert deepseek == {
        "id": "deepseek",
        "name": "DeepSeek",
        "description": "DeepSeek AI language models",
        "is_configured": False,
        "is_default": False,
        "how_to_configure": "set DEEPSEEK_API_KEY",
        "has_list": True,
        "listed_at": None,
        "error": None,
        "model_count": 0,
        "capabilities": GROQS_LEAST | {"schema_mode": "json_object"},
        "stops_billing_on_abort": "yes",
        "first_token": None,
    }
    assert (demo["is_configured"], demo["has_list"], demo["model_count"]) == (True, False, 1)


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v2/models?provider=openai", 422, "provider"),
        ("/v2/models?provider=%00", 422, "provider"),
        (f"/v2/models?provider={'x' * 41}", 422, "provider"),
        ("/v2/models?providers=groq", 422, "providers"),
        ("/v2/models?vision=perhaps", 422, "vision"),
        ("/v2/models?makes=coffee", 422, "makes"),
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
