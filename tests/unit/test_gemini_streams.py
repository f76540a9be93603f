"""Gemini's streams as deltas: whole, byte by byte, cut anywhere, cut off anywhere; and nothing it sends is a crash."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import (
    BadOutput,
    ContentBlocked,
    ModelNotFound,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    StreamIncomplete,
)
from shared.domain.events import Finish, Reasoning, SearchResult, SearchResults, Signature, Text, ToolCall, Usage
from tests.gemini_replies import PIXEL, SIGNATURE, gemini_event, refusal, sources
from tests.scripted_replies import sse_event
from workers.providers.base import GeneratedImage, ProviderDelta
from workers.providers.gemini.chunks import GeminiReader

THOUGHT = {"promptTokenCount": 12, "thoughtsTokenCount": 68, "totalTokenCount": 80}
SAID = THOUGHT | {"candidatesTokenCount": 2}
ALL = {"promptTokenCount": 12, "candidatesTokenCount": 7, "thoughtsTokenCount": 68, "cachedContentTokenCount": 3}
USED = Usage(input_tokens=12, output_tokens=75, reasoning_tokens=68, cached_tokens=3)
TEA = SearchResult("https://tea.example/green", "tea.example")
PAGE = "https://tea.example/page"
CALL = {"functionCall": {"name": "pour", "args": {"ml": 200}, "id": "call_1"}, "thoughtSignature": SIGNATURE}

ANSWERS: dict[str, tuple[list[bytes], list[ProviderDelta]]] = {
    "thoughts, words, and a signature without words": (
        [
            gemini_event({"text": "**Tea**\n\nGreen, I think.", "thought": True}, usage=THOUGHT),
            gemini_event({"text": "Grün"}, usage=SAID),
            gemini_event({"text": "tee 🍵"}, usage=SAID),
            gemini_event({"text": "", "thoughtSignature": SIGNATURE}, finish="STOP", usage=ALL),
        ],
        [
            Reasoning("**Tea**\n\nGreen, I think."),
            Text("Grün"),
            Text("tee 🍵"),
            Signature(f"gemini:text:9:{SIGNATURE}"),
            USED,
            Finish("stop"),
        ],
    ),
    "searched, with each source once": (
        [
            gemini_event({"text": "Tea"}, groundingMetadata={}),
            gemini_event({"text": "."}, groundingMetadata=sources((TEA.url, "tea.example"), (TEA.url, "again"))),
            gemini_event(finish="STOP", groundingMetadata=sources((TEA.url, "tea.example"))),
        ],
        [Text("Tea"), Text("."), SearchResults([TEA]), Finish("stop")],
    ),
    "pages that were read": (
        [
            gemini_event({"text": "Tea"}, urlContextMetadata=None),
            gemini_event(
                finish="STOP",
                urlContextMetadata={
                    "urlMetadata": [
                        {"retrievedUrl": PAGE, "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
                        {"retrievedUrl": f"{PAGE}/2"},
                        {"retrievedUrl": f"{PAGE}/3", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
                    ]
                },
            ),
        ],
        [Text("Tea"), SearchResults([SearchResult(PAGE), SearchResult(f"{PAGE}/2")]), Finish("stop")],
    ),
    "a picture among words, and a draft among thoughts": (
        [
            gemini_event({"inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}, "thought": True}),
            gemini_event({"text": "Here:", "thoughtSignature": "Zmlyc3Q="}),
            gemini_event({"inlineData": {"mimeType": "image/png", "data": PIXEL}, "thoughtSignature": SIGNATURE}),
            gemini_event({"inlineData": {"data": "_-8"}}, finish="STOP", usage=ALL),
        ],
        [
            Text("Here:"),
            Signature("gemini:text:5:Zmlyc3Q="),
            GeneratedImage(url=f"data:image/png;base64,{PIXEL}"),
            Signature(f"gemini:image:0:{SIGNATURE}"),
            GeneratedImage(url="data:image/png;base64,/+8"),
            USED,
            Finish("stop"),
        ],
    ),
    "calls of functions, of which the first is signed": (
        [
            gemini_event({"text": "I pour."}),
            gemini_event(CALL, {"functionCall": {"name": "stir", "id": "call_2", "args": None}}),
            gemini_event({"functionCall": {"name": "wait", "id": "call_3"}}, finish="STOP"),
        ],
        [
            Text("I pour."),
            ToolCall(0, "call_1", "pour", '{"ml": 200}'),
            Signature(f"gemini:call:0:{SIGNATURE}"),
            ToolCall(1, "call_2", "stir", "{}"),
            ToolCall(2, "call_3", "wait", "{}"),
            Finish("tool_calls"),
        ],
    ),
    "a filter in the middle": (
        [gemini_event({"text": "Tea"}), gemini_event(content=None, finish="SAFETY")],
        [Text("Tea"), Finish("content_filter")],
    ),
    "a limit of tokens": ([gemini_event({"text": "Te"}, finish="MAX_TOKENS")], [Text("Te"), Finish("length")]),
    "nulls and strangers everywhere": (
        [
            sse_event({"candidates": None, "usageMetadata": None, "promptFeedback": None, "error": None}),
            b'data: {"candidates": [null], "usageMetadata": {}, "promptFeedback": {}, "strange": [1]}\n\n',
            b'data: {"candidates": [{"content": {"parts": null}, "index": null, "safetyRatings": [{}]}]}\n\n',
            b'data: {"candidates": [{"content": {"parts": [null, {}, {"text": null, "thought": null}]}}]}\n\n',
            sse_event({"candidates": [{"index": 1, "content": {"parts": [{"text": "another"}]}}]}),
            b'data: [{"candidates": [{"content": {"parts": [{"executableCode": {}}, {"text": "Tea"}]}}]}]\n\n',
            sse_event({"candidates": [{"finishReason": "STOP", "groundingMetadata": {"groundingChunks": [None, 7]}}]}),
            sse_event("[DONE]"),
        ],
        [Text("Tea"), Finish("stop")],
    ),
    "what tools brought along is counted as input": (
        [gemini_event({"text": "Tea"}, finish="STOP", usage={"promptTokenCount": 9, "toolUsePromptTokenCount": 100})],
        [Text("Tea"), Usage(input_tokens=109, output_tokens=0), Finish("stop")],
    ),
    "a count that is not repeated stays": (
        [
            gemini_event({"text": "Tea"}, usage={"promptTokenCount": 9, "candidatesTokenCount": 1}),
            gemini_event(finish="STOP", usage={"candidatesTokenCount": 2}),
        ],
        [Text("Tea"), Usage(input_tokens=9, output_tokens=2), Finish("stop")],
    ),
}
every_answer = pytest.mark.parametrize(("events", "expected"), ANSWERS.values(), ids=list(ANSWERS))


def deltas_of(pieces: Iterable[bytes]) -> tuple[list[ProviderDelta], ProviderError | None]:
    """What a reader tells; of the usage the last, as it is reported."""
    reader, deltas = GeminiReader("gemini"), list[ProviderDelta]()
    try:
        for piece in pieces:
            deltas.extend(reader.feed(piece))
        deltas.extend(reader.end())
    except ProviderError as error:
        return deltas, error
    last = [delta for delta in deltas if isinstance(delta, Usage)][-1:]
    return [delta for delta in deltas if not isinstance(delta, Usage) or any(delta is it for it in last)], None


def failure_of(*events: bytes) -> ProviderError:
    _, error = deltas_of(events)
    assert error is not None
    return error


def whole(events: Iterable[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(events).replace(b"\n", end)


@every_answer
def test_an_answer_is_told_however_it_is_cut(events: list[bytes], expected: list[ProviderDelta]) -> None:
    for body in (whole(events), whole(events, b"\r\n"), b": hello\n\n" + whole(events), whole(events).rstrip()):
        assert deltas_of([body]) == (expected, None)
        assert deltas_of([bytes([byte]) for byte in body]) == (expected, None)


@given(name=st.sampled_from(sorted(ANSWERS)), data=st.data())
@settings(max_examples=60)
def test_random_cuts_change_nothing(name: str, data: st.DataObject) -> None:
    events, expected = ANSWERS[name]
    body = whole(events)
    places = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=12)))
    pieces = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    assert deltas_of(pieces) == (expected, None)


@every_answer
def test_what_is_cut_off_has_no_finish_and_tells_no_more_than_came(
    events: list[bytes], expected: list[ProviderDelta]
) -> None:
    finished = next(at for at, event in enumerate(events) if b"finishReason" in event)
    for kept in range(finished + 1):
        deltas, error = deltas_of(events[:kept])
        assert error is None
        assert not any(isinstance(delta, Finish) for delta in deltas)
        said = [delta for delta in deltas if not isinstance(delta, Usage)]
        assert said == expected[: len(said)]
    deltas, error = deltas_of([whole(events[:finished]) + events[finished][: len(events[finished]) // 2]])
    assert isinstance(error, StreamIncomplete)
    assert not any(isinstance(delta, Finish) for delta in deltas)


def test_a_call_without_an_id_is_given_one() -> None:
    event = gemini_event({"functionCall": {"name": "pour", "args": {}}}, {"functionCall": {"name": "pour"}})
    deltas, _ = deltas_of([event])
    ids = [delta.id for delta in deltas if isinstance(delta, ToolCall)]
    assert len({*ids}) == 2
    assert all(made and made.startswith("call_") for made in ids)


@pytest.mark.parametrize(
    ("reason", "expected", "words"),
    [
        *((reason, ContentBlocked, "blocked the answer") for reason in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT")),
        *((reason, ContentBlocked, "blocked the answer") for reason in ("SPII", "BLOCKLIST", "IMAGE_SAFETY")),
        ("MALFORMED_FUNCTION_CALL", ProviderRejected, "a call of a function"),
        ("MISSING_THOUGHT_SIGNATURE", ProviderRejected, "thought signature"),
        ("NO_IMAGE", BadOutput, "made no image"),
        ("OTHER", BadOutput, "does not say why"),
    ],
)
def test_an_end_without_an_answer_says_why(reason: str, expected: type[ProviderError], words: str) -> None:
    event = gemini_event({"text": "Hm", "thought": True}, finish=reason, finishMessage="Because.")
    error = failure_of(event)
    assert type(error) is expected
    assert all(said in str(error) for said in ("gemini", words, reason, "Because."))


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        *(("STOP", "stop"), ("MAX_TOKENS", "length"), ("CONTINUATION", "length"), ("RECITATION", "content_filter")),
        *(("OTHER", "OTHER"), ("NEW_REASON", "NEW_REASON"), ("FUNCTION_CALL", "tool_calls")),
    ],
)
def test_an_end_after_words_is_a_finish(reason: str, told: str) -> None:
    assert deltas_of([gemini_event({"text": "Tea"}, finish=reason)]) == ([Text("Tea"), Finish(told)], None)


def test_a_call_that_cannot_be_read_is_a_failure_whatever_was_said() -> None:
    error = failure_of(gemini_event({"text": "Tea"}), gemini_event(finish="MALFORMED_FUNCTION_CALL"))
    assert type(error) is ProviderRejected


def test_a_question_that_is_blocked_says_why() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "No.", "safetyRatings": None}
    error = failure_of(sse_event({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4}}))
    assert (type(error), str(error)) == (ContentBlocked, "gemini blocked the question (PROHIBITED_CONTENT): No.")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (sse_event(refusal("UNAVAILABLE", "The model is overloaded.", 503)), ProviderOverloaded),
        (sse_event([refusal("INTERNAL", "An internal error has occurred.", 500)]), ProviderOverloaded),
        (sse_event(refusal("RESOURCE_EXHAUSTED", "Slow down.", 429, {"retryDelay": "38s"})), ProviderRateLimited),
        (sse_event(refusal("NOT_FOUND", "models/x is not found", 404)), ModelNotFound),
        (sse_event({"error": {"status": "RESOURCE_EXHAUSTED", "message": "Slow down."}}), ProviderRateLimited),
        (sse_event({"error": {"status": "UNAVAILABLE", "message": "Busy."}}), ProviderOverloaded),
        (sse_event({"error": {"status": "INVALID_ARGUMENT", "message": "No."}}), ProviderRejected),
        (sse_event({"message": "no"}, event="error"), ProviderError),
        (b"data: {not json}\n\n", StreamIncomplete),
        (b'data: {"candidates": "none"}\n\n', StreamIncomplete),
        (b'data: {"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}\n\n', StreamIncomplete),
        (gemini_event({"text": "lost"})[:-20], StreamIncomplete),
    ],
)
def test_a_fault_in_mid_stream_is_one_error_after_what_was_said(event: bytes, expected: type[ProviderError]) -> None:
    body = gemini_event({"text": "Tea"}) + event
    for pieces in ([body], [bytes([byte]) for byte in body]):
        deltas, error = deltas_of(pieces)
        assert (deltas, type(error)) == ([Text("Tea")], expected)
    if expected is ProviderRateLimited and b"38s" in event:
        assert failure_of(event).retry_after_s == 38


def test_what_is_no_signature_is_not_kept() -> None:
    event = gemini_event({"text": "Tea", "thoughtSignature": "no\0base64"}, finish="STOP")
    assert deltas_of([event]) == ([Text("Tea"), Finish("stop")], None)


NAMES = (
    *("candidates", "content", "parts", "text", "thought", "inlineData", "data", "functionCall", "args", "error"),
    *("finishReason", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "thoughtSignature"),
    *("groundingMetadata", "groundingChunks", "web", "uri", "urlContextMetadata", "urlMetadata", "retrievedUrl"),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(value=JSON)
def test_no_json_crashes_the_reader(value: object) -> None:
    deltas_of([b"data: " + json.dumps(value).encode() + b"\n\n"])


@given(candidate=st.fixed_dictionaries({"content": st.fixed_dictionaries({"parts": JSON})}, optional={"index": JSON}))
def test_no_candidate_crashes_the_reader(candidate: object) -> None:
    deltas_of([sse_event({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}})])


def test_nesting_without_end_does_not_crash_the_reader() -> None:
    assert isinstance(failure_of(b'data: {"candidates":' + b"[" * 100_000 + b"\n\n"), StreamIncomplete)
    deep = b'{"candidates":[{"groundingMetadata":' + b"[" * 20_000 + b"]" * 20_000 + b',"finishReason":"STOP"}]}'
    deltas, error = deltas_of([b"data: " + deep + b"\n\n"])
    assert isinstance(error, StreamIncomplete) or deltas == [Finish("stop")]
