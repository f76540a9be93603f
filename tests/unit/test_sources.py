"""The sources of an answer: wherever a provider names them, each url once, and nothing that is no source."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import Finish, SearchResult, SearchResults, Text, ToolCall
from tests.scripted_provider import openai_chunk
from workers.providers.base import ProviderDelta
from workers.providers.chat_completions.chunks import ChunkReader
from workers.providers.sources import MAX_CONTENT_CHARS, MAX_SOURCES, MAX_TITLE_CHARS

CUP = {"url": "https://cups.example/1", "title": "Cups", "content": "All about cups."}
CITATION = {"type": "url_citation", "url_citation": CUP | {"start_index": 3, "end_index": 9}}


def read(*chunks: bytes) -> list[ProviderDelta]:
    reader = ChunkReader("p")
    return [delta for chunk in chunks for delta in reader.feed(chunk)]


def results(*chunks: bytes) -> list[SearchResult]:
    return [it for delta in read(*chunks) if isinstance(delta, SearchResults) for it in delta.results]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (openai_chunk({"annotations": [CITATION]}), SearchResult(**CUP)),
        (
            openai_chunk({"executed_tools": [{"type": "search", "search_results": {"results": [CUP | {"score": 1}]}}]}),
            SearchResult(**CUP),
        ),
        (openai_chunk({"content": "a"}, search_results=[{"url": CUP["url"], "name": "x", "date": 1}]), ("x", None)),
        (openai_chunk(choices=[], citations=[CUP["url"]]), (None, None)),
        (openai_chunk({"citations": {"items": [{"link": CUP["url"], "snippet": "s"}]}}), (None, "s")),
    ],
)
def test_sources_are_found_where_providers_put_them(
    chunk: bytes, expected: SearchResult | tuple[str | None, str | None]
) -> None:
    whole = expected if isinstance(expected, SearchResult) else SearchResult(CUP["url"], *expected)
    assert results(chunk) == [whole]


def test_a_source_is_reported_once_and_first_by_who_says_most() -> None:
    both = openai_chunk({"content": "a"}, search_results=[CUP], citations=[CUP["url"], "https://cups.example/2"])
    assert read(both, both, openai_chunk({"annotations": [CITATION]}, finish="stop")) == [
        Text("a"),
        SearchResults([SearchResult(**CUP), SearchResult("https://cups.example/2")]),
        Text("a"),
        Finish("stop"),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "text",
        [],
        {},
        [None, 7, [[[[[[CUP]]]]]]],
        ["javascript:alert(1)", {"url": "data:text/html,x"}, {"url": 7}],
    ],
    ids=str,
)
def test_what_names_no_source_changes_nothing(odd: object) -> None:
    chunk = openai_chunk({"content": "a", "annotations": odd, "citations": odd}, search_results=odd, citations=odd)
    assert read(chunk) == [Text("a")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(CUP["url"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["url", "title", "results", "url_citation", "source"]), inner)
    ),
)


@given(lists=st.lists(json_values, max_size=4))
def test_no_shape_of_sources_breaks_an_answer(lists: list[Any]) -> None:
    chunks = [openai_chunk({"content": "a", "annotations": it, "executed_tools": it}, citations=it) for it in lists]
    deltas = read(*chunks)
    assert [delta for delta in deltas if isinstance(delta, Text)] == [Text("a")] * len(lists)
    urls = [it.url for delta in deltas if isinstance(delta, SearchResults) for it in delta.results]
    assert len(urls) == len(set(urls))


def test_an_answer_names_no_more_than_so_many_sources_and_none_at_endless_length() -> None:
    many = [f"https://x.example/{number}" for number in range(2 * MAX_SOURCES)]
    assert len(results(openai_chunk(choices=[], citations=many))) == MAX_SOURCES
    long = {"url": "https://x.example", "title": "t" * 100_000, "content": "c" * 100_000}
    assert results(openai_chunk(choices=[], citations=[long])) == [
        SearchResult(long["url"], "t" * MAX_TITLE_CHARS, "c" * MAX_CONTENT_CHARS)
    ]
    assert results(openai_chunk(choices=[], citations=["https://" + "x" * 100_000])) == []


def test_a_tool_call_without_an_id_is_given_one() -> None:
    first = openai_chunk({"tool_calls": [{"index": 0, "function": {"name": "pour", "arguments": "{"}}]})
    rest = openai_chunk({"tool_calls": [{"index": 0, "id": "", "function": {"arguments": "}"}}]})
    begun, continued = read(first, rest)
    assert isinstance(begun, ToolCall)
    assert begun.id is not None
    assert begun.id.startswith("call_")
    assert continued == ToolCall(0, arguments="}")
