"""Connections that a provider keeps open, made when they are first wanted: they belong to the loop that runs."""

import ssl
from functools import cache
from typing import Final

import aiohttp
import httpx2

MAX_CONNECTIONS: Final = 10_000
"""As many as a worker may have slots: waiting for a connection would look like a slow provider."""


class Connections:
    """Those to one place, for all keys."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the session; it knows no credential, no cookie and nothing of the environment."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=_authorities()),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={
                    "Content-Type": "application/json",
                    "Accept-Encoding": "identity",  # a compressed stream is held back until a block is full
                },
            )
        return self._session

    async def close(self) -> None:
        """Close them; what runs over them breaks."""
        if self._session is not None:
            await self._session.close()


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom every connection trusts: reading that takes 20 ms."""
    return httpx2.create_ssl_context(trust_env=False)
