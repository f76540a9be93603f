"""What the old clients read from the frames is the answer, and an error is one in every case."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.llm_service_api import LLM_SERVICE_API
from api.dialects.llm_service_api.frame import ServiceFramer
from api.dialects.llm_service_api.special_tokens import SPECIAL_TOKENS, without_special_tokens
from api.framing import CANCELLED, EXPIRED, INTERRUPTED
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
from tests.contract.dialects.llm_service_api.rig import COMPLETE, chunk

STARTED = Started("openai", "gpt-4")
RESTARTED = Restarted("openai", "gpt-4", "worker_lost")
words = st.text() | st.sampled_from([*SPECIAL_TOKENS, "<thi", "nk>", "\r\n", "\u2028", "🙂"])


def frames_of(events: Iterable[Event]) -> list[dict[str, Any]]:  # JSON
    framer = ServiceFramer()
    entries = [Entry(1, seq, 0, event) for seq, event in enumerate(events, 1)]
    lines = b"".join(map(framer.frame, entries)).decode("ascii")
    return [json.loads(line) for line in lines.splitlines()]


def as_documented(frames: list[dict[str, Any]]) -> str:
    """Read frames as the document's client does: everything has a `chunk`."""
    return "".join(frame["chunk"] for frame in frames)


def as_later_clients(frames: list[dict[str, Any]]) -> str:
    """Read frames as clients of the later system do: by their type, until the one that is last."""
    assert frames[-1]["type"] == "complete"
    return "".join(frame["content"] for frame in frames[:-1] if frame["type"] == "chunk")


@pytest.mark.covers("F004-09", "F004-10")
def test_the_documents_example_is_told_in_frames_that_both_sorts_of_clients_read():
    said = ["I'm", " an", " AI", " assistant"]
    frames = frames_of([STARTED, *map(Text, said), Usage(7, 5), Completed("stop")])
    assert frames == [*map(chunk, said), COMPLETE]
    framer = ServiceFramer()
    assert framer.frame(Entry(1, 1, 0, Text("I'm"))) == b'{"chunk": "I\'m", "type": "chunk", "content": "I\'m"}\n'


@pytest.mark.covers("F004-12")
@given(st.lists(words.map(Text) | st.text().map(Reasoning)))
def test_what_clients_read_is_the_answer_without_special_tokens_and_thoughts(deltas: list[Event]):
    events = [STARTED, *deltas, Completed("stop")]
    frames = frames_of(events)
    answer = without_special_tokens(fold(events).text)
    assert (as_documented(frames), as_later_clients(frames)) == (answer, answer)
    assert [token for token in SPECIAL_TOKENS if token in answer] == []


@pytest.mark.covers("F004-13")
@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Failed(errors.ProviderError("no more").info()), "no more"),
        (Failed(errors.ProviderTimeout().info()), errors.ProviderTimeout.title),
        (Cancelled(phase="streaming", provider_stops_billing="no"), CANCELLED.title),
        (Expired(), EXPIRED.detail),
        (RESTARTED, INTERRUPTED.detail),
    ],
)
def test_an_answer_that_does_not_come_whole_ends_in_an_error(event: Event, error: str):
    frames = frames_of([STARTED, Text("Hel"), event, Text("lo"), Completed("stop")])
    assert frames == [chunk("Hel"), {"error": error}]


def test_an_attempt_that_said_nothing_leaves_nothing_behind():
    frames = frames_of([STARTED, Reasoning("hm"), Text("<thi"), RESTARTED, Text("nk>"), Completed("stop")])
    assert frames == [chunk("nk>"), COMPLETE]


def test_an_answer_without_words_is_only_its_end():
    assert frames_of([STARTED, Progress("polling"), Completed("stop")]) == [COMPLETE]


def every_error(branch: type[SmartSipError] = SmartSipError) -> set[type[SmartSipError]]:
    below = {error for child in branch.__subclasses__() for error in every_error(child)}
    return {error for error in {branch} | below if error.__module__ == errors.__name__}


ERRORS = {error.__name__: error for error in every_error()}


@pytest.mark.covers("F004-08")
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_has_fastapis_shape(name: str):
    error = ERRORS[name]
    info = error("what happened", field="message").info()
    rendered = LLM_SERVICE_API.render_error(info)
    is_provider = issubclass(error, errors.ProviderError)
    status = 500 if is_provider or info.status in (502, 504) else info.status
    sentence = "what happened" if status == 500 and (is_provider or info.status != 500) else "message: what happened"
    place = [{"type": "value_error", "loc": ["body", "message"], "msg": "what happened"}]
    assert json.loads(rendered.body) == {"detail": place if status == 422 else sentence}
    assert (rendered.status, rendered.media_type) == (status, "application/json")


@given(st.text(), st.text())
def test_any_words_of_an_error_are_json(detail: str, field: str):
    error = ErrorInfo("invalid_request", "no", 422, detail=detail or None, field=field or None)
    assert set(json.loads(LLM_SERVICE_API.render_error(error).body)) == {"detail"}
