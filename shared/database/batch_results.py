"""An ended job of a batch as its item's result."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shared.database.batch_tables import ITEM_CODES
from shared.database.tables import STATE_OF
from shared.domain.batches import ItemState
from shared.domain.dispense import Dispense
from shared.domain.dispense.answer import Given
from shared.domain.dispense.quantities import read_degree, read_volume
from shared.domain.errors import BadOutput, DeadLetter, DeadlineExceeded, ErrorInfo
from shared.domain.events import Reply, decode_reply
from shared.domain.jobs import State

Row = Sequence[Any]
"""A row of `statements.batch_work.ENDED`."""
Result = dict[str, Any]
"""A row for `statements.batch_work.SETTLE`."""
_MAX_DETAIL_CHARS: Final = 500


def result_of(row: Row) -> Result:
    """Return what became of an item whose job is over."""
    variant, position, job_id, state, reply, started_at, ended_at, *paid, last_error, has_photo = row
    input_tokens, output_tokens, cost = paid
    result: Result = {
        "variant": variant,
        "position": position,
        "job_id": str(job_id),
        "ended_at": ended_at.isoformat(),
        "latency_ms": None if started_at is None else round((ended_at - started_at).total_seconds() * 1000),
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cost": None if cost is None else str(cost),
        "is_priced": cost is not None,
    }
    if not has_photo:
        return result | deleted()
    return result | _outcome(STATE_OF[state], decode_reply(reply) if reply else Reply(), last_error)


def deleted() -> Result:
    """Return the outcome of an item whose photo is gone: nothing that was derived from it stays."""
    return {"state": ITEM_CODES[ItemState.DELETED], "job_id": None}


def _outcome(state: State, reply: Reply, last_error: dict[str, Any] | None) -> Result:
    match state:
        case State.SUCCEEDED:
            return _success(reply)
        case State.CANCELLED:
            return {"state": ITEM_CODES[ItemState.CANCELLED]}
        case State.EXPIRED:
            return _failure(DeadlineExceeded.code, "no worker was free before its deadline")
        case _:
            return _failed(reply.error, last_error)


def _failed(error: ErrorInfo | None, last_error: dict[str, Any] | None) -> Result:
    """Tell a job that failed again and again by why it failed the last time."""
    if last_error is not None and error is not None and error.code == DeadLetter.code:
        error = msgspec.convert(last_error, ErrorInfo)
    return _failure("internal", "") if error is None else _failure(error.code, error.detail or error.title)


def _failure(code: str, detail: str) -> Result:
    return {
        "state": ITEM_CODES[ItemState.FAILED],
        "error_code": code,
        "error_detail": _storable(detail)[:_MAX_DETAIL_CHARS],
    }


def _success(reply: Reply) -> Result:
    try:
        dispense = msgspec.convert(reply.result, Dispense)
    except msgspec.ValidationError:
        return _failure(BadOutput.code, "the job ended without a result that can be read")
    seen = dispense.observed
    return {
        "state": ITEM_CODES[ItemState.SUCCEEDED],
        "receivable": None if seen is None else seen.receivable,
        "child_present": None if seen is None else seen.child_present,
        "container": _storable(dispense.type),
        "contents": "" if seen is None else _storable(seen.contents),
        "volume": dispense.volume,
        "degree": dispense.degree,
        "asked_volume": _asked(dispense, "volume"),
        "asked_degree": _asked(dispense, "degree"),
        "interventions": list(dict.fromkeys(change.field for change in dispense.interventions)),
        "is_unusable": dispense.is_safe_default,
    }


def _asked(dispense: Dispense, field: str) -> float | None:
    """Return what the model itself wanted: what the envelope changed, else the command."""
    for change in dispense.interventions:
        if change.field == field:
            return _read(field, change.was)
    return float(dispense.volume if field == "volume" else dispense.degree)


def _read(field: str, given: Given) -> float | None:
    return read_volume(given) if field == "volume" else read_degree(given)


def _storable(text: str) -> str:
    """Return a text as PostgreSQL takes it, which has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
