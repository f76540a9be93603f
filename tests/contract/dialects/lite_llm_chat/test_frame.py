"""What clients read from the frames is the answer, however it was cut; errors have one shape and no secrets."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.lite_llm_chat.frame import LiteFramer, path_of, render_error, with_sources, with_uploads
from shared.domain import errors
from shared.domain.errors import ErrorInfo, SmartSipError
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    ImageStored,
    Progress,
    Queued,
    Reasoning,
    Restarted,
    SearchResult,
    SearchResults,
    Signature,
    Started,
    Text,
    Usage,
    fold,
)
from tests.contract.dialects.lite_llm_chat.clients import page_events, terminal_chunks

IMAGE = "01a1ff66-c25e-7c1e-8876-a9da210a2ad5"
REFERENCE = f"![cat](/v2/images/{IMAGE}/content)"
UPLOADED = f"![cat](/uploads/{IMAGE}.jpg)"
STARTED = Started("deepseek", "deepseek-chat")
INTERRUPTED = "Error: The answer was interrupted and is being made anew; ask again, or read it when it is ready."

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(
    ["\r\n", "\n\n", "data: x\n\n", ": ", "\u2028", "🧊", "你好", "[DONE]", "</think>", "![a](b)"]
)
words: st.SearchStrategy[Event] = st.one_of(
    st.builds(Text, texts | st.just(REFERENCE)),
    st.builds(Reasoning, texts),
    st.builds(SearchResults, st.lists(st.builds(SearchResult, texts, st.none() | texts, st.none() | texts))),
    st.just(Usage(1, 2)),
    st.just(Signature("opaque")),
    st.just(Progress("half", 0.5)),
)


def frames(*events: Event, framer: LiteFramer | None = None) -> bytes:
    framer = framer or LiteFramer(7)
    entries = (Entry(1, seq, 0, event) for seq, event in enumerate(events, 1))
    return framer.opening() + b"".join(map(framer.frame, entries))


def told(*events: Event) -> list[dict[str, Any]]:  # JSON
    return [json.loads(block.removeprefix("data: ")) for block in frames(*events).decode().split("\n\n")[:-1]]


def test_an_answer_is_framed_byte_for_byte_as_the_old_system_did() -> None:
    answer = frames(
        Queued(1),
        STARTED,
        Reasoning("let me "),
        SearchResults([SearchResult("http://a/", "A"), SearchResult("http://b/", None, "about b")]),
        Text("He"),
        Text("llo world, 你好"),
        Signature("opaque"),
        Usage(3, 4),
        Completed("stop"),
    )
    assert answer == (
        b'data: {"session_id": 7}\n\n'
        b'data: {"reasoning": "let me "}\n\n'
        b'data: {"search_results": [{"url": "http://a/", "title": "A"}, '
        b'{"url": "http://b/", "title": "http://b/", "content": "about b"}]}\n\n'
        b'data: {"content": "He"}\n\n'
        b'data: {"content": "llo world, \\u4f60\\u597d"}\n\n'
        b'data: {"done": true}\n\n'
    )


@given(st.lists(words, max_size=12))
def test_both_old_clients_read_the_folded_answer_whatever_it_is_and_however_it_is_cut(said: list[Event]) -> None:
    events: list[Event] = [STARTED, ImageStored(IMAGE, "image/jpeg", 9), *said, Completed("stop")]
    reply = fold(events)
    sent = frames(*events)
    is_empty = not (reply.text or reply.reasoning or reply.search_results)
    for chunks in (terminal_chunks(sent), page_events(sent)):
        assert chunks[0] == {"session_id": 7}
        assert chunks[-1] == ({"error": "Error: Empty response from provider"} if is_empty else {"done": True})
        assert "".join(chunk.get("content", "") for chunk in chunks) == reply.text.replace(REFERENCE, UPLOADED)
        assert "".join(chunk.get("reasoning", "") for chunk in chunks) == reply.reasoning
        found = [result for chunk in chunks for result in chunk.get("search_results", [])]
        assert [result["url"] for result in found] == [result.url for result in reply.search_results]


def test_a_heartbeat_is_a_comment_in_a_block_of_its_own() -> None:
    framer = LiteFramer(7)
    sent = framer.opening() + framer.heartbeat() + frames(STARTED, Text("a"), Completed("stop"), framer=framer)
    assert page_events(sent)[1:] == [{"session_id": 7}, {"content": "a"}, {"done": True}]
    assert framer.heartbeat().startswith(b":")
    assert framer.heartbeat().endswith(b"\n\n")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Failed(errors.ProviderTimeout().info()), "The provider did not answer in time"),
        (Failed(errors.ProviderOverloaded("deepseek answered 503: busy").info()), "deepseek answered 503: busy"),
        (Cancelled("streaming"), "The answer was cancelled"),
        (Expired(), "Nobody could begin with the answer in time."),
    ],
)
def test_an_answer_that_is_not_whole_ends_in_an_error_and_not_in_done(end: Event, words: str) -> None:
    assert told(STARTED, Text("half"), end)[2:] == [{"error": f"Error: {words}"}]


def test_an_answer_that_begins_anew_after_its_first_word_is_an_error() -> None:
    again = Restarted("deepseek", "deepseek-chat", "worker_lost")
    assert told(STARTED, Text("One"), again, Text("Two"), Completed("stop"))[2:] == [{"error": INTERRUPTED}]
    assert told(STARTED, again, Text("Two"), Completed("stop"))[1:] == [{"content": "Two"}, {"done": True}]
    framer = LiteFramer(7)
    assert framer.closing(retry_ms=1000) == f'data: {{"error": "{INTERRUPTED}"}}\n\n'.encode()


def test_images_of_an_answer_are_where_clients_find_them() -> None:
    other = IMAGE.replace("01", "02", 1)
    text = f"{REFERENCE}{REFERENCE} ![](/v2/images/{other}/content) ![film](/v2/media/{other}/content)"
    expected = f"{UPLOADED}{UPLOADED} ![](/uploads/{other}.png) ![film](/uploads/{other}.mp4)"
    assert with_uploads(text, {IMAGE: "jpg"}) == expected
    for unlike in (f"[cat](/v2/images/{IMAGE}/content)", "![a](/v2/images/1/content)", f"![a](/v2/jobs/{IMAGE})"):
        assert with_uploads(unlike, {}) == unlike


def test_files_of_a_message_are_paths() -> None:
    paths = {"image": "png", "video": "mp4", "audio": "mp3"}
    assert [path_of({"type": kind, "id": IMAGE}, {}) for kind in paths] == [
        f"/uploads/{IMAGE}.{extension}" for extension in paths.values()
    ]
    assert path_of({"type": "image", "id": IMAGE}, {IMAGE: "webp"}) == f"/uploads/{UUID(IMAGE)}.webp"
    assert path_of({"type": "image", "url": "/uploads/old.png"}, {}) == "/uploads/old.png"


def test_sources_stand_beneath() -> None:
    results = [SearchResult("http://a/", "A", "snippet"), SearchResult("http://b/")]
    expected = "Text\n\nSources:\n- [A](http://a/) — snippet\n- [http://b/](http://b/)"
    assert with_sources("Text", results) == expected
    assert with_sources("Text", []) == "Text"


def every_error(branch: type[SmartSipError] = SmartSipError) -> list[type[SmartSipError]]:
    return [branch, *(error for below in branch.__subclasses__() for error in every_error(below))]


DOMAIN = sorted({error for error in every_error() if error.__module__ == errors.__name__}, key=lambda e: e.__name__)


@pytest.mark.parametrize("error", DOMAIN, ids=lambda error: error.__name__)
def test_every_error_is_a_detail_with_a_status_of_the_document_or_of_ours(error: type[SmartSipError]) -> None:
    status, body = render_error(error().info())
    document = json.loads(body)
    is_of_provider = issubclass(error, errors.ProviderError)
    prefix = "Provider error: " if is_of_provider else ""
    assert document == {"detail": f"{prefix}{error.title}"}
    assert status == (500 if is_of_provider or error.status in (502, 504) else error.status)
    assert b"Traceback" not in body


@pytest.mark.parametrize("error", DOMAIN, ids=lambda error: error.__name__)
def test_an_error_with_a_field_names_it(error: type[SmartSipError]) -> None:
    status, body = render_error(error("is wrong", field="messages.0.images.1").info())
    detail = json.loads(body)["detail"]
    if issubclass(error, errors.ProviderError):
        assert detail == "Provider error: is wrong"
    elif status == 422:
        assert detail == [{"type": "value_error", "loc": ["body", "messages", 0, "images", 1], "msg": "is wrong"}]
    else:
        assert detail == "messages.0.images.1: is wrong"


def test_ours_is_told_apart_from_the_providers() -> None:
    assert render_error(ErrorInfo(code="cancelled", title="Cancelled", status=409)) == (409, b'{"detail":"Cancelled"}')
    assert render_error(errors.NotFound("Session 9 not found").info()) == (404, b'{"detail":"Session 9 not found"}')
