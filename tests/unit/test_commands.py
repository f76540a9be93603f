"""What can be asked of the core: closed, strict, and refused with the place of the fault."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.domain.commands import (
    MAX_INLINE_IMAGE_BYTES,
    ImageInput,
    InlineImage,
    JobSpec,
    SubmitChat,
    SubmitJob,
    VideoInput,
    VisionTask,
)
from shared.domain.dispense import AnswerForm, DeviceProfile
from shared.domain.jobs import Kind
from tests.unit.dispense.profiles import safe_profiles

submit: TypeAdapter[SubmitJob] = TypeAdapter(SubmitJob)
CHAT = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "Hello"}]}}
PHOTO: dict[str, Any] = {"kind": "vision", "input": {"image": {"data": base64.b64encode(b"jpeg").decode()}}}

PICTURES: dict[str, Any] = {"kind": "image", "input": {"prompt": "A cup"}}
FILM: dict[str, Any] = {"kind": "video", "input": {"prompt": "Tea is poured"}}


def place_of_fault(command: object) -> str:
    with pytest.raises(ValidationError) as caught:
        submit.validate_python(command)
    return ".".join(str(step) for step in caught.value.errors()[0]["loc"])


def test_the_smallest_job_of_each_kind_is_accepted() -> None:
    for smallest in (CHAT, PHOTO, PICTURES, FILM):
        assert submit.validate_python(smallest).kind == smallest["kind"]


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


@pytest.mark.parametrize(
    ("kind", "asked", "place"),
    [
        ("image", {}, "image.input.prompt"),
        ("image", {"prompt": ""}, "image.input.prompt"),
        ("image", {"prompt": "a\x00b"}, "image.input.prompt"),
        ("image", {"prompt": "x" * 32_001}, "image.input.prompt"),
        ("image", {"prompt": "x", "n": 0}, "image.input.n"),
        ("image", {"prompt": "x", "n": 11}, "image.input.n"),
        ("image", {"prompt": "x", "size": "a b"}, "image.input.size"),
        ("image", {"prompt": "x", "aspect_ratio": "wide"}, "image.input.aspect_ratio"),
        ("image", {"prompt": "x", "images": [{"id": "x"}]}, "image.input.images.0.StoredImage.id"),
        ("image", {"prompt": "x", "duration_s": 5}, "image.input.duration_s"),
        ("video", {}, "video.input"),
        ("video", {"prompt": " "}, "video.input"),
        ("video", {"prompt": "a\x00b"}, "video.input.prompt"),
        ("video", {"prompt": "x", "duration_s": 0}, "video.input.duration_s"),
        ("video", {"prompt": "x", "resolution": "7 20p"}, "video.input.resolution"),
        ("video", {"prompt": "x", "n": 2}, "video.input.n"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_where_it_is_wrong(kind: str, asked: dict[str, Any], place: str) -> None:
    assert place_of_fault({"kind": kind, "input": asked}) == place


@pytest.mark.parametrize(
    ("kind", "wish"),
    [(Kind.IMAGE, ImageInput(prompt="A cup")), (Kind.VIDEO, VideoInput(prompt="A cup", duration_s=5))],
)
def test_a_wish_is_read_from_its_row_as_the_kind_it_was_made_as(kind: Kind, wish: ImageInput | VideoInput) -> None:
    spec = JobSpec(kind=kind, model="doubao/m", input=wish)
    assert JobSpec.model_validate_json(spec.model_dump_json(exclude_defaults=True)) == spec
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
