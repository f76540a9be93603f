"""The one vocabulary: what is written can be read again, and a fold is what a reader would have put together."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ErrorInfo
from shared.domain.events import (
    Cancelled,
    Completed,
    Cursor,
    Entry,
    Event,
    Expired,
    Failed,
    ImageStored,
    Noted,
    Progress,
    Queued,
    Reasoning,
    Reply,
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
    decode_entries,
    decode_entry,
    encode_entry,
    encode_event,
    event_type,
    fold,
)

texts = st.text(max_size=20)
counts = st.integers(0, 1_000_000)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
    cached_tokens=counts,
    is_estimated=st.booleans(),
)
EVENTS: tuple[st.SearchStrategy[Event], ...] = (
    st.builds(Queued, position=st.none() | counts),
    st.builds(Started, provider=texts, model=texts),
    st.builds(Restarted, provider=texts, model=texts, reason=st.sampled_from(("retry", "worker_lost", "released"))),
    st.builds(Text, text=texts),
    st.builds(Reasoning, text=texts),
    st.builds(ToolCall, index=st.integers(0, 3), id=st.none() | texts, name=st.none() | texts, arguments=texts),
    st.builds(SearchResults, results=st.lists(st.builds(SearchResult, url=texts, title=texts), max_size=3)),
    st.builds(Signature, signature=texts),
    st.builds(ImageStored, image_id=texts, media_type=texts, size_bytes=counts),
    st.builds(VideoStored, video_id=texts, media_type=texts, size_bytes=counts),
    st.builds(Noted, code=texts, text=texts),
    st.builds(Rerouted, provider=texts, model=texts, reason=texts),
    st.builds(Progress, note=texts, fraction=st.none() | st.floats(0, 1)),
    usages,
    st.builds(Result, data=st.dictionaries(texts, texts | counts, max_size=3)),
    st.builds(Completed, finish_reason=texts),
    st.builds(Failed, error=st.builds(ErrorInfo, code=texts, title=texts, status=st.integers(400, 599))),
    st.builds(
        Cancelled,
        phase=st.sampled_from(("queued", "before_first_delta", "streaming")),
        provider_stops_billing=st.sampled_from((None, "yes", "no", "unknown")),
        usage=st.none() | usages,
    ),
    st.just(Expired()),
)
events = st.one_of(EVENTS)


@given(event=events, attempt=st.integers(0, 10**6), seq=st.integers(1, 10**9), at_ms=st.integers(0, 2**50))
def test_an_entry_is_read_as_it_was_written(event: Event, attempt: int, seq: int, at_ms: int) -> None:
    entry = Entry(attempt, seq, at_ms, event)
    line = encode_entry(entry)
    assert decode_entry(line) == entry
    assert decode_entries(b"[" + line + b"," + line + b"]") == [entry, entry]


@given(event=events)
def test_an_event_is_one_line_of_json_that_names_its_type(event: Event) -> None:
    line = encode_event(event)
    assert b"\n" not in line
    assert b"\r" not in line
    assert line.startswith(b'{"type":"' + event_type(event).encode() + b'"')


def test_every_event_has_a_strategy_here() -> None:
    tags = {strategy_for.__struct_config__.tag for strategy_for in get_args(Event)}
    assert len(tags) == len(EVENTS) == 19


@given(before=st.lists(events), after=st.lists(events.filter(lambda event: not isinstance(event, Started | Restarted))))
def test_a_restart_voids_what_came_before_it(before: list[Event], after: list[Event]) -> None:
    restart = Restarted("openai", "m", "worker_lost")
    assert fold([*before, restart, *after]) == fold([Started("openai", "m"), *after])


@given(fragments=st.lists(st.text()))
def test_the_fragments_of_a_text_are_put_together_in_order(fragments: list[str]) -> None:
    reply = fold([Started("openai", "m"), *map(Text, fragments), Completed("stop")])
    assert reply == Reply(provider="openai", model="m", text="".join(fragments), finish_reason="stop")


def test_the_fragments_of_a_tool_call_are_put_together_by_index() -> None:
    reply = fold([ToolCall(0, "a", "pour", '{"ml"'), ToolCall(1, "b", "stop"), ToolCall(0, arguments=":200}")])
    assert reply.tool_calls == [ToolCall(0, "a", "pour", '{"ml":200}'), ToolCall(1, "b", "stop")]


def test_the_last_usage_counts_and_a_cancel_receipt_keeps_it() -> None:
    assert fold([Usage(1, 1), Usage(5, 7), Cancelled("streaming", "yes")]).usage == Usage(5, 7)
    assert fold([Usage(1, 1), Cancelled("streaming", "yes", Usage(9, 9))]).usage == Usage(9, 9)


@given(attempt=st.integers(0, 10**9 - 1), seq=st.integers(0, 10**9 - 1))
def test_a_cursor_is_read_as_it_was_written(attempt: int, seq: int) -> None:
    assert Cursor.parse(str(Cursor(attempt, seq))) == Cursor(attempt, seq)


@given(text=st.text() | st.from_regex(r"[-+ ]?\d{0,12}[.,]?[-+ ]?\d{0,12}"))
def test_a_cursor_that_is_read_is_written_alike_or_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    attempt, seq = text.split(".")
    assert cursor == Cursor(int(attempt), int(seq))


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", ".1", "-1.2", "1.-2", "1.2.3", "a.b", "١.٢", "1e3.1", "9999999999.1"]
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Cursor.parse(text)
