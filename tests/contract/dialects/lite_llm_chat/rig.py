"""An api with this dialect, a worker beside it, and DeepSeek's part played by a script."""

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from shared.settings import ProviderEndpoint, Settings
from tests.hearing_worker import hearing_worker
from tests.scripted_provider import ScriptedProvider, model_list
from tests.served import NO_TLS, Served, served

API = "/api/v1"
PAGE = "http://localhost:5173"
"""Where the old web page is served from."""
KEY = "sk-scripted-0123456789"
MODELS = ("deepseek-chat", "deepseek-reasoner")
ASK: dict[str, Any] = {"provider": "deepseek", "model": "deepseek-chat"}  # JSON


def settings_with(settings: Settings, provider: ScriptedProvider, **dialects: Any) -> Settings:
    """Settings with DeepSeek as the only provider beside `demo`."""
    endpoint = ProviderEndpoint(base_url=provider.url, api_key=SecretStr(KEY))
    spoken = settings.dialects.model_copy(update=dialects)
    changes = {"providers": {"deepseek": endpoint}, "dialects": spoken, "allowed_origins": (PAGE,)}
    return settings.model_copy(update=changes)


@dataclass(frozen=True)
class System:
    """An api, a worker that is not seen, and the provider that it asks."""

    api: Served
    provider: ScriptedProvider


@dataclass(frozen=True)
class Rig(System):
    """What a test works with; `client` and `other` have keys of two owners in their base URLs, as old clients can."""

    owner: str
    client: httpx.AsyncClient
    other: httpx.AsyncClient

    async def chat(self, content: str = "Hi", **wanted: Any) -> list[dict[str, Any]]:
        """Say something, and return the events of the answer."""
        async with self.client.stream("POST", f"{API}/chat", json=said(content) | wanted) as response:
            assert response.status_code == 200, await response.aread()
            return [event async for event in events_of(response)]

    async def whole(self, content: str = "Hi", **wanted: Any) -> httpx.Response:
        """Say something, and return the answer."""
        return await self.client.post(f"{API}/chat", json=said(content) | {"stream": False} | wanted, timeout=10)

    async def session(self, session_id: int) -> dict[str, Any]:  # JSON
        """Return a session with its messages."""
        answer = await self.client.get(f"{API}/sessions/{session_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sessions(self) -> list[dict[str, Any]]:  # JSON
        """Return the list of sessions."""
        return (await self.client.get(f"{API}/sessions")).json()

    async def words(self, session_id: int) -> list[tuple[str, str]]:
        """Return who said what in a session."""
        return [(message["role"], message["content"]) for message in (await self.session(session_id))["messages"]]

    async def uploaded(self, content: bytes, *, name: str = "a.bin", client: httpx.AsyncClient | None = None) -> str:
        """Upload a file as the old page does, and return where it is."""
        answer = await (client or self.client).post(f"{API}/upload", files={"file": (name, content)})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"url"}
        return answer.json()["url"]

    def sent(self, number: int = -1) -> dict[str, Any]:  # JSON
        """Return a chat request as the provider saw it."""
        return [exchange.json for exchange in self.provider.exchanges if exchange.method == "POST"][number]

    def sent_words(self, number: int = -1) -> list[tuple[str, Any]]:
        """Return who said what in it."""
        return [(message["role"], message["content"]) for message in self.sent(number)["messages"]]


def said(content: str = "Hi", **message: Any) -> dict[str, Any]:  # JSON
    """A request with one message of the user's."""
    return ASK | {"messages": [{"role": "user", "content": content} | message]}


async def events_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a stream, strictly as the contract has them; comments stand in blocks of their own."""
    text = (await response.aread()).decode("ascii")
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        assert block.startswith("data: ")
        assert "\n" not in block
        yield json.loads(block.removeprefix("data: "))


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the answer that events amount to."""
    return "".join(event.get("content", "") for event in events)


@asynccontextmanager
async def system_with(settings: Settings, provider: ScriptedProvider) -> AsyncGenerator[System]:
    """Serve, and work, until the block is left."""
    async with served(settings) as api, hearing_worker(settings):
        yield System(api, provider)


@asynccontextmanager
async def owners_of(system: System) -> AsyncGenerator[Rig]:
    """Give two owners of a system who have nothing yet."""
    anna, ben = (f"{name}-{secrets.token_hex(4)}" for name in ("anna", "ben"))
    system.provider.play(model_list(*MODELS), path="/models")
    async with await client_of(system.api, anna) as client, await client_of(system.api, ben) as other:
        yield Rig(system.api, system.provider, anna, client, other)


async def client_of(api: Served, owner: str) -> httpx.AsyncClient:
    """Return a client with a key of an owner's in its base URL."""
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": ["jobs"], "owner": owner})
    base_url = f"{api.url}/d/{made.json()['secret']}"
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=NO_TLS, timeout=10)
