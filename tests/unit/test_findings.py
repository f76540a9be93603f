"""What a vision job found, as a row: whatever the model said, PostgreSQL can take it."""

import base64
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.database.claims import Finding
from shared.domain.commands import ChatInput, InlineImage, JobSpec, Message, StoredImage, UploadTask, VisionTask
from shared.domain.dispense import SMARTSIP_V01, as_data, enforce, parse_answer, pour_nothing
from shared.domain.ids import uuid7
from shared.domain.jobs import Kind
from tests.images import photo
from workers.findings import finding_of

IMAGE = uuid7()
STORED = JobSpec(kind=Kind.VISION, model="openai/gpt-4o", input=VisionTask(image=StoredImage(id=IMAGE)))
FULL = {
    "receivable": True,
    "container": "ceramic cup",
    "contents": "green tea leaves",
    "fill_level": 0.1,
    "child_present": False,
    "confidence": 0.9,
    "volume": 200,
    "degree": 80,
}


def result_of(answer: str) -> dict[str, Any]:
    return as_data(enforce(parse_answer(answer), SMARTSIP_V01, prompt="smartsip@2"))


def test_a_finding_is_the_command_and_what_the_model_saw() -> None:
    assert finding_of(STORED, result_of(json.dumps(FULL))) == Finding(
        image_id=IMAGE,
        model="openai/gpt-4o",
        prompt="smartsip@2",
        profile="smartsip-v0.1",
        volume=200,
        degree=80,
        container="ceramic cup",
        contents="green tea leaves",
        receivable=True,
        child_present=False,
        is_safe_default=False,
        is_changed=False,
    )


def test_a_command_without_an_answer_is_a_finding_too() -> None:
    found = finding_of(STORED, as_data(pour_nothing("too late")))
    assert found is not None
    assert (found.volume, found.contents, found.receivable, found.is_safe_default) == (0, "", None, True)


@pytest.mark.parametrize(
    "spec",
    [
        STORED.model_copy(update={"input": VisionTask(image=InlineImage(data=base64.b64encode(photo()).decode()))}),
        JobSpec(kind=Kind.CHAT, model="demo/demo", input=ChatInput(messages=[Message(role="user", content="Hi")])),
        JobSpec(kind=Kind.UPLOAD, model="smartsip/decoder", input=UploadTask(image_id=UUID(int=1))),
    ],
)
def test_only_a_stored_photo_has_findings(spec: JobSpec) -> None:
    assert finding_of(spec, result_of(json.dumps(FULL))) is None


def test_a_job_without_a_result_found_nothing() -> None:
    assert finding_of(STORED, None) is None


words = st.text() | st.sampled_from(["\0", "\\u0000", "\\ud800", "\u202e", "a\0b"])
values = words | st.integers() | st.floats() | st.booleans() | st.none()
answers = st.one_of(
    st.text(),
    st.dictionaries(st.sampled_from(list(FULL)), values).map(json.dumps),
    st.fixed_dictionaries({name: st.just(value) | values for name, value in FULL.items()}).map(json.dumps),
)


@given(answers)
def test_a_finding_of_any_answer_is_something_postgresql_takes(answer: str) -> None:
    found = finding_of(STORED, result_of(answer))
    assert found is not None
    written = msgspec.json.encode(found).decode()  # as the statement that ends the job is given it
    assert "\\u0000" not in written
    assert "\0" not in written
    assert -(2**31) <= found.volume < 2**31
    assert -(2**31) <= found.degree < 2**31
