"""The providers under contract, each with the dialect its server speaks.

How a provider of chat completions behaves is one code: two rows stand for all of them, and each fact in which rows
differ is tried for every row (`EVERY_ROW`, which a new row of the table joins by itself).
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from shared.domain.errors import ProviderError
from shared.settings import ProviderEndpoint
from tests.scripted_provider import Reply, ScriptedProvider, ndjson, ollama_line, ollama_stream, openai_stream
from tests.scripted_replies import openai_chunk, sse
from workers.providers.base import Clocks, Prompt, PromptMessage, PromptText, Provider, ProviderDelta
from workers.providers.table import ROWS, build_providers

KEY = "sk-0123456789abcdef"
CLOCKS = Clocks(connect_s=1, first_delta_s=2, idle_s=1)
PROMPT = Prompt("scripted", (PromptMessage("user", (PromptText("Capital of France?"),)),))


@dataclass(frozen=True)
class Row:
    """One provider; `stream` makes its server's answer, `piece` one fragment of it, `frame` a body of such pieces."""

    name: str
    stream: Callable[..., Reply]
    piece: Callable[[str], bytes]
    frame: Callable[..., Reply]
    keep_alive: bytes

    @property
    def is_ollama(self) -> bool:
        """Whether it speaks JSON lines."""
        return self.name == "ollama"

    @property
    def path(self) -> str:
        """Where its server is; Gemini speaks chat completions at an address of its own."""
        return {"ollama": "", "gemini": "/v1beta/openai"}.get(self.name, "/v1")

    def __str__(self) -> str:
        return self.name


def _of_openai(name: str) -> Row:
    return Row(name, openai_stream, lambda text: openai_chunk({"content": text}), sse, b": keep-alive\n\n")


EVERY_ROW = tuple(_of_openai(name) for name in (*(row.name for row in ROWS), "elsewhere"))
OPENAI_LIKE = (EVERY_ROW[0], EVERY_ROW[-1])
OLLAMA = Row("ollama", ollama_stream, lambda text: ollama_line({"content": text}), ndjson, b"\n")
ALL = (*OPENAI_LIKE, OLLAMA)


@asynccontextmanager
async def connected(row: Row, server: ScriptedProvider) -> AsyncGenerator[Provider]:
    """The provider of a row, at the scripted server."""
    provider = at(row, server.url + row.path)
    try:
        yield provider
    finally:
        await provider.close()


def at(row: Row, base_url: str, *, proxy: str | None = None) -> Provider:
    """The provider of a row, anywhere; to be closed."""
    endpoint = ProviderEndpoint(base_url=base_url, api_key=SecretStr(KEY), proxy=proxy)
    return build_providers({row.name: endpoint})[row.name]


async def collect_at(
    row: Row, base_url: str, *, proxy: str | None = None, clocks: Clocks = CLOCKS
) -> tuple[list[ProviderDelta], ProviderError | None]:
    """Everything the provider of a row says when it is somewhere else, and how it failed."""
    provider = at(row, base_url, proxy=proxy)
    try:
        return await collect(provider, clocks=clocks)
    finally:
        await provider.close()


async def collect(
    provider: Provider, prompt: Prompt = PROMPT, clocks: Clocks = CLOCKS
) -> tuple[list[ProviderDelta], ProviderError | None]:
    """Everything a provider says, and how it failed."""
    deltas: list[ProviderDelta] = []
    try:
        async for delta in provider.stream(prompt, clocks):
            deltas.append(delta)  # noqa: PERF401 - what came before a failure counts
    except ProviderError as error:
        return deltas, error
    return deltas, None
