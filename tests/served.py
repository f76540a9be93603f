"""The front served by uvicorn on a real socket, inside the test's own event loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.front import Front
from shared.settings import Settings
from tests.quick_settings import ADMIN_TOKEN
from tests.stack import eventually

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no authorities: reading them takes 30 ms for each client, and nothing here speaks TLS."""


@dataclass(frozen=True)
class Served:
    """A running api. `client` carries the administrator's token, `stranger` no credential."""

    url: str
    app: FastAPI
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient

    @property
    def front(self) -> Front:
        """The opened parts behind the routes."""
        front: Front = self.app.state.front
        return front

    def client_with(self, secret: str) -> httpx.AsyncClient:
        """A client that carries a key; the caller closes it."""
        return httpx.AsyncClient(base_url=self.url, headers=bearer(secret), trust_env=False, verify=NO_TLS)


@asynccontextmanager
async def served(settings: Settings) -> AsyncGenerator[Served]:
    """Serve until the block is left."""
    app = create_app(settings)
    # Named as TCP, or asyncio leaves Nagle's algorithm on for what it accepts: 40 ms for every answer in two writes.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app, lifespan="on", log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))  # pyright: ignore[reportPrivateUsage] - serve() takes the test's signal handlers
        try:
            await eventually(lambda: _is_up(server, serving), within=10, expecting="the api")
            async with (
                httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False, verify=NO_TLS) as client,
                httpx.AsyncClient(base_url=url, trust_env=False, verify=NO_TLS) as stranger,
            ):
                yield Served(url, app, client, stranger)
        finally:
            server.should_exit = True
            await serving


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def _is_up(server: uvicorn.Server, serving: asyncio.Task[None]) -> bool:
    if serving.done():
        serving.result()
        raise AssertionError("the api ended while it started")
    return server.started
