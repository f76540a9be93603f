"""What reading a streamed token costs a worker's processor, beside OpenAI's SDK: `python -m benchmarks.token_cost`.

From bytes at a loopback socket through the provider to its deltas, on the loop that workers run on; the server has a
process of its own. The same answer is read in two ways: as it comes when many tokens wait in the socket, and one token
at each read, from as many streams as make a worker busy. What the system, the loop and HTTP cost by themselves is
measured as "bytes alone": the same connection, whose bytes nobody looks into.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import openai
import uvloop
from pydantic import SecretStr

from benchmarks.system import answers, python
from benchmarks.token_server import EVENTS_AFTER_TOKENS
from compose.errors import CannotStart
from compose.processes import free_port, spawn, wait_until
from shared.domain.events import Text
from shared.settings import ProviderEndpoint
from workers.providers.base import Clocks, Prompt, PromptMessage, PromptText
from workers.providers.table import build_providers

SDK: Final = "OpenAI's SDK"
BYTES: Final = "bytes alone"
CLOCKS: Final = Clocks(connect_s=5, first_delta_s=10, idle_s=10)
READERS: Final = {SDK: "/v1", BYTES: "/v1", "openai": "/v1", "ollama": "", "gemini": "/v1beta"}
"""Who reads, and where behind the server's address it is asked."""
GOALS_US: Final = {"openai": 30, "ollama": 60, "gemini": 60}
Reader = Callable[[str], Awaitable[int]]
"""Asks a model of this name, reads its answer, and returns how many tokens came."""


@dataclass(frozen=True)
class Shape:
    """How the tokens come: from so many streams at a time, with so much time between two of them."""

    name: str
    streams: int
    tokens: int
    gap_ms: int

    @property
    def model(self) -> str:
        """What the server is asked for."""
        return f"t-{self.tokens}-{self.gap_ms}"


def shapes(scale: float) -> tuple[Shape, ...]:
    """Return both ways, with a share of the tokens."""
    return (
        Shape("many tokens a read", streams=4, tokens=max(1, round(5000 * scale)), gap_ms=0),
        Shape("one token a read", streams=16, tokens=max(1, round(600 * scale)), gap_ms=2),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code: 1 where tokens went missing, however quick it was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turn; the median counts (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the tokens, to try it out")
    options = parser.parse_args(arguments)
    try:
        with _server() as port:
            costs = uvloop.run(_measured(port, shapes(options.scale), rounds=options.rounds))
    except (CannotStart, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in table(costs):
        print(line)
    return 0


def table(costs: dict[tuple[str, str], list[float]]) -> list[str]:
    """Return the medians, in µs a token, with their share of the SDK's and whether the goal is met.

    `costs` has those of all rounds, by the shape's and the reader's name.
    """
    names = dict.fromkeys(shape for shape, _ in costs)
    lines = ["CPU per token in µs" + "".join(f"{name:>36}" for name in names)]
    for reader in READERS:
        cells = [_cell(reader, costs[name, reader], statistics.median(costs[name, SDK])) for name in names]
        lines.append(f"{reader:<19}" + "".join(f"{cell:>36}" for cell in cells))
    return lines


def _cell(reader: str, costs: Sequence[float], beside: float) -> str:
    cost = statistics.median(costs)
    spread = f"{cost:.1f} ({min(costs):.1f}–{max(costs):.1f})"
    if reader not in GOALS_US:
        return spread
    return f"{spread} × {cost / beside:.2f} {'meets' if cost <= GOALS_US[reader] else 'misses'} {GOALS_US[reader]}"


async def _measured(port: int, ways: Sequence[Shape], *, rounds: int) -> dict[tuple[str, str], list[float]]:
    costs: dict[tuple[str, str], list[float]] = {(shape.name, reader): [] for shape in ways for reader in READERS}
    for reader in READERS:  # code is loaded and connections are made before anything counts
        await _cost(reader, port, Shape("warm-up", streams=2, tokens=50, gap_ms=0))
    for _ in range(rounds):
        for shape in ways:
            for reader in READERS:
                costs[shape.name, reader].append(await _cost(reader, port, shape))
    return costs


async def _cost(reader: str, port: int, shape: Shape) -> float:
    """Return the µs of processor time a token took.

    Raises:
        LookupError: if not all tokens came.
    """
    base_url = f"http://127.0.0.1:{port}{READERS[reader]}"
    readers = {SDK: _sdk, BYTES: _bytes}
    async with readers[reader](base_url) if reader in readers else _provider(reader, base_url) as ask:
        began = time.process_time()
        counts = await asyncio.gather(*(ask(shape.model) for _ in range(shape.streams)))
        used_s = time.process_time() - began
    if set(counts) != {shape.tokens}:
        raise LookupError(f"{reader} told {sorted(set(counts))} of {shape.tokens} tokens")
    return used_s * 1e6 / (shape.streams * shape.tokens)


@asynccontextmanager
async def _provider(name: str, base_url: str) -> AsyncGenerator[Reader]:
    """A worker's own way."""
    endpoint = ProviderEndpoint(base_url=base_url, api_key=SecretStr("bench"))
    provider = build_providers({name: endpoint})[name]

    async def ask(model: str) -> int:
        prompt = Prompt(model, (PromptMessage("user", (PromptText("Water?"),)),))
        count = 0
        async for delta in provider.stream(prompt, CLOCKS):
            count += isinstance(delta, Text)
        return count

    try:
        yield ask
    finally:
        await provider.close()


@asynccontextmanager
async def _sdk(base_url: str) -> AsyncGenerator[Reader]:
    """The SDK's own way, over the same kind of connection: an object for each chunk."""
    async with openai.AsyncOpenAI(
        api_key="bench", base_url=base_url, max_retries=0, http_client=openai.DefaultAioHttpClient(trust_env=False)
    ) as client:

        async def ask(model: str) -> int:
            count = 0
            stream = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Water?"}], stream=True
            )
            async for chunk in stream:
                count += bool(chunk.choices and chunk.choices[0].delta.content)
            return count

        yield ask


@asynccontextmanager
async def _bytes(base_url: str) -> AsyncGenerator[Reader]:
    """Nobody's way: the pieces that the HTTP client gives, uncounted but for the ends of lines."""
    async with aiohttp.ClientSession() as session:

        async def ask(model: str) -> int:
            lines = 0
            async with session.post(f"{base_url}/chat/completions", json={"model": model}) as response:
                async for piece in response.content.iter_any():
                    lines += piece.count(b"\n")
            return lines // 2 - EVENTS_AFTER_TOKENS

        yield ask


@contextmanager
def _server() -> Generator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="smartsip-bench-") as folder:
        log = Path(folder) / "server.log"
        server = spawn(python("token server", "benchmarks.token_server", "--port", str(port), log=log))
        try:
            wait_until(lambda: answers(port), server)
            yield port
        finally:
            server.terminate()
            server.wait(within_s=5.0)


if __name__ == "__main__":
    sys.exit(main())
