"""What a request may hold, bound by bound; everything else is refused by name, and nothing crashes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.lite_llm_chat.parse import (
    AskedChat,
    AskedMessage,
    Refused,
    Shown,
    UnsupportedProvider,
    parse_change,
    parse_chat,
    parse_new_session,
)
from api.dialects.lite_llm_chat.wire import ChatRequest, Options
from shared.domain.commands import Parameters
from shared.domain.errors import InvalidRequest

ASK: dict[str, Any] = {"provider": "groq", "model": "m", "messages": [{"role": "user", "content": "Hi"}]}  # JSON
BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "temperature": ([0, 2, 1.5, None], [-0.1, 2.1, "hot", [1]]),
    "max_tokens": ([1, 10_000_000, None], [0, -1, 1.5, 10_000_001, 10**400]),
    "max_completion_tokens": ([1], [0]),
    "frequency_penalty": ([-2, 2], [-2.1, 2.1]),
    "presence_penalty": ([-2, 2], [-2.1, 2.1]),
    "top_p": ([0, 1], [-0.1, 1.1]),
    "stop": ([[], ["a"], ["x"] * 8, [""]], ["a", ["x"] * 9, [1]]),
    "stream": ([True, False], [None, "perhaps"]),
    "title": (["", "t", None], [5, "\0"]),
    "system_prompt": (["", "Be brief", None], [5, "a\0b"]),
    "session_id": ([0, 1, None], ["one", 1.5]),
    "image_detail": (["auto", "low", "high", None], ["full"]),
    "image_pixel_limit": ([{"max_pixels": 1}, {"min_pixels": 1}, {}], [{"max_pixels": 0}, {"min_pixels": 0}, 5]),
    "fps": ([0.1, 10], [0.05, 10.5]),
    "video_detail": (["auto", "low", "high"], [""]),
    "max_frames": ([1], [0]),
    "thinking": ([True, False], [{"type": "enabled"}]),
    "reasoning_effort": (["low", "", None], ["x" * 41, 1]),
    "disable_reasoning": ([True], [[]]),
    "reasoning_format": (["parsed"], [1]),
    "include_reasoning": ([True], [[]]),
    "enable_thinking": ([True], [[]]),
    "thinking_budget": ([128, 32_768], [127, 32_769]),
    "min_p": ([0, 1], [-0.1, 1.1]),
    "top_k": ([0, 40, 2.5], ["many"]),
    "transforms": ([["middle-out"], []], ["middle-out", [1]]),
    "models": ([["a/b"]], ["a/b"]),
    "route": (["fallback"], [1]),
    "repetition_penalty": ([0, 2], [-0.1, 2.1]),
    "top_a": ([0, 1], [-0.1, 1.1]),
    "logprobs": ([True], [[]]),
    "top_logprobs": ([0, 20], [-1, 21]),
    "response_format": ([{"type": "json_object"}, {}], ["json", []]),
    "structured_outputs": ([False], [[]]),
    "parallel_tool_calls": ([True], [[]]),
    "reasoning": ([{"effort": "low"}], ["low", {"a": "\0"}]),
    "modalities": ([["image", "text"]], ["image"]),
    "image_config": ([{"aspect_ratio": "1:1"}], [1]),
    "plugins": ([[{"id": "web"}], []], [{"id": "web"}, ["web"]]),
    "web_search_options": ([{"search_context_size": "low"}], [1]),
    "safe_prompt": ([True], [[]]),
    "random_seed": ([-(2**63), 2**63 - 1], [2**63, 1.5]),
    "imagen_number_of_images": ([1, 4], [0, 5]),
    "imagen_image_size": (["1K", "2K"], ["4K"]),
    "imagen_aspect_ratio": (["1:1", "3:4", "4:3", "9:16", "16:9"], ["2:1"]),
    "imagen_person_generation": (["dont_allow", "allow_adult", "allow_all"], ["ask"]),
    "thinking_level": (["minimal", "low", "medium", "high"], ["max"]),
    "media_resolution": (
        [f"MEDIA_RESOLUTION_{name}" for name in ("UNSPECIFIED", "LOW", "MEDIUM", "HIGH")],
        ["MEDIA_RESOLUTION_ULTRA"],
    ),
    "google_search": ([True], [[]]),
    "url_context": ([True], [[]]),
    "safety_threshold": (["BLOCK_NONE"], [1]),
    "sequential_image_generation": (["disabled"], [1]),
    "max_images": ([1], ["one"]),
    "watermark": ([False], [[]]),
    "prompt_optimize_mode": (["standard"], [1]),
    "size": (["2048x2048"], [1]),
    "seed": ([42], [2**63]),
    "resolution": (["720p"], [1]),
    "ratio": (["16:9"], [1]),
    "duration": ([5], ["long"]),
    "generate_audio": ([True], [[]]),
    "draft": ([True], [[]]),
    "camera_fixed": ([True], [[]]),
    "message_provider": (["openai", None], [1]),
    "message_model": (["m2", None], [1]),
}


def body(**changes: Any) -> bytes:
    return json.dumps(ASK | changes).encode()


def asked(**changes: Any) -> AskedChat:
    return parse_chat(body(**changes))


def faults(content: bytes) -> list[tuple[list[Any], str]]:
    with pytest.raises(Refused) as caught:
        parse_chat(content)
    return [(fault["loc"], fault["type"]) for fault in caught.value.faults]


def test_the_table_of_bounds_has_every_parameter() -> None:
    assert set(BOUNDS) == set(ChatRequest.model_fields) - {"provider", "model", "messages"}


@pytest.mark.covers("F003-18")
@pytest.mark.parametrize("name", BOUNDS)
def test_a_parameter_is_taken_up_to_its_bounds_and_refused_beyond_by_name(name: str) -> None:
    taken, refused = BOUNDS[name]
    for value in taken:
        parse_chat(body(**{name: value}))
    for value in refused:
        assert [loc[:2] for loc, _ in faults(body(**{name: value}))] == [["body", name]], value


def test_what_is_left_out_is_as_the_document_says() -> None:
    assert asked() == AskedChat(
        session_id=None,
        title=None,
        model="groq/m",
        messages=(AskedMessage(role="user", content="Hi", media=()),),
        parameters=Parameters(temperature=1.0),
        system_prompt=None,
        is_stream=True,
    )


def test_common_parameters_are_the_cores_and_others_keep_their_names() -> None:
    parameters = asked(
        temperature=0.7,
        top_p=0.9,
        max_tokens=5,
        max_completion_tokens=9,
        presence_penalty=1,
        frequency_penalty=-1,
        stop=["", "END"],
        seed=7,
        reasoning_effort="low",
        response_format={"type": "json_object"},
        safety_threshold="BLOCK_NONE",
        image_pixel_limit={"max_pixels": 5, "min_pixels": None},
        parallel_tool_calls=True,
        unknown={"ignored": True},
    ).parameters
    assert parameters == Parameters(
        temperature=0.7,
        top_p=0.9,
        max_output_tokens=5,
        presence_penalty=1,
        frequency_penalty=-1,
        stop=["END"],
        seed=7,
        reasoning_effort="low",
        response_format={"type": "json_object"},
        options={
            "safety_threshold": "BLOCK_NONE",
            "image_pixel_limit": {"max_pixels": 5},
            "parallel_tool_calls": True,
        },
    )
    assert asked(max_completion_tokens=9).parameters.max_output_tokens == 9
    assert asked(top_p=0).parameters.top_p == 1e-6
    assert asked(top_p=1, presence_penalty=0).parameters == Parameters(temperature=1.0)


@pytest.mark.covers("F003-32", "F003-52")
def test_every_option_is_kept_under_its_name() -> None:
    options = {name: BOUNDS[name][0][0] for name in Options.model_fields}
    assert asked(**options).parameters.options == {**options, "image_pixel_limit": {"max_pixels": 1}}


def test_the_assistants_messages_are_ignored_and_files_know_their_place() -> None:
    messages = [
        {"role": "assistant", "content": "x", "images": ["y"]},
        {"role": "user", "content": "", "images": ["a", "b"], "videos": [], "audios": ["c"]},
        {"role": "system", "content": "s"},
    ]
    media = (
        Shown(url="a", loc=("messages", 1, "images", 0), kind="image"),
        Shown(url="b", loc=("messages", 1, "images", 1), kind="image"),
        Shown(url="c", loc=("messages", 1, "audios", 0), kind="audio"),
    )
    assert asked(messages=messages).messages == (
        AskedMessage(role="user", content="", media=media),
        AskedMessage(role="system", content="s", media=()),
    )
    assert [one.field for one in media] == ["messages.1.images.0", "messages.1.images.1", "messages.1.audios.0"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], [(["body", "messages"], "value_error")]),
        ([{"role": "assistant", "content": "x"}], [(["body", "messages"], "value_error")]),
        ([{"role": "tool", "content": "x"}], [(["body", "messages", 0, "role"], "literal_error")]),
        ([{"role": "user"}], [(["body", "messages", 0, "content"], "missing")]),
        ([{"role": "user", "content": None}], [(["body", "messages", 0, "content"], "string_type")]),
        ([{"role": "user", "content": "a\0"}], [(["body", "messages", 0, "content"], "value_error")]),
        ([{"role": "user", "content": "x" * 1_000_001}], [(["body", "messages", 0, "content"], "string_too_long")]),
        ([{"role": "user", "content": "x", "images": "a"}], [(["body", "messages", 0, "images"], "list_type")]),
        ([{"role": "user", "content": "x", "images": ["a"] * 33}], [(["body", "messages", 0, "images"], "too_long")]),
        (
            [{"role": "user", "content": "x", "images": ["a"] * 20, "videos": ["a"] * 20}],
            [(["body", "messages", 0], "value_error")],
        ),
        ([{"role": "user", "content": "x"}] * 1001, [(["body", "messages"], "too_long")]),
    ],
)
def test_messages_that_are_none_are_refused(messages: list[Any], expected: list[Any]) -> None:
    assert faults(body(messages=messages)) == expected


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": "\xff"}', b'{"title": "\\ud800"}', b"nul"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    assert faults(content) == [(["body"], "json_invalid")]


@pytest.mark.parametrize("content", [b"[]", b"null", b"5", b'"text"'])
def test_json_that_is_no_object_is_refused(content: bytes) -> None:
    assert faults(content) == [(["body"], "model_type")]


def test_every_fault_is_named_and_nothing_that_was_sent_is_repeated() -> None:
    with pytest.raises(Refused) as caught:
        parse_chat(b'{"temperature": 9, "stop": "sk-secret-key"}')
    assert caught.value.faults == [
        {"type": "missing", "loc": ["body", "provider"], "msg": "Field required"},
        {"type": "missing", "loc": ["body", "model"], "msg": "Field required"},
        {"type": "missing", "loc": ["body", "messages"], "msg": "Field required"},
        {"type": "less_than_equal", "loc": ["body", "temperature"], "msg": "Input should be less than or equal to 2"},
        {"type": "list_type", "loc": ["body", "stop"], "msg": "Input should be a valid array"},
    ]


@pytest.mark.parametrize("provider", ["", "No", "a b", "a/b", "../x", "x" * 41, "groq\n", "gröq"])
def test_a_name_that_no_provider_has_is_unsupported(provider: str) -> None:
    with pytest.raises(UnsupportedProvider) as caught:
        asked(provider=provider)
    assert (caught.value.status, caught.value.detail) == (400, f"Unsupported provider: {provider}")


@pytest.mark.parametrize("model", ["", "a b", "m\n", "m\x1f", "x" * 200 + "\u2028"])
def test_a_name_that_no_model_has_is_refused(model: str) -> None:
    assert [loc for loc, _ in faults(body(model=model))] == [["body", "model"]]


def test_sessions_have_titles() -> None:
    new = {"title": "T" * 255, "provider": "groq", "model": "acme/m:free"}
    assert parse_new_session(json.dumps(new).encode()) == ("T" * 255, "groq/acme/m:free")
    for title in ("", "T" * 256, None, "a\0"):
        with pytest.raises(Refused) as caught:
            parse_new_session(json.dumps(new | {"title": title}).encode())
        assert caught.value.field == "title"
    changes = {b"{}": None, b'{"title": ""}': None, b'{"title": null}': None, b'{"title": "New"}': "New"}
    assert {content: parse_change(content) for content in changes} == changes
    assert parse_change(json.dumps({"title": "T" * 300}).encode()) == "T" * 255


def status_of(parse: Callable[[bytes], object], content: bytes) -> int:
    try:
        parse(content)
    except InvalidRequest as refused:
        return refused.status
    return 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*ChatRequest.model_fields]), json_values, max_size=6))
def test_anything_is_read_or_refused(changes: dict[str, Any]) -> None:
    assert status_of(parse_chat, body(**changes)) in (200, 400, 422)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for parse in (parse_chat, parse_new_session, parse_change):
        assert status_of(parse, content) in (200, 400, 422)
