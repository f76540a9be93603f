"""Splitters and readers: whatever the pieces, the same lines, events and deltas; and never more memory than allowed."""

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import ProviderError, StreamIncomplete
from shared.domain.events import Text, ToolCall
from tests.scripted_replies import ollama_stream, openai_chunk, openai_stream
from workers.providers.base import ProviderDelta
from workers.providers.chat_completions.chunks import ChunkReader
from workers.providers.lines import LineSplitter
from workers.providers.ollama.lines import LineReader
from workers.providers.sse import EventSplitter, ServerSentEvent

KEYS = [
    *("choices", "delta", "content", "usage", "error", "message", "done", "finish_reason", "index", "x_groq"),
    *("tool_calls", "function", "arguments", "id", "name", "images", "image_url", "url", "type", "text", "thinking"),
    *("reasoning_details", "extra_content", "google", "response", "prompt_tokens", "completion_tokens_details"),
]
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
CUTS = st.lists(st.integers(0, 400), max_size=20)
NOISE = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"event: error", b"\n", b"\r", b"\r\n", b": hi", b"\xe4\xbd", b"\xa0", b"{}", b"id:1"]
    )
).map(b"".join)


def cut(content: bytes, places: Iterable[int]) -> list[bytes]:
    """The content in pieces, some of them empty."""
    edges = sorted({0, len(content), *(place for place in places if place < len(content))})
    return [content[start:end] for start, end in pairwise(edges)] + [b""]


def lines_of(pieces: Iterable[bytes]) -> tuple[list[bytes], bytes]:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return lines, splitter.rest()


def events_of(pieces: Iterable[bytes]) -> list[ServerSentEvent]:
    splitter = EventSplitter()
    return [event for piece in pieces for event in splitter.feed(piece)]


def deltas_of(reader: ChunkReader | LineReader, pieces: Iterable[bytes]) -> tuple[list[ProviderDelta], str | None]:
    deltas: list[ProviderDelta] = []
    try:
        for piece in pieces:
            for delta in reader.feed(piece):
                deltas.append(delta)  # noqa: PERF402 - what came before a failure counts
    except ProviderError as error:
        return deltas, str(error)
    return deltas, None


@given(content=NOISE | st.binary(), places=CUTS)
def test_lines_do_not_depend_on_the_pieces(content: bytes, places: list[int]) -> None:
    lines, rest = lines_of(cut(content, places))
    assert (lines, rest) == lines_of([content]) == lines_of([bytes([byte]) for byte in content])
    assert b"".join([*lines, rest]) == content.replace(b"\r", b"").replace(b"\n", b"")


@given(content=NOISE | st.binary(), places=CUTS)
def test_events_do_not_depend_on_the_pieces(content: bytes, places: list[int]) -> None:
    assert events_of(cut(content, places)) == events_of([content]) == events_of([bytes([byte]) for byte in content])


@given(
    texts=st.lists(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", codec="utf-8")), min_size=1)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    places=CUTS,
)
def test_events_carry_what_was_put_in(texts: list[list[str]], end: str, places: list[int]) -> None:
    written = "".join(f":{end}" + "".join(f"data: {line}{end}" for line in lines) + end for lines in texts)
    expected = [ServerSentEvent("\n".join(lines).encode()) for lines in texts]
    assert events_of(cut(written.encode(), places)) == expected


def test_fields_of_an_event_are_read_as_the_standard_says() -> None:
    content = b"\xef\xbb\xbfdata:a\ndata\ndata:  b\nevent: error\nid: 1\nretry: 5\nother: x\n\n"
    content += b"event: lost\n\ndata: c\n\ndata: half"
    assert events_of([content]) == [ServerSentEvent(b"a\n\n b", b"error"), ServerSentEvent(b"c")]


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    splitter = LineSplitter(max_line_bytes=100)
    splitter.feed(b"x" * 100)
    with pytest.raises(StreamIncomplete, match="a line of more than 100 bytes"):
        splitter.feed(b"x")


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *(
                    b"data: {}\n\n",
                    b"data: {}\n\n",
                    b"data: a\n",
                    b"event: error\n",
                    b"\r",
                    b"\n",
                    b"x",
                    b"\xef\xbb\xbf",
                ),
                *(b": hi\n\n", b"data: a\n\ndata: b\n\n", b"data: a\rb\n\n", b"data: a\n\r\n", b""),
            ]
        )
    )
)
def test_a_piece_that_is_an_event_by_itself_is_read_as_what_it_is_in_its_place(pieces: list[bytes]) -> None:
    assert events_of(pieces) == events_of([b"".join(pieces)])


def test_an_event_without_an_end_does_not_fill_the_memory() -> None:
    splitter = EventSplitter(max_event_bytes=100)
    with pytest.raises(StreamIncomplete, match="an event of more than 100 bytes"):
        [list(splitter.feed(b"data: xxxxxxxxxx\n")) for _ in range(100)]


@given(words=st.lists(st.text(min_size=1), max_size=5), places=CUTS)
def test_answers_do_not_depend_on_the_pieces(words: list[str], places: list[int]) -> None:
    for new_reader, body in (
        (lambda: ChunkReader("p"), openai_stream(words, reasoning=words).body),
        (lambda: LineReader("p"), ollama_stream(words, reasoning=words).body),
    ):
        whole = deltas_of(new_reader(), [body])
        assert whole[1] is None
        assert [delta.text for delta in whole[0] if isinstance(delta, Text)] == words
        assert deltas_of(new_reader(), cut(body, places)) == whole


@given(value=VALUES)
def test_no_json_crashes_a_reader(value: object) -> None:
    text = json.dumps(value).encode()
    deltas_of(ChunkReader("p"), [b"data: " + text + b"\n\n"])
    deltas_of(LineReader("p"), [text + b"\n"])


@given(content=NOISE | st.binary())
def test_no_bytes_crash_a_reader(content: bytes) -> None:
    deltas_of(ChunkReader("p"), [content])
    deltas_of(LineReader("p"), [content])


@settings(max_examples=60)
@given(delta=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), usage=VALUES)
def test_no_member_of_an_odd_shape_breaks_an_answer(delta: dict[str, object], usage: object) -> None:
    chunks = [openai_chunk(delta | {"content": None, "role": 1}, usage=usage), openai_chunk({"content": "a"})]
    deltas, error = deltas_of(ChunkReader("p"), chunks)
    assert (error, deltas[-1]) == (None, Text("a"))


@given(
    calls=st.lists(
        st.fixed_dictionaries(
            {}, optional={"id": st.sampled_from(["a", "b", ""]), "index": st.integers(0, 2) | st.none()}
        ),
        max_size=8,
    )
)
def test_every_tool_call_is_numbered_and_named_once_however_its_fragments_are(calls: list[dict[str, object]]) -> None:
    fragments = [call | {"function": {"name": "f", "arguments": "x"}} for call in calls]
    told, error = deltas_of(ChunkReader("p"), [openai_chunk({"tool_calls": [it]}) for it in fragments])
    assert error is None
    found = [delta for delta in told if isinstance(delta, ToolCall)]
    assert "".join(call.arguments for call in found) == "x" * len(calls)
    for index in {call.index for call in found}:
        first, *rest = (call for call in found if call.index == index)
        assert (bool(first.id), first.name) == (True, "f")
        assert all(call.id is None and call.name is None for call in rest)
    assert sorted({call.index for call in found}) == list(range(len({call.index for call in found})))


def test_nesting_without_end_does_not_crash_a_reader() -> None:
    deep = b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert deltas_of(ChunkReader("p"), [b"data: " + deep + b"\n\n"])[1] is not None
    nested = b'{"x":' * 100_000
    assert deltas_of(LineReader("p"), [nested + b"\n"])[1] is not None
