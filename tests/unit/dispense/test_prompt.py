"""Prompts: the built-in ones never change, and references are read as they are meant."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.domain.dispense import (
    BUILT_IN_PROMPTS,
    BUILT_IN_REFERENCES,
    DEFAULT_PROMPT,
    SCHEMA,
    SCHEMAS,
    AnswerForm,
    PromptName,
    PromptRef,
    PromptText,
    split_ref,
)

references: TypeAdapter[str] = TypeAdapter(PromptRef)
texts: TypeAdapter[str] = TypeAdapter(PromptText)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)

RELEASED = {
    "smartsip@1": ("2f74c97446a1484ae7b369d6b6e8f8d44f67294a6dafeb5963e5182cd02dfdc3", AnswerForm.PLAIN),
    "smartsip@2": ("0aef562110e08cca7c14fdba41063690a7ef29181589a4d177c3434bbe3f278a", AnswerForm.FULL),
}
"""SHA-256 and form of every version that was ever released; the first is of the text that the first system's report
quotes (FengD/SmartSip 3d99794, docs/README-LLM-test-report.md)."""


def test_no_version_of_the_built_in_prompt_ever_changes() -> None:
    assert {
        ref: (sha256(prompt.text.encode()).hexdigest(), prompt.form) for ref, prompt in BUILT_IN_PROMPTS.items()
    } == RELEASED


def test_every_built_in_prompt_is_found_under_its_own_reference_and_by_name() -> None:
    assert {ref: prompt.ref for ref, prompt in BUILT_IN_PROMPTS.items()} == {ref: ref for ref in RELEASED}
    assert {"smartsip", *RELEASED} == BUILT_IN_REFERENCES
    assert BUILT_IN_PROMPTS[DEFAULT_PROMPT].form is AnswerForm.FULL


def test_every_form_has_a_strict_schema() -> None:
    assert set(SCHEMAS) == set(AnswerForm)
    assert SCHEMAS[AnswerForm.FULL] == ("dispense", SCHEMA)
    for _, schema in SCHEMAS.values():
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False


@given(names, st.none() | st.integers(1, 999_999))
def test_a_reference_is_read_as_it_was_written(name: str, version: int | None) -> None:
    ref = name if version is None else f"{name}@{version}"
    assert references.validate_python(ref) == ref
    assert split_ref(ref) == (name, version)


@pytest.mark.parametrize("ref", ["", "@1", "a@", "a@0", "a@01", "a@1000000", "a@-1", "a@1@2", "A", "a b", "a\n", "-a"])
def test_what_is_no_reference_is_refused(ref: str) -> None:
    with pytest.raises(ValidationError):
        references.validate_python(ref)


@given(st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    name: TypeAdapter[str] = TypeAdapter(PromptName)
    try:
        assert "@" not in name.validate_python(text)
    except ValidationError:
        return


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.sampled_from("x茶?🫖"))
def test_a_prompts_text_is_kept_as_it_is(around: str, word: str) -> None:
    text = around + word + around
    assert texts.validate_python(text) == text


@given(st.text(" \t\r\n\u2028\xa0") | st.builds("{}\0{}".format, st.text(), st.text()))
def test_a_text_that_says_nothing_or_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        texts.validate_python(text)
