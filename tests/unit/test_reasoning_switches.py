"""Whether and how much a model reasons: everybody's words for it, told to each family as it takes them."""

from typing import Any

import pytest

from shared.domain.commands import Parameters
from workers.providers.chat_completions.reasoning_switches import switch_reasoning
from workers.providers.parameter_notes import Notes
from workers.providers.table import row_of

ON, OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}
Told = list[str]


def switched(provider: str, model: str, **said: Any) -> tuple[dict[str, Any], bool, Told]:
    """The members, whether the model reasons, and what is told."""
    effort = said.pop("reasoning_effort", None)
    notes = Notes(provider)
    result = switch_reasoning(
        Parameters(reasoning_effort=effort, options=said), row_of(provider).family_of(model), notes
    )
    return (
        result.members,
        result.reasons,
        [f"{note.code.removeprefix('parameter_')} {note.text}" for note in notes.told],
    )


def effort(level: str, **more: Any) -> dict[str, Any]:
    return {"reasoning_effort": level, **more}


def template(**arguments: bool) -> dict[str, Any]:
    return {"chat_template_kwargs": arguments}


PARSED = {"reasoning_format": "parsed"}


@pytest.mark.covers("F003-37", "F003-38", "F003-41", "F003-42", "F003-43", "F003-44", "F003-45", "F003-50", "F003-51")
@pytest.mark.parametrize(
    ("provider", "model", "said", "members"),
    [
        ("openai", "gpt-5.1", effort("none"), effort("none")),
        ("openai", "gpt-5.5", effort("xhigh"), effort("xhigh")),
        ("openai", "o3", effort("high"), effort("high")),
        ("openai", "gpt-5", effort("minimal"), effort("minimal")),
        ("openai", "brand-new", effort("low"), effort("low")),
        ("deepseek", "deepseek-flash", {"thinking": True}, ON),
        ("deepseek", "deepseek-flash", {"thinking": {"type": "disabled", "x": None}}, OFF),
        ("deepseek", "deepseek-flash", effort("max", thinking=True), effort("max", **ON)),
        ("doubao", "doubao-seed-1-8-251228", effort("minimal", thinking=True), effort("minimal", **ON)),
        ("doubao", "ep-20260101-abc", {"thinking": {"type": "auto"}}, {"thinking": {"type": "auto"}}),
        ("siliconflow", "Qwen/Qwen3-8B", {"enable_thinking": False}, {"enable_thinking": False}),
        (
            "siliconflow",
            "Pro/deepseek-ai/DeepSeek-V4",
            effort("max", enable_thinking=True, thinking_budget=256),
            effort("max", enable_thinking=True, thinking_budget=256),
        ),
        ("groq", "openai/gpt-oss-120b", effort("high"), effort("high")),
        ("groq", "openai/gpt-oss-20b", {"include_reasoning": False}, {"include_reasoning": False}),
        ("groq", "qwen/qwen3-32b", effort("none"), effort("none")),
        ("groq", "qwen/qwen3-32b", {"reasoning_format": "raw"}, {"reasoning_format": "raw"}),
        ("groq", "qwen/qwen3-32b", {"include_reasoning": False}, {"include_reasoning": False}),
        ("groq", "qwen/qwen3.8-27b", effort("low"), effort("low", **PARSED)),
        ("mistral", "mistral-small-2603", effort("high"), effort("high")),
        ("mistral", "mistral-medium-3.5", effort("none"), effort("none")),
        ("grok", "grok-4.3", effort("none"), effort("none")),
        ("grok", "grok-4.6", effort("xhigh"), effort("xhigh")),
        ("openrouter", "a/b", {"reasoning": {"effort": "high", "summary": "auto", "enabled": None}},
         {"reasoning": {"effort": "high", "summary": "auto"}}),
        ("cerebras", "gpt-oss-120b", effort("low"), effort("low", **PARSED)),
        ("cerebras", "zai-glm-4.7", {"disable_reasoning": True}, {"disable_reasoning": True}),
        ("cerebras", "zai-glm-4.7", effort("none"), effort("none")),
        ("cerebras", "qwen-3-32b", {}, PARSED),
        ("cerebras", "llama3.1-8b", {}, {}),
        ("nvidia", "openai/gpt-oss-20b", effort("low"), effort("low")),
        ("nvidia", "deepseek-ai/deepseek-v4", effort("high"), effort("high")),
        ("nvidia", "qwen/qwen3-235b", {"chat_template_kwargs": {"thinking": True}}, template(thinking=True)),
        ("zhipu", "glm-4.6", {"thinking": False}, OFF),
        ("vllm", "Qwen/Qwen3-8B", template(enable_thinking=False), template(enable_thinking=False)),
        ("llamacpp", "any", {"reasoning_format": "none"}, {"reasoning_format": "none"}),
        ("mylab", "any", effort("low"), effort("low")),
    ],
)  # fmt: skip
def test_what_a_family_takes_goes_to_it_as_it_is(
    provider: str, model: str, said: dict[str, Any], members: dict[str, Any]
) -> None:
    sent, _, told = switched(provider, model, **said)
    assert (sent, told) == (members, [])


@pytest.mark.parametrize(
    ("provider", "model", "said", "members", "told"),
    [
        ("deepseek", "deepseek-flash", effort("medium"), effort("high"), ["changed reasoning_effort", "high instead"]),
        ("deepseek", "deepseek-flash", effort("minimal"), effort("low"), ["changed reasoning_effort", "low instead"]),
        ("deepseek", "deepseek-flash", effort("xhigh"), effort("high"), ["changed reasoning_effort", "high instead"]),
        ("deepseek", "deepseek-flash", effort("none"), OFF, ["changed reasoning_effort", "as thinking"]),
        ("deepseek", "deepseek-flash", {"enable_thinking": False}, OFF, ["changed enable_thinking", "as thinking"]),
        ("siliconflow", "a", {"thinking": True}, {"enable_thinking": True}, ["changed thinking", "as enable_thinking"]),
        ("siliconflow", "a", {"thinking_budget": 1}, {"thinking_budget": 128}, ["changed thinking_budget", "128"]),
        ("mistral", "mistral-small-latest", effort("low"), effort("high"), ["changed reasoning_effort", "high"]),
        ("mistral", "mistral-small-latest", {"thinking": True}, effort("high"), ["changed thinking", "as reasoning_e"]),
        ("groq", "openai/gpt-oss-120b", {"reasoning_format": "hidden"}, {"include_reasoning": False},
         ["changed reasoning_format", "as include_reasoning"]),
        ("cerebras", "zai-glm-4.7", {"include_reasoning": False}, {"reasoning_format": "hidden"},
         ["changed include_reasoning", "as reasoning_format"]),
        ("openrouter", "a/b", effort("high"), {"reasoning": {"effort": "high"}}, ["changed reasoning_effort", "as r"]),
        ("openrouter", "a/b", {"thinking": False}, {"reasoning": {"enabled": False}}, ["changed thinking", "reason"]),
        ("openrouter", "a/b", {"thinking_budget": 500}, {"reasoning": {"max_tokens": 500}}, ["changed thinking"]),
        ("openrouter", "a/b", {"include_reasoning": False}, {"reasoning": {"exclude": True}}, ["changed include_reas"]),
        ("nvidia", "moonshotai/kimi-k2", {"thinking": True}, template(thinking=True), ["changed thinking", "chat_"]),
        ("nvidia", "qwen/qwen3", {"thinking": True}, template(enable_thinking=True), ["changed thinking", "chat_temp"]),
        ("vllm", "Qwen/Qwen3-8B", effort("none"), template(enable_thinking=False), ["changed reasoning_effort"]),
        ("mylab", "any", {"enable_thinking": True}, template(enable_thinking=True), ["changed enable_thinking"]),
        ("openai", "gpt-5.1", {"thinking": True}, effort("medium"), ["changed thinking", "as reasoning_effort"]),
        ("openai", "gpt-5.2-2025-12-11", {"thinking": False}, effort("none"), ["changed thinking", "as reasoning_"]),
        ("openai", "gpt-5", {"reasoning": {"effort": "low"}}, effort("low"), ["changed reasoning", "as reasoning_eff"]),
    ],
)  # fmt: skip
def test_what_others_call_something_else_is_translated_and_told(
    provider: str, model: str, said: dict[str, Any], members: dict[str, Any], told: Told
) -> None:
    sent, _, notes = switched(provider, model, **said)
    assert sent == members
    assert [[word in note for word in told] for note in notes] == [[True] * len(told)]


@pytest.mark.parametrize(
    ("provider", "model", "said"),
    [
        ("openai", "gpt-4o", effort("low")),
        ("openai", "gpt-5", effort("none")),  # only GPT-5.1 and later have it
        ("openai", "gpt-5", {"thinking": False}),
        ("doubao", "doubao-seed-code-preview-251028", effort("low")),
        ("siliconflow", "Qwen/Qwen3-8B", effort("low")),
        ("groq", "llama-3.3-70b-versatile", effort("low", include_reasoning=True, reasoning_format="parsed")),
        ("groq", "openai/gpt-oss-120b", effort("none")),
        ("mistral", "mistral-large-latest", effort("high")),
        ("mistral", "magistral-medium-latest", effort("high")),
        ("grok", "grok-4.20-reasoning", effort("low")),
        ("grok", "grok-4.5", effort("none")),
        ("cerebras", "gpt-oss-120b", {"disable_reasoning": True}),
        ("cerebras", "llama3.1-8b", {"thinking": True}),
        ("deepseek", "deepseek-flash", {"thinking": 7, "enable_thinking": "yes", "thinking_budget": True}),
        ("zhipu", "glm-4.6", {"reasoning": "high", "chat_template_kwargs": [], "include_reasoning": 1}),
    ],
)
def test_what_a_family_cannot_be_told_is_left_out_and_told(provider: str, model: str, said: dict[str, Any]) -> None:
    sent, _, notes = switched(provider, model, **said)
    assert sent in ({}, PARSED)
    assert sorted(note.split()[1].removesuffix(":") for note in notes) == sorted(said)
    assert all(note.startswith("dropped ") for note in notes)


@pytest.mark.parametrize(
    ("provider", "model", "said", "members", "dropped"),
    [
        ("groq", "qwen/qwen3-32b", {"include_reasoning": True, "reasoning_format": "raw"}, {"reasoning_format": "raw"},
         "include_reasoning"),
        ("openrouter", "a/b", {"reasoning": {"effort": "high"}, "reasoning_effort": "low"},
         {"reasoning": {"effort": "high"}}, "reasoning_effort"),
        ("openrouter", "a/b", {"reasoning": {"max_tokens": 9}, "reasoning_effort": "low"},
         {"reasoning": {"max_tokens": 9}}, "reasoning_effort"),
        ("siliconflow", "a", {"thinking": True, "enable_thinking": False}, {"enable_thinking": False}, "thinking"),
        ("deepseek", "deepseek-flash", {"thinking": False, "reasoning_effort": "high"}, OFF, "reasoning_effort"),
    ],
)  # fmt: skip
def test_of_two_that_exclude_each_other_one_is_sent(
    provider: str, model: str, said: dict[str, Any], members: dict[str, Any], dropped: str
) -> None:
    sent, _, notes = switched(provider, model, **said)
    assert (sent, [note.split(":")[0] for note in notes]) == (members, [f"dropped {dropped}"])


@pytest.mark.parametrize(
    ("provider", "model", "said", "expected"),
    [
        ("deepseek", "deepseek-flash", {}, True),
        ("deepseek", "deepseek-flash", {"thinking": False}, False),
        ("deepseek", "deepseek-chat", {}, False),
        ("deepseek", "deepseek-chat", {"thinking": True}, True),
        ("openai", "gpt-5.1", {}, False),
        ("openai", "gpt-5.1", effort("low"), True),
        ("openai", "gpt-5.5", effort("none"), False),
        ("openai", "gpt-5", effort("none"), True),
    ],
)
def test_it_is_known_whether_the_model_is_going_to_reason(
    provider: str, model: str, said: dict[str, Any], expected: bool
) -> None:
    assert switched(provider, model, **said)[1] is expected


@pytest.mark.parametrize("said", [{"disable_reasoning": False}, {"thinking": None}, {"thinking": True}])
def test_what_changes_nothing_is_not_told(said: dict[str, Any]) -> None:
    assert switched("groq", "openai/gpt-oss-120b", **said) == ({}, True, [])
