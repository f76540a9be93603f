"""No special token reaches a client, wherever fragments are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.llm_service_api.special_tokens import SPECIAL_TOKENS, SpecialTokens, without_special_tokens

PIECES = [*SPECIAL_TOKENS, *(token[:4] for token in SPECIAL_TOKENS), *(token[4:] for token in SPECIAL_TOKENS)]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3) | st.sampled_from("</> tk")).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<start>Hello</end>", "Hello"),
        ("<think>a</think>b<tool>c</tool>", "abc"),
        ("1 < 2 </ 3 <thing> <THINK>", "1 < 2 </ 3 <thing> <THINK>"),
        ("<thi<tool>nk>x", "x"),
        ("<<start>", "<"),
        ("a<thin", "a<thin"),
    ],
)
def test_only_the_tokens_are_taken_out(text: str, shown: str):
    assert without_special_tokens(text) == shown


@given(texts)
def test_nothing_that_is_left_makes_up_a_token(text: str):
    shown = without_special_tokens(text)
    assert [token for token in SPECIAL_TOKENS if token in shown] == []


@given(st.text().filter(lambda text: "<" not in text))
def test_text_without_tokens_is_shown_at_once(text: str):
    assert SpecialTokens().feed(text) == text


@given(st.lists(texts))
def test_it_does_not_matter_where_fragments_are_cut(fragments: list[str]):
    tokens = SpecialTokens()
    shown = "".join([*(tokens.feed(fragment) for fragment in fragments), tokens.end()])
    assert shown == without_special_tokens("".join(fragments))
