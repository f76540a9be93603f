"""What a dispenser reads: documents of at most 512 bytes, for a buffer of fixed size. Pure.

The rules: a number that is not 0 stands here only beside a command that may still be poured; and what is not a command
does not even hold the words `volume` and `degree`, unless it says that both are 0.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from api.dialect import RenderedError
from api.errors import PROBLEM, problem
from shared.database.views import JobView
from shared.domain.dispense import SAFE, Dispense
from shared.domain.errors import ErrorInfo, Internal
from shared.domain.events import Reply
from shared.domain.jobs import TERMINAL, State

MAX_BYTES: Final = 512
LAPSED: Final = "lapsed"
"""The state of a command that was read too late to be poured."""
CANCELLING: Final = "cancelling"
NO_STORE: Final = {"Cache-Control": "no-store"}
_NOTHING: Final = {"volume": SAFE.volume, "degree": SAFE.degree, "type": SAFE.type}
_COMMANDING: Final = ("volume", "degree")
_OPTIONAL_LAST_FIRST: Final = ("detail", "field", "title")

encode: Final = msgspec.json.Encoder().encode
"""A document -> JSON; times are RFC 3339, UTC."""


def device_document(
    job: JobView, reply: Reply | None, *, now: datetime, valid_for: timedelta
) -> dict[str, Any]:  # JSON, described by routes.device_job_models
    """Return a job as its device reads it: how it stands, or its command, or that nothing is poured and why.

    A command may be poured for `valid_for` after the job's end.
    """
    if job.state not in TERMINAL:
        state = CANCELLING if job.cancel_requested_at else job.state
        return {"id": job.id, "state": state, "position": job.position, "deadline": job.deadline}
    dispense = dispense_in(reply.result) if reply is not None and job.state is State.SUCCEEDED else None
    if dispense is not None and job.ended_at is not None:
        return command_document(job.id, dispense, expires_at=job.ended_at + valid_for, now=now)
    return {"id": job.id, "state": job.state, **_NOTHING, "error": _code(job, reply)}


def command_document(
    job_id: UUID, dispense: Dispense, *, expires_at: datetime, now: datetime
) -> dict[str, Any]:  # JSON, as above
    """Return a command with its expiry; read later than that, it pours nothing.

    Where it would be longer than 512 bytes, the container's name is shortened, and left out are then, in this order,
    what the envelope changed and the frames.
    """
    if now >= expires_at:
        return {"id": job_id, "state": LAPSED, **_NOTHING, "expires_at": expires_at}
    return _fit(
        {
            "id": job_id,
            "state": State.SUCCEEDED,
            "volume": dispense.volume,
            "degree": dispense.degree,
            "type": dispense.type,
            "expires_at": expires_at,
            "frames": dispense.frames,
            "changed": list(dict.fromkeys(intervention.field for intervention in dispense.interventions)),
        }
    )


def render_problem(error: ErrorInfo) -> RenderedError:
    """Return an error as a problem of at most 512 bytes, without what a device could take for a command.

    A member that names one of the command's, because the caller did, is left out.
    """
    known = problem(error)
    names = ("type", "title", "status", "code", "field", "detail")
    document = {name: known[name] for name in names if name in known and not _commands(known[name])}
    for name in _OPTIONAL_LAST_FIRST:
        document = _shorten(document, name)
    return RenderedError(status=error.status, body=encode(document), media_type=PROBLEM, headers=NO_STORE)


def dispense_in(result: Mapping[str, Any] | None) -> Dispense | None:
    """Return the command that a job's result (JSON) is; None if it is none."""
    try:
        return msgspec.convert(result, Dispense)
    except msgspec.ValidationError:
        return None


def _code(job: JobView, reply: Reply | None) -> str:
    if reply is not None and reply.error is not None:
        return reply.error.code
    return Internal.code if job.state in (State.SUCCEEDED, State.FAILED) else job.state.value


def _fit(command: dict[str, Any]) -> dict[str, Any]:  # JSON
    command = _shorten(command, "type")
    for name in ("changed", "frames"):
        if len(encode(command)) > MAX_BYTES:
            command = command | {name: []}
    return command


def _shorten(document: Mapping[str, Any], name: str) -> dict[str, Any]:  # JSON
    """Return a document with as many characters of one text as fit into the limit."""
    fitted = {**document}
    if name in fitted and len(encode(fitted)) > MAX_BYTES:
        fitted[name] = fitted[name][:MAX_BYTES]
        while fitted[name] and len(encode(fitted)) > MAX_BYTES:
            fitted[name] = fitted[name][:-1]
    return fitted


def _commands(value: object) -> bool:
    return isinstance(value, str) and any(word in value.lower() for word in _COMMANDING)
