"""Bodies, ids and models' names: read as they were meant, or refused in the old system's words."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.llm_backend_api.parse import (
    AskedConversation,
    is_reference,
    parse_conversation,
    parse_credentials,
    parse_id,
    parse_question,
    provider_of,
    shown_model,
)
from shared.domain.commands import MAX_TEXT_CHARS
from shared.domain.errors import MalformedRequest, PayloadTooLarge

CONVERSATION = {"title": "T", "model": "gpt-4o", "api_key": "sk-1"}


def parsed(**wanted: object) -> AskedConversation:
    return parse_conversation(json.dumps(CONVERSATION | wanted).encode())


def refusal(**wanted: object) -> tuple[str | None, str | None]:
    with pytest.raises(MalformedRequest) as refused:
        parsed(**wanted)
    return refused.value.detail, refused.value.field


@given(body=st.binary() | st.text().map(str.encode) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_body_does_more_than_be_refused(body: bytes | str):
    body = body.encode() if isinstance(body, str) else body
    for parse in (parse_conversation, parse_credentials, parse_question):
        with suppress(MalformedRequest):
            parse(body)


def test_unknown_fields_are_ignored_and_a_key_may_be_left_out_or_empty():
    assert parsed(more=1) == AskedConversation(title="T", model="gpt-4o", api_key="sk-1")
    assert parsed(api_key="").api_key is None
    assert parsed(api_key=None).api_key is None


@pytest.mark.covers("F002-09")
def test_what_cannot_be_kept_is_refused_by_its_field_and_not_repeated():
    assert parsed(title="题" * 255).title == "题" * 255
    assert refusal(title="题" * 256) == ("at most 255 characters are taken", "title")
    assert refusal(title="a\0b") == ("holds the character NUL, which no text has", "title")
    assert refusal(model="a\0b")[1] == "model"
    for key in ("schlüssel", "a b", "a\nb", " "):
        assert refusal(api_key=key) == ("has visible ASCII characters only", "api_key")
    assert refusal(api_key="k" * 1001) == ("at most 1000 characters are taken", "api_key")


def test_a_message_may_be_long_but_not_endless():
    assert len(parse_question(json.dumps({"message": "x" * MAX_TEXT_CHARS}).encode())) == MAX_TEXT_CHARS
    with pytest.raises(PayloadTooLarge) as refused:
        parse_question(json.dumps({"message": "x" * (MAX_TEXT_CHARS + 1)}).encode())
    assert refused.value.field == "message"


def test_a_key_and_a_password_are_in_no_repr():
    assert "sk-1" not in repr(parsed())
    assert "hunter2" not in repr(parse_credentials(b'{"username": "anna", "password": "hunter2"}'))


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_is_an_id(number: int):
    assert parse_id(str(number)) == parse_id(f"{number:+d}") == number


@pytest.mark.parametrize("text", ["", "abc", "1.5", "1e3", "0x10", "1_000", "٣", "9223372036854775808", "9" * 5000])
def test_nothing_else_is(text: str):
    with pytest.raises(MalformedRequest, match="Invalid conversation ID"):
        parse_id(text)


@pytest.mark.covers("F002-19")
@pytest.mark.parametrize(
    ("model", "provider"),
    [
        *(("gpt-4o", "openai"), ("GPT-4", "openai"), ("chatgpt-4o-latest", "openai"), ("o3-mini", "openai")),
        *(("glm-4", "zhipu"), ("GLM-4-Flash", "zhipu")),
        *(("llama3", None), ("openai/gpt-4o", None), ("oak", None), ("", None)),
    ],
)
def test_whose_a_model_is_shows_in_how_its_name_begins(model: str, provider: str | None):
    assert provider_of(model) == provider


def test_a_model_is_shown_as_its_clients_name_it():
    assert shown_model("openai/GPT-4o") == "GPT-4o"
    assert shown_model("zhipu/glm-4") == "glm-4"
    for other in ("openrouter/gpt-4o", "mylab/llama3", "demo/demo", "openai/scripted"):
        assert shown_model(other) == other


@given(name=st.text(max_size=220))
def test_a_reference_has_no_end_of_line_at_its_end(name: str):
    assert not is_reference(f"openai/{name}\n")
