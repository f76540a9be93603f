"""What can be asked of the core: closed, strict, and refused with the place of the fault."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.domain.commands import MAX_INLINE_IMAGE_BYTES, JobSpec, SubmitChat, SubmitJob

submit: TypeAdapter[SubmitJob] = TypeAdapter(SubmitJob)
CHAT = {"kind": "chat", "input": {"messages": [{"role": "user", "content": "Hello"}]}}
PHOTO = {"kind": "vision", "input": {"image": {"data": base64.b64encode(b"jpeg").decode()}}}


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
