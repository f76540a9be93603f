"""Passwords: hashed with bcrypt, off the loop, a few at a time, and as slowly for nobody as for somebody."""

import asyncio
import threading
import time
from collections.abc import Iterator

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest, Unavailable
from shared.passwords import MAX_WAITING, Passwords

CHEAP = 4
SLOW = 9
"""Some 30 ms."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=18)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    yield from _made(CHEAP)


@pytest.fixture
def slow() -> Iterator[Passwords]:
    yield from _made(SLOW)


def _made(rounds: int) -> Iterator[Passwords]:
    passwords = Passwords(rounds=rounds)
    yield passwords
    passwords.close()


@settings(max_examples=25)
@given(password=TEXT, other=TEXT)
def test_a_password_is_known_again_and_no_other_is(password: str, other: str):
    passwords = Passwords(rounds=CHEAP)

    async def check() -> None:
        hashed = await passwords.hash(password)
        assert hashed.startswith("$2b$04$")
        assert password not in hashed or len(password) < 3
        assert await passwords.check(password, hashed)
        assert await passwords.check(other, hashed) is (other == password)

    asyncio.run(check())
    passwords.close()


async def test_a_password_is_heard_to_its_last_byte(passwords: Passwords):
    longest = "ü" * 36
    hashed = await passwords.hash(longest)
    assert await passwords.check(longest, hashed)
    assert not await passwords.check(longest[:-1] + "u", hashed)
    assert not await passwords.check(longest + "x", hashed)


@pytest.mark.parametrize("password", ["", "x" * 73, "ü" * 37, "\ud800"], ids=["none", "73", "74 in UTF-8", "no text"])
async def test_what_bcrypt_cannot_hear_is_refused_without_telling_it(passwords: Passwords, password: str):
    with pytest.raises(InvalidRequest) as caught:
        await passwords.hash(password)
    assert caught.value.field == "password"
    assert not password or password not in repr(caught.value.detail)
    assert (caught.value.__cause__, caught.value.__suppress_context__ or caught.value.__context__ is None) == (
        None,
        True,
    )
    assert not await passwords.check(password, bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(CHEAP)).decode())


async def test_hashes_of_other_makers_are_known(passwords: Passwords):
    hashed = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"  # of the empty password: Openwall's vector
    assert await passwords.check("", hashed)
    assert passwords.is_outdated(hashed)
    assert not passwords.is_outdated(await passwords.hash("x"))


async def test_nobodys_password_is_never_right_and_takes_as_long(slow: Passwords):
    hashed = await slow.hash("correct")
    known = min([await _seconds(slow, "wrong", hashed) for _ in range(5)])
    unknown = min([await _seconds(slow, "wrong", None) for _ in range(5)])
    too_long = min([await _seconds(slow, "x" * 1000, None) for _ in range(5)])
    assert known / 2 < unknown < known * 2
    assert known / 2 < too_long < known * 2


async def _seconds(passwords: Passwords, password: str, hashed: str | None) -> float:
    """Return the processor's time for a check, which other programs on the machine do not lengthen."""
    began = time.process_time()
    assert not await passwords.check(password, hashed)
    return time.process_time() - began


async def test_the_loop_turns_while_a_password_is_hashed_and_two_are_hashed_at_a_time(slow: Passwords):
    hashing = [asyncio.create_task(slow.hash("x")) for _ in range(6)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in hashing)
    assert sum(thread.name.startswith("password") for thread in threading.enumerate()) == 2
    await asyncio.gather(*hashing)


async def test_there_is_an_end_to_how_many_may_wait(passwords: Passwords):
    outcomes = await asyncio.gather(
        *(passwords.check("x", None) for _ in range(MAX_WAITING + 3)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 3
    assert outcomes.count(False) == MAX_WAITING
    assert await passwords.check("x", None) is False
