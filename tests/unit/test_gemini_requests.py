"""What Gemini is sent: whole requests, parameter by parameter, and what its caller is told of what is not sent."""

import base64
import json
from collections.abc import Set
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.commands import CalledTool, Parameters
from shared.domain.errors import ModelNotFound
from workers.providers.base import (
    Prompt,
    PromptAudio,
    PromptImage,
    PromptMessage,
    PromptText,
    PromptVideo,
    ResponseSchema,
)
from workers.providers.gemini.models import gemini_model
from workers.providers.gemini.wire import Without, to_wire

HI = PromptMessage("user", (PromptText("Hi"),))
SAID_HI = [{"role": "user", "parts": [{"text": "Hi"}]}]
PIXELS = b"\xff\xd8 not really a photo"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"ml": {"type": ["integer", "null"]}}, "required": ["ml"]}
POUR: dict[str, Any] = {
    "type": "function",
    "function": {"name": "pour", "description": "Pours", "parameters": SCHEMA, "strict": None},
}
NEW, OLD, PLAIN = "gemini-3.8-flash", "gemini-2.5-flash", "gemini-2.0-flash"
DRAWS = "gemini-3.1-flash-image"
SHOWS = {"includeThoughts": True}


def inline(content: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(content).decode()}}


def body_of(prompt: Prompt, without: Set[Without] = frozenset()) -> dict[str, Any]:
    written = msgspec.json.encode(to_wire(prompt, gemini_model(prompt.model), without).body)
    return json.loads(written)


def asked(model: str = PLAIN, /, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """What these parameters add to a request, and the names that its caller is told of; others are options."""
    own = {name: value for name, value in given.items() if name in Parameters.model_fields}
    options = {name: value for name, value in given.items() if name not in Parameters.model_fields}
    prompt = Prompt(model, (HI,), Parameters.model_validate(own | {"options": options}))
    request = to_wire(prompt, gemini_model(model))
    notes = [f"{note.code.removeprefix('parameter_')} {note.text.partition(':')[0]}" for note in request.notes]
    return {name: it for name, it in body_of(prompt).items() if name != "contents"}, notes


def config(model: str = PLAIN, /, **given: Any) -> dict[str, Any]:
    """The generation configuration that these parameters make, about which there is nothing to tell."""
    added, notes = asked(model, **given)
    assert notes == []
    return added.get("generationConfig", {})


def thinking(model: str, /, **given: Any) -> tuple[dict[str, Any], list[str]]:
    added, notes = asked(model, **given)
    return added.get("generationConfig", {}).get("thinkingConfig", {}), notes


def test_a_conversation_is_told_in_turns_with_instructions_apart() -> None:
    messages = (
        PromptMessage("system", (PromptText("Be brief."),)),
        PromptMessage("user", (PromptText("What is"), PromptImage(PIXELS, "image/png"))),
        PromptMessage("user", (PromptVideo(b"film", "video/mp4"), PromptAudio(b"talk", "audio/mpeg"))),
        PromptMessage("assistant", (PromptText("A cup."),), reasoning="Round."),
        PromptMessage("system", (PromptText("Be kind."),)),
        PromptMessage("user", (PromptText(""),)),
        PromptMessage("assistant", (PromptText("A red one."),)),
        PromptMessage("user", (PromptText("And now?"),)),
    )
    assert body_of(Prompt(PLAIN, messages, Parameters(options={"fps": 2.5}))) == {
        "systemInstruction": {"parts": [{"text": "Be brief.\nBe kind."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "What is"},
                    inline(PIXELS, "image/png"),
                    inline(b"film", "video/mp4") | {"videoMetadata": {"fps": 2.5}},
                    inline(b"talk", "audio/mpeg"),
                ],
            },
            {"role": "model", "parts": [{"text": "A cup."}, {"text": "A red one."}]},
            {"role": "user", "parts": [{"text": "And now?"}]},
        ],
    }


def test_calls_and_their_results_are_told_together() -> None:
    calls = (
        CalledTool(id="call_1", name="pour", arguments='{"ml": 200}'),
        CalledTool(id="call_2", name="stir", arguments="[1]"),
        CalledTool(id="call_3", name="wait", arguments=""),
    )
    messages = (
        HI,
        PromptMessage("assistant", (PromptText(""),), tool_calls=calls),
        PromptMessage("tool", (PromptText('{"poured": true}'),), tool_call_id="call_1"),
        PromptMessage("tool", (PromptText("stirred"),), tool_call_id="call_2"),
        PromptMessage("tool", (PromptText(""),), tool_call_id="call_3"),
        PromptMessage("tool", (PromptText("3"),), tool_call_id="call_0"),
        PromptMessage("user", (PromptText("Thanks"),)),
    )
    told: list[dict[str, Any]] = [
        {"functionCall": {"id": "call_1", "name": "pour", "args": {"ml": 200}}},
        {"functionCall": {"id": "call_2", "name": "stir", "args": {"value": [1]}}},
        {"functionCall": {"id": "call_3", "name": "wait", "args": {}}},
    ]
    results: list[dict[str, Any]] = [
        {"functionResponse": {"id": "call_1", "name": "pour", "response": {"poured": True}}},
        {"functionResponse": {"id": "call_2", "name": "stir", "response": {"output": "stirred"}}},
        {"functionResponse": {"id": "call_3", "name": "wait", "response": {}}},
        {"functionResponse": {"id": "call_0", "name": "unknown", "response": {"output": 3}}},
        {"text": "Thanks"},
    ]
    assert body_of(Prompt(PLAIN, messages))["contents"] == [
        *SAID_HI,
        {"role": "model", "parts": told},
        {"role": "user", "parts": results},
    ]
    substitute = {"thoughtSignature": "skip_thought_signature_validator"}
    assert body_of(Prompt(NEW, messages))["contents"][1]["parts"] == [told[0] | substitute, *told[1:]]


@given(arguments=st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_whatever_a_model_wrote_as_arguments_is_sent_as_an_object(arguments: str) -> None:
    call = CalledTool(id="c", name="pour", arguments=arguments)
    [turn] = body_of(Prompt(PLAIN, (PromptMessage("assistant", (), tool_calls=(call,)),)))["contents"]
    assert isinstance(turn["parts"][0]["functionCall"]["args"], dict)


@pytest.mark.parametrize("messages", [(), (PromptMessage("user", (PromptText(""),)),)])
def test_who_says_nothing_is_heard(messages: tuple[PromptMessage, ...]) -> None:
    assert body_of(Prompt(PLAIN, messages)) == {"contents": [{"role": "user", "parts": [{"text": " "}]}]}


def test_the_common_parameters_have_its_names() -> None:
    assert config(
        temperature=0.5,
        top_p=0.9,
        top_k=40.0,
        max_output_tokens=64,
        stop=["x"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
    ) == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 64,
        "stopSequences": ["x"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
    }


def test_what_says_nothing_is_not_sent_and_not_told() -> None:
    says_nothing: dict[str, Any] = {
        "google_search": False,
        "safe_prompt": False,
        "image_detail": "auto",
        "plugins": [],
        "user": "",
    }
    assert asked(presence_penalty=0, frequency_penalty=0.0, stop=[], tools=[], **says_nothing) == ({}, [])
    assert asked(media_resolution="MEDIA_RESOLUTION_UNSPECIFIED", reasoning_effort="default") == ({}, [])


def test_what_it_does_not_take_is_told() -> None:
    others: dict[str, Any] = {
        "min_p": 0.1,
        "watermark": True,
        "model": "other",
        "contents": [1],
        "logprobs": True,
    }
    assert asked(**others, user="me", parallel_tool_calls=False) == (
        {},
        [f"dropped {name}" for name in ("parallel_tool_calls", *sorted(others), "user")],
    )
    assert asked(seed=2**40, top_k=0.5, fps=30, top_logprobs=2)[1] == [
        *("dropped fps", "dropped seed", "dropped top_k", "dropped top_logprobs")
    ]


def test_nobody_is_told_of_parameters_that_are_ours() -> None:
    prompt = Prompt(PLAIN, (HI,), Parameters(seed=2**40, options={"min_p": 0.1}), defaults=frozenset({"seed", "min_p"}))
    assert to_wire(prompt, gemini_model(PLAIN)).notes == ()


def test_five_texts_to_stop_at_are_sent_and_the_sixth_is_told() -> None:
    added, notes = asked(stop=list("abcdef"))
    assert (added["generationConfig"]["stopSequences"], notes) == (list("abcde"), ["changed stop"])


@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        ({"type": "json_object"}, {"responseMimeType": "application/json"}),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
        ({"type": "text"}, {}),
    ],
)
def test_a_form_of_answer_is_asked_for(wanted: dict[str, Any], members: dict[str, Any]) -> None:
    assert config(response_format=wanted) == members


@pytest.mark.parametrize("wanted", [{"type": "json_schema", "json_schema": 7}, {"type": "grammar"}])
def test_a_form_that_is_none_is_told(wanted: dict[str, Any]) -> None:
    assert asked(response_format=wanted) == ({}, ["dropped response_format"])


@pytest.mark.parametrize(
    ("model", "least"),
    [
        (NEW, {"thinkingLevel": "LOW"}),
        (OLD, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}),
        (PLAIN, {}),
    ],
)
def test_our_own_schema_goes_before_the_callers_and_is_filled_without_long_thoughts(
    model: str, least: dict[str, Any]
) -> None:
    parameters = Parameters(response_format={"type": "json_object"})
    prompt = Prompt(model, (HI,), parameters, response_schema=ResponseSchema("cup", SCHEMA))
    expected: dict[str, Any] = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert body_of(prompt)["generationConfig"] == expected | ({"thinkingConfig": least} if least else {})


@pytest.mark.parametrize(
    ("model", "given", "expected", "told"),
    [
        (NEW, {}, SHOWS, []),
        (NEW, {"thinking_level": "high"}, {"thinkingLevel": "HIGH"} | SHOWS, []),
        (NEW, {"thinking_level": "XHIGH"}, {"thinkingLevel": "XHIGH"} | SHOWS, []),
        (NEW, {"thinking_level": "low", "reasoning_effort": "high"}, {"thinkingLevel": "LOW"} | SHOWS, []),
        (NEW, {"reasoning_effort": "medium"}, {"thinkingLevel": "MEDIUM"} | SHOWS, []),
        (NEW, {"reasoning": {"effort": "max", "summary": "auto"}}, {"thinkingLevel": "HIGH"} | SHOWS, []),
        (NEW, {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL"}, []),
        (NEW, {"enable_thinking": False}, {"thinkingLevel": "MINIMAL"}, []),
        (NEW, {"thinking": True, "reasoning_effort": "default"}, SHOWS, []),
        (NEW, {"include_reasoning": False, "reasoning_effort": "low"}, {"thinkingLevel": "LOW"}, []),
        (NEW, {"reasoning_effort": "wild"}, SHOWS, ["dropped reasoning_effort"]),
        (NEW, {"thinking_budget": 0}, {"thinkingLevel": "MINIMAL"}, ["changed thinking_budget"]),
        (NEW, {"thinking_budget": 512}, {"thinkingLevel": "LOW"} | SHOWS, ["changed thinking_budget"]),
        (NEW, {"thinking_budget": 8192}, {"thinkingLevel": "MEDIUM"} | SHOWS, ["changed thinking_budget"]),
        (NEW, {"thinking_budget": 30_000}, {"thinkingLevel": "HIGH"} | SHOWS, ["changed thinking_budget"]),
        (NEW, {"thinking_budget": -1}, SHOWS, ["changed thinking_budget"]),
        (
            NEW,
            {"thinking_budget": 512, "thinking_level": "low"},
            {"thinkingLevel": "LOW"} | SHOWS,
            ["dropped thinking_budget"],
        ),
        (NEW, {"thinking_level": "ultra", "thinking_budget": "much"}, SHOWS, ["thinking_level", "thinking_budget"]),
        (OLD, {}, SHOWS, []),
        (OLD, {"thinking_budget": 512}, {"thinkingBudget": 512} | SHOWS, []),
        (OLD, {"thinking_budget": -1}, {"thinkingBudget": -1} | SHOWS, []),
        (OLD, {"thinking_budget": 0}, {"thinkingBudget": 0}, []),
        (OLD, {"thinking_budget": 32_768}, {"thinkingBudget": 24_576} | SHOWS, ["changed thinking_budget"]),
        (OLD, {"reasoning_effort": "none"}, {"thinkingBudget": 0}, []),
        (OLD, {"disable_reasoning": True, "thinking_budget": 512}, {"thinkingBudget": 0}, []),
        (OLD, {"reasoning_effort": "low"}, {"thinkingBudget": 1024} | SHOWS, []),
        (OLD, {"thinking_level": "medium"}, {"thinkingBudget": 8192} | SHOWS, ["changed thinking_level"]),
        (
            OLD,
            {"thinking_budget": 512, "thinking_level": "low"},
            {"thinkingBudget": 512} | SHOWS,
            ["dropped thinking_level"],
        ),
        (
            "gemini-2.5-pro",
            {"reasoning_effort": "none"},
            {"thinkingBudget": 128} | SHOWS,
            ["changed reasoning_effort"],
        ),
        ("gemini-2.5-flash-lite", {}, {}, []),
        ("gemini-2.5-flash-lite", {"thinking_budget": 512}, {"thinkingBudget": 512} | SHOWS, []),
        ("gemini-flash-latest", {"reasoning_effort": "high"}, {"thinkingBudget": 24_576} | SHOWS, []),
        ("models/gemini-3-pro-preview", {}, SHOWS, []),
        (PLAIN, {"thinking_level": "low"}, {}, ["dropped thinking_level"]),
        (PLAIN, {"thinking_budget": 512}, {}, ["dropped thinking_budget"]),
        (PLAIN, {"reasoning_effort": "none"}, {}, []),
        (PLAIN, {"thinking": False}, {}, []),
        (PLAIN, {"thinking": True}, {}, ["dropped thinking"]),
        (DRAWS, {}, {}, []),
        (DRAWS, {"thinking_level": "high"}, {"thinkingLevel": "HIGH"} | SHOWS, []),
        ("gemini-2.5-flash-image", {"thinking_level": "high"}, {}, ["dropped thinking_level"]),
        ("gemma-3-27b-it", {}, {}, []),
    ],
)
def test_each_family_is_told_to_think_in_its_own_way(
    model: str, given: dict[str, Any], expected: dict[str, Any], told: list[str]
) -> None:
    sent, notes = thinking(model, **given)
    assert sent == expected
    assert [note for note, words in zip(notes, told, strict=True) if words not in note] == []


@pytest.mark.parametrize(
    ("given", "resolution"),
    [
        ({"media_resolution": "MEDIA_RESOLUTION_HIGH"}, "MEDIA_RESOLUTION_HIGH"),
        ({"media_resolution": "low"}, "MEDIA_RESOLUTION_LOW"),
        ({"media_resolution": "Medium", "image_detail": "high"}, "MEDIA_RESOLUTION_MEDIUM"),
        ({"image_detail": "high"}, "MEDIA_RESOLUTION_HIGH"),
        ({"image_detail": "auto", "video_detail": "low"}, "MEDIA_RESOLUTION_LOW"),
    ],
)
def test_how_closely_media_are_looked_at_is_said_for_all(given: dict[str, Any], resolution: str) -> None:
    assert config(**given) == {"mediaResolution": resolution}


def test_a_resolution_that_is_none_is_told() -> None:
    assert asked(media_resolution="ultra_high", video_detail=7)[1] == [
        "dropped media_resolution",
        "dropped video_detail",
    ]


def test_search_pages_and_functions_are_offered_side_by_side() -> None:
    tools: list[dict[str, Any]] = [
        POUR,
        {"type": "function", "function": {"name": "stop", "parameters": {}}},
        {"type": "web_search"},
    ]
    added, notes = asked(tools=tools, tool_choice="required", google_search=True, url_context=True)
    assert added == {
        "tools": [
            {"googleSearch": {}},
            {"urlContext": {}},
            {
                "functionDeclarations": [
                    {"name": "pour", "description": "Pours", "parametersJsonSchema": SCHEMA},
                    {"name": "stop"},
                ]
            },
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }
    assert notes == ["dropped tools"]


@pytest.mark.parametrize(
    ("choice", "calling", "told"),
    [
        ("auto", None, []),
        ("none", {"mode": "NONE"}, []),
        (
            {"type": "function", "function": {"name": "pour"}},
            {"mode": "ANY", "allowedFunctionNames": ["pour"]},
            [],
        ),
        ({"type": "allowed_tools"}, None, ["dropped tool_choice"]),
        ("perhaps", None, ["dropped tool_choice"]),
    ],
)
def test_what_may_be_called_is_said(choice: Any, calling: dict[str, Any] | None, told: list[str]) -> None:
    added, notes = asked(tools=[POUR], tool_choice=choice)
    assert (added.get("toolConfig", {}).get("functionCallingConfig"), notes) == (calling, told)


def test_a_choice_among_no_functions_is_not_sent() -> None:
    assert asked(tool_choice="required") == ({}, [])


@pytest.mark.covers("F003-47")
def test_the_safety_threshold_is_said_for_every_harm() -> None:
    harms = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
    assert asked(safety_threshold="block_none") == (
        {"safetySettings": [{"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"} for harm in harms]},
        [],
    )
    assert asked(safety_threshold="BLOCK_ALL") == ({}, ["dropped safety_threshold"])


@pytest.mark.covers("F003-46")
def test_what_an_old_client_always_sends_is_understood() -> None:
    added, notes = asked(
        NEW,
        temperature=1.0,
        thinking_level="high",
        media_resolution="MEDIA_RESOLUTION_LOW",
        google_search=True,
        url_context=True,
        top_k=40,
        seed=3,
        stop=["x"],
    )
    assert notes == []
    assert added == {
        "tools": [{"googleSearch": {}}, {"urlContext": {}}],
        "generationConfig": {
            "temperature": 1.0,
            "topK": 40,
            "stopSequences": ["x"],
            "seed": 3,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
        },
    }


@pytest.mark.covers("F003-48")
@pytest.mark.parametrize("model", [DRAWS, "gemini-2.5-flash-image", "nano-banana-pro-preview"])
def test_a_model_that_makes_images_is_asked_for_both(model: str) -> None:
    assert config(model) == {"responseModalities": ["TEXT", "IMAGE"]}
    given = {"modalities": ["image", "AUDIO", 7], "image_config": {"aspect_ratio": "16:9", "imageSize": "2K", "x": 1}}
    assert config(model, **given) == {
        "responseModalities": ["IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
    }


IMAGENS = {
    "imagen_number_of_images": 4,
    "imagen_image_size": "2K",
    "imagen_aspect_ratio": "3:4",
    "imagen_person_generation": "dont_allow",
}


@pytest.mark.covers("F003-49")
def test_imagens_parameters_are_asked_of_what_replaced_it() -> None:
    added, notes = asked(DRAWS, **IMAGENS)
    assert added["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "3:4", "imageSize": "2K", "personGeneration": "ALLOW_NONE"},
    }
    assert sorted(notes) == sorted(
        [
            "changed imagen_image_size",
            "changed imagen_aspect_ratio",
            "changed imagen_person_generation",
            "dropped imagen_number_of_images",
        ]
    )
    own = {"image_config": {"aspect_ratio": "1:1", "person_generation": "ALLOW_ADULT"}}
    assert asked(DRAWS, **IMAGENS | own)[0]["generationConfig"]["imageConfig"] == {
        "aspectRatio": "1:1",
        "imageSize": "2K",
        "personGeneration": "ALLOW_ADULT",
    }


def test_a_model_that_makes_no_images_is_asked_for_none() -> None:
    assert asked(NEW, modalities=["TEXT"])[1] == []
    added, notes = asked(PLAIN, modalities=["IMAGE", "TEXT"], image_config={"aspect_ratio": "1:1"}, **IMAGENS)
    assert (added, sorted(notes)) == (
        {},
        sorted(f"dropped {name}" for name in (*IMAGENS, "image_config", "modalities")),
    )


@pytest.mark.covers("F003-49")
@pytest.mark.parametrize("model", ["imagen-4.0-generate-001", "models/imagen-3.0", "Imagen-4"])
def test_imagen_itself_is_gone_and_what_replaced_it_is_named(model: str) -> None:
    with pytest.raises(ModelNotFound, match=r"Imagen was shut down.*gemini-3\.1-flash-image"):
        gemini_model(model)


def test_what_a_model_refuses_can_be_left_out() -> None:
    system = PromptMessage("system", (PromptText("Be brief."),))
    parameters = Parameters(
        presence_penalty=0.5,
        response_format={"type": "json_object"},
        options={"thinking_level": "low", "image_config": {"person_generation": "ALLOW_ALL", "aspect_ratio": "1:1"}},
    )
    prompt = Prompt(DRAWS, (system, HI), parameters)
    without: set[Without] = {"thinking", "penalties", "json", "instructions", "people"}
    assert body_of(prompt, without) == {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "Be brief.\nAnswer with one JSON object and nothing else."}, {"text": "Hi"}],
            }
        ],
        "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "1:1"}},
    }
    notes = to_wire(prompt, gemini_model(DRAWS), without).notes
    assert [note.text.partition(":")[0] for note in notes] == [
        *("response_format", "thinking_level", "presence_penalty", "imagen_person_generation")
    ]
    answered_first = Prompt(PLAIN, (PromptMessage("assistant", (PromptText("Hello"),)), system))
    assert body_of(answered_first, {"instructions"})["contents"] == [
        {"role": "user", "parts": [{"text": "Be brief."}]},
        {"role": "model", "parts": [{"text": "Hello"}]},
    ]


def test_a_schema_that_a_model_cannot_be_held_to_is_told_in_words() -> None:
    prompt = Prompt(PLAIN, (HI,), response_schema=ResponseSchema("cup", SCHEMA))
    request = to_wire(prompt, gemini_model(PLAIN), {"json"})
    assert request.notes == ()
    assert set(request.body) == {"systemInstruction", "contents"}
    assert '"ml"' in request.body["systemInstruction"]["parts"][0]["text"]


OPTION_NAMES = sorted(
    {*("thinking_level", "thinking_budget", "reasoning", "top_k", "fps", "media_resolution", "image_detail")}
    | {*("google_search", "url_context", "safety_threshold", "modalities", "image_config"), *IMAGENS}
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["effort", "aspect_ratio"]), inner),
    max_leaves=4,
)


@given(
    model=st.sampled_from([NEW, OLD, PLAIN, DRAWS, "gemma-3", "x"]),
    options=st.dictionaries(st.sampled_from(OPTION_NAMES), ODD),
    tools=st.lists(st.dictionaries(st.sampled_from(["type", "function", "name"]), ODD), max_size=2),
    choice=ODD.filter(lambda it: it is None or isinstance(it, str | dict)),
)
@settings(max_examples=40)
def test_no_option_crashes_a_request_or_makes_a_null_of_it(
    model: str, options: dict[str, Any], tools: list[dict[str, Any]], choice: Any
) -> None:
    parameters = Parameters.model_construct(options=options, tools=tools, tool_choice=choice)
    body = body_of(Prompt(model, (HI,), parameters))
    assert body.keys() <= {"contents", "generationConfig", "tools", "toolConfig", "safetySettings"}
    assert b":null" not in msgspec.json.encode(body)
