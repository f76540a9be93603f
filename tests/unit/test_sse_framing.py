"""What a client reads from our server-sent events is what was framed, whatever the text holds."""

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from api.relay import queued_entry
from api.streaming import SSEFramer
from compose.sse import SseParser
from shared.domain.errors import Internal
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    ImageStored,
    Noted,
    Progress,
    Queued,
    Reasoning,
    Rerouted,
    Restarted,
    Result,
    SearchResult,
    SearchResults,
    Signature,
    Started,
    Text,
    ToolCall,
    Usage,
    VideoStored,
    event_type,
    fold,
)

decode: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)  # pyright: ignore[reportArgumentType] - a union of structs
awkward = st.text(
    alphabet=st.one_of(st.sampled_from("\r\n\u2028\u2029\x85\0:🌊\ufeff \tadt"), st.characters(codec="utf-8"))
)
EVERY_EVENT: list[Event] = [
    Queued(3),
    Started("demo", "demo"),
    Restarted("demo", "demo", "worker_lost"),
    Text("a"),
    Reasoning("b"),
    ToolCall(0, "id", "name", "{}"),
    SearchResults([SearchResult("https://example.org")]),
    Signature("s"),
    ImageStored("i", "image/png", 1),
    VideoStored("v", "video/mp4", 1),
    Noted("parameter_dropped", "top_k: not known there"),
    Rerouted("demo", "demo", "overloaded"),
    Progress("half", 0.5),
    Usage(1, 2),
    Result({"volume": 0}),
    Completed("stop"),
    Failed(Internal().info()),
    Cancelled("queued"),
    Expired(),
]


def read(frames: bytes, cuts: list[int]) -> list[tuple[str, str, Event]]:
    """Read frames as they come over a network: in pieces cut anywhere."""
    parser = SseParser()
    places = sorted({0, len(frames), *(cut % (len(frames) + 1) for cut in cuts)})
    events = [event for start, end in pairwise(places) for event in parser.feed(frames[start:end])]
    return [(event.id, event.event, decode.decode(event.data)) for event in events]


@given(texts=st.lists(awkward, min_size=1, max_size=20), cuts=st.lists(st.integers(0, 10_000), max_size=10))
def test_what_a_client_reads_folds_to_the_same_answer(texts: list[str], cuts: list[int]):
    events = [Started("demo", "demo"), *(Text(text) for text in texts), *(Reasoning(text) for text in texts)]
    framer = SSEFramer()
    frames = framer.opening()
    for seq, event in enumerate(events, 1):
        frames += framer.frame(Entry(1, seq, 0, event)) + framer.heartbeat()
    got = read(frames + framer.closing(retry_ms=1500), cuts)
    assert [(identity, kind) for identity, kind, _ in got] == [
        (f"1.{seq}", event_type(event)) for seq, event in enumerate(events, 1)
    ]
    assert fold(event for _, _, event in got) == fold(events)


def test_every_event_is_one_frame_with_its_type_and_cursor():
    framer = SSEFramer()
    for seq, event in enumerate(EVERY_EVENT, 1):
        frame = framer.frame(Entry(7, seq, 0, event))
        assert frame.count(b"\n") == 4
        assert b"\r" not in frame
        assert read(frame, []) == [(f"7.{seq}", event_type(event), event)]


def test_a_queued_job_is_told_at_the_cursor_that_belongs_to_no_attempt():
    entry = queued_entry(datetime(2026, 11, 21, tzinfo=UTC), position=2)
    assert SSEFramer().frame(entry) == b'id: 0.1\nevent: queued\ndata: {"type":"queued","position":2}\n\n'


def test_comments_and_reconnection_times_are_no_events():
    framer = SSEFramer()
    assert read(framer.opening() + framer.heartbeat() + framer.closing(retry_ms=1), []) == []
    assert framer.opening().startswith(b"retry: 2000\n")
