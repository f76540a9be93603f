"""A scripted provider, a bench, a worker's runtime in this process, and workers in processes of their own."""

from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from pydantic import SecretStr

from shared.domain.jobs import Queue
from shared.settings import ProviderEndpoint, Settings
from shared.settings_providers import ProviderLimits
from tests.integration.workers.bench import Bench, WorkerProcess, open_bench
from tests.integration.workers.gate_world import World
from tests.scripted_provider import ScriptedProvider
from tests.stack import TestStack
from workers.runtime import Runtime


@pytest.fixture
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """The settings of `tests.conftest`, with the scripted provider as OpenAI and as Ollama."""
    providers = {
        "openai": ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr("sk-scripted")),
        "ollama": ProviderEndpoint(base_url=provider.url),
    }
    return settings.model_copy(update={"providers": providers})


@pytest.fixture
async def bench(settings: Settings) -> AsyncGenerator[Bench]:
    async with open_bench(settings) as bench:
        yield bench


@pytest.fixture
async def runtime(settings: Settings) -> AsyncGenerator[Runtime]:
    """A registered worker that hears no bells: tests let its runner run jobs."""
    runtime = await Runtime.open(settings, queues=list(Queue), slots=10, decoders=1)
    await runtime.register()
    yield runtime
    await runtime.close()


@pytest.fixture
async def workers(settings: Settings) -> AsyncGenerator[Callable[..., WorkerProcess]]:
    """Starts worker processes; whatever is left of them is killed."""
    started: list[WorkerProcess] = []

    def start(*, queues: tuple[Queue, ...] = (Queue.CHAT,), slots: int = 10, **update: object) -> WorkerProcess:
        started.append(WorkerProcess(settings.model_copy(update=update), queues=queues, slots=slots))
        return started[-1]

    yield start
    for worker in started:
        await worker.end()


@pytest.fixture
async def world(
    stack: TestStack, redis_prefix: str, provider: ScriptedProvider, request: pytest.FixtureRequest
) -> AsyncGenerator[World]:
    """A world, with the limits a test is parametrized with."""
    world = World(stack, redis_prefix, provider, getattr(request, "param", ProviderLimits()))
    yield world
    await world.close()
