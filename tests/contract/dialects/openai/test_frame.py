"""What the official SDK makes of our bytes is the folded answer, streamed or not."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.chat import ChatCompletion

from api.dialects.openai.frame import ChatFramer, Completion, render
from shared.domain.errors import Internal, ProviderOverloaded
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
    SearchResult,
    SearchResults,
    Signature,
    Started,
    Text,
    ToolCall,
    Usage,
    fold,
)
from shared.domain.ids import JobId

COMPLETION = Completion(JobId(UUID("0198f3b0-1c00-7000-8000-00000000002a")), "gpt-4o")
EVENT_STREAM = "text/event-stream; charset=utf-8"
START = Started("openai", "gpt-4o")
awkward = st.text(
    alphabet=st.one_of(st.sampled_from('\r\n\u2028\u2029\x85\0:🌊\ufeff \t[DONE]"\\'), st.characters(codec="utf-8")),
    min_size=1,
)


class Answers(httpx2.BaseTransport):
    """Hands the SDK bytes in the pieces they are given in."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.media_type = EVENT_STREAM

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": self.media_type}, content=iter(self.pieces))


ANSWERS = Answers()


@pytest.fixture(scope="module", autouse=True)
def client() -> Iterator[OpenAI]:
    with httpx2.Client(transport=ANSWERS) as http, OpenAI(api_key="key", http_client=http, max_retries=0) as client:
        yield client


def streamed(client: OpenAI, frames: bytes, cuts: list[int] | None = None) -> ChatCompletion:
    """What the SDK adds up from a stream whose bytes arrive cut anywhere."""
    places = sorted({0, len(frames), *(cut % (len(frames) + 1) for cut in cuts or ())})
    ANSWERS.pieces, ANSWERS.media_type = [frames[start:end] for start, end in pairwise(places)], EVENT_STREAM
    with client.chat.completions.stream(model="m", messages=[]) as stream:
        return stream.get_final_completion()


def whole(client: OpenAI, body: bytes) -> ChatCompletion:
    """What the SDK reads of a whole answer."""
    ANSWERS.pieces, ANSWERS.media_type = [body], "application/json"
    return client.chat.completions.create(model="m", messages=[])


def framed(events: list[Event], *, wants_usage: bool = True, framer: ChatFramer | None = None) -> bytes:
    framer = framer or ChatFramer(COMPLETION, wants_usage=wants_usage)
    entries = [Entry(1, seq, 0, event) for seq, event in enumerate(events, 1)]
    return framer.opening() + b"".join(framer.frame(entry) + framer.heartbeat() for entry in entries)


def documents(frames: bytes) -> list[Any]:
    """The events' JSON, read as a client does that splits text into lines."""
    lines = [line.removeprefix("data: ") for line in frames.decode().splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Any whole answer, cut into fragments anywhere; the SDK refuses to add one up that was cut off (`length`)."""
    told: list[Event] = []
    for number in range(draw(st.integers(0, 3))):
        told.append(ToolCall(number + 1, f"call_{number}", draw(awkward), draw(awkward)))
        told += [ToolCall(number + 1, arguments=part) for part in draw(st.lists(awkward, max_size=3))]
    said: list[Event] = draw(st.lists(st.one_of(awkward.map(Text), awkward.map(Reasoning)), max_size=10))
    sources = [
        SearchResults([SearchResult("https://example.org", title)]) for title in draw(st.lists(awkward, max_size=2))
    ]
    used = Usage(*draw(st.tuples(*[st.integers(0, 10**6)] * 4)))
    events = [*draw(st.permutations([*said, *sources])), *told, Signature("opaque"), Progress("half"), used]
    return [START, *events, Completed(draw(st.sampled_from(["stop", "tool_calls", "eos"])))]


@given(events=answers(), cuts=st.lists(st.integers(0, 10_000), max_size=10))
def test_what_the_sdk_reads_of_a_stream_is_the_folded_answer(client: OpenAI, events: list[Event], cuts: list[int]):
    frames = framed(events)
    reply = fold(events)
    got = streamed(client, frames, cuts)
    message: Any = got.choices[0].message
    assert (message.content or "") == reply.text
    assert (getattr(message, "reasoning_content", None) or "") == reply.reasoning
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()] == [
        (call.id, call.name, call.arguments) for call in reply.tool_calls
    ]
    assert [found.url_citation.title for found in message.annotations or ()] == [
        found.title for found in reply.search_results
    ]
    assert got.usage is not None
    assert reply.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (
        reply.usage.input_tokens,
        reply.usage.output_tokens,
    )
    read_by_line = [event for event in documents(frames) if event != "[DONE]"]
    texts = [choice["delta"].get("content") or "" for event in read_by_line for choice in event["choices"]]
    assert "".join(texts) == reply.text


@given(events=answers())
def test_a_stream_and_a_whole_answer_are_the_same_to_the_sdk(client: OpenAI, events: list[Event]):
    by_stream = streamed(client, framed(events)).to_dict()
    at_once = whole(client, render(fold(events), COMPLETION)).to_dict()
    assert without_positions(by_stream) == without_positions(at_once)


def without_positions(completion: dict[str, Any]) -> dict[str, Any]:
    """A completion without what only fragments have, and without nulls."""
    (choice,) = completion["choices"]
    message: dict[str, Any] = {name: value for name, value in choice["message"].items() if value is not None}
    for listed in ("tool_calls", "annotations"):
        if listed in message:
            message[listed] = [
                {name: value for name, value in entry.items() if name != "index"} for entry in message[listed]
            ]
    message.pop("parsed", None)
    for call in message.get("tool_calls", ()):
        call["function"].pop("parsed_arguments", None)
    return {name: value for name, value in completion.items() if value is not None} | {
        "choices": [{"finish_reason": choice["finish_reason"], "message": message}]
    }


def chunk(delta: dict[str, Any], *, finish_reason: str | None = None, **more: object) -> dict[str, Any]:
    choice = {"delta": delta, "finish_reason": finish_reason, "index": 0, "logprobs": None}
    return {
        "id": "chatcmpl-0198f3b01c007000800000000000002a",
        "created": COMPLETION.created,
        "model": "gpt-4o",
        "choices": [choice],
        "object": "chat.completion.chunk",
        "system_fingerprint": None,
    } | more


def test_a_stream_is_who_speaks_then_words_then_why_it_ended_then_done():
    frames = framed([START, Text("Hel"), Text("lo"), Usage(3, 2), Completed("stop")], wants_usage=False)
    assert documents(frames) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, finish_reason="stop"),
        "[DONE]",
    ]


def test_usage_comes_last_without_choices_where_it_was_asked_for_and_is_null_before():
    frames = framed([START, Text("Hello"), Usage(30, 20, reasoning_tokens=15, cached_tokens=10), Completed("stop")])
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 20,
        "total_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    assert documents(frames) == [
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "Hello"}, usage=None),
        chunk({}, finish_reason="stop", usage=None),
        chunk({}, choices=[], usage=usage),
        "[DONE]",
    ]


def test_tool_calls_come_in_fragments_numbered_from_0_and_end_as_tool_calls():
    said: list[Event] = [
        START,
        ToolCall(1, "call_1", "pour", '{"ml":'),
        ToolCall(1, arguments=" 200}"),
        Completed("stop"),
    ]
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "pour", "arguments": '{"ml":'}}
    assert documents(framed(said, wants_usage=False)) == [
        chunk({"role": "assistant"}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": " 200}"}}]}),
        chunk({}, finish_reason="tool_calls"),
        "[DONE]",
    ]


def test_a_whole_answer_is_a_chat_completion():
    reply = fold([START, Reasoning("Hm."), Text("Blue."), Usage(3, 2), Completed("length")])
    assert json.loads(render(reply, COMPLETION)) == {
        "id": "chatcmpl-0198f3b01c007000800000000000002a",
        "object": "chat.completion",
        "created": COMPLETION.created,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Blue.", "refusal": None, "reasoning_content": "Hm."},
                "finish_reason": "length",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": None,
    }


BROKEN = {
    "it failed": Failed(ProviderOverloaded("openai is overloaded").info()),
    "it was cancelled": Cancelled("streaming"),
    "it expired": Expired(),
    "it began anew": Restarted("openai", "gpt-4o", "worker_lost"),
}


@pytest.mark.parametrize("end", BROKEN.values(), ids=BROKEN)
def test_a_stream_that_breaks_is_an_error_to_the_sdk_and_never_done(client: OpenAI, end: Event):
    frames = framed([START, Text("Half an"), end, Text(" other answer"), Completed("stop")])
    last = documents(frames)[-1]
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    with pytest.raises(openai.APIError, match=last["error"]["message"][:20]) as caught:
        streamed(client, frames)
    assert not isinstance(caught.value, openai.APIStatusError)


def test_a_stream_the_server_ends_is_an_error_to_the_sdk(client: OpenAI):
    framer = ChatFramer(COMPLETION, wants_usage=False)
    frames = framed([START, Text("Half an")], framer=framer) + framer.closing(retry_ms=1000)
    with pytest.raises(openai.APIError, match="interrupted"):
        streamed(client, frames)


def test_a_restart_before_the_first_word_is_not_noticed():
    again = Restarted("openai", "gpt-4o", "retry")
    restarted = documents(framed([START, again, Text("Hello"), Completed("stop")]))
    assert restarted == documents(framed([START, Text("Hello"), Completed("stop")]))


def test_an_error_of_ours_says_nothing_of_itself_in_a_stream():
    (said,) = documents(framed([Failed(Internal().info())]))
    assert said == {
        "error": {"message": "An internal error occurred", "type": "server_error", "param": None, "code": "internal"}
    }
