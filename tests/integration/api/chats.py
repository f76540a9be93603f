"""What tests of chats over HTTP share: an api with a scripted provider, and a worker that runs what it is told to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from shared.domain.ids import JobId
from shared.domain.jobs import Queue
from shared.settings import ProviderEndpoint, Settings
from tests.scripted_provider import ScriptedProvider
from tests.served import Served, served
from workers.runtime import Runtime

MODEL = "openai/scripted"
SERVER_KEY = "sk-of-the-server"


def with_provider(settings: Settings, provider: ScriptedProvider) -> Settings:
    """Settings with the scripted provider as OpenAI, and as where who names no model is answered."""
    endpoint = ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr(SERVER_KEY))
    return settings.model_copy(update={"providers": {"openai": endpoint}, "default_model": MODEL})


@dataclass(frozen=True)
class Chatting:
    """An api, its scripted provider, and a worker that hears no bells."""

    api: Served
    provider: ScriptedProvider
    runtime: Runtime

    async def new(self, client: httpx.AsyncClient | None = None, **wanted: Any) -> str:
        """Make a chat and return its path."""
        return await new_chat(client or self.api.client, **wanted)

    async def run(self, job_id: str) -> None:
        """Let the worker run a job to its end, if it may be taken."""
        await self.runtime.runner.run(JobId(UUID(job_id)))

    async def said(self, chat: str, text: str, **wanted: Any) -> str:
        """Say something and return the job's id."""
        answer = await self.api.client.post(f"{chat}/messages", json={"text": text} | wanted)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    async def answered(self, chat: str, text: str, **wanted: Any) -> dict[str, Any]:  # JSON
        """Say something, have it answered, and return the job."""
        job_id = await self.said(chat, text, **wanted)
        await self.run(job_id)
        job: dict[str, Any] = (await self.api.client.get(f"/v2/jobs/{job_id}")).json()
        return job

    async def messages(self, chat: str) -> list[dict[str, Any]]:  # JSON
        """Return everything that was said."""
        page = (await self.api.client.get(f"{chat}/messages?limit=100")).json()
        assert page["next"] is None
        return page["messages"]

    async def words(self, chat: str) -> list[tuple[str, str]]:
        """Return who said what."""
        return [(message["role"], message["text"]) for message in await self.messages(chat)]

    def sent(self, number: int = -1) -> list[tuple[str, str]]:
        """Return who said what in a request to the provider."""
        return [(message["role"], message["content"]) for message in self.provider.exchanges[number].json["messages"]]


async def new_chat(client: httpx.AsyncClient, **wanted: Any) -> str:
    """Make a chat and return its path."""
    answer = await client.post("/v2/chats", json=wanted)
    assert answer.status_code == 201, answer.text
    path: str = answer.headers["location"]
    return path


@asynccontextmanager
async def chatting_with(settings: Settings, provider: ScriptedProvider) -> AsyncGenerator[Chatting]:
    """Serve, with a registered worker in this process."""
    settings = with_provider(settings, provider)
    runtime = await Runtime.open(settings, queues=list(Queue), slots=10, decoders=1)
    try:
        await runtime.register()
        async with served(settings) as api:
            yield Chatting(api, provider, runtime)
    finally:
        await runtime.close()
