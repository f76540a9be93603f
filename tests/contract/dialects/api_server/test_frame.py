"""Bytes as the old document shows them, and readers that make of them what was said."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.api_server.frame import AskFramer, Head, render, render_error
from api.framing import CANCELLED
from compose.sse import SseParser
from shared.domain import errors, events
from shared.domain.errors import ErrorInfo, StreamIncomplete
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    Reasoning,
    Reply,
    Restarted,
    Started,
    Text,
    Usage,
    fold,
)
from shared.domain.ids import JobId
from tests.contract.dialects.smartsip.test_frame import every_domain_error

HEAD = Head(job_id=JobId(UUID("01871756-df70-7000-8000-00000000002a")), model="gpt-3.5-turbo")
CHUNK = (
    b'data: {"id": "chatcmpl-01871756df7070008000'
    b'00000000002a", "object": "chat.completion.chunk", "created": 1679723782, "model": "gpt-3.5-turbo", '
)
START = Started("openai", "gpt-3.5-turbo")
SECRET = "key sk-1234567890 at https://api.example.com/v1?token=abc"
HEARTBEAT = None
awkward = st.text(
    st.one_of(st.sampled_from('\r\n\u2028\u2029\x85🌊\ufeff\t"\\'), st.characters(codec="utf-8")), min_size=1
)
spoken = st.one_of(awkward.map(Text), awkward.map(Text), awkward.map(Reasoning), st.just(HEARTBEAT))
ends = st.one_of(
    st.sampled_from(["stop", "length", "content_filter", "eos"]).map(Completed),
    st.just(Failed(StreamIncomplete().info())),
    st.just(Cancelled("streaming")),
    st.just(Expired()),
)


def framed(said: Sequence[Event | None], framer: AskFramer | None = None) -> list[bytes]:
    """The frames of events; None is a moment of silence."""
    framer = framer or AskFramer(HEAD)
    entries = (event and Entry(1, seq, 0, event) for seq, event in enumerate(said, 1))
    return [frame for entry in entries if (frame := framer.heartbeat() if entry is None else framer.frame(entry))]


def read_as_documented(stream: bytes) -> tuple[str, str | None]:
    """What a reader of the document's note has: every event is `data: `, JSON and an empty line, until it stops."""
    assert stream.endswith(b"\n\n")
    text = ""
    for block in stream.removesuffix(b"\n\n").split(b"\n\n"):
        assert block.startswith(b"data: ")
        choice = json.loads(block.removeprefix(b"data: ").decode("utf-8"))["choices"][0]
        assert choice["index"] == 0
        text += choice["delta"].get("content", "")
        if choice["finish_reason"] is not None:
            return text, choice["finish_reason"]
    return text, None


def read_with_care(stream: bytes, cuts: Sequence[int] = ()) -> tuple[str, dict[str, Any] | None]:
    """What a reader of server-sent events has, who looks for an error; the bytes arrive cut anywhere."""
    parser, text, error = SseParser(), "", None
    for begin, end in pairwise([0, *sorted(cuts), len(stream)]):
        for event in parser.feed(stream[begin:end]):
            chunk = json.loads(event.data)
            text += chunk["choices"][0]["delta"].get("content", "")
            error = chunk.get("error")
    return text, error


@pytest.mark.covers("F001-03", "F001-04")
def test_a_stream_is_byte_for_byte_as_the_document_shows_it():
    frames = framed([START, Text("I"), Text(" é"), Usage(1, 2), Completed("stop")])
    assert b"".join(frames) == (
        CHUNK + b'"choices": [{"delta": {"role": "assistant"}, "index": 0, "finish_reason": null}]}\n\n'
        + CHUNK + b'"choices": [{"delta": {"content": "I"}, "index": 0, "finish_reason": null}]}\n\n'
        + CHUNK + b'"choices": [{"delta": {"content": " \\u00e9"}, "index": 0, "finish_reason": null}]}\n\n'
        + CHUNK + b'"choices": [{"delta": {}, "index": 0, "finish_reason": "stop"}]}\n\n'
    )  # fmt: skip


@pytest.mark.covers("F001-02")
def test_a_whole_answer_is_byte_for_byte_as_the_old_system_wrote_it():
    reply = Reply(text="I don’t know.", model="gpt-3.5-turbo-0301", usage=Usage(109, 27), finish_reason="stop")
    assert render(reply, HEAD) == (
        b'{"id": "chatcmpl-01871756df707000800000000000002a", "object": "chat.completion", "created": 1679723782,'
        b' "model": "gpt-3.5-turbo-0301",'
        b' "usage": {"prompt_tokens": 109, "completion_tokens": 27, "total_tokens": 136},'
        b' "choices": [{"message": {"role": "assistant", "content": "I don\\u2019t know."},'
        b' "finish_reason": "stop", "index": 0}]}'
    )


def test_the_model_that_answered_is_named():
    fallback = framed([Started("openai", "gpt-5"), Restarted("ollama", "qwen", "retry"), Text("a"), Completed("stop")])
    assert {json.loads(frame.removeprefix(b"data: ").splitlines()[0])["model"] for frame in fallback} == {"qwen"}


def test_a_silent_stream_is_kept_alive_by_what_every_reader_takes():
    frames = framed([START, HEARTBEAT, HEARTBEAT, Text("a")])
    choices = [json.loads(frame.removeprefix(b"data: "))["choices"] for frame in frames]
    assert choices == [
        [{"delta": delta, "index": 0, "finish_reason": None}] for delta in ({"role": "assistant"}, {}, {"content": "a"})
    ]


@given(said=st.lists(spoken), end=ends, cuts=st.lists(st.integers(0, 4000)))
def test_what_clients_read_is_the_folded_answer_however_it_is_cut(
    said: list[Event | None], end: Event, cuts: list[int]
):
    told = [START, *said, end]
    stream = b"".join(framed(told))
    reply = fold(event for event in told if event is not None)
    text, error = read_with_care(stream, [min(cut, len(stream)) for cut in cuts])
    assert text == reply.text
    assert (error is None) == isinstance(end, Completed)
    finish = reply.finish_reason if reply.finish_reason in ("length", "content_filter") else "stop"
    assert read_as_documented(stream) == (reply.text, finish)


@given(before=st.lists(awkward.map(Text), min_size=1), after=st.lists(awkward.map(Text)))
def test_two_half_answers_are_never_spliced(before: list[Event], after: list[Event]):
    framer = AskFramer(HEAD)
    stream = b"".join(framed([START, *before, Restarted("openai", "m", "worker_lost"), *after], framer))
    text, error = read_with_care(stream)
    assert framer.is_over
    assert text == fold([START, *before]).text
    assert error is not None
    assert error["code"] == "provider_error"


@pytest.mark.covers("F001-14")
def test_a_failure_in_the_stream_stops_old_readers_and_is_seen_by_careful_ones():
    failed = framed([START, Text("I"), Failed(StreamIncomplete(SECRET).info())])[-1]
    assert failed == (
        CHUNK + b'"choices": [{"delta": {}, "index": 0, "finish_reason": "stop"}],'
        b' "error": {"code": "stream_incomplete", "message": "The provider\'s answer ended half-way"}}\n\n'
    )


def test_a_server_that_stops_ends_the_stream_with_an_error():
    framer = AskFramer(HEAD)
    stream = b"".join(framed([START, Text("I")], framer)) + framer.closing(retry_ms=1000)
    text, error = read_with_care(stream)
    assert (text, error and error["code"]) == ("I", "provider_error")


@pytest.mark.parametrize("error", every_domain_error(), ids=lambda error: error.__name__)
def test_every_error_is_a_sentence_in_the_old_shape(error: type[errors.SmartSipError]):
    status, body = render_error(error(None, field="history.0").info())
    document = json.loads(body)
    assert 400 <= status < 600
    assert set(document) == {"msg"}
    assert document["msg"]
    assert body == json.dumps(document).encode()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.MalformedRequest("a: is wrong", field="a"), (400, "a: is wrong")),
        (errors.InvalidRequest("is wrong", field="a"), (422, "a: is wrong")),
        (errors.Unauthenticated("how to come in"), (401, "Invalid token!")),
        (errors.Forbidden("of what is missing"), (403, "Invalid token!")),
        (errors.TokensSpent("the quota client:1 has 0 left"), (402, "Insufficient token (client)!")),
        (errors.NotFound("there is no such client"), (404, "Not Found!")),
        (errors.PayloadTooLarge("At most 8 bytes are taken here."), (413, "At most 8 bytes are taken here.")),
        (errors.TooManyStreams(), (429, "Too many event streams are open")),
        (errors.Unavailable(SECRET), (503, "The service is not available at the moment")),
        (errors.Internal(SECRET), (500, "Something wrong!")),
        (errors.DeadlineExceeded(SECRET), (500, "The job's deadline passed")),
        (errors.ProviderRateLimited(SECRET), (500, "The provider asks to slow down")),
        (errors.ModelNotFound(SECRET), (500, "The provider has no such model")),
        (errors.ContextTooLong(SECRET), (422, "The input is longer than the model's context")),
        (errors.ContentBlocked(SECRET), (422, "The provider blocked the content")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_have_these_statuses_and_words(error: errors.SmartSipError, expected: tuple[int, str]):
    status, body = render_error(error.info())
    assert (status, json.loads(body)) == (expected[0], {"msg": expected[1]})


def test_an_answer_that_was_cancelled_is_a_conflict():
    assert render_error(CANCELLED) == (409, b'{"msg": "The answer was cancelled"}')


@given(
    detail=st.text(), field=st.none() | st.text(), status=st.integers(400, 599), code=st.sampled_from(["x", "internal"])
)
def test_whatever_an_error_says_its_body_is_json(detail: str, field: str | None, status: int, code: str):
    info = ErrorInfo(code=code, title="Any", status=status, detail=detail, field=field)
    rendered, body = render_error(info)
    assert rendered == (500 if status == 504 else status)
    assert set(json.loads(body)) == {"msg"}
    assert body.isascii()


def test_nothing_else_is_said_of_an_answer():
    """Thoughts, tools and sources have no words in this system."""
    said: list[Event | None] = [
        Reasoning("hm"),
        events.ToolCall(0, "1", "f", "{}"),
        events.SearchResults([events.SearchResult("https://example.com")]),
        events.Signature("s"),
        events.Progress("half"),
        events.Queued(1),
    ]
    assert framed([START, *said]) == []
