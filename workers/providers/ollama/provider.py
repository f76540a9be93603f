"""Ollama, over its own chat: raw images, schemas as `format`, a context as long as the prompt needs.

Not through the `ollama` SDK (0.6): its client drops the headers of an error, has no limit for a line, makes a pydantic
object of each token, sends `OLLAMA_API_KEY` to any host, and reads a text that names an existing file from disk as an
image. What is sent is the same; a test compares it with what the SDK sends.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final, Self

import aiohttp
import msgspec

from shared.domain.errors import ProviderError
from shared.domain.events import Noted, StopsBilling
from shared.domain.models import ListedModel
from shared.settings_sources import is_near
from workers.providers.base import Clocks, Prompt, ProviderDelta
from workers.providers.classify import classify
from workers.providers.complete import complete
from workers.providers.model_lists import Listing, not_in_time, read_list, whole
from workers.providers.ollama.lines import LineReader
from workers.providers.ollama.models import with_abilities
from workers.providers.ollama.options import Think, how_to_think, notes_of
from workers.providers.ollama.wire import to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import Refusal, beginning, lower_names
from workers.providers.request_body import request_body, sendable
from workers.providers.transport import TRANSPORT_ERRORS, classify_transport

MAX_CONNECTIONS: Final = 10_000
"""As many as a worker may have slots: waiting for a connection would look like a slow provider."""
LIST_PATH: Final = "/api/tags"
STREAM_TYPES: Final = ("application/x-ndjson", "application/json", "application/octet-stream")
"""The last is what aiohttp says where nothing is said."""


class OllamaProvider:
    """One Ollama server."""

    name: str = "ollama"
    stops_billing_on_abort: StopsBilling = "yes"
    """It costs nothing, and stops computing when the connection is closed."""
    media: frozenset[str] = frozenset()
    first_delta_s: float = 300
    """A model that is not in memory is loaded first."""
    idle_s: float = 60

    def __init__(self, *, base_url: str, api_key: str | None = None, proxy: str | None = None) -> None:
        self._base_url = base_url
        self._proxy = proxy
        self._secrets = (api_key,) if api_key else ()
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/x-ndjson",
            "Accept-Encoding": "identity",  # a compressed stream is held back until a block is full
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_near(self) -> bool:
        """See `Provider`."""
        return is_near(self._base_url)

    def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        """See `Provider`."""
        return complete(self._deltas(prompt, clocks), clocks, provider=self.name)

    def with_key(self, api_key: str) -> Self:
        """See `Provider`; the owner of the server decides who may use it."""
        return self

    async def list_models(self, timeout_s: float) -> list[ListedModel]:
        """See `Provider`."""
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(until), self._get(LIST_PATH) as response:
                if response.status != 200:
                    raise classify(await _refusal(response), provider=self.name, secrets=self._secrets)
                content = await whole(response.content.iter_any())
        except TimeoutError as error:
            raise not_in_time(self.name, timeout_s) from error
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error
        models = await asyncio.to_thread(read_list, content, Listing(path=LIST_PATH), provider=self.name)
        return await with_abilities(models, self._shown, until=until)

    async def _shown(self, model: str) -> bytes:
        url, body = f"{self._base_url}/api/show", msgspec.json.encode({"model": model})
        timeout = aiohttp.ClientTimeout(total=None)  # the caller's clock watches the whole
        asked = self._opened().post(url, data=body, timeout=timeout, allow_redirects=False, proxy=self._proxy)
        async with asked as response:
            return await whole(response.content.iter_any()) if response.status == 200 else b""

    async def close(self) -> None:
        """See `Provider`."""
        if self._session is not None:
            await self._session.close()

    async def _deltas(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        reader = LineReader(self.name, secrets=self._secrets)
        try:
            async with AsyncExitStack() as stack:
                response, notes = await self._open(stack, prompt, clocks)
                for note in notes:
                    yield note
                async for chunk in response.content.iter_any():
                    for delta in reader.feed(chunk):
                        yield delta
                    if reader.is_done:
                        return
                for delta in reader.end():
                    yield delta
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error

    async def _open(
        self, stack: AsyncExitStack, prompt: Prompt, clocks: Clocks
    ) -> tuple[aiohttp.ClientResponse, tuple[Noted, ...]]:
        """Send the request; where the model cannot think as it is told to, leave that to the model."""
        think, notes = how_to_think(prompt), notes_of(prompt)
        answer = await self._request(stack, prompt, clocks, think=think)
        if isinstance(answer, Refusal) and think is not None and _is_about_thinking(answer):
            answer = await self._request(stack, prompt, clocks, think=None)
            notes += _without_thinking(prompt, think)
        if isinstance(answer, Refusal):
            raise classify(answer, provider=self.name, secrets=self._secrets)
        return answer, notes

    async def _request(
        self, stack: AsyncExitStack, prompt: Prompt, clocks: Clocks, *, think: Think
    ) -> aiohttp.ClientResponse | Refusal:
        body = await request_body(prompt, partial(to_wire, prompt, think=think))
        response = await stack.enter_async_context(self._post(body, clocks))
        if response.status != 200:
            return await _refusal(response)
        if response.content_type not in STREAM_TYPES:
            raise ProviderError(
                f"{self.name} answered with {response.content_type}, not with a stream of JSON: is its URL right?"
            )
        return response

    def _post(self, body: bytes, clocks: Clocks) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, connect=clocks.connect_s)
        url = f"{self._base_url}/api/chat"
        return self._opened().post(
            url,
            data=sendable(body),
            headers={"Content-Length": str(len(body))},
            timeout=timeout,
            allow_redirects=False,
            proxy=self._proxy,
        )

    def _get(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None)  # the caller's clock watches the whole
        return self._opened().get(f"{self._base_url}{path}", timeout=timeout, allow_redirects=False, proxy=self._proxy)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:  # made here because it belongs to the loop that runs it
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers=self._headers,
            )
        return self._session


async def _refusal(response: aiohttp.ClientResponse) -> Refusal:
    return Refusal(response.status, await beginning(response.content.iter_any()), lower_names(response.headers))


def _without_thinking(prompt: Prompt, think: Think) -> tuple[Noted, ...]:
    if think is False or prompt.response_schema is not None:
        return ()  # it does not think, as it was told
    notes = Notes("ollama", ours=prompt.defaults)
    notes.dropped("reasoning_effort", f"says that {prompt.model} cannot be told so")
    return notes.told


def _is_about_thinking(refusal: Refusal) -> bool:
    return refusal.status == 400 and refusal.names(
        "does not support thinking", "think value", '"think"', "ChatRequest.think"
    )
