"""An api with this dialect, a worker beside it, and every provider's part played by one script."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from shared.settings import ProviderEndpoint, Settings
from tests.hearing_worker import hearing_worker
from tests.scripted_provider import Exchange, ScriptedProvider, model_list
from tests.served import Served, served

PASSWORD = "SecureP@ssw0rd!"
SERVER_KEY = "sk-of-the-server"
JWT_SECRET = "a-secret-of-32-bytes-nobody-has-seen"
GPT = {"title": "My New Conversation", "model": "gpt-4o"}


def settings_with(settings: Settings, provider: ScriptedProvider) -> Settings:
    """OpenAI with a key, a server of one's own that lists `llama3`, and Zhipu's address without a key."""
    provider.play(model_list("gpt-4o"), path="/v1/models")
    provider.play(model_list("llama3"), path="/mylab/models")
    endpoints = {
        "openai": ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr(SERVER_KEY)),
        "mylab": ProviderEndpoint(base_url=f"{provider.url}/mylab"),
        "zhipu": ProviderEndpoint(base_url=f"{provider.url}/zhipu"),
    }
    return settings.model_copy(
        update={"providers": endpoints, "registration": "open", "jwt_secret": SecretStr(JWT_SECRET)}
    )


@dataclass(frozen=True)
class Rig:
    """What a test works with; `client` and `other` have logged in as two users."""

    api: Served
    provider: ScriptedProvider
    client: httpx.AsyncClient
    other: httpx.AsyncClient

    async def create(self, **wanted: str) -> int:
        """Make a conversation and return its id."""
        answer = await self.client.post("/api/conversations/create", json=GPT | wanted)
        assert answer.status_code == 200, answer.text
        conversation_id: int = answer.json()["conversation_id"]
        return conversation_id

    async def say(self, conversation_id: int, message: str = "Hi") -> list[dict[str, str]]:
        """Say something and return the frames of the answer."""
        answer = await self.client.post(f"/api/chat/{conversation_id}", json={"message": message})
        assert answer.status_code == 200, answer.text
        return frames_of(answer.text)

    async def history(self, conversation_id: int) -> dict[str, Any]:  # JSON
        """Return a conversation as it is shown."""
        answer = await self.client.get(f"/api/conversations/history/{conversation_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def words(self, conversation_id: int) -> list[tuple[int, str, str]]:
        """Return which message is whose, and what it says."""
        messages = (await self.history(conversation_id))["messages"]
        return [(message["message_id"], message["role"], message["content"]) for message in messages]

    @property
    def asked(self) -> list[Exchange]:
        """The chat requests that providers got."""
        return [exchange for exchange in self.provider.exchanges if exchange.method == "POST"]


def frames_of(text: str) -> list[dict[str, str]]:
    """Read a stream as its document has it: one JSON object, and an empty line."""
    assert text.endswith("\n\n")
    return [json.loads(block) for block in text.removesuffix("\n\n").split("\n\n")]


def message(data: str) -> dict[str, str]:
    return {"data": data, "event": "message"}


def ending(text: str) -> list[dict[str, str]]:
    """The frames at the end of an answer."""
    return [{"data": "Stream finished", "event": "done"}, {"data": text, "event": "full_response"}]


async def names_in_redis(rig: Rig) -> list[str]:
    """Return the names of all that this system has in Redis."""
    front = rig.api.front
    names = await front.redis.keys(f"{front.settings.redis.prefix}*")  # pyright: ignore[reportUnknownMemberType]
    return [name.decode() if isinstance(name, bytes) else name for name in names]


@asynccontextmanager
async def rig_with(settings: Settings, provider: ScriptedProvider) -> AsyncGenerator[Rig]:
    """Serve, and work, until the block is left; users that are there already log in only."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(served(settings))
        await stack.enter_async_context(hearing_worker(settings))
        anna, ben = [await stack.enter_async_context(await client_of(api, name)) for name in ("anna", "ben")]
        yield Rig(api, provider, anna, ben)


async def client_of(api: Served, username: str) -> httpx.AsyncClient:
    """Return a client of a user's, who is registered if need be."""
    wanted = {"username": username, "password": PASSWORD}
    registered = await api.stranger.post("/api/users/register", json=wanted)
    assert registered.status_code in (201, 400), registered.text
    login = await api.stranger.post("/api/users/login", json=wanted)
    assert login.status_code == 200, login.text
    return api.client_with(login.json()["token"])
