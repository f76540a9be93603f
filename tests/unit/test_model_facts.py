"""What is known of models by their names: little, and nothing that a provider did not say otherwise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.models import NOTHING_KNOWN, Abilities, in_common
from shared.model_facts import abilities_of, sees_photos
from shared.providers_known import KNOWN

FLAGS = st.none() | st.booleans()
ABILITIES = st.builds(
    Abilities,
    vision=FLAGS,
    audio=FLAGS,
    video=FLAGS,
    reasoning=FLAGS,
    tools=FLAGS,
    schema_mode=st.sampled_from([None, "json_schema", "prompt"]),
    makes=st.sampled_from([None, (), ("answer",), ("answer", "images")]),
    context_length=st.none() | st.integers(1, 9),
)


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        ("openai/gpt-4o-2024-08-06", True),
        ("openai/ft:gpt-4o-mini:mine::1", True),
        ("openai/gpt-4", False),
        ("openai/gpt-4-0613", False),
        ("openai/gpt-4-turbo", True),
        ("openai/gpt-5.4-pro", True),
        ("openai/gpt-5.99", None),  # a version nobody here knew
        ("openai/o3-mini", False),
        ("openai/o3000", None),
        ("openai/dall-e-3", False),  # draws, and says nothing about a photo
        ("openai/nobody-knows-this", None),
        ("openrouter/openai/gpt-4o", True),
        ("deepseek/deepseek-v4-flash-vision-exp", True),
        ("deepseek/deepseek-flash", False),
        ("siliconflow/Pro/Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("siliconflow/Pro/Qwen/Qwen2.5-7B-Instruct", False),
        ("groq/qwen/qwen3.6-27b", None),
        ("groq/meta-llama/llama-4-scout-17b-16e-instruct", True),
        ("nvidia/meta/llama-3.2-90b-vision-instruct", True),
        ("nvidia/meta/llama-3.2-3b-instruct", False),
        ("ollama/gemma3:4b", True),
        ("ollama/gemma3:1b", False),
        ("ollama/llava:7b", True),
        ("doubao/doubao-1-5-lite-32k-250115", False),
        ("doubao/doubao-seed-1-6-vision-250815", True),
        ("doubao/doubao-seedream-4-5-251128", False),
        ("doubao/ep-20260101-abcde", None),
        ("gemini/gemini-3.8-flash", True),
        ("demo/demo", None),
    ],
)
def test_whether_a_model_sees_photos_is_known_by_its_name_or_not_at_all(model: str, sees: bool | None) -> None:
    provider, _, model_id = model.partition("/")
    assert sees_photos(provider, model_id) is sees


def test_what_a_provider_says_counts_more_than_a_name() -> None:
    said = Abilities(vision=False, context_length=7)
    assert abilities_of("openrouter", "openai/gpt-4o", said) == Abilities(
        vision=False,
        audio=False,
        video=False,
        reasoning=False,
        tools=True,
        schema_mode="json_schema",
        makes=("answer",),
        context_length=7,
    )


def test_no_model_can_do_what_its_provider_cannot_be_asked_for() -> None:
    everything = Abilities(audio=True, video=True, makes=("answer", "images", "video"))
    limits = {name: abilities_of(name, "any", everything) for name in ("groq", "openai", "doubao", "elsewhere")}
    assert {name: (can.audio, can.video, can.makes) for name, can in limits.items()} == {
        "groq": (False, False, ("answer",)),
        "openai": (True, False, ("answer", "images")),
        "doubao": (True, True, ("answer", "images", "video")),
        "elsewhere": (True, True, ("answer",)),
    }


def test_models_that_are_known_without_a_list_can_all_be_asked_for_something() -> None:
    makes = {
        f"{name}/{model}": abilities_of(name, model).makes for name, known in KNOWN.items() for model in known.models
    }
    assert all(makes.values())
    assert {model: made for model, made in makes.items() if made != ("answer",)} == {
        **{model: ("images",) for model in makes if "seedream" in model},
        **{model: ("video",) for model in makes if "seedance" in model},
    }


@settings(max_examples=40)
@given(st.sampled_from([*KNOWN, "elsewhere"]), st.text(max_size=20), ABILITIES)
def test_any_name_has_abilities_and_what_was_said_stays(provider: str, model_id: str, said: Abilities) -> None:
    can = abilities_of(provider, model_id, said)
    for name in ("vision", "reasoning", "tools", "schema_mode", "context_length"):
        assert getattr(said, name) in (None, getattr(can, name))
    assert (can.makes is None, can.schema_mode is None) == (False, False)


@given(st.lists(ABILITIES, min_size=1, max_size=4))
def test_what_models_have_in_common_holds_for_each(every: list[Abilities]) -> None:
    common = in_common(every)
    assert all(one.or_else(NOTHING_KNOWN) == common.or_else(one) for one in every)
    assert in_common([every[0]] * 3) == every[0]
