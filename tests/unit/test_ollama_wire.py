"""Ollama's chat on the wire: tools, formats, thinking; and what it does not take."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import UnsupportedMediaType
from shared.domain.events import Noted
from workers.providers.base import Prompt, PromptAudio, PromptMessage, PromptPart, PromptText, PromptVideo
from workers.providers.ollama.options import Think, how_to_think, notes_of
from workers.providers.ollama.wire import to_wire

HI = PromptMessage("user", (PromptText("Hi"),))
POUR: dict[str, Any] = {"type": "function", "function": {"name": "pour", "parameters": {"default": None}}}  # JSON


def asked(**parameters: Any) -> dict[str, Any]:
    """What these parameters add to a request."""
    body = json.loads(msgspec.json.encode(to_wire(Prompt("m", (HI,), Parameters.model_validate(parameters)))))
    return {name: value for name, value in body.items() if name not in ("model", "stream")}


def called(arguments: str) -> object:
    """An earlier call's arguments on the wire."""
    call = CalledTool(id="c1", name="pour", arguments=arguments)
    prompt = Prompt("m", (PromptMessage("assistant", (), tool_calls=(call,)),))
    return to_wire(prompt)["messages"][0]["tool_calls"][0]["function"]["arguments"]


def test_a_conversation_with_tools_is_told_whole() -> None:
    call = CalledTool(id="call_1", name="pour", arguments='{"ml": 200}')
    messages = (
        HI,
        PromptMessage("assistant", (PromptText(""),), tool_calls=(call,)),
        PromptMessage("tool", (PromptText("done"),), tool_call_id="call_1"),
        PromptMessage("tool", (PromptText("late"),), tool_call_id="call_0"),
    )
    tool = POUR | {"function": POUR["function"] | {"strict": None}}
    assert to_wire(Prompt("m", messages, Parameters(tools=[tool, {"type": "web"}], tool_choice="auto"))) == {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "pour", "arguments": {"ml": 200}}}],
            },
            {"role": "tool", "content": "done", "tool_name": "pour"},
            {"role": "tool", "content": "late"},
        ],
        "stream": True,
        "tools": [POUR],
    }


def test_no_tools_are_shown_where_none_may_be_called() -> None:
    assert "tools" not in asked(tools=[POUR], tool_choice="none")


@given(arguments=st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_whatever_a_model_wrote_as_arguments_is_sent_as_an_object(arguments: str) -> None:
    assert isinstance(called(arguments), dict)


@pytest.mark.parametrize(
    ("wanted", "form", "words"),
    [
        ({"type": "json_object"}, "json", ["user"]),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": [None]}}}, {"enum": [None]}, None),
        ({"type": "json_schema", "json_schema": 7}, None, ["user"]),
        ({"type": "text"}, None, ["user"]),
    ],
)
def test_a_format_is_asked_for_and_a_schema_also_told(
    wanted: dict[str, Any], form: object, words: list[str] | None
) -> None:
    body = asked(response_format=wanted)
    assert body.get("format") == form
    assert [message["role"] for message in body["messages"]] == (words or ["system", "user"])


@pytest.mark.parametrize(
    ("effort", "think"),
    [(None, None), ("none", False), ("minimal", "low"), ("high", "high"), ("max", "max"), ("ultra", None)],
)
def test_the_effort_says_how_to_think(effort: str | None, think: Think) -> None:
    prompt = Prompt("m", (HI,), Parameters(reasoning_effort=effort))
    assert how_to_think(prompt) == think
    assert to_wire(prompt, think=think).get("think") == think


@pytest.mark.parametrize(
    ("options", "think"),
    [
        ({"thinking": True}, True),
        ({"enable_thinking": False}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "auto"}}, None),
        ({"thinking": "much"}, None),
    ],
)
def test_options_of_others_say_whether_to_think_where_no_effort_does(options: dict[str, Any], think: Think) -> None:
    assert how_to_think(Prompt("m", (HI,), Parameters(options=options))) == think
    assert how_to_think(Prompt("m", (HI,), Parameters(options=options, reasoning_effort="low"))) == "low"


def test_options_it_knows_are_sent_by_its_names() -> None:
    options = {"top_k": 40, "repetition_penalty": 1.1, "min_p": "much", "model": "other", "keep_alive": "10m"}
    assert asked(options=options) == {
        "messages": [{"role": "user", "content": "Hi"}],
        "keep_alive": "10m",
        "options": {"top_k": 40, "repeat_penalty": 1.1},
    }


@pytest.mark.parametrize(("wanted", "sent"), [(8192, 8192), (10**9, 131_072), (-1, 1), (4096.0, 4096)])
def test_a_context_that_is_asked_for_is_taken_within_bounds(wanted: float, sent: int) -> None:
    assert asked(options={"num_ctx": wanted})["options"] == {"num_ctx": sent}


@pytest.mark.parametrize("odd", [True, None, [1], {"a": 1}, "x"])
def test_options_of_an_odd_type_are_left_out(odd: object) -> None:
    assert "options" not in asked(options={"num_ctx": odd, "top_k": odd})
    assert "keep_alive" not in asked(options={"keep_alive": None if odd == "x" else odd})


def test_what_is_not_sent_is_told() -> None:
    parameters = Parameters(
        reasoning_effort="ultra",
        tool_choice="required",
        user="me",
        parallel_tool_calls=False,
        options={"verbosity": "low", "top_k": 1, "thinking": True, "keep_alive": 0},
    )
    assert notes_of(Prompt("m", (HI,), parameters)) == (
        Noted("parameter_dropped", "parallel_tool_calls: ollama does not take it"),
        Noted("parameter_dropped", "reasoning_effort: ollama does not know this level"),
        Noted("parameter_dropped", "tool_choice: ollama cannot be told to call a function"),
        Noted("parameter_dropped", "user: ollama does not take it"),
        Noted("parameter_dropped", "verbosity: ollama does not take it"),
    )
    assert notes_of(Prompt("m", (HI,), Parameters(tool_choice="auto", temperature=0))) == ()


@pytest.mark.parametrize("part", [PromptVideo(b"", "video/mp4"), PromptAudio(b"", "audio/wav")])
def test_videos_and_recordings_are_refused_by_the_field(part: PromptPart) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        to_wire(Prompt("m", (PromptMessage("user", (part,)),)))
    assert refused.value.field == "input.messages"


def test_tools_and_earlier_calls_count_for_the_context() -> None:
    long = POUR | {"function": {"name": "pour", "description": "x" * 20_000}}
    assert asked(tools=[long])["options"] == {"num_ctx": 16_384}
    call = CalledTool(id="c1", name="pour", arguments=json.dumps({"text": "x" * 20_000}))
    prompt = Prompt("m", (PromptMessage("assistant", (), tool_calls=(call,)),))
    assert to_wire(prompt)["options"] == {"num_ctx": 16_384}
