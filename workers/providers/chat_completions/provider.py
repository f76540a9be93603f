"""Every provider that speaks chat completions: the OpenAI SDK for keys, URLs and connections, our own reader for bytes.

Traps of the SDK (3.54) this avoids: retries that sleep for up to two minutes inside the call; a read timeout that
comments reset; streams without an end, HTML pages and JSON errors that pass as empty success; organization, project and
custom headers from `OPENAI_*` variables sent to every provider. `client.post` instead of `chat.completions.create`
leaves out a walk over the whole body that only checks types: 0.3 ms of CPU a request instead of 1.1. The body is made
here, as bytes: the SDK would search a large one for characters to escape while the loop stands still.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from copy import copy
from functools import cache
from typing import Final, Self, cast

import httpx2
import openai
import structlog
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from shared.domain.errors import InvalidRequest, ProviderError
from shared.domain.events import Noted, StopsBilling
from shared.domain.models import ListedModel
from shared.settings_sources import is_near
from workers.providers.base import Clocks, Prompt, ProviderDelta
from workers.providers.chat_completions.asked import Asked, Asking
from workers.providers.chat_completions.chunks import ChunkReader
from workers.providers.chat_completions.row import OpenAICompatible
from workers.providers.classify import classify
from workers.providers.complete import complete
from workers.providers.model_lists import not_in_time, read_list, static_list, whole
from workers.providers.refusal import MAX_BODY_BYTES, Refusal, beginning, lower_names, text_of
from workers.providers.request_body import sendable
from workers.providers.transport import TRANSPORT_ERRORS, classify_transport, was_not_heard, was_not_sent

NO_KEY: Final = "none"
"""The SDK refuses to have no key; servers that want none ignore it."""
MAX_CONNECTIONS: Final = 10_000
"""As many as a worker may have slots: waiting for a connection would look like a slow provider."""
KEEP_ALIVE_S: Final = 30
DRAIN_S: Final = 0.05
"""After `[DONE]` only the body's end is missing. With it the connection can be used again, saving a TLS handshake."""
HEADERS: Final = {"Accept-Encoding": "identity"}
"""A compressed stream saves nothing at the size of a token, and is held back until a block is full."""
NO_HEADERS: Final[Mapping[str, str]] = {}
logger = structlog.get_logger(__name__)


class OpenAICompatibleProvider:
    """One provider of the table, at one place."""

    def __init__(
        self,
        row: OpenAICompatible,
        *,
        base_url: str,
        api_key: str | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._row = row
        self._headers = {**HEADERS, **headers}
        self._base_url = base_url
        self._secrets = (api_key,) if api_key else ()
        self._client = _discreet(_client(base_url, api_key=api_key or NO_KEY, proxy=proxy), self._headers)
        self._asking = Asking(row)
        self._is_derived = False
        """Whether the connections are another's."""
        self._may_be_kept = False
        """Whether an answer was read to its end, so that a request may go out over a connection that was kept."""

    @property
    def name(self) -> str:
        """See `Provider`."""
        return self._row.name

    @property
    def is_near(self) -> bool:
        """See `Provider`."""
        return is_near(self._base_url)

    @property
    def stops_billing_on_abort(self) -> StopsBilling:
        """See `Provider`."""
        return self._row.stops_billing_on_abort

    @property
    def media(self) -> frozenset[str]:
        """See `Provider`."""
        return self._row.media

    @property
    def first_delta_s(self) -> float:
        """See `workers.providers.clocks.Slow`."""
        return self._row.first_delta_s

    @property
    def idle_s(self) -> float:
        """See `workers.providers.clocks.Slow`."""
        return self._row.idle_s

    def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        """See `Provider`."""
        return complete(self._deltas(prompt, clocks), clocks, provider=self.name)

    def with_key(self, api_key: str) -> Self:
        """See `Provider`."""
        if not (api_key.isascii() and api_key.isprintable()) or not api_key or " " in api_key:
            raise InvalidRequest("A provider's key is printable ASCII without spaces.", field="api_key")
        derived = copy(self)
        derived._client = _discreet(self._client.with_options(api_key=api_key), self._headers)
        derived._secrets = (*self._secrets, api_key)
        derived._is_derived = True
        return derived

    async def list_models(self, timeout_s: float) -> list[ListedModel]:
        """See `Provider`."""
        listing = self._row.listing
        if listing is None:
            return static_list(self.name)
        try:
            async with asyncio.timeout(timeout_s), AsyncExitStack() as stack:
                content = await self._listed(stack, listing.path)
        except TimeoutError as error:
            raise not_in_time(self.name, timeout_s) from error
        except openai.APIStatusError as error:
            raise classify(_refusal(error), provider=self.name, secrets=self._secrets) from None
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error
        return await asyncio.to_thread(read_list, content, listing, provider=self.name)

    async def close(self) -> None:
        """See `Provider`."""
        if not self._is_derived:
            await self._client.close()

    async def _deltas(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        reader = ChunkReader(
            self.name,
            usage_excludes_reasoning=self._row.usage_excludes_reasoning,
            think_tags=self._row.think_tags,
            secrets=self._secrets,
        )
        asked = self._asking.first(prompt)
        try:
            async with AsyncExitStack() as stack:
                body = await asked.body()
                for note in asked.notes.told:
                    yield note
                response, more = await self._open(stack, asked, body, clocks, is_order=prompt.is_order)
                del body  # videos are large, and answers long
                for note in more:
                    yield note
                content = await stack.enter_async_context(aclosing(_content(response)))
                async for chunk in content:
                    for delta in reader.feed(chunk):
                        yield delta
                    if reader.is_done:
                        self._may_be_kept = True
                        await _drain(content)
                        return
                for delta in reader.end():
                    yield delta
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error

    async def _open(
        self, stack: AsyncExitStack, asked: Asked, body: bytes, clocks: Clocks, *, is_order: bool
    ) -> tuple[httpx2.Response, Sequence[Noted]]:
        """Send the request; where the provider refuses its form, ask for less, once.

        Return the answer, and what there is to tell beyond what `asked` told.
        """
        try:
            return await self._request(stack, body, clocks, is_order=is_order), ()
        except openai.APIStatusError as error:
            refusal = _refusal(error)
            less = self._asking.less(asked, refusal)
            if less is None:
                raise classify(refusal, provider=self.name, secrets=self._secrets) from None
        try:
            response = await self._request(stack, await less.body(), clocks, is_order=is_order)
        except openai.APIStatusError as error:
            raise classify(_refusal(error), provider=self.name, secrets=self._secrets) from None
        self._asking.worked(less)
        return response, [note for note in less.notes.told if note not in asked.notes.told]

    async def _request(self, stack: AsyncExitStack, body: bytes, clocks: Clocks, *, is_order: bool) -> httpx2.Response:
        try:
            response = await self._post(body, clocks)
        except openai.APIConnectionError as error:
            is_farewell = self._may_be_kept and not is_order and was_not_heard(error)
            if not (is_farewell or was_not_sent(error)):
                raise
            response = await self._post(body, clocks)
        await stack.enter_async_context(aclosing(response))
        media_type = response.headers.get("content-type", "")
        if response.status_code != 200 or (media_type and "text/event-stream" not in media_type.lower()):
            raise await self._not_a_stream(response, media_type)
        return response

    async def _post(self, body: bytes, clocks: Clocks) -> httpx2.Response:
        response = await self._client.post(
            "/chat/completions",
            # a whole response, undecoded: the SDK's documented way to an endpoint it does not know
            cast_to=httpx2.Response,
            content=sendable(body),
            options={
                # pool is what the aiohttp transport takes as the limit of connecting as a whole, names and addresses
                "timeout": httpx2.Timeout(None, connect=clocks.connect_s, pool=clocks.connect_s),
                "headers": {"Content-Length": str(len(body))},
            },
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return cast("httpx2.Response", response)  # typed as a stream, but `cast_to` goes first

    async def _listed(self, stack: AsyncExitStack, path: str) -> bytes:
        response = await self._client.get(
            path,
            cast_to=httpx2.Response,
            options={"timeout": httpx2.Timeout(None)},  # the caller's clock watches the whole
            stream=True,  # or the SDK would read a body of any length
            stream_cls=AsyncStream[object],
        )
        response = cast("httpx2.Response", response)  # typed as a stream, but `cast_to` goes first
        await stack.enter_async_context(aclosing(response))
        return await whole(await stack.enter_async_context(aclosing(response.aiter_bytes())))

    async def _not_a_stream(self, response: httpx2.Response, media_type: str) -> ProviderError:
        """Return what to make of a success that is none: a proxy's page, or an error with status 200 (xAI)."""
        async with aclosing(response.aiter_bytes()) as body:
            content = await beginning(body)
        refusal = Refusal(None, content, lower_names(response.headers))
        if isinstance(said := refusal.json(), dict) and "error" in said:
            return classify(refusal, provider=self.name, secrets=self._secrets)
        kind = media_type.partition(";")[0] or f"status {response.status_code}"
        begins = text_of(refusal, secrets=self._secrets)
        return ProviderError(f"{self.name} answered with {kind}, not with a stream: is its base URL right? {begins}")


def _content(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Give what comes as it comes; by way of a decoder, which costs 2 µs a read, only where it is encoded after all."""
    is_encoded = response.headers.get("content-encoding", "identity") != "identity"
    return response.aiter_bytes() if is_encoded else response.aiter_raw()


def _client(base_url: str, *, api_key: str, proxy: str | None) -> AsyncOpenAI:
    http_client = DefaultAioHttpClient(
        verify=_authorities(),
        proxy=proxy,
        trust_env=False,
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S),
    )
    return AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client)


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom every provider's connection trusts: reading that takes 20 ms, and there may be a dozen of them."""
    return httpx2.create_ssl_context(trust_env=False)


def _discreet(client: AsyncOpenAI, headers: Mapping[str, str]) -> AsyncOpenAI:
    """Return a new client without what it took from the environment: that is for others, and may be somebody else's."""
    client.organization = client.project = client.admin_api_key = None
    client._custom_headers = dict(headers)  # pyright: ignore[reportPrivateUsage] - else OPENAI_CUSTOM_HEADERS goes along
    return client


def _refusal(error: openai.APIStatusError) -> Refusal:
    return Refusal(error.status_code, error.response.content[:MAX_BODY_BYTES], lower_names(error.response.headers))


async def _drain(body: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in body:
                pass
    except TimeoutError:
        logger.debug("connection_not_reused")
