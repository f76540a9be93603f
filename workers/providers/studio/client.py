"""Calls to providers that make pictures and films: one connection per call, one answer, and whether it was taken.

A connection is never used twice: of one that breaks when it is used again nobody knows whether the order went through.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple, Self

import aiohttp
import httpx2

from shared.domain.errors import InvalidRequest, OutcomeUnknown, ProviderError, ProviderTimeout
from workers.providers.classify import classify
from workers.providers.refusal import MAX_BODY_BYTES, Refusal, lower_names
from workers.providers.request_body import sendable
from workers.providers.transport import TRANSPORT_ERRORS, classify_transport

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Ten pictures of 20 MB each, in base64."""
NEVER_CONNECTED: Final = (
    aiohttp.ClientConnectorError,  # a proxy that cannot be reached among it
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
"""What is raised before a byte of a request was sent."""
NOT_TAKEN: Final = frozenset({503}) | (frozenset(range(300, 500)) - {408})
"""What says that nothing was done; a gateway that gave up waiting (408, 504) does not know, nor does one that broke."""
NO_HEADERS: Final[Mapping[str, str]] = {}


class Reply(NamedTuple):
    """What came back, whatever it says."""

    status: int
    headers: dict[str, str]
    content: bytes


class StudioClient:
    """One place, and the key to it; the key is in no error."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None,
        proxy: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._proxy = proxy
        self._headers = headers

    def with_key(self, api_key: str) -> Self:
        """Return this one with another key.

        Raises:
            InvalidRequest: if no key can look like this.
        """
        if not (api_key.isascii() and api_key.isprintable()) or not api_key or " " in api_key:
            raise InvalidRequest("A provider's key is printable ASCII without spaces.", field="api_key")
        return type(self)(self.name, base_url=self.base_url, api_key=api_key, proxy=self._proxy, headers=self._headers)

    async def order(self, path: str, body: bytes | aiohttp.FormData, *, connect_s: float, within_s: float) -> bytes:
        """Post something that costs money, once; return the answer.

        Raises:
            ProviderError: if it was certainly not taken.
            OutcomeUnknown: if it may have been.
        """
        try:
            async with asyncio.timeout(within_s):
                reply = await self._exchange("POST", path, body, connect_s=connect_s)
        except NEVER_CONNECTED as error:
            raise classify_transport(error, provider=self.name, base_url=self.base_url) from error
        except TimeoutError as error:
            raise OutcomeUnknown(f"{self.name} did not answer within {within_s:g} s") from error
        except TRANSPORT_ERRORS as error:
            broken = classify_transport(error, provider=self.name, base_url=self.base_url)
            raise OutcomeUnknown(broken.detail) from error
        if 200 <= reply.status < 300:
            return reply.content
        refused = self._refused(reply)
        raise refused if reply.status in NOT_TAKEN else OutcomeUnknown(refused.detail)

    async def ask(self, method: str, path: str, *, connect_s: float, within_s: float) -> bytes:
        """Ask for something that may be asked again; return the answer.

        Raises:
            ProviderError: if there is none.
        """
        try:
            async with asyncio.timeout(within_s):
                reply = await self._exchange(method, path, None, connect_s=connect_s)
        except TRANSPORT_ERRORS as error:  # a timeout that is ours among them
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise ProviderTimeout(f"{self.name} did not answer within {within_s:g} s") from error
            raise classify_transport(error, provider=self.name, base_url=self.base_url) from error
        if 200 <= reply.status < 300:
            return reply.content
        raise self._refused(reply)

    def said_wrong(self, content: bytes) -> ProviderError:
        """Return the error that an answer with status 200 tells."""
        return classify(Refusal(None, content[:MAX_BODY_BYTES]), provider=self.name, secrets=self._secrets)

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (self._api_key,) if self._api_key else ()

    def _refused(self, reply: Reply) -> ProviderError:
        refusal = Refusal(reply.status, reply.content[:MAX_BODY_BYTES], reply.headers)
        return classify(refusal, provider=self.name, secrets=self._secrets)

    async def _exchange(
        self, method: str, path: str, body: bytes | aiohttp.FormData | None, *, connect_s: float
    ) -> Reply:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **self._headers}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if isinstance(body, bytes):
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_authorities(), force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
            ) as session,
            session.request(
                method,
                f"{self.base_url}{path}",
                data=sendable(body) if isinstance(body, bytes) else body,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response,
        ):
            return Reply(response.status, lower_names(response.headers), await self._content(response))

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise aiohttp.ClientPayloadError
            pieces.append(piece)
        return b"".join(pieces)


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom connections trust: reading that takes 20 ms."""
    return httpx2.create_ssl_context(trust_env=False)
