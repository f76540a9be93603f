"""What clients read from the frames is the folded answer, and every error is one `{"error": …}`."""

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.llm_backend_api import LLM_BACKEND_API
from api.dialects.llm_backend_api.frame import BareFramer, go_json
from shared.domain import errors
from shared.domain.errors import ErrorInfo, SmartSipError
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    Progress,
    Reasoning,
    Restarted,
    Started,
    Text,
    Usage,
    fold,
)
from tests.contract.dialects.llm_backend_api.rig import ending, message

START = Started("openai", "gpt-4o")
EXPECTED = {
    "BadOutput": 500,
    "ChatBusy": 409,
    "ClaimExpired": 409,
    "ClaimUsed": 409,
    "Conflict": 409,
    "ContentBlocked": 500,
    "ContextTooLong": 500,
    "DeadLetter": 500,
    "DeadlineExceeded": 500,
    "Forbidden": 403,
    "IdempotencyKeyReused": 400,
    "ImageRefused": 400,
    "Internal": 500,
    "InvalidRequest": 400,
    "LengthRequired": 411,
    "MalformedRequest": 400,
    "MediaRefused": 400,
    "ModelNotFound": 500,
    "NotFound": 404,
    "OrderCancelled": 500,
    "OrderExpired": 500,
    "OutcomeUnknown": 500,
    "PayloadTooLarge": 413,
    "ProviderAuth": 500,
    "ProviderError": 500,
    "ProviderOverloaded": 500,
    "ProviderQuota": 500,
    "ProviderRateLimited": 500,
    "ProviderRegion": 500,
    "ProviderRejected": 500,
    "ProviderTimeout": 500,
    "ProviderUnreachable": 500,
    "QuotaExceeded": 429,
    "RangeNotSatisfiable": 416,
    "RequestTooLarge": 500,
    "SmartSipError": 500,
    "StreamIncomplete": 500,
    "TokensSpent": 402,
    "TooManyLogins": 429,
    "TooManyStreams": 429,
    "Unauthenticated": 401,
    "Unavailable": 503,
    "UnsupportedMediaType": 415,
    "UsernameTaken": 400,
}
awkward = st.text(
    alphabet=st.one_of(st.sampled_from('\r\n\u2028\u2029\x85\0🌊\ufeff <>&"\\{}'), st.characters(codec="utf-8"))
)
Reader = Callable[[str], Iterator[dict[str, str]]]


def at_empty_lines(body: str) -> Iterator[dict[str, str]]:
    """Read as the document shows it, block by block as they come; dies of an empty one."""
    while "\n\n" in body:
        block, body = body.split("\n\n", 1)
        yield json.loads(block)
    assert body.strip() == ""


def line_by_line(body: str) -> Iterator[dict[str, str]]:
    """Read the lines that are not empty, split as text is."""
    return (json.loads(line) for line in body.splitlines() if line.strip())


def one_after_the_other(body: str) -> Iterator[dict[str, str]]:
    """Read values with white space between them, as Go's json.Decoder does."""
    decoder = json.JSONDecoder()
    while body := body.lstrip(" \t\r\n"):
        value, end = decoder.raw_decode(body)
        yield value
        body = body[end:]


def framed(*events: Event, pauses: int = 0) -> str:
    framer = BareFramer()
    entries = [Entry(1, seq, 0, event) for seq, event in enumerate(events, 1)]
    silence = framer.heartbeat() * pauses
    return (framer.opening() + b"".join(silence + framer.frame(entry) for entry in entries)).decode()


@pytest.mark.covers("F002-14", "F002-16", "F002-21")
@pytest.mark.parametrize("reader", [at_empty_lines, line_by_line, one_after_the_other])
@given(words=st.lists(awkward | st.tuples(awkward), max_size=8), pauses=st.integers(0, 3))
def test_what_clients_read_is_the_whole_answer_twice(reader: Reader, words: list[str | tuple[str]], pauses: int):
    said = [Text(word) if isinstance(word, str) else Reasoning(word[0]) for word in words]
    events = [START, *said, Progress("half"), Usage(1, 2), Completed("stop")]
    *fragments, done, full = reader(framed(*events, pauses=pauses))
    text = fold(events).text
    assert "".join(fragment["data"] for fragment in fragments) == text
    assert fragments == [message(fragment["data"]) for fragment in fragments if fragment["data"]]
    assert [done, full] == ending(text)


def test_frames_are_written_as_go_writes_them():
    told = framed(START, Text('R <"é">\n'), Text("&\u2028"), Completed("stop"))
    assert told == (
        '{"data":"R \\u003c\\"é\\"\\u003e\\n","event":"message"}\n\n'
        '{"data":"\\u0026\\u2028","event":"message"}\n\n'
        '{"data":"Stream finished","event":"done"}\n\n'
        '{"data":"R \\u003c\\"é\\"\\u003e\\n\\u0026\\u2028","event":"full_response"}\n\n'
    )


@pytest.mark.covers("F002-27")
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Failed(errors.ProviderOverloaded("sk-1234 at http://10.0.0.1").info()), "The provider is overloaded"),
        (Failed(errors.Internal().info()), "An internal error occurred"),
        (Cancelled("streaming"), "The answer was cancelled"),
        (Expired(), "Nobody could begin with the answer in time."),
        (
            Restarted("openai", "gpt-4o", "worker_lost"),
            "The answer was interrupted and is being made anew; ask again, or read it when it is ready.",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_stream_that_breaks_ends_with_an_error_and_never_with_done(end: Event, words: str):
    told = framed(START, Text("Half"), end, Text("and another"), Completed("stop"))
    assert list(at_empty_lines(told)) == [message("Half"), {"data": words, "event": "error"}]


def test_a_restart_before_the_first_word_is_not_noticed():
    again = Restarted("openai", "gpt-4o", "worker_lost")
    told = framed(START, again, Text("Whole"), Completed("stop"))
    assert list(at_empty_lines(told)) == [message("Whole"), *ending("Whole")]


def test_a_server_that_stops_says_that_the_answer_is_not_whole():
    framer = BareFramer()
    framer.frame(Entry(1, 1, 0, Text("Half")))
    (told,) = at_empty_lines(framer.closing(retry_ms=1000).decode())
    assert told["event"] == "error"


def every_error(branch: type[SmartSipError] = SmartSipError) -> list[type[SmartSipError]]:
    return [branch, *(error for below in branch.__subclasses__() for error in every_error(below))]


def every_domain_error() -> list[type[SmartSipError]]:
    return sorted({error for error in every_error() if error.__module__ == errors.__name__}, key=lambda e: e.__name__)


@pytest.mark.parametrize("error", every_domain_error(), ids=lambda error: error.__name__)
def test_every_error_has_this_systems_shape_and_no_providers_words(error: type[SmartSipError]):
    rendered = LLM_BACKEND_API.render_error(error("what happened").info())
    is_providers = issubclass(error, errors.ProviderError)
    assert json.loads(rendered.body) == {"error": error.title if is_providers else "what happened"}
    assert (rendered.status, rendered.media_type) == (EXPECTED[error.__name__], "application/json; charset=utf-8")


def test_a_field_is_named_where_there_is_one():
    rendered = LLM_BACKEND_API.render_error(errors.InvalidRequest("is too long", field="title").info())
    assert rendered.body == b'{"error":"title: is too long"}'


@given(detail=st.text(), field=st.none() | st.text(), status=st.integers(400, 599))
def test_whatever_an_error_says_is_one_json_document(detail: str, field: str | None, status: int):
    info = ErrorInfo(code="any", title="Any", status=status, detail=detail, field=field)
    rendered = LLM_BACKEND_API.render_error(info)
    assert list(json.loads(rendered.body)) == ["error"]
    assert 400 <= rendered.status < 600
    assert rendered.status != 422


@given(text=awkward)
def test_json_is_the_same_after_gos_escaping(text: str):
    written = go_json({text: [text, 1, None, True]})
    assert json.loads(written) == {text: [text, 1, None, True]}
    assert not set("<>&\u2028\u2029") & set(written.decode())
