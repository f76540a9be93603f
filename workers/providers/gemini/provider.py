"""Gemini, over its own protocol: thoughts with their signatures, search with its sources, pictures, films as input.

Not through google-genai (3.4): it makes a pydantic object of each event, takes keys and addresses from the environment,
retries and goes on by itself, and lets a 200 that is no stream pass. The OpenAI-compatible address of Google's loses
sources, signatures of parts, and how closely media are looked at; it is used where a base URL ends in `/openai`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from copy import copy
from typing import Final, Self
from urllib.parse import quote, urlencode

import aiohttp
import structlog
from yarl import URL

from shared.domain.errors import InvalidRequest, ProviderError
from shared.domain.events import Noted, StopsBilling
from shared.domain.models import ListedModel
from shared.settings_sources import is_near
from workers.providers.base import Clocks, Prompt, ProviderDelta
from workers.providers.classify import classify
from workers.providers.complete import complete
from workers.providers.connections import Connections
from workers.providers.gemini.chunks import GeminiReader
from workers.providers.gemini.models import GeminiModel, gemini_model
from workers.providers.gemini.wire import Without, to_wire
from workers.providers.model_lists import Listing, next_page, not_in_time, read_list, whole
from workers.providers.refusal import Refusal, beginning, is_list, is_object, lower_names, text_of
from workers.providers.request_body import request_body, sendable
from workers.providers.transport import TRANSPORT_ERRORS, classify_transport
from workers.providers.wire_json import Json

VERSION: Final = "v1beta"
"""The one that has everything: v1 lacks thinking levels and JSON schemas."""
STREAM_TYPES: Final = ("text/event-stream", "application/octet-stream")
"""The second is what aiohttp says where nothing is said."""
LISTING: Final = Listing(path="/models", prefix="models/", hides=("embedding", "imagen", "veo", "-tts", "aqa"))
PAGE_SIZE: Final = 1000
MAX_PAGES: Final = 10
MAX_REMEMBERED_MODELS: Final = 1000
_REFUSED: Final[dict[Without, re.Pattern[str]]] = {
    "thinking": re.compile(r"\bthinking|include_?thoughts", re.IGNORECASE),
    "penalties": re.compile(r"penalt(?:y|ies)", re.IGNORECASE),
    "json": re.compile(r"json mode|response.?mime.?type|response.?(?:json.?)?schema", re.IGNORECASE),
    "instructions": re.compile(r"(?:developer|system).?instruction", re.IGNORECASE),
    "people": re.compile(r"person.?generation", re.IGNORECASE),
    "signatures": re.compile(r"thought.?signature", re.IGNORECASE),
}
"""What a refusal (400) says of a member that a model does not take: which models do, is told nowhere."""
NO_HEADERS: Final[Mapping[str, str]] = {}
OF_ONE_REQUEST: Final[frozenset[Without]] = frozenset({"signatures"})
logger = structlog.get_logger(__name__)


class GeminiProvider:
    """Gemini's own address, or one that speaks its protocol."""

    name: str = "gemini"
    stops_billing_on_abort: StopsBilling = "no"
    """https://openrouter.ai/docs/api-reference/streaming, "stream cancellation"."""
    media: frozenset[str] = frozenset({"video", "audio"})

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._base_url = base_url if base_url.endswith(("/v1", "/v1beta", "/v1alpha")) else f"{base_url}/{VERSION}"
        self._proxy = proxy
        self._headers = headers
        self._secrets = (api_key,) if api_key else ()
        self._connections = Connections()
        self._without: dict[str, frozenset[Without]] = {}
        """By model, what it was found to refuse."""
        self._is_derived = False
        """Whether the connections are another's."""

    @property
    def is_near(self) -> bool:
        """See `Provider`."""
        return is_near(self._base_url)

    def stream(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        """See `Provider`."""
        return complete(self._deltas(prompt, clocks), clocks, provider=self.name)

    def with_key(self, api_key: str) -> Self:
        """See `Provider`."""
        if not (api_key.isascii() and api_key.isprintable()) or not api_key or " " in api_key:
            raise InvalidRequest("A provider's key is printable ASCII without spaces.", field="api_key")
        derived = copy(self)
        derived._secrets = (api_key, *self._secrets)
        derived._is_derived = True
        return derived

    async def list_models(self, timeout_s: float) -> list[ListedModel]:
        """See `Provider`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._listed()
        except TimeoutError as error:
            raise not_in_time(self.name, timeout_s) from error
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error

    async def close(self) -> None:
        """See `Provider`."""
        if not self._is_derived:
            await self._connections.close()

    async def _listed(self) -> list[ListedModel]:
        models: dict[str, ListedModel] = {}
        query = {"pageSize": str(PAGE_SIZE)}
        for _ in range(MAX_PAGES):
            async with self._get(f"{LISTING.path}?{urlencode(query)}") as response:
                if response.status != 200:
                    raise classify(await _refusal(response), provider=self.name, secrets=self._secrets)
                content = await whole(response.content.iter_any())
            page = await asyncio.to_thread(read_list, content, LISTING, provider=self.name)
            models |= {model.id: model for model in page}
            token = await asyncio.to_thread(next_page, content)
            if token is None:
                break
            query["pageToken"] = token
        return list(models.values())

    async def _deltas(self, prompt: Prompt, clocks: Clocks) -> AsyncGenerator[ProviderDelta, None]:
        reader = GeminiReader(self.name, secrets=self._secrets)
        try:
            async with AsyncExitStack() as stack:
                response, notes = await self._open(stack, prompt, clocks)
                for note in notes:
                    yield note
                async for chunk in response.content.iter_any():
                    for delta in reader.feed(chunk):
                        yield delta
                for delta in reader.end():
                    yield delta
        except TRANSPORT_ERRORS as error:
            raise classify_transport(error, provider=self.name, base_url=self._base_url) from error

    async def _open(
        self, stack: AsyncExitStack, prompt: Prompt, clocks: Clocks
    ) -> tuple[aiohttp.ClientResponse, tuple[Noted, ...]]:
        """Send the request; where the model refuses a member of it, send it without, once for each there can be."""
        model = gemini_model(prompt.model)
        without = self._without.get(model.name, frozenset[Without]())
        body, notes = await _written(prompt, model, without)
        while True:
            answer = await self._request(stack, model, body, clocks)
            if not isinstance(answer, Refusal):
                self._remember(model.name, without - OF_ONE_REQUEST)
                return answer, notes
            without |= _refused(answer)
            lesser, notes = await _written(prompt, model, without)
            if lesser == body:
                raise classify(answer, provider=self.name, secrets=self._secrets)
            logger.info(
                "request_lessened", provider=self.name, model=model.name, reason=text_of(answer, secrets=self._secrets)
            )
            body = lesser

    async def _request(
        self, stack: AsyncExitStack, model: GeminiModel, body: bytes, clocks: Clocks
    ) -> aiohttp.ClientResponse | Refusal:
        response = await stack.enter_async_context(self._post(model.name, body, clocks))
        if response.status != 200:
            return await _refusal(response)
        if response.content_type not in STREAM_TYPES:
            raise await self._not_a_stream(response)
        return response

    async def _not_a_stream(self, response: aiohttp.ClientResponse) -> ProviderError:
        """Return what to make of a success that is none: a proxy's page, or an error with status 200."""
        refusal = Refusal(None, await beginning(response.content.iter_any()), lower_names(response.headers))
        if _reports(refusal.json()):
            return classify(refusal, provider=self.name, secrets=self._secrets)
        begins = text_of(refusal, secrets=self._secrets)
        return ProviderError(
            f"{self.name} answered with {response.content_type}, not with a stream: is its base URL right? {begins}"
        )

    def _post(self, model: str, body: bytes, clocks: Clocks) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._connections.session().post(
            self._url(f"/{_path_of(model)}:streamGenerateContent?alt=sse"),
            data=sendable(body),
            headers={"Content-Length": str(len(body)), "Accept": "text/event-stream", **self._credential()},
            timeout=aiohttp.ClientTimeout(total=None, connect=clocks.connect_s),
            allow_redirects=False,
            proxy=self._proxy,
        )

    def _get(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None)  # the caller's clock watches the whole
        return self._connections.session().get(
            self._url(path), headers=self._credential(), timeout=timeout, allow_redirects=False, proxy=self._proxy
        )

    def _url(self, path: str) -> URL:
        return URL(self._base_url + path, encoded=True)

    def _credential(self) -> dict[str, str]:
        """Return the headers of the settings and the key's; in an address it would be in logs."""
        return {**self._headers, **({"x-goog-api-key": self._secrets[0]} if self._secrets else {})}

    def _remember(self, model: str, without: frozenset[Without]) -> None:
        if not without:
            return
        if len(self._without) >= MAX_REMEMBERED_MODELS:
            self._without.clear()
        self._without[model] = without


async def _written(prompt: Prompt, model: GeminiModel, without: frozenset[Without]) -> tuple[bytes, tuple[Noted, ...]]:
    notes: list[Noted] = []

    def to_body() -> Json:
        request = to_wire(prompt, model, without)
        notes.extend(request.notes)
        return request.body

    return await request_body(prompt, to_body), tuple(notes)


async def _refusal(response: aiohttp.ClientResponse) -> Refusal:
    return Refusal(response.status, await beginning(response.content.iter_any()), lower_names(response.headers))


def _reports(said: object) -> bool:
    """Return whether JSON is an error, also one in a list."""
    first = said[0] if is_list(said) and said else said
    return is_object(first) and "error" in first


def _refused(refusal: Refusal) -> set[Without]:
    if refusal.status != 400:
        return set()
    said = text_of(refusal)
    return {name for name, words in _REFUSED.items() if words.search(said)}


def _path_of(model: str) -> str:
    """Return where a model is: whatever its name holds, it is one step of the path."""
    kind, _, name = model.partition("/")
    return f"{kind}/{quote(name, safe='')}" if kind == "tunedModels" and name else f"models/{quote(model, safe='')}"
