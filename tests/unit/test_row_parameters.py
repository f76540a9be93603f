"""Every parameter that Lite-LLM-Chat's document has, and what of it each provider is sent today."""

import json
from typing import Any

import msgspec
import pytest

from shared.domain.commands import CalledTool, Parameters
from shared.domain.models import SchemaMode
from workers.providers.base import Prompt, PromptAudio, PromptImage, PromptMessage, PromptPart, PromptText, PromptVideo
from workers.providers.chat_completions.wire import to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.table import row_of

HI = PromptMessage("user", (PromptText("Hi"),))
COMMON: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 64,
    "stop": ["a", "b", "c", "d", "e"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "response_format": {"type": "json_object"},
}
OPTIONS: dict[str, Any] = {
    "min_p": 0.1,
    "top_k": 5.0,
    "top_a": 0.2,
    "repetition_penalty": 1.1,
    "logprobs": True,
    "top_logprobs": 3,
    "transforms": ["middle-out"],
    "models": ["a/b"],
    "route": "fallback",
    "structured_outputs": True,
    "modalities": ["text", "image"],
    "image_config": {"aspect_ratio": "1:1"},
    "plugins": [{"id": "web"}],
    "web_search_options": {"max_results": 3},
    "safe_prompt": True,
    "parallel_tool_calls": False,
    "thinking_level": "high",
    "google_search": True,
    "watermark": False,
    "size": "2K",
    "n": 3,
    "model": "other",
}
ALWAYS = {"parallel_tool_calls": False, "response_format": {"type": "json_object"}}
SAMPLING = {"temperature": 0.5, "top_p": 0.9}
PENALTIES = {"presence_penalty": 0.1, "frequency_penalty": 0.2}
STOP, STOPS = {"stop": ["a", "b", "c", "d"]}, {"stop": ["a", "b", "c", "d", "e"]}
LEAST, MOST = {"max_tokens": 64}, {"max_completion_tokens": 64}
USAGE = {"stream_options": {"include_usage": True}}
SENT: dict[tuple[str, str], dict[str, Any]] = {
    ("openai", "gpt-4o"): {
        **(SAMPLING | PENALTIES | STOP | MOST | USAGE | {"seed": 7, "logprobs": True, "top_logprobs": 3}),
        "modalities": ["text", "image"],
        "web_search_options": {"max_results": 3},
    },
    ("openai", "gpt-5"): {
        **(STOP | MOST | USAGE | {"seed": 7, "modalities": ["text", "image"]}),
        "web_search_options": {"max_results": 3},
    },
    ("deepseek", "deepseek-chat"): SAMPLING | PENALTIES | STOPS | LEAST | USAGE | {"logprobs": True, "top_logprobs": 3},
    ("deepseek", "deepseek-flash"): STOPS | LEAST | USAGE | {"top_p": 0.9},
    ("doubao", "doubao-1-5-pro-32k-250115"): {
        **(SAMPLING | PENALTIES | STOP | LEAST | USAGE | {"seed": 7, "repetition_penalty": 1.1}),
    },
    ("doubao", "doubao-seed-1-8-251228"): {
        **(SAMPLING | PENALTIES | STOP | MOST | USAGE | {"seed": 7, "repetition_penalty": 1.1}),
    },
    ("siliconflow", "Qwen/Qwen3-8B"): SAMPLING | PENALTIES | STOP | LEAST | USAGE | {"min_p": 0.1, "top_k": 5},
    ("groq", "llama-3.3-70b-versatile"): SAMPLING | STOP | MOST | USAGE | {"seed": 7},
    ("mistral", "mistral-large-latest"): {
        **(SAMPLING | PENALTIES | STOP | LEAST),
        "random_seed": 7,
        "safe_prompt": True,
        "top_k": 5,
        "repetition_penalty": 1.1,
    },
    ("grok", "grok-4.5"): SAMPLING | MOST | USAGE | {"seed": 7},
    ("openrouter", "a/b"): {
        **(SAMPLING | PENALTIES | STOP | MOST | {"seed": 7, "logprobs": True, "top_logprobs": 3, "top_k": 5}),
        "min_p": 0.1,
        "top_a": 0.2,
        "repetition_penalty": 1.1,
        "models": ["a/b"],
        "modalities": ["text", "image"],
        "image_config": {"aspect_ratio": "1:1"},
        "plugins": [{"id": "web"}, {"id": "context-compression", "engine": "middle-out"}],
        "provider": {"require_parameters": True},
    },
    ("cerebras", "llama3.1-8b"): SAMPLING | STOP | MOST | USAGE | {"seed": 7},
    ("nvidia", "nvidia/llama-3.1-8b-instruct"): {
        **(SAMPLING | PENALTIES | STOP | LEAST | USAGE),
        "seed": 7,
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
    },
    ("zhipu", "glm-4.6"): SAMPLING | STOP | LEAST,
    ("vllm", "m"): {
        **(SAMPLING | PENALTIES | STOPS | MOST | USAGE | {"seed": 7, "logprobs": True, "top_logprobs": 3}),
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
    },
    ("lmstudio", "m"): SAMPLING | PENALTIES | STOPS | LEAST | USAGE | {"seed": 7, "top_k": 5, "repeat_penalty": 1.1},
    ("llama_cpp", "m"): {
        **(SAMPLING | PENALTIES | STOPS | LEAST | USAGE | {"seed": 7, "logprobs": True, "top_logprobs": 3}),
        "top_k": 5,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
    },
    ("mylab", "m"): {
        **(SAMPLING | PENALTIES | STOPS | LEAST | USAGE),
        "seed": 7,
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
    },
}
NONE: frozenset[str] = frozenset()
CHANGED: dict[str, frozenset[str]] = {
    "openrouter": frozenset({"stop", "transforms", "structured_outputs", "web_search_options"}),
    **dict.fromkeys(("llama_cpp", "lmstudio"), frozenset({"repetition_penalty"})),
    **dict.fromkeys(("deepseek", "grok", "vllm", "mylab"), NONE),
}
"""Whose parameters are sent as something else; the number of stops is, where it is not said otherwise."""


def asked(
    prompt: Prompt, provider: str, mode: SchemaMode = "json_object"
) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """The body, as it is read at the other end, and by code the parameters that something is told of."""
    notes = Notes(provider, ours=prompt.defaults)
    body = json.loads(msgspec.json.encode(to_wire(prompt, (row := row_of(provider)), row.schema_mode, notes=notes)))
    told = {code: {note.text.split(":")[0] for note in notes.told if note.code == code} for code in CODES}
    return body, told


CODES = ("parameter_dropped", "parameter_changed")


@pytest.mark.covers("F003-38", "F003-41", "F003-43", "F003-44", "F003-45", "F003-52")
@pytest.mark.parametrize(("provider", "model"), SENT)
def test_each_provider_is_sent_what_it_takes_and_the_rest_is_told(provider: str, model: str) -> None:
    body, told = asked(Prompt(model, (HI,), Parameters.model_validate(COMMON | {"options": OPTIONS})), provider)
    own = ALWAYS if provider != "cerebras" else {"response_format": {"type": "json_object"}}
    conversation = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    assert body == conversation | own | SENT[provider, model]
    changed = CHANGED.get(provider, frozenset({"stop"}))
    known = {"max_output_tokens", *body, *(("seed",) if provider == "mistral" else ())}
    assert told == {
        "parameter_changed": changed,
        "parameter_dropped": {"n", "model"} | (COMMON.keys() | OPTIONS.keys()) - known - changed,
    }


@pytest.mark.parametrize(("provider", "member"), [("groq", "seed"), ("mistral", "random_seed")])
def test_a_seed_by_mistrals_name_is_a_seed(provider: str, member: str) -> None:
    body, told = asked(Prompt("m", (HI,), Parameters(options={"random_seed": 7})), provider)
    assert (body[member], bool(told["parameter_changed"])) == (7, provider == "groq")
    for given in (True, 1.5, "7"):
        body, told = asked(Prompt("m", (HI,), Parameters(options={"random_seed": given})), provider)
        assert (body.keys() & {"seed", "random_seed"}, told["parameter_dropped"]) == (set(), {"random_seed"})


def test_what_changes_nothing_or_is_ours_is_not_told() -> None:
    idle = Parameters(temperature=1, top_p=1, presence_penalty=0, options={"top_k": None})
    assert asked(Prompt("gpt-5", (HI,), idle), "openai")[1] == dict.fromkeys(CODES, NONE)
    ours = Prompt("gpt-5", (HI,), Parameters(temperature=0, top_p=0.9), defaults=frozenset({"temperature", "top_p"}))
    assert asked(ours, "openai")[1] == dict.fromkeys(CODES, NONE)


def test_a_strange_name_is_told_in_one_short_line() -> None:
    _, told = asked(Prompt("m", (HI,), Parameters(options={"x\n" * 1000: 1, "sk-0123456789abcdef": 1})), "groq")
    assert told["parameter_dropped"] == {("x " * 30), "[key]"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"transforms": []}, {"plugins": [{"id": "context-compression", "enabled": False}]}),
        ({"transforms": ["upside-down"]}, {}),
        ({"web_search_options": {}}, {"plugins": [{"id": "web"}]}),
        ({"web_search_options": {"search_context_size": "low"}, "plugins": [{"id": "file-parser", "x": None}, 7]},
         {"plugins": [{"id": "file-parser"}, {"id": "web"}]}),
        ({"structured_outputs": False}, {}),
        ({"structured_outputs": True, "provider": {"sort": "price", "order": None}},
         {"provider": {"require_parameters": True, "sort": "price"}}),
        ({"structured_outputs": "yes", "transforms": {}, "web_search_options": []}, {}),
    ],
)  # fmt: skip
def test_what_openrouter_moved_goes_where_it_is_now(options: dict[str, Any], expected: dict[str, Any]) -> None:
    body, _ = asked(Prompt("a/b", (HI,), Parameters(options=options)), "openrouter")
    assert {name: body[name] for name in ("plugins", "provider") if name in body} == expected


@pytest.mark.parametrize("is_strict", [True, False])
def test_cerebras_is_given_strict_schemas_without_further_members(is_strict: bool) -> None:
    inner = {"type": ["object", "null"], "properties": {"type": {"enum": [{"type": "object"}]}}}
    schema = {"type": "object", "properties": {"a": inner, "b": {"type": "array", "items": [{"type": "object"}]}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": is_strict, "schema": schema}}
    body, told = asked(Prompt("m", (HI,), Parameters(response_format=wanted)), "cerebras", "json_schema_strict")
    none = {"additionalProperties": False}
    closed = {
        **(none | {"type": "object"}),
        "properties": {"a": inner | none, "b": {"type": "array", "items": [{"type": "object"} | none]}},
    }
    assert body["response_format"]["json_schema"]["schema"] == (closed if is_strict else schema)
    assert told["parameter_changed"] == ({"response_format"} if is_strict else set())


LOOK: dict[str, Any] = {
    "image_detail": "low",
    "image_pixel_limit": {"max_pixels": 9, "min_pixels": None, "x": 1},
    "fps": 2.0,
    "video_detail": "high",
    "max_frames": 8,
}
PHOTO, FILM, SOUND = PromptImage(b"x", "image/png"), PromptVideo(b"x", "video/mp4"), PromptAudio(b"x", "audio/wav")
IMAGE, VIDEO = {"url": "data:image/png;base64,eA=="}, {"url": "data:video/mp4;base64,eA=="}
INPUT_AUDIO = {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}}


@pytest.mark.covers("F003-32")
@pytest.mark.parametrize(
    ("provider", "part", "expected", "dropped"),
    [
        ("openai", PHOTO, {"image_url": IMAGE | {"detail": "low"}}, {"image_pixel_limit"}),
        ("doubao", PHOTO, {"image_url": IMAGE | {"detail": "low", "image_pixel_limit": {"max_pixels": 9}}}, NONE),
        ("siliconflow", PHOTO, {"image_url": IMAGE | {"detail": "low"}}, {"image_pixel_limit"}),
        ("cerebras", PHOTO, {"image_url": IMAGE}, {"image_detail", "image_pixel_limit"}),
        ("mylab", PHOTO, {"image_url": IMAGE}, {"image_detail", "image_pixel_limit"}),
        ("siliconflow", FILM, {"video_url": VIDEO | {"detail": "high", "max_frames": 8, "fps": 2}}, NONE),
        ("doubao", FILM, {"video_url": VIDEO | {"fps": 2}}, {"video_detail", "max_frames"}),
        ("openrouter", FILM, {"video_url": VIDEO}, {"fps", "video_detail", "max_frames"}),
        ("openai", SOUND, INPUT_AUDIO, NONE),
        ("openrouter", SOUND, INPUT_AUDIO, NONE),
        ("doubao", SOUND, INPUT_AUDIO, NONE),
        ("mistral", SOUND, {"input_audio": "eA=="}, NONE),
        ("siliconflow", SOUND, {"audio_url": {"url": "data:audio/wav;base64,eA=="}}, NONE),
    ],
)
def test_media_travel_in_each_providers_own_form(
    provider: str, part: PromptPart, expected: dict[str, Any], dropped: frozenset[str] | set[str]
) -> None:
    body, told = asked(Prompt("m", (PromptMessage("user", (part,)),), Parameters(options=LOOK)), provider)
    shown = body["messages"][0]["content"][0]
    assert {name: it for name, it in shown.items() if name != "type"} == {
        name: it for name, it in expected.items() if name != "type"
    }
    assert told == {"parameter_dropped": dropped, "parameter_changed": NONE}


CALL = CalledTool(id="c", name="pour", arguments="{}")
CALLED = [{"id": "c", "type": "function", "function": {"name": "pour", "arguments": "{}"}}]
DETAIL = {"type": "reasoning.encrypted", "data": "abc"}
OTHERS = ("gemini:text:3:c2ln", "c2ln", '{"type":"x"}', "[1]", json.dumps([DETAIL | {"id": None}]))


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("deepseek", "deepseek-flash", {"reasoning_content": "Hm."}),
        ("deepseek", "deepseek-chat", {}),
        ("cerebras", "gpt-oss-120b", {"reasoning": "Hm."}),
        ("vllm", "m", {"reasoning": "Hm."}),
        ("openrouter", "a/b", {"reasoning_details": [DETAIL]}),
        ("mistral", "mistral-large-latest", {}),
        ("groq", "openai/gpt-oss-120b", {}),
        ("openai", "gpt-5", {}),
        ("mylab", "m", {}),
    ],
)
def test_what_was_thought_goes_back_to_who_wants_it(provider: str, model: str, expected: dict[str, Any]) -> None:
    said = PromptMessage("assistant", (PromptText(""),), tool_calls=(CALL,), reasoning="Hm.", signatures=OTHERS)
    heard = msgspec.structs.replace(HI, reasoning="Never said.")
    body, _ = asked(Prompt(model, (HI, said, heard)), provider)
    assert body["messages"][1] == {"role": "assistant", "content": "", "tool_calls": CALLED} | expected
    assert body["messages"][0] == body["messages"][2] == {"role": "user", "content": "Hi"}


def test_deepseek_gets_the_member_for_calls_whose_thoughts_are_not_known_and_for_nothing_else() -> None:
    said = (PromptMessage("assistant", (PromptText("A"),), reasoning="Hm."),)
    called = (PromptMessage("assistant", (PromptText("B"),), tool_calls=(CALL,)),)
    body, _ = asked(Prompt("deepseek-flash", (*said, *called, HI)), "deepseek")
    assert [message.get("reasoning_content") for message in body["messages"]] == [None, "", None]


@pytest.mark.parametrize(("signatures", "more"), [((), {}), (OTHERS, {"signature": "c2ln"})])
def test_mistral_gets_thoughts_back_as_a_part(signatures: tuple[str, ...], more: dict[str, str]) -> None:
    said = PromptMessage("assistant", (PromptText("A"),), reasoning="Hm.", signatures=signatures)
    body, _ = asked(Prompt("magistral-medium-latest", (said, HI)), "mistral")
    assert body["messages"][0]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], **more},
        {"type": "text", "text": "A"},
    ]
