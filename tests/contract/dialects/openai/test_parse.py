"""What is understood of a chat completion's request, and what is refused with the place of the fault."""

import base64
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.dialects.openai.attachments import INLINE_BYTES, MAX_ATTACHMENTS
from api.dialects.openai.parse import Asked, NotTaken, parse
from api.dialects.openai.wire import Request
from api.errors import refused
from shared.domain.commands import ImagePart, Message, Parameters, SubmitChat
from shared.domain.errors import InvalidRequest
from shared.domain.jobs import OnDisconnect
from shared.domain.remote import MAX_REMOTE
from tests import images, media

HELLO = {"role": "user", "content": "Hello"}
PIXELS = images.png()


def asked(*messages: Any, may_fetch: bool = False, **members: Any) -> Asked:
    request = Request.model_validate_json(json.dumps({"messages": messages or [HELLO]} | members))
    return parse(request, may_fetch=may_fetch)


def command(said: Asked, *stored: UUID) -> SubmitChat:
    return said.command("demo/demo", stored, on_disconnect=OnDisconnect.CANCEL)


def refusal_of(document: dict[str, Any]) -> InvalidRequest | None:
    """What is said of a request that is not taken."""
    try:
        parse(Request.model_validate_json(json.dumps(document)))
    except InvalidRequest as error:
        return error
    except NotTaken as error:
        return refused(error.error, error.document)
    except ValidationError as error:
        return refused(error, document)
    return None


def fault(*messages: Any, **members: Any) -> tuple[str | None, str]:
    """Where a request is wrong, and what is said about it."""
    refusal = refusal_of({"messages": list(messages) or [HELLO]} | members)
    assert refusal is not None
    return refusal.field, str(refusal)


def image(content: bytes = PIXELS, *, kind: str = "image/png", **more: str) -> dict[str, Any]:
    url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "image_url", "image_url": {"url": url} | more}


def audio(content: bytes, *, kind: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(content).decode(), "format": kind}}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def large_image(seed: int = 0) -> bytes:
    """A photo with bytes after its end, as cameras pad."""
    return images.photo(seed=seed) + bytes(INLINE_BYTES)


def test_the_smallest_request_is_a_chat_that_ends_when_its_client_leaves():
    said = asked()
    assert (said.model, said.wants_stream, said.wants_usage) == (None, False, False)
    assert command(said).model_dump(exclude_defaults=True) == {
        "kind": "chat",
        "model": "demo/demo",
        "input": {"messages": [HELLO]},
        "on_disconnect": OnDisconnect.CANCEL,
    }


def test_every_parameter_becomes_the_cores_own():
    schema = {"name": "Cup", "schema": {"type": "object"}, "strict": True}
    tool = {"type": "function", "function": {"name": "pour", "parameters": {"type": "object"}, "strict": None}}
    said = asked(
        model="openai/gpt-4o",
        stream=True,
        stream_options={"include_usage": True},
        temperature=0,
        top_p=0.9,
        max_tokens=5,
        max_completion_tokens=7,
        stop=["a", "b"],
        seed=-1,
        presence_penalty=1,
        frequency_penalty=-2.0,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": schema},
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "pour"}},
        parallel_tool_calls=False,
        user="anna",
        n=1,
        logprobs=False,
        logit_bias={"50256": -100},
        top_k=40,
        metadata=None,
    )
    assert (said.model, said.wants_stream, said.wants_usage) == ("openai/gpt-4o", True, True)
    assert said.parameters == Parameters(
        temperature=0,
        top_p=0.9,
        max_output_tokens=7,
        stop=["a", "b"],
        seed=-1,
        presence_penalty=1,
        frequency_penalty=-2,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": schema},
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": "pour"}},
        parallel_tool_calls=False,
        user="anna",
        options={"logit_bias": {"50256": -100}, "top_k": 40},
    )


@pytest.mark.parametrize(
    ("members", "parameters"),
    [
        ({"max_tokens": 5}, Parameters(max_output_tokens=5)),
        ({"stop": "END"}, Parameters(stop=["END"])),
        ({"stop": []}, Parameters()),
        ({"top_p": 0}, Parameters(top_p=1e-6)),
        ({"response_format": {"type": "text"}}, Parameters()),
        ({"response_format": {"type": "json_object"}}, Parameters(response_format={"type": "json_object"})),
        ({"tools": [], "tool_choice": "auto"}, Parameters(tool_choice="auto")),
        ({"modalities": ["text", "image"]}, Parameters(options={"modalities": ["text", "image"]})),
        ({"model": "", "temperature": None, "stream_options": None}, Parameters()),
    ],
)
def test_what_clients_write_in_several_ways_is_understood(members: dict[str, Any], parameters: Parameters):
    assert asked(**members).parameters == parameters


def test_a_conversation_with_tools_is_kept_in_order():
    call = {"id": "call_1", "type": "function", "function": {"name": "pour", "arguments": "{}"}}
    said = asked(
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
        {"role": "system", "content": "And kind.", "name": "someone"},
        {"role": "user", "content": [{"type": "text", "text": "Pour!"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "refusal": "Never."},
        HELLO,
    )
    assert [message.model_dump(exclude_none=True) for message in said.input.messages] == [
        {"role": "system", "content": "Be\nbrief."},
        {"role": "system", "content": "And kind."},
        {"role": "user", "content": [{"type": "text", "text": "Pour!"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "name": "pour", "arguments": "{}"}]},
        {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "No."},
        {"role": "assistant", "content": "Never."},
        HELLO,
    ]


def test_small_images_and_recordings_travel_inside():
    wav = media.wav()
    said = asked(user({"type": "text", "text": "What?"}, image(detail="low"), audio(wav)))
    assert said.attachments == ()
    assert said.parameters.options == {"image_detail": "low"}
    assert command(said).input.messages == [
        Message.model_validate(
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image", "image": {"data": base64.b64encode(PIXELS).decode()}},
                    {"type": "audio", "audio": {"data": base64.b64encode(wav).decode(), "format": "wav"}},
                ],
            }
        )
    ]


def test_large_images_and_recordings_are_to_be_stored_and_then_referred_to_in_their_places():
    first, second, long = large_image(), large_image(seed=1), media.wav() + bytes(INLINE_BYTES)
    said = asked(user(image(first), image(PIXELS)), user(audio(long), image(second)))
    assert [(kept.kind, kept.content, kept.field) for kept in said.attachments] == [
        ("image", first, "messages.0.content.0.image_url.url"),
        ("audio", long, "messages.1.content.0.input_audio.data"),
        ("image", second, "messages.1.content.1.image_url.url"),
    ]
    ids = [uuid4() for _ in said.attachments]
    contents = [message.model_dump()["content"] for message in command(said, *ids).input.messages]
    assert contents == [
        [
            {"type": "image", "image": {"id": ids[0]}},
            {"type": "image", "image": {"data": base64.b64encode(PIXELS).decode()}},
        ],
        [{"type": "audio", "audio": {"id": ids[1]}}, {"type": "image", "image": {"id": ids[2]}}],
    ]


def test_what_travels_inside_is_bounded_for_all_of_a_request():
    photo = images.photo() + bytes(INLINE_BYTES // 2)
    said = asked(user(image(photo), image(photo), image(PIXELS)))
    assert [kept.field for kept in said.attachments] == ["messages.0.content.1.image_url.url"]


def test_images_that_are_to_be_looked_at_differently_are_left_to_the_provider():
    assert asked(user(image(detail="low"), image(detail="high"))).parameters.options == {}


CALL = {"id": "call_1", "type": "function", "function": {"name": "pour", "arguments": "{}"}}
CUSTOM = {"id": "call_1", "type": "custom", "custom": {"name": "pour", "input": ""}}


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "god", "content": "x"}, "messages.0.role"),
        ({"role": "function", "name": "f", "content": "x"}, "messages.0.role"),
        ({"content": "x"}, "messages.0.role"),
        ("Hello", "messages.0"),
        ({"role": "user"}, "messages.0.content"),
        ({"role": "user", "content": None}, "messages.0.content"),
        ({"role": "user", "content": []}, "messages.0.content"),
        ({"role": "user", "content": 5}, "messages.0.content"),
        ({"role": "user", "content": "x" * 1_000_001}, "messages.0.content"),
        (user({"type": "text"}), "messages.0.content.0.text"),
        (user({"type": "file", "file": {"file_id": "a"}}), "messages.0.content.0.type"),
        (user({"type": "image_url", "image_url": {}}), "messages.0.content.0.image_url.url"),
        (user({"type": "image_url", "image_url": "data:"}), "messages.0.content.0.image_url"),
        (user(image(detail="close")), "messages.0.content.0.image_url.detail"),
        (user(audio(media.wav(), kind="ogg")), "messages.0.content.0.input_audio.format"),
        ({"role": "assistant", "content": None}, "messages.0"),
        ({"role": "assistant", "tool_calls": [CUSTOM]}, "messages.0.tool_calls.0.type"),
        ({"role": "assistant", "tool_calls": [CALL | {"id": ""}]}, "messages.0.tool_calls.0.id"),
        ({"role": "assistant", "tool_calls": [CALL] * 129}, "messages.0.tool_calls"),
        ({"role": "tool", "content": "x"}, "messages.0.tool_call_id"),
        ({"role": "tool", "content": "x", "tool_call_id": ""}, "messages.0.tool_call_id"),
        ({"role": "system", "content": "x"}, None),
    ],
)
def test_a_message_that_cannot_be_taken_is_refused_with_its_place(message: Any, place: str | None):
    assert fault(message)[0] == place


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [HELLO] * 10_000}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"model": 5}, "model"),
    ({"n": 2}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "0.5"}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"max_completion_tokens": 0}, "max_output_tokens"),
    ({"stop": ["a"] * 9}, "stop"),
    ({"stop": [""]}, "stop.0"),
    ({"seed": 2**63}, "seed"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"logprobs": True}, "logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": "auto"}, "function_call"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0.type"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}] * 129}, "tools"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"user": "a" * 501}, "user"),
    ({f"x{number}": 1 for number in range(101)}, "options"),
]


@pytest.mark.parametrize(("members", "place"), WRONG)
def test_a_parameter_that_cannot_be_taken_is_refused_with_its_name(members: dict[str, Any], place: str):
    assert fault(**members)[0] == place


def test_an_image_elsewhere_is_left_to_be_fetched_where_that_is_allowed():
    urls = ["https://example.org/cup.png", "HTTP://example.org?a=b"]
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    said = asked(user(*parts, image()), may_fetch=True)
    shown = command(said).input.messages[0].content
    assert [part.image.model_dump() for part in shown if isinstance(part, ImagePart)] == [
        *({"url": url} for url in urls),
        {"data": base64.b64encode(PIXELS).decode()},
    ]
    assert said.parameters.options == {"image_detail": "low"}


@pytest.mark.parametrize(
    ("urls", "place", "words"),
    [
        (["https://me:key@example.org/"], 0, "A URL of an image has no user and no password."),
        (["https://example.org/a", "https://example.org/a b"], 1, "A URL of an image has no blanks"),
        (["https://example.org/" + "a" * 2000], 0, "A URL of an image has at most 2000 characters."),
        (["file:///etc/passwd"], 0, "Images are sent as data URLs"),
        (["https://example.org/a"] * (MAX_REMOTE + 1), MAX_REMOTE, "At most 32 images are fetched for one request."),
    ],
)
def test_an_image_elsewhere_that_cannot_be_fetched_is_refused_with_its_place(urls: list[str], place: int, words: str):
    with pytest.raises(InvalidRequest, match=words) as caught:
        asked(user(*({"type": "image_url", "image_url": {"url": url}} for url in urls)), may_fetch=True)
    assert caught.value.field == f"messages.0.content.{place}.image_url.url"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/cup.png", "its setting SMARTSIP_FETCH_REMOTE_MEDIA is off"),
        ("file:///etc/passwd", "Images are sent as data URLs"),
        ("", "Images are sent as data URLs"),
        ("data:image/png,abc", "like data:image/png;base64"),
        ("data:image/png;base64", "like data:image/png;base64"),
        ("data:image/png;base64,ä", "not base64"),
        ("data:image/png;base64,abc", "not base64"),
        ("data:image/png;base64,", "empty"),
        (image(b"<svg onload=alert(1)>", kind="image/svg+xml")["image_url"]["url"], "taken as JPEG, PNG or WebP"),
        (image(PIXELS[:40])["image_url"]["url"], "cut off"),
    ],
)
def test_an_image_that_cannot_be_taken_is_refused_with_its_place(url: str, words: str):
    place, said = fault(HELLO, user({"type": "image_url", "image_url": {"url": url}}))
    assert place == "messages.1.content.0.image_url.url"
    assert words in said


@pytest.mark.parametrize("content", [b"", b"<html>", media.mp4()])
def test_what_is_no_recording_is_refused(content: bytes):
    assert fault(user(audio(content)))[0] == "messages.0.content.0.input_audio.data"


def test_more_images_than_anybody_looks_at_are_refused():
    assert len(asked(user(*[image()] * MAX_ATTACHMENTS)).input.messages[0].content) == MAX_ATTACHMENTS
    place, _ = fault(user(*[image()] * (MAX_ATTACHMENTS + 1)))
    assert place == f"messages.0.content.{MAX_ATTACHMENTS}.image_url.url"


def test_no_refusal_repeats_what_was_sent():
    secret = "behind the third door"
    for message in ({"role": "user", "content": {"x": secret}}, {"role": "tool", "content": secret}, secret):
        assert secret not in str(fault(message))


words = st.sampled_from(
    [
        *("role", "user", "assistant", "system", "tool", "content", "type", "text", "image_url", "url", "input_audio"),
        *("messages", "model", "tools", "function", "name", "stop", "temperature", "response_format", "json_schema"),
        *("n", "stream", "tool_calls", "tool_call_id", "id", "arguments", "data:image/png;base64,iVBORw0KGgo="),
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(words | st.text(max_size=5), below, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300)
@given(document=st.dictionaries(words, anything, max_size=6), messages=st.lists(anything, max_size=3))
def test_any_document_is_read_or_refused(document: dict[str, Any], messages: list[Any]):
    whole = document | {"messages": [*messages, HELLO]}
    refusal = refusal_of(whole)
    if refusal is not None:
        assert len(str(refusal)) < 1000
        return
    said = parse(Request.model_validate_json(json.dumps(whole)))
    made = command(said, *[uuid4() for _ in said.attachments])
    assert SubmitChat.model_validate_json(made.model_dump_json()).input == made.input
