"""A provider that closes a kept connection as the next request comes: an answer is asked for again, an order never."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from shared.domain.errors import ProviderUnreachable
from shared.domain.events import Text
from tests.contract.providers.rows import OPENAI_LIKE, PROMPT, at, collect
from tests.scripted_replies import openai_stream

RESET = struct.pack("ii", 1, 0)


@dataclass
class Leaving:
    """A server that answers the first request of a connection and, when the next has come, hangs up on it."""

    farewell: str
    url: str = ""
    requests: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            await self._take(reader, "answered")
            reply = openai_stream("Paris").body
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(reply) + reply)
            await self._take(reader, "left")
            if self.farewell == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except asyncio.IncompleteReadError:
            pass  # the client hung up first
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, what: str) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self.requests.append(what)


@pytest.fixture(params=["close", "reset"])
async def leaving(request: pytest.FixtureRequest) -> AsyncIterator[Leaving]:
    """A server that hangs up, either way."""
    double = Leaving(request.param)
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield double
    server.close()


async def test_what_was_not_heard_is_asked_again_over_a_new_connection(leaving: Leaving) -> None:
    provider = at(OPENAI_LIKE[0], leaving.url)
    answers = [await collect(provider), await collect(provider)]
    await provider.close()

    said = [("".join(delta.text for delta in deltas if isinstance(delta, Text)), error) for deltas, error in answers]
    assert (said, leaving.requests) == ([("Paris", None)] * 2, ["answered", "left", "answered"])


async def test_an_order_is_not_placed_again(leaving: Leaving) -> None:
    provider = at(OPENAI_LIKE[0], leaving.url)
    await collect(provider)
    deltas, error = await collect(provider, msgspec.structs.replace(PROMPT, is_order=True))
    await provider.close()

    assert (deltas, type(error), leaving.requests) == ([], ProviderUnreachable, ["answered", "left"])
