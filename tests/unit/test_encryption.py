import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.encryption import CannotOpen, Sealer

PURPOSE = "device_credential:7"


def new_sealer() -> Sealer:
    return Sealer(SecretStr(base64.b64encode(os.urandom(32)).decode()))


SEALER = new_sealer()


@given(secret=st.text(max_size=200), purpose=st.text(max_size=60))
def test_what_was_sealed_is_read_back(secret: str, purpose: str):
    assert SEALER.open(SEALER.seal(secret, purpose=purpose), purpose=purpose) == secret


@given(st.text(alphabet="abcdefgh", min_size=8, max_size=100))
def test_nothing_of_a_secret_can_be_read_in_what_was_sealed(secret: str):
    assert secret.encode() not in SEALER.seal(secret, purpose=PURPOSE)


def test_the_same_secret_is_sealed_differently_every_time():
    assert len({SEALER.seal("minioadmin", purpose=PURPOSE) for _ in range(100)}) == 100


@given(position=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_sealed_secret_with_one_bit_changed_does_not_open(position: int, bit: int):
    sealed = bytearray(SEALER.seal("minioadmin", purpose=PURPOSE))
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(CannotOpen):
        SEALER.open(bytes(sealed), purpose=PURPOSE)


@given(length=st.integers(0, 38))
def test_a_sealed_secret_that_is_cut_short_does_not_open(length: int):
    sealed = SEALER.seal("minioadmin", purpose=PURPOSE)
    with pytest.raises(CannotOpen):
        SEALER.open(sealed[:length], purpose=PURPOSE)


def test_a_sealed_secret_opens_for_its_purpose_and_under_its_key_only():
    sealed = SEALER.seal("minioadmin", purpose=PURPOSE)
    with pytest.raises(CannotOpen):
        SEALER.open(sealed, purpose="device_credential:8")
    with pytest.raises(CannotOpen, match="this master key"):
        new_sealer().open(sealed, purpose=PURPOSE)


def test_an_error_and_a_sealer_show_no_secret():
    with pytest.raises(CannotOpen) as caught:
        new_sealer().open(SEALER.seal("minioadmin", purpose=PURPOSE), purpose=PURPOSE)
    shown = f"{caught.value!r} {caught.value.__cause__!r} {SEALER!r}"
    assert "minioadmin" not in shown


@given(one=st.text(max_size=30), other=st.text(max_size=30))
def test_digests_are_the_same_exactly_if_their_texts_are(one: str, other: str):
    assert (SEALER.digest(one, purpose=PURPOSE) == SEALER.digest(other, purpose=PURPOSE)) is (one == other)


def test_a_digest_is_of_its_purpose_and_of_its_key():
    sealers, purposes = (SEALER, new_sealer()), (PURPOSE, "device_request")
    assert len({sealer.digest("minioadmin", purpose=purpose) for sealer in sealers for purpose in purposes}) == 4
