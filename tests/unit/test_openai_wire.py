"""Chat completions on the wire: tools, formats, media and options, as each row takes them."""

import base64
import json
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import UnsupportedMediaType
from shared.domain.models import SchemaMode
from workers.providers.base import (
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptPart,
    PromptText,
    PromptVideo,
    ResponseSchema,
)
from workers.providers.chat_completions.reasoning_switches import MEMBERS
from workers.providers.chat_completions.row import OpenAICompatible
from workers.providers.chat_completions.wire import OURS, to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.table import ROWS, row_of

HI = PromptMessage("user", (PromptText("Hi"),))
FUNCTION: dict[str, Any] = {"name": "pour", "parameters": {"type": "object", "default": None}}  # JSON
POUR: dict[str, Any] = {"type": "function", "function": FUNCTION}
BARE = OpenAICompatible(name="bare", stream_usage="never_send")
EVERYTHING = OpenAICompatible(
    name="everything", takes=OURS | {"top_k", "metadata", "logprobs"}, media=frozenset({"video", "audio"})
)


def sent(
    prompt: Prompt, row: OpenAICompatible = BARE, mode: SchemaMode = "json_schema_strict"
) -> dict[str, Any]:  # JSON
    """The request's body, as it is read at the other end."""
    return json.loads(msgspec.json.encode(to_wire(prompt, row, mode, notes=Notes(row.name))))


def asked(row: OpenAICompatible = BARE, model: str = "m", **parameters: Any) -> dict[str, Any]:
    """What these parameters add to a request."""
    body = sent(Prompt(model, (HI,), Parameters.model_validate(parameters)), row)
    return {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}


def shown(part: PromptPart, row: OpenAICompatible, **options: Any) -> dict[str, Any]:
    """A part of a message on the wire."""
    prompt = Prompt("m", (PromptMessage("user", (part,)),), Parameters(options=options))
    return sent(prompt, row)["messages"][0]["content"][0]


def test_a_conversation_with_tools_is_told_whole() -> None:
    call = CalledTool(id="call_1", name="pour", arguments='{"ml": 200}')
    messages = (
        PromptMessage("user", (PromptText("Pour me some."),)),
        PromptMessage("assistant", (PromptText(""),), tool_calls=(call,)),
        PromptMessage("tool", (PromptText("done"),), tool_call_id="call_1"),
    )
    parameters = Parameters(tools=[POUR], tool_choice="auto", parallel_tool_calls=False, user="u-7")
    assert sent(Prompt("m", messages, parameters)) == {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Pour me some."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "pour", "arguments": '{"ml": 200}'}}
                ],
            },
            {"role": "tool", "content": "done", "tool_call_id": "call_1"},
        ],
        "stream": True,
        "tools": [POUR],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "user": "u-7",
    }


def test_nulls_are_left_out_around_a_schema_and_kept_in_it() -> None:
    tool = POUR | {"strict": None, "function": FUNCTION | {"description": None}}
    choice = {"type": "function", "function": {"name": "pour"}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": None, "schema": {"enum": [None, 1]}}}
    assert asked(tools=[tool], tool_choice=choice, response_format=form) == {
        "tools": [POUR],
        "tool_choice": choice,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": [None, 1]}}},
    }


def test_an_empty_list_of_tools_is_not_sent() -> None:
    assert asked(tools=[]) == {}


def test_what_a_row_drops_is_not_sent() -> None:
    row = OpenAICompatible(name="r", stream_usage="never_send", drops=frozenset({"user", "parallel_tool_calls"}))
    assert asked(row, user="u", parallel_tool_calls=True, reasoning_effort="low") == {"reasoning_effort": "low"}


@pytest.mark.parametrize("mode", ["json_schema_strict", "json_schema", "json_object", "prompt"])
def test_our_own_schema_goes_before_the_callers_format(mode: SchemaMode) -> None:
    given = Parameters(response_format={"type": "text"})
    prompt = Prompt("m", (HI,), given, ResponseSchema("s", {"type": "object"}))
    assert sent(prompt, BARE, mode).get("response_format", {}).get("type") != "text"


@pytest.mark.parametrize(("effort", "expected"), [(None, True), ("none", True), ("low", False)])
def test_a_model_that_is_told_to_reason_is_given_no_sampling(effort: str | None, expected: bool) -> None:
    given = asked(row_of("openai"), "gpt-5.2", temperature=0.5, reasoning_effort=effort, options={"logprobs": True})
    assert ("temperature" in given, "logprobs" in given) == (expected, expected)


def test_an_option_is_sent_to_who_knows_it() -> None:
    options = {"top_k": 40, "verbosity": "low", "watermark": True}
    assert asked(row_of("openai"), options=options)["verbosity"] == "low"
    assert {"top_k", "watermark"} & set(asked(row_of("openai"), options=options)) == set()
    assert asked(row_of("my-server"), options=options) == {"stream_options": {"include_usage": True}, "top_k": 40}


@pytest.mark.parametrize(("given", "sent"), [(True, {"type": "enabled"}), (False, {"type": "disabled"})])
def test_thinking_is_switched_as_deepseek_wants_it(given: bool, sent: dict[str, str]) -> None:
    assert asked(row_of("deepseek"), options={"thinking": given})["thinking"] == sent


def test_a_parameter_goes_before_an_option_of_the_same_name() -> None:
    given = asked(row_of("mistral"), seed=7, options={"random_seed": 8, "safe_prompt": True})
    assert given == {"random_seed": 7, "safe_prompt": True}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
anywhere = st.sampled_from([BARE, EVERYTHING, row_of("unknown"), *ROWS])
models = st.sampled_from(["m", "gpt-5.1", "openai/gpt-oss-120b", "qwen/qwen3-32b", "zai-glm-4.7", "doubao-seed-1-8"])
FOREIGN = {"top_k", "metadata", "random_seed", "transforms", "web_search_options", "structured_outputs", "plugins"}
option_names = st.sampled_from(sorted(OURS | FOREIGN | MEMBERS)) | st.text(max_size=8)


@given(row=anywhere, model=models, options=st.dictionaries(option_names, json_values))
def test_options_override_nothing_and_bring_no_nulls(
    row: OpenAICompatible, model: str, options: dict[str, Any]
) -> None:
    prompt = Prompt(model, (HI,), Parameters(top_p=0.5, max_output_tokens=9, seed=7, tools=[POUR]))
    quiet = replace(row, drops_when_reasoning=frozenset[str]())
    without = sent(prompt, quiet)
    body = sent(Prompt(model, (HI,), prompt.parameters.model_copy(update={"options": options})), quiet)
    added = set(body) - set(without)
    assert {name: body[name] for name in without if name != "reasoning_format"} == {
        name: without[name] for name in without if name != "reasoning_format"
    }
    members = {own for _, own in row.renames} | {"parallel_tool_calls", *MEMBERS}
    members |= {"plugins", "provider"} if row.moves else set()
    assert added <= ((row.takes & set(options)) - OURS) | members
    assert not any(has_null(body[name]) for name in added)


def test_no_option_is_a_parameter_and_none_holds_a_null() -> None:
    options = {**dict.fromkeys(sorted(OURS - {"parallel_tool_calls"}), "mine"), "metadata": {"a": [None, {"b": None}]}}
    assert asked(EVERYTHING, options=options) == {
        "stream_options": {"include_usage": True},
        "metadata": {"a": [{}]},
    }


@given(
    row=anywhere,
    mode=st.sampled_from(["json_schema_strict", "json_schema", "json_object", "prompt"]),
    schema=st.none() | st.just(ResponseSchema("s", {"type": "object"})),
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.none() | st.just(0.0),
            "response_format": st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
            "tools": st.none() | st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=3), max_size=2),
            "tool_choice": st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
            "parallel_tool_calls": st.none() | st.booleans(),
            "reasoning_effort": st.none() | st.just("low"),
        },
    ),
)
def test_no_member_of_a_request_is_null(
    row: OpenAICompatible, mode: SchemaMode, schema: ResponseSchema | None, parameters: dict[str, Any]
) -> None:
    body = sent(Prompt("m", (HI,), Parameters.model_validate(parameters), schema), row, mode)
    ours = {name: value for name, value in body.items() if name not in ("response_format", "tools", "tool_choice")}
    assert not has_null(ours)
    assert all(value is not None and not null_members(value) for value in body.values())


def has_null(value: object) -> bool:
    """Whether there is a null anywhere in some JSON."""
    if isinstance(value, dict):
        return any(map(has_null, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return any(map(has_null, cast("list[object]", value)))
    return value is None


def null_members(value: object) -> bool:
    """Whether an object, or one that a list holds, has a null as its own member."""
    entries = cast("list[object]", value if isinstance(value, list) else [value])
    objects = [cast("dict[str, object]", entry) for entry in entries if isinstance(entry, dict)]
    return any(member is None for entry in objects for member in entry.values())


def test_media_travel_inside() -> None:
    data = base64.b64encode(b"bytes").decode()
    assert shown(PromptVideo(b"bytes", "video/mp4"), EVERYTHING) == {
        "type": "video_url",
        "video_url": {"url": f"data:video/mp4;base64,{data}"},
    }
    assert [shown(PromptAudio(b"bytes", media), EVERYTHING) for media in ("audio/wav", "audio/mpeg")] == [
        {"type": "input_audio", "input_audio": {"data": data, "format": form}} for form in ("wav", "mp3")
    ]


@given(content=st.binary(max_size=50) | st.integers(780_000, 790_000).map(bytes))
def test_any_content_arrives_as_it_was(content: bytes) -> None:
    url = shown(PromptImage(content, "image/jpeg"), BARE)["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    assert base64.b64decode(url.removeprefix("data:image/jpeg;base64,"), validate=True) == content


def test_details_go_into_the_parts_they_are_about() -> None:
    options = {"image_detail": "low", "video_detail": "high", "max_frames": 8, "fps": 2}
    row = row_of("siliconflow")
    assert shown(PromptImage(b"", "image/jpeg"), row, **options)["image_url"] == {
        "url": "data:image/jpeg;base64,",
        "detail": "low",
    }
    assert shown(PromptVideo(b"", "video/mp4"), row, **options)["video_url"] == {
        "url": "data:video/mp4;base64,",
        "detail": "high",
        "max_frames": 8,
        "fps": 2,
    }
    assert set(asked(row, options=options)) == {"stream_options"}


@pytest.mark.parametrize(("row", "detail"), [(BARE, "low"), (row_of("openai"), "blurred"), (row_of("openai"), ["low"])])
def test_a_detail_nobody_knows_is_left_out(row: OpenAICompatible, detail: object) -> None:
    assert set(shown(PromptImage(b"", "image/jpeg"), row, image_detail=detail)["image_url"]) == {"url"}


@pytest.mark.parametrize(
    ("part", "row"),
    [
        (PromptVideo(b"", "video/mp4"), row_of("openai")),
        (PromptAudio(b"", "audio/wav"), row_of("deepseek")),
        (PromptAudio(b"", "audio/ogg"), row_of("openai")),
    ],
)
def test_media_that_a_provider_does_not_take_are_refused_by_the_field(part: PromptPart, row: OpenAICompatible) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        shown(part, row)
    assert refused.value.field == "input.messages"


def test_media_do_not_show_their_bytes() -> None:
    assert repr((PromptVideo(b"secret", "video/mp4"), PromptAudio(b"secret", "audio/wav"))) == (
        "(PromptVideo(6 bytes of video/mp4), PromptAudio(6 bytes of audio/wav))"
    )


def test_a_refusal_takes_nothing_away_without_which_it_would_be_another_request() -> None:
    prompt = Prompt("m", (HI,), Parameters(tools=[POUR], temperature=0.5, response_format={"type": "json_object"}))
    kept = to_wire(prompt, BARE, "prompt", notes=Notes("bare"), refused=frozenset(EVERYTHING.takes | {"temperature"}))
    assert set(kept) == {"model", "messages", "stream", "tools", "response_format"}
