"""A served api, a worker that hears, a scripted provider as OpenAI, and the official SDK as the client."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic import SecretStr

from shared.settings import ProviderEndpoint, Settings
from tests.hearing_worker import hearing_worker
from tests.scripted_provider import ScriptedProvider
from tests.served import NO_TLS, Served, served

PROVIDERS_KEY = "sk-scripted-secret"
NewClient = Callable[..., AsyncOpenAI]


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    endpoint = ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr(PROVIDERS_KEY))
    return settings.model_copy(update={"providers": {"openai": endpoint}, "default_model": "openai/scripted"})


@pytest.fixture
async def api(settings: Settings) -> AsyncGenerator[Served]:
    """A front without a worker: what it accepts waits."""
    async with served(settings) as running:
        yield running


@pytest.fixture
async def system(api: Served, settings: Settings) -> AsyncGenerator[Served]:
    async with hearing_worker(settings):
        yield api


@pytest.fixture
async def new_client(api: Served) -> AsyncGenerator[NewClient]:
    """Makes SDK clients; they show what they are given, and try nothing again unless told so."""
    made: list[AsyncOpenAI] = []

    def make(secret: str, *, path: str = "/v1", max_retries: int = 0) -> AsyncOpenAI:
        http = DefaultAsyncHttpxClient(verify=NO_TLS, trust_env=False)
        made.append(AsyncOpenAI(api_key=secret, base_url=api.url + path, max_retries=max_retries, http_client=http))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def secret(api: Served) -> str:
    """An API key that is good for jobs."""
    return await new_key(api)


@pytest.fixture
async def client(new_client: NewClient, secret: str) -> AsyncOpenAI:
    return new_client(secret)


async def new_key(api: Served, *, owner: str = "local", scope: str = "jobs") -> str:
    answer = await api.client.post("/v2/keys", json={"name": "a key", "scopes": [scope], "owner": owner})
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["secret"]
    return secret
