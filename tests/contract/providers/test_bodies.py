"""Every provider's answers, whole and broken: what they tell does not depend on how their bytes arrive."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import ProviderError
from shared.domain.events import Finish, Reasoning, Text
from tests.contract.providers.bodies.body import Body
from tests.contract.providers.bodies.broken import BROKEN
from tests.contract.providers.bodies.hosts import HOSTS
from tests.contract.providers.bodies.makers import MAKERS
from tests.contract.providers.bodies.ollama import OLLAMA
from tests.contract.providers.bodies.routers import ROUTERS
from tests.contract.providers.rows import CLOCKS, KEY, OPENAI_LIKE, PROMPT, connected
from tests.scripted_provider import ScriptedProvider, openai_chunk
from tests.scripted_replies import Reply
from workers.providers.base import ProviderDelta
from workers.providers.chat_completions.chunks import ChunkReader
from workers.providers.chat_completions.provider import OpenAICompatibleProvider
from workers.providers.complete import complete
from workers.providers.ollama.lines import LineReader
from workers.providers.ollama.provider import OllamaProvider
from workers.providers.table import ROWS, row_of

WHOLE = (*MAKERS, *HOSTS, *ROUTERS, *OLLAMA)
Told = tuple[list[ProviderDelta], type[ProviderError] | None]


def reader_of(row: str) -> ChunkReader | LineReader:
    """The reader that the adapter of a row makes."""
    if row == "ollama":
        return LineReader(row)
    facts = row_of(row)
    return ChunkReader(row, usage_excludes_reasoning=facts.usage_excludes_reasoning, think_tags=facts.think_tags)


async def told(body: Body, pieces: Iterable[bytes]) -> Told:
    """What is told of an answer that comes in these pieces."""

    async def read() -> AsyncGenerator[ProviderDelta]:
        reader = reader_of(body.row)
        for piece in pieces:
            for delta in reader.feed(piece):
                yield delta
            if reader.is_done:
                return
        for delta in reader.end():
            yield delta

    return await heard(complete(read(), CLOCKS, provider=body.row))


async def heard(answer: AsyncGenerator[ProviderDelta]) -> Told:
    deltas: list[ProviderDelta] = []
    try:
        async for delta in answer:
            deltas.append(delta)  # noqa: PERF401 - what came before a failure counts
    except ProviderError as error:
        return deltas, type(error)
    return deltas, None


def expected(body: Body) -> Told:
    return list(body.deltas), body.error


every_body = pytest.mark.parametrize("body", [*WHOLE, *BROKEN], ids=str)


@every_body
async def test_a_body_is_told_exactly(body: Body) -> None:
    assert await told(body, [body.content]) == expected(body)


@every_body
async def test_a_body_is_told_alike_byte_by_byte_and_with_other_line_ends(body: Body) -> None:
    assert await told(body, [bytes([byte]) for byte in body.content]) == expected(body)
    if b"\r" not in body.content:
        assert await told(body, [body.content.replace(b"\n", b"\r\n")]) == expected(body)


@every_body
async def test_a_body_is_told_alike_without_its_last_line_ends(body: Body) -> None:
    assert await told(body, [body.content.rstrip(b"\n")]) == expected(body)


@settings(max_examples=150, deadline=None)
@given(body=st.sampled_from((*WHOLE, *BROKEN)), places=st.lists(st.integers(0, 4000), max_size=12))
def test_a_body_is_told_alike_in_any_pieces(body: Body, places: list[int]) -> None:
    edges = sorted({0, len(body.content), *(place for place in places if place < len(body.content))})
    pieces = [body.content[start:end] for start, end in pairwise(edges)]
    assert asyncio.run(told(body, [*pieces, b""])) == expected(body)


@pytest.mark.parametrize("body", WHOLE, ids=str)
async def test_a_body_that_ends_early_is_never_taken_for_whole(body: Body) -> None:
    said = [delta for delta in body.deltas if isinstance(delta, Text)]
    lines = body.content.splitlines(keepends=True)
    ends: list[bool] = []
    for count in range(len(lines)):
        deltas, error = await told(body, [b"".join(lines[:count])])
        words = [delta for delta in deltas if isinstance(delta, Text)]
        assert words == said[: len(words)]
        assert (error is None) == any(isinstance(delta, Finish) for delta in deltas)
        assert error is not None or words == said
        ends.append(error is None)
    assert ends == sorted(ends)  # once it is whole it stays so
    assert not any(ends[: len(lines) // 2])


@every_body
async def test_a_body_is_told_exactly_over_a_connection(body: Body, server: ScriptedProvider) -> None:
    server.play(Reply((body.content,) if body.content else (), media_type=body.media_type))
    if body.row == "ollama":
        provider = OllamaProvider(base_url=server.url)
    else:
        provider = OpenAICompatibleProvider(row_of(body.row), base_url=server.openai_url, api_key=KEY)
    try:
        assert await heard(provider.stream(PROMPT, CLOCKS)) == expected(body)
    finally:
        await provider.close()


def test_every_row_has_an_answer() -> None:
    assert {row.name for row in ROWS} <= {body.row for body in WHOLE}


async def test_tags_are_words_where_the_row_does_not_have_them() -> None:
    body = Body("tags", "openai", openai_chunk({"content": "<think>Hm</think>"}, finish="stop"), [])
    assert await told(body, [body.content]) == ([Text("<think>Hm</think>"), Finish("stop")], None)


async def test_tags_are_read_of_whoever_answers_in_the_place_of_a_company(server: ScriptedProvider) -> None:
    server.play(
        Reply((openai_chunk({"content": "<think>Hm</think>Tea"}, finish="stop"),), media_type="text/event-stream")
    )
    async with connected(OPENAI_LIKE[0], server) as provider:
        assert await heard(provider.stream(PROMPT, CLOCKS)) == ([Reasoning("Hm"), Text("Tea"), Finish("stop")], None)
