"""What follows an error: another try, a pause, or the end."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import (
    DeadLetter,
    ImageRefused,
    Internal,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    SmartSipError,
    Unavailable,
)
from shared.domain.events import Failed
from shared.domain.jobs import MAX_ATTEMPTS
from shared.settings import Clocks
from workers.outcomes import Ends, GoesBack, Park, Parks, Standing, went_wrong

CLOCKS = Clocks(retry_base=timedelta(seconds=1), retry_cap=timedelta(seconds=60))
FRESH = Standing(attempts=0, has_delta=False, remaining=timedelta(hours=1))


def test_a_park_is_no_failure() -> None:
    assert went_wrong(Park(30), FRESH, CLOCKS) == Parks(30)
    assert went_wrong(Park(30, ProviderOverloaded("busy")), FRESH, CLOCKS) == Parks(30)


def test_a_park_beyond_the_deadline_ends_the_job_with_its_reason() -> None:
    standing = Standing(attempts=0, has_delta=False, remaining=timedelta(seconds=30))
    busy = ProviderOverloaded("busy")
    assert went_wrong(Park(30, busy), standing, CLOCKS) == Ends(Failed(busy.info()))
    assert went_wrong(Park(30), standing, CLOCKS) == Parks(30)


@pytest.mark.parametrize("error", [ProviderAuth("bad key"), ImageRefused("broken", field="input.image")])
def test_what_will_not_pass_ends_the_job_with_its_own_error(error: SmartSipError) -> None:
    assert went_wrong(error, FRESH, CLOCKS) == Ends(Failed(error.info()))


@pytest.mark.parametrize("error", [ProviderOverloaded("busy"), Unavailable("the object store is away")])
def test_what_may_pass_is_tried_again(error: SmartSipError) -> None:
    outcome = went_wrong(error, FRESH, CLOCKS)
    assert isinstance(outcome, GoesBack)
    assert (outcome.what, outcome.error) == ("failed", error.info())


def test_an_error_of_ours_says_nothing_of_itself() -> None:
    outcome = went_wrong(ZeroDivisionError("secret"), FRESH, CLOCKS)
    assert isinstance(outcome, GoesBack)
    assert outcome.error == Internal().info()


def test_after_the_first_delta_nothing_is_tried_again() -> None:
    standing = Standing(attempts=0, has_delta=True, remaining=timedelta(hours=1))
    assert went_wrong(ProviderOverloaded("busy"), standing, CLOCKS) == Ends(Failed(ProviderOverloaded("busy").info()))


def test_the_last_try_makes_a_dead_letter_only_of_what_could_have_been_tried_again() -> None:
    standing = Standing(attempts=MAX_ATTEMPTS - 1, has_delta=False, remaining=timedelta(hours=1))
    dead = went_wrong(ProviderOverloaded("busy"), standing, CLOCKS)
    detail = "Tried 3 times. The last try failed with provider_overloaded: busy"
    expected = msgspec.structs.replace(DeadLetter(detail).info(), status=ProviderOverloaded.status)
    assert dead == Ends(Failed(expected))
    assert went_wrong(ProviderAuth("no"), standing, CLOCKS) == Ends(Failed(ProviderAuth("no").info()))


@given(
    attempts=st.integers(0, MAX_ATTEMPTS - 2),
    remaining_s=st.floats(-10, 1000),
    hint_s=st.none() | st.floats(0, 5000),
)
def test_another_try_never_begins_after_the_deadline(attempts: int, remaining_s: float, hint_s: float | None) -> None:
    standing = Standing(attempts=attempts, has_delta=False, remaining=timedelta(seconds=remaining_s))
    error: ProviderError = ProviderOverloaded("busy", retry_after_s=hint_s)
    match went_wrong(error, standing, CLOCKS):
        case GoesBack(run_after_s=float(pause_s)):
            assert pause_s < remaining_s
            assert pause_s == hint_s if hint_s is not None else 0.5 * 2**attempts <= pause_s <= 2**attempts
        case Ends(event=Failed(error=info)):
            assert info == error.info()
        case outcome:
            raise AssertionError(outcome)
