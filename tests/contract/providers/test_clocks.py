"""Silence and cancel: the right clock stops the wait, and the provider's socket is closed at once."""

import asyncio
import socket
import time
from contextlib import aclosing

import pytest

from shared.domain.errors import ProviderTimeout
from shared.domain.events import Text
from tests.contract.providers.rows import CLOCKS, PROMPT, Row, collect, collect_at
from tests.scripted_provider import ScriptedProvider, answer
from workers.providers.base import Clocks, Provider

MUTE = Clocks(connect_s=5, first_delta_s=0.4, idle_s=5)
SILENT = Clocks(connect_s=5, first_delta_s=5, idle_s=0.3)
FOREVER = Clocks(connect_s=30, first_delta_s=30, idle_s=30)


async def test_silence_before_the_first_delta_is_cut_by_its_clock(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.stream(["a"]).stalled_after(0))
    began = time.monotonic()
    deltas, error = await collect(provider, clocks=MUTE)
    assert (deltas, type(error)) == ([], ProviderTimeout)
    assert str(error) == f"{row.name} did not begin to answer within 0.4 s"
    assert 0.35 < time.monotonic() - began < 4
    await server.wait_closed()


async def test_no_status_line_is_cut_by_the_first_deltas_clock(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.stream(["a"]).delayed(60))
    assert "did not begin to answer within 0.4 s" in str((await collect(provider, clocks=MUTE))[1])
    await server.wait_closed()


async def test_an_error_without_its_body_is_cut_by_the_first_deltas_clock(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(answer({"error": "busy"}, status=503).stalled_after(3))
    assert "did not begin to answer within 0.4 s" in str((await collect(provider, clocks=MUTE))[1])
    await server.wait_closed()


async def test_silence_in_mid_stream_is_cut_by_the_idle_clock(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    stream = row.frame(row.piece("a"), row.piece("b"))
    server.play(stream.stalled_after(len(stream.body)))
    deltas, error = await collect(provider, clocks=SILENT)
    assert (deltas, type(error)) == ([Text("a"), Text("b")], ProviderTimeout)
    assert str(error) == f"{row.name} fell silent for 0.3 s in the middle of its answer"
    await server.wait_closed()


async def test_keep_alives_are_no_answer(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.frame(*[row.keep_alive] * 1000).paced(100))
    assert "did not begin to answer within 0.4 s" in str((await collect(provider, clocks=MUTE))[1])


async def test_keep_alives_and_empty_fragments_are_no_progress(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.frame(row.piece("a"), *[row.keep_alive, row.piece("")] * 500).paced(100))
    deltas, error = await collect(provider, clocks=SILENT)
    assert deltas == [Text("a")]
    assert "fell silent for 0.3 s" in str(error)


async def test_a_slow_but_steady_answer_is_whole(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.stream(list("abcdefgh")).paced(20))
    deltas, error = await collect(provider, clocks=SILENT)
    assert error is None
    assert deltas[:8] == [Text(letter) for letter in "abcdefgh"]


async def test_a_slow_reader_does_not_make_the_provider_late(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.stream(["a", "b"]))
    async with aclosing(provider.stream(PROMPT, SILENT)) as deltas:
        assert await anext(deltas) == Text("a")
        moments = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(2 * SILENT.idle_s, moments.set_result, None)
        await moments
        assert await anext(deltas) == Text("b")


async def test_a_host_that_does_not_take_the_connection_is_cut_by_the_connect_clock(row: Row) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):  # the queue holds one: from then on the kernel ignores who knocks
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        began = time.monotonic()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        deltas, error = await collect_at(row, url, clocks=Clocks(connect_s=0.2, first_delta_s=20, idle_s=20))
    assert (deltas, type(error)) == ([], ProviderTimeout)
    assert "No connection to" in str(error)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("moment", ["before the status line", "before the first delta", "in mid-stream"])
async def test_cancelling_closes_the_socket(
    row: Row, provider: Provider, server: ScriptedProvider, moment: str
) -> None:
    steady = row.frame(*[row.piece("a")] * 1000).paced(50)
    script = {
        "before the status line": steady.delayed(60),
        "before the first delta": steady.stalled_after(0),
        "in mid-stream": steady,
    }[moment]
    server.play(script)
    task = asyncio.create_task(collect(provider, clocks=FOREVER))
    exchange = await server.wait_requests()
    if moment == "in mid-stream":
        await server.until(lambda: exchange.pieces_sent > 3)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await server.wait_closed() - cancelled_at < 0.5
    assert server.open_connections == 0


async def test_closing_the_generator_closes_the_socket(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.frame(*[row.piece("a")] * 1000).paced(50))
    deltas = provider.stream(PROMPT, FOREVER)
    assert await anext(deltas) == Text("a")
    closed_at = time.monotonic()
    await deltas.aclose()
    assert await server.wait_closed() - closed_at < 0.5


async def test_dropping_the_generator_closes_the_socket(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.frame(*[row.piece("a")] * 1000).paced(50))
    deltas = provider.stream(PROMPT, FOREVER)
    assert await anext(deltas) == Text("a")
    dropped_at = time.monotonic()
    del deltas
    assert await server.wait_closed() - dropped_at < 0.5


async def test_a_hundred_streams_are_cancelled_at_once(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(row.frame(*[row.piece("a")] * 1000).paced(20))
    tasks = [asyncio.create_task(collect(provider, clocks=CLOCKS)) for _ in range(100)]
    await server.wait_requests(100)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.until(lambda: server.open_connections == 0)
