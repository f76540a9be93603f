"""What an ended job becomes as an item of its batch."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from shared.database.batch_results import result_of
from shared.database.tables import STATE_CODES
from shared.domain.dispense import DEFAULT_PROFILE, PROFILES, Dispense, as_data, enforce, parse_answer
from shared.domain.errors import DeadLetter, ErrorInfo, ProviderOverloaded
from shared.domain.events import Reply, encode_reply
from shared.domain.jobs import State

JOB = UUID(int=7)
ENDED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PAID = {
    "variant": 1,
    "position": 3,
    "job_id": str(JOB),
    "ended_at": "2026-11-21T12:00:00+00:00",
    "latency_ms": 1500,
    "input_tokens": 900,
    "output_tokens": 100,
    "cost": "0.01",
    "is_priced": True,
}


def of(
    state: State, reply: Reply, *, has_photo: bool = True, last_error: dict[str, Any] | None = None
) -> dict[str, Any]:
    began = ENDED - timedelta(seconds=1.5)
    encoded = encode_reply(reply)
    return result_of(
        [1, 3, JOB, STATE_CODES[state], encoded, began, ENDED, 900, 100, Decimal("0.01"), last_error, has_photo]
    )


def command(said: str) -> dict[str, Any]:
    return as_data(enforce(parse_answer(said), PROFILES[DEFAULT_PROFILE], prompt="smartsip@2"))


def test_an_answer_that_was_cut_keeps_what_the_model_wanted() -> None:
    said = (
        '{"container": "cup", "contents": "tea\\u0000", "receivable": true, "child_present": true, "fill_level": 0,'
        ' "confidence": 1, "volume": 5000, "degree": 95}'
    )
    result = of(State.SUCCEEDED, Reply(result=command(said)))
    executed = result.pop("volume"), result.pop("degree")
    assert executed[0] < 5000
    assert executed[1] < 95
    assert result == PAID | {
        "state": 2,
        "receivable": True,
        "child_present": True,
        "container": "cup",
        "contents": result["contents"],
        "asked_volume": 5000.0,
        "asked_degree": 95.0,
        "interventions": ["volume", "degree"],
        "is_unusable": False,
    }
    assert "\0" not in result["contents"]


def test_an_answer_that_could_not_be_used_says_so() -> None:
    result = of(State.SUCCEEDED, Reply(result=command("I cannot help with that.")))
    assert (result["state"], result["is_unusable"], result["volume"], result["asked_volume"]) == (2, True, 0, None)


def test_failures_are_told_by_their_code() -> None:
    error = ErrorInfo(code="provider_auth", status=502, title="Refused", detail="a key\0 " + 600 * "x")
    failed = of(State.FAILED, Reply(error=error))
    assert failed == PAID | {
        "state": 3,
        "error_code": "provider_auth",
        "error_detail": "a key\N{REPLACEMENT CHARACTER} " + 493 * "x",
    }
    assert of(State.EXPIRED, Reply())["error_code"] == "deadline_exceeded"
    assert of(State.FAILED, Reply())["error_code"] == "internal"
    assert of(State.SUCCEEDED, Reply(result={"volume": "?"}))["error_code"] == "bad_output"
    assert of(State.CANCELLED, Reply()) == PAID | {"state": 4}


def test_a_job_that_failed_again_and_again_is_told_by_why() -> None:
    busy = ProviderOverloaded("try later").info()
    dead = Reply(error=DeadLetter("the job failed 3 times").info())
    told = of(State.FAILED, dead, last_error=msgspec.to_builtins(busy))
    assert (told["error_code"], told["error_detail"]) == ("provider_overloaded", "try later")
    assert of(State.FAILED, dead)["error_code"] == "dead_letter"


def test_of_a_photo_that_is_gone_nothing_is_kept() -> None:
    result = of(
        State.SUCCEEDED,
        Reply(result=as_data(Dispense(volume=1, degree=1, type="cup", profile="p", is_safe_default=False))),
        has_photo=False,
    )
    assert result == PAID | {"state": 5, "job_id": None}
