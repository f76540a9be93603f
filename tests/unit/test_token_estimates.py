"""How many tokens a text is taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.services.submit import message_tokens
from shared.domain.commands import CalledTool, ImagePart, InlineImage, Message, TextPart
from shared.domain.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 1), ("fifth", 2), ("a" * 400, 100), ("绿茶", 2), ("绿茶 tea", 3), ("\U0001f375", 1)],
)
def test_four_ascii_characters_or_one_of_another_script_are_a_token(text: str, tokens: int):
    assert estimated_tokens(text) == tokens


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_text_is_never_fewer_tokens_and_parts_are_about_the_whole(one: str, other: str):
    whole = estimated_tokens(one + other)
    assert max(estimated_tokens(one), estimated_tokens(other)) <= whole
    assert whole <= estimated_tokens(one) + estimated_tokens(other) <= whole + 1


@given(st.text(max_size=200))
def test_a_text_never_has_more_tokens_than_characters(text: str):
    assert len(text) / 4 <= estimated_tokens(text) <= len(text)


def test_all_that_a_message_carries_counts():
    shown = ImagePart(type="image", image=InlineImage(data="AAAA"))
    parts = Message(role="user", content=[TextPart(type="text", text="What?"), shown])
    assert message_tokens(parts) == MESSAGE_TOKENS + 2 + IMAGE_TOKENS
    called = Message(role="assistant", content="", tool_calls=[CalledTool(id="1", name="f", arguments="x" * 399)])
    assert message_tokens(called) == MESSAGE_TOKENS + 100
