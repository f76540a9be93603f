"""An api with this dialect, a worker beside it, OpenAI's part played by a script; and doubles of the old clients."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.settings import ProviderEndpoint, Settings
from tests.hearing_worker import hearing_worker
from tests.integration.api.accounts import PASSWORD, new_user
from tests.scripted_provider import ScriptedProvider, model_list
from tests.served import Served, served

KEY = "sk-of-the-server-0123456789"
COMPLETE = {"type": "complete", "chunk": ""}


def settings_with(settings: Settings, provider: ScriptedProvider) -> Settings:
    """Settings with the scripted provider as OpenAI, which also answers who names no model."""
    provider.play(model_list("gpt-4"), path="/v1/models")
    endpoint = ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr(KEY))
    return settings.model_copy(update={"providers": {"openai": endpoint}, "default_model": "openai/scripted"})


def chunk(text: str) -> dict[str, str]:
    """A chunk's frame."""
    return {"chunk": text, "type": "chunk", "content": text}


@dataclass(frozen=True)
class Rig:
    """What a test works with. `client` and `other` are two users who logged in at `/token`."""

    api: Served
    provider: ScriptedProvider
    client: httpx.AsyncClient
    other: httpx.AsyncClient

    async def chat(self, message: str, session_id: str = "", client: httpx.AsyncClient | None = None) -> dict[str, Any]:
        """Say something, and return the JSON of the answer."""
        asked = {"message": message, "session_id": session_id}
        answer = await (client or self.client).post("/chat", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def session(self, **wanted: Any) -> str:
        """Make a session with `/set-llm`."""
        made = await self.client.post("/set-llm", json=wanted)
        assert made.status_code == 200, made.text
        return made.json()["session_id"]

    @asynccontextmanager
    async def socket(
        self, session_id: str, *, client: httpx.AsyncClient | None = None, **options: Any
    ) -> AsyncGenerator[ClientConnection]:
        """Open a session's socket."""
        headers = shown_by(client or self.client)
        async with connect(self.ws_url(session_id), additional_headers=headers, proxy=None, **options) as websocket:
            yield websocket

    def ws_url(self, session_id: str, query: str = "") -> str:
        """Return where a session's socket is."""
        return f"{self.api.url.replace('http', 'ws', 1)}/ws/{session_id}{query}"

    def asked(self) -> list[dict[str, Any]]:  # JSON
        """Return the chat requests that the provider saw."""
        return [exchange.json for exchange in self.provider.exchanges if exchange.method == "POST"]

    def sent(self, number: int = -1) -> list[tuple[str, str]]:
        """Return who said what in a chat request."""
        return [(message["role"], message["content"]) for message in self.asked()[number]["messages"]]


def shown_by(client: httpx.AsyncClient) -> dict[str, str]:
    """Return the header with a client's credential."""
    return {"Authorization": client.headers["authorization"]}


async def token_of(api: Served, username: str, password: str = PASSWORD) -> httpx.Response:
    """Log in as the document shows it."""
    return await api.stranger.post("/token", data={"username": username, "password": password})


async def hear(websocket: ClientConnection) -> dict[str, Any]:  # JSON
    """Return the next frame."""
    async with asyncio.timeout(5):
        return json.loads(await websocket.recv())


async def answer_on(websocket: ClientConnection, said: str | None = None) -> list[dict[str, Any]]:  # JSON
    """Say something, if anything, and return the frames up to the last one of its answer."""
    if said is not None:
        await websocket.send(said)
    frames: list[dict[str, Any]] = []
    while not frames or not ("error" in frames[-1] or frames[-1] == COMPLETE):
        frames.append(await hear(websocket))
    return frames


async def ending_of(websocket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:  # JSON
    """Return the frames until the server closes the socket, and with which code it does."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        try:
            while True:
                frames.append(json.loads(await websocket.recv()))
        except ConnectionClosed as closed:
            return frames, closed.rcvd.code if closed.rcvd else None


async def refusal_of(url: str, **options: Any) -> tuple[int, Any]:  # JSON
    """Return the status and the body with which a handshake is refused."""
    try:
        async with connect(url, proxy=None, **options):
            return 101, None
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body or b"null")


@asynccontextmanager
async def rig_with(settings: Settings, provider: ScriptedProvider) -> AsyncGenerator[Rig]:
    """Serve, and work, until the block is left."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(served(settings))
        await stack.enter_async_context(hearing_worker(settings))
        clients: list[httpx.AsyncClient] = []
        for name in ("anna", "ben"):
            await new_user(api, name)
            token = (await token_of(api, name)).json()["access_token"]
            clients.append(await stack.enter_async_context(api.client_with(token)))
        yield Rig(api, provider, *clients)
