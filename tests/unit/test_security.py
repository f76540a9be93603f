from hypothesis import example, given
from hypothesis import strategies as st

from shared.security import (
    canonical_claim_code,
    hash_of_key,
    hint_of_key,
    is_api_key,
    is_device_token,
    is_same_secret,
    new_api_key,
    new_claim_code,
    new_device_token,
)

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


def test_a_new_device_token_is_one_and_can_stand_in_a_path():
    tokens = {new_device_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(is_device_token(token) and token.startswith("ssd_") and set(token) <= {*ALPHABET} for token in tokens)


def test_a_key_is_no_devices_token_nor_the_other_way_round():
    key, token = new_api_key(), new_device_token()
    assert not is_device_token(key)
    assert not is_api_key(token)
    assert not is_device_token(f"ssd_{key.removeprefix('ssk_')}"[:-1])


@given(position=st.integers(4, 52), character=st.sampled_from(ALPHABET))
def test_one_wrong_character_makes_it_no_token(position: int, character: str):
    token = new_device_token()
    mistyped = token[:position] + character + token[position + 1 :]
    assert is_device_token(mistyped) is (mistyped == token)


def test_a_claim_code_is_read_as_it_was_made():
    codes = {new_claim_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(canonical_claim_code(code) == code and len(code) == 19 for code in codes)


def test_a_claim_code_is_read_however_it_is_typed():
    assert canonical_claim_code(" 7k2m 9qrd-xw4thov1-") == "7K2M-9QRD-XW4T-H0V1"
    assert canonical_claim_code("ilIL-oO00-1111-aaaa") == "1111-0000-1111-AAAA"


@given(st.text(max_size=40))
@example("ſ" * 16)
@example("٠" * 16)
@example("U" * 16)
@example("0" * 15)
def test_a_text_that_is_read_as_a_code_is_sixteen_letters_of_the_alphabet(text: str):
    code = canonical_claim_code(text)
    if code is not None:
        letters = code.replace("-", "")
        assert (len(letters), len(code)) == (16, 19)
        assert set(letters) <= {*"0123456789ABCDEFGHJKMNPQRSTVWXYZ"}
        assert canonical_claim_code(code) == code
