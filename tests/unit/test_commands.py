"""What can be asked of the core: closed, strict, and refused with the place of the fault."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.domain.commands import (
    MAX_INLINE_IMAGE_BYTES,
    InlineImage,
    JobSpec,
    SubmitChat,
    SubmitJob,
    VisionTask,
)
from shared.domain.dispense import AnswerForm, DeviceProfile
from shared.domain.jobs import Kind
from tests.unit.dispense.profiles import safe_profiles

submit: TypeAdapter[SubmitJob] = TypeAdapter(SubmitJob)
CHAT = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "Hello"}]}}
PHOTO: dict[str, Any] = {"kind": "vision", "input": {"image": {"data": base64.b64encode(b"jpeg").decode()}}}


def place_of_fault(command: object) -> str:
    with pytest.raises(ValidationError) as caught:
        submit.validate_python(command)
    return ".".join(str(step) for step in caught.value.errors()[0]["loc"])


def test_the_smallest_chat_and_the_smallest_photo_are_accepted() -> None:
    assert submit.validate_python(CHAT).kind == "chat"
    assert submit.validate_python(PHOTO).kind == "vision"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"surprise": 1}, "chat.surprise"),
        ({"model": "gpt-4o"}, "chat.model"),
        ({"model": "openai/a b"}, "chat.model"),
        ({"timeout_s": 0}, "chat.timeout_s"),
        ({"timeout_s": "5"}, "chat.timeout_s"),
        ({"timeout_s": 10**9}, "chat.timeout_s"),
        ({"deadline": "soon"}, "chat.deadline"),
        ({"deadline": "2026-01-01T00:00:00"}, "chat"),
        ({"deadline": "2026-01-01T00:00:00Z", "timeout_s": 5}, "chat"),
        ({"on_disconnect": "explode"}, "chat.on_disconnect"),
        ({"labels": {"a b": "c"}}, "chat.labels.a b.[key]"),
        ({"labels": {"a": "\x00"}}, "chat.labels.a"),
        ({"parameters": {"temperature": 3}}, "chat.parameters.temperature"),
        ({"parameters": {"temperature": True}}, "chat.parameters.temperature"),
        ({"parameters": {"top_k": 3}}, "chat.parameters.top_k"),
        ({"input": {"messages": []}}, "chat.input.messages"),
        ({"input": {"messages": [{"role": "god", "content": "x"}]}}, "chat.input.messages.0.role"),
        ({"input": {"messages": [{"role": "system", "content": "x"}]}}, "chat.input"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change: dict[str, Any], place: str) -> None:
    assert place_of_fault(CHAT | change) == place


def test_an_inline_image_is_base64_and_small() -> None:
    assert place_of_fault(PHOTO | {"input": {"image": {"data": "###"}}}).startswith("vision.input.image")
    large = base64.b64encode(bytes(MAX_INLINE_IMAGE_BYTES + 1)).decode()
    assert place_of_fault(PHOTO | {"input": {"image": {"data": large}}}).startswith("vision.input.image")


@given(
    command=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_value_crashes_the_parser(command: object) -> None:
    with pytest.raises(ValidationError):
        submit.validate_python(command)


@given(messages=st.lists(st.text(max_size=50), min_size=1, max_size=5))
def test_a_job_spec_survives_its_row(messages: list[str]) -> None:
    command = SubmitChat.model_validate(
        {"kind": "chat", "input": {"messages": [{"role": "user", "content": text} for text in messages]}}
    )
    spec = JobSpec.model_validate({"kind": "chat", "model": "openrouter/meta/llama:free", "input": command.input})
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert (spec.provider_name, spec.model_name) == ("openrouter", "meta/llama:free")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"prompt": "Pour water."}, "vision.input.prompt"),
        ({"prompt": "tea@0"}, "vision.input.prompt"),
        ({"prompt_text": ""}, "vision.input.prompt_text"),
        ({"prompt_text": " \n"}, "vision.input.prompt_text"),
        ({"prompt_text": "a\0b"}, "vision.input.prompt_text"),
        ({"prompt_text": "x" * 20_001}, "vision.input.prompt_text"),
        ({"prompt": "tea", "prompt_text": "Pour."}, "vision.input"),
        ({"profile": "../x"}, "vision.input.profile"),
        ({"envelope": {}}, "vision.input.envelope"),
        ({"form": "plain"}, "vision.input.form"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_wish_about_a_photo_is_refused_by_name(change: dict[str, Any], place: str) -> None:
    assert place_of_fault(PHOTO | {"input": PHOTO["input"] | change}) == place


def test_what_only_the_server_asks_for_cannot_be_submitted() -> None:
    assert place_of_fault({"kind": "upload", "input": {"image_id": "0198f3b0-0000-7000-8000-000000000000"}}) == ""


@given(profile=safe_profiles(), text=st.none() | st.text('Pour 茶.\n"', min_size=1).filter(str.strip))
def test_a_vision_job_carries_its_profile_and_prompt_whole_through_its_row(
    profile: DeviceProfile, text: str | None
) -> None:
    task = VisionTask(
        image=InlineImage(data="aGVsbG8="),
        prompt="tea@3",
        prompt_text=text,
        form=AnswerForm.PLAIN,
        profile=profile.name,
        envelope=profile,
    )
    spec = JobSpec(kind=Kind.VISION, model="demo/demo", input=task)
    assert JobSpec.model_validate_json(spec.model_dump_json(exclude_defaults=True)) == spec
