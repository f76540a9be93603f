import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest
from shared.domain.usernames import username_from


@pytest.mark.parametrize("name", ["a", "anna", "Anna Müller", "张三", "o'neil@example.org", "x" * 64, "ü" * 64, "🍵"])
def test_what_people_call_themselves_is_a_name(name: str):
    assert username_from(name) == name


def test_the_same_text_written_in_two_ways_is_one_name():
    assert username_from("Mu\u0308ller") == username_from("M\u00fcller") == "M\u00fcller"
    assert username_from("u\u0308" * 64) == "ü" * 64


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "x" * 65, "u\u0308" * 65, "x" * 1_000_000, " anna", "anna ", "anna\u00a0", "\ufeffanna"),
        *("an\x00na", "an\nna", "\x7f", "an\u200bna", "an\u202ena", "\ud800", "a\u2028b"),
    ],
    ids=lambda text: repr(text[:8]),
)
def test_what_cannot_be_told_from_another_name_is_none(text: str):
    with pytest.raises(InvalidRequest) as caught:
        username_from(text, field="name")
    assert caught.value.field == "name"


@given(st.text(max_size=80))
def test_a_name_stays_as_it_is(text: str):
    try:
        name = username_from(text)
    except InvalidRequest:
        return
    assert username_from(name) == name == unicodedata.normalize("NFC", text)
    assert 1 <= len(name) <= 64
    name.encode()
