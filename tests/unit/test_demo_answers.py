"""The demo provider as a stand-in for a model that calls functions, answers in JSON and is sent media."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import Parameters
from shared.domain.events import Finish, Text, ToolCall
from workers.providers.base import (
    Clocks,
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptPart,
    PromptText,
    PromptVideo,
    ProviderDelta,
)
from workers.providers.demo import DemoProvider
from workers.providers.least import NOT_A_MODEL, least

CLOCKS = Clocks(connect_s=1, first_delta_s=1, idle_s=1)
SCHEMA: dict[str, Any] = {  # JSON
    "type": "object",
    "properties": {
        "ml": {"type": "integer", "minimum": 50},
        "cup": {"$ref": "#/$defs/cup"},
        "note": {"type": "string"},
    },
    "required": ["ml", "cup"],
    "$defs": {"cup": {"anyOf": [{"enum": ["tall", "flat"]}, {"type": "null"}]}},
}
POUR: dict[str, Any] = {"type": "function", "function": {"name": "pour", "parameters": SCHEMA}}  # JSON
STOP: dict[str, Any] = {"type": "function", "function": {"name": "stop"}}  # JSON


async def said(*parts: PromptPart, **parameters: Any) -> list[ProviderDelta]:
    prompt = Prompt("demo", (PromptMessage("user", parts or (PromptText("Hi"),)),), Parameters(**parameters))
    return [delta async for delta in DemoProvider(word_pause_s=0).stream(prompt, CLOCKS)]


async def text_of(*parts: PromptPart, **parameters: Any) -> str:
    return "".join(delta.text for delta in await said(*parts, **parameters) if isinstance(delta, Text))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "pour"}}])
async def test_a_function_that_must_be_called_is_called_with_the_least(choice: str | dict[str, Any]) -> None:
    first, *rest = await said(tools=[POUR, STOP], tool_choice=choice)
    assert isinstance(first, ToolCall)
    assert (first.index, first.name, (first.id or "").startswith("call_")) == (0, "pour", True)
    calls = [first, *(delta for delta in rest if isinstance(delta, ToolCall))]
    assert json.loads("".join(call.arguments for call in calls)) == {"ml": 50, "cup": "tall"}
    assert rest[-1] == Finish("tool_calls")
    assert not any(isinstance(delta, Text) for delta in rest)


async def test_a_function_without_parameters_is_called_with_none() -> None:
    call, *_ = await said(tools=[POUR, STOP], tool_choice={"type": "function", "function": {"name": "stop"}})
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("stop", "{}")


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ([POUR], None),
        ([POUR], "auto"),
        ([POUR], "none"),
        ([POUR], {"function": 7}),
        ([POUR], {"function": {"name": "nobody"}}),
        ([{"type": "x"}], "required"),
        ([{"type": "x"}], None),
    ],
)
async def test_where_no_function_must_be_called_it_talks(
    tools: list[dict[str, Any]], choice: str | dict[str, Any] | None
) -> None:
    assert (await said(tools=tools, tool_choice=choice))[-1] == Finish("stop")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "json_object"}, {"answer": NOT_A_MODEL}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, {"ml": 50, "cup": "tall"}),
        ({"type": "json_schema", "json_schema": None}, {"answer": NOT_A_MODEL}),
    ],
)
async def test_json_is_answered_where_json_is_wanted(wanted: dict[str, Any], expected: object) -> None:
    assert json.loads(await text_of(response_format=wanted)) == expected


async def test_it_says_what_it_was_sent() -> None:
    video, audio, image = PromptVideo(b"", "video/mp4"), PromptAudio(b"", "audio/wav"), PromptImage(b"", "image/png")
    text = await text_of(PromptText("Look"), video, audio, audio, image, response_format={"type": "text"})
    assert "“Look” and sent 1 image, 1 video, 2 recordings." in text


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, 0.25),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "minimum": 10**400}, 0),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"type": "array", "prefixItems": [{"const": 1}], "minItems": 2, "items": {"const": 2}}, [1, 2]),
        ({"type": "string", "minLength": 20, "maxLength": 19}, NOT_A_MODEL + ".."),
        ({"type": "string", "format": "date"}, "2000-01-01"),
        ({"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": None}),
        ({"type": "object", "required": ["a"], "additionalProperties": {"const": 1}}, {"a": 1}),
        ({"properties": {"volume": {"type": "string", "enum": ["full"]}}}, {"volume": "full"}),
        ({"$ref": "https://elsewhere.example"}, None),
        ({"type": 7}, None),
    ],
)
def test_a_schema_is_filled_by_rule(schema: dict[str, Any], expected: object) -> None:
    assert least(schema) == expected


def test_a_schema_that_holds_itself_is_filled_to_some_depth() -> None:
    wide = {name: {"$ref": "#"} for name in "abcdefgh"}
    filled = least({"type": "object", "properties": wide, "required": list(wide)})
    assert 1000 < len(json.dumps(filled)) < 100_000


names = st.sampled_from(
    [
        *("type", "properties", "required", "items", "enum", "const", "$ref", "anyOf", "allOf", "minItems", "minimum"),
        *("multipleOf", "maxLength", "minLength", "additionalProperties", "volume", "format", "prefixItems"),
    ]
)
schemas = st.dictionaries(
    names,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["object", "array", "#", "string"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    ),
)


@given(schema=schemas)
def test_no_schema_breaks_the_demo(schema: dict[str, Any]) -> None:
    json.dumps(least(schema))
