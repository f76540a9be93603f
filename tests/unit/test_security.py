from hypothesis import given
from hypothesis import strategies as st

from shared.security import hash_of_key, hint_of_key, is_api_key, is_same_secret, new_api_key

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_new_key_is_a_key_and_no_two_are_alike():
    keys = {new_api_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_api_key(key) and len(key) == 53 for key in keys)


def test_a_key_can_stand_in_a_path_and_in_a_header():
    key = new_api_key()
    assert key.startswith("ssk_")
    assert set(key) <= {*ALPHABET}


@given(position=st.integers(4, 52), character=st.sampled_from(ALPHABET))
def test_one_wrong_character_makes_it_no_key(position: int, character: str):
    key = new_api_key()
    mistyped = key[:position] + character + key[position + 1 :]
    assert is_api_key(mistyped) is (mistyped == key)


@given(st.text(max_size=80))
def test_no_text_that_somebody_makes_up_is_a_key(text: str):
    assert not is_api_key(text)


def test_the_hint_gives_away_four_characters():
    key = new_api_key()
    assert hint_of_key(key) == key[:8]


def test_only_the_hash_is_needed_to_know_a_key_again():
    key = new_api_key()
    assert hash_of_key(key) == hash_of_key(key)
    assert len(hash_of_key(key)) == 32
    assert hash_of_key(key) != hash_of_key(new_api_key())


@given(given=st.text(max_size=40), expected=st.text(max_size=40))
def test_secrets_are_the_same_exactly_if_their_texts_are(given: str, expected: str):
    assert is_same_secret(given, expected) is (given == expected)
