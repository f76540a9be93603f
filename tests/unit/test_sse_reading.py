"""The command line's own reader of event streams."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.sse import ServerEvent, SseParser

STREAM = (
    '\ufeffretry: 2000\n\n: beat\n\nid: 1.1\nevent: text\ndata: {"text":"Wässer 💧"}\n\n'
    "id: 1.2\r\nevent: text\r\ndata: one\r\ndata:two\r\n\r\nid: 1.3\rdata\r\r"
    "event: unfinished\ndata: lost"
).encode()
EVENTS = [
    ServerEvent("1.1", "text", '{"text":"Wässer 💧"}'),
    ServerEvent("1.2", "text", "one\ntwo"),
    ServerEvent("1.3", "message", ""),
]


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_is_read_alike_however_it_is_cut(cuts: list[int]) -> None:
    parser = SseParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    assert [event for start, end in pairwise(edges) for event in parser.feed(STREAM[start:end])] == EVENTS


def test_a_stream_is_read_byte_by_byte() -> None:
    parser = SseParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


@given(st.binary())
def test_no_bytes_are_too_strange_to_read(content: bytes) -> None:
    assert all(event.event for event in SseParser().feed(content))


@pytest.mark.parametrize("line", [b"id: 1\0", b"idea: 2", b":id: 3", b"id 4"])
def test_an_id_is_taken_only_from_a_line_that_is_one(line: bytes) -> None:
    assert SseParser().feed(line + b"\ndata: x\n\n") == [ServerEvent("", "message", "x")]
