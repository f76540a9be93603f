"""Whatever a job became: its device reads at most 512 bytes of JSON, and no number that may not be poured any more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.device_document import MAX_BYTES, command_document, device_document, encode, render_problem
from api.device_events import DeviceFramer, DeviceView
from shared.database.views import JobView
from shared.domain.dispense import Dispense, Intervention, as_data
from shared.domain.errors import DeadlineExceeded, ErrorInfo, NotFound, ProviderRejected
from shared.domain.events import (
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    Progress,
    Reasoning,
    Reply,
    Result,
    Started,
    Text,
    Usage,
)
from shared.domain.ids import OwnerId, new_job_id
from shared.domain.jobs import TERMINAL, Kind, OnDisconnect, Queue, State

ENDED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
VALID = timedelta(seconds=30)
SOON = ENDED + timedelta(seconds=1)
JOB_ID = new_job_id()
CUP = Dispense(
    volume=200,
    degree=29,
    type="cup",
    profile="smartsip-v0.1",
    is_safe_default=False,
    interventions=[Intervention("degree", 80, 29, "a child"), Intervention("degree", 29, 29, "again")],
    frames=["69662d13a6"],
    raw='{"volume": 900}',
)
numbers = st.integers(-(2**63), 2**63 - 1)
dispenses = st.builds(
    Dispense,
    volume=numbers,
    degree=numbers,
    type=st.text() | st.text('\x00"\\é🌤漢', max_size=600),
    profile=st.text(max_size=64),
    is_safe_default=st.booleans(),
    interventions=st.lists(st.builds(Intervention, st.text(), st.none(), numbers, st.text()), max_size=30),
    frames=st.lists(st.text(max_size=200), max_size=30),
    raw=st.text(),
)


def job(state: State, **changes: Any) -> JobView:
    facts: dict[str, Any] = {
        "id": JOB_ID,
        "owner_id": OwnerId(1),
        "queue": Queue.DEVICE,
        "kind": Kind.VISION,
        "model": "demo/demo",
        "state": state,
        "fence": 1,
        "attempts": 0,
        "losses": 0,
        "on_disconnect": OnDisconnect.CONTINUE,
        "created_at": ENDED - timedelta(seconds=3),
        "deadline": ENDED + timedelta(seconds=12),
        "run_after": None,
        "started_at": None,
        "ended_at": ENDED if state in TERMINAL else None,
        "cancel_requested_at": None,
        "worker_id": None,
        "labels": {},
    }
    return JobView(**facts | changes)


def document(view: JobView, reply: Reply | None = None, *, now: datetime = SOON) -> dict[str, Any]:  # JSON
    return msgspec.json.decode(encode(device_document(view, reply, now=now, valid_for=VALID)))


def test_a_job_that_succeeded_is_its_command() -> None:
    assert document(job(State.SUCCEEDED), Reply(result=as_data(CUP))) == {
        "id": str(JOB_ID),
        "state": "succeeded",
        "volume": 200,
        "degree": 29,
        "type": "cup",
        "expires_at": "2026-11-21T12:00:30Z",
        "frames": ["69662d13a6"],
        "changed": ["degree"],
    }


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=1)])
def test_a_command_that_is_read_when_it_has_expired_pours_nothing(late: timedelta) -> None:
    assert document(job(State.SUCCEEDED), Reply(result=as_data(CUP)), now=ENDED + VALID + late) == {
        "id": str(JOB_ID),
        "state": "lapsed",
        "volume": 0,
        "degree": 0,
        "type": "none",
        "expires_at": "2026-11-21T12:00:30Z",
    }


@pytest.mark.parametrize(
    ("state", "reply", "error"),
    [
        (State.FAILED, Reply(error=DeadlineExceeded("volume 500").info()), "deadline_exceeded"),
        (State.FAILED, Reply(result=as_data(CUP)), "internal"),
        (State.CANCELLED, Reply(result=as_data(CUP)), "cancelled"),
        (State.EXPIRED, Reply(), "expired"),
        (State.SUCCEEDED, Reply(), "internal"),
        (State.SUCCEEDED, Reply(result={"volume": "much"}), "internal"),
        (State.SUCCEEDED, None, "internal"),
    ],
)
def test_a_job_that_ended_without_a_command_pours_nothing_and_says_why(
    state: State, reply: Reply | None, error: str
) -> None:
    pours_nothing = {"id": str(JOB_ID), "state": state.value, "volume": 0, "degree": 0, "type": "none"}
    assert document(job(state), reply) == pours_nothing | {"error": error}


def test_a_job_that_has_not_ended_says_where_it_is() -> None:
    unfinished = {"id": str(JOB_ID), "deadline": "2026-11-21T12:00:12Z"}
    told = [
        document(job(State.QUEUED, position=3)),
        document(job(State.RUNNING)),
        document(job(State.RUNNING, cancel_requested_at=ENDED)),
    ]
    assert told == [
        unfinished | {"state": "queued", "position": 3},
        unfinished | {"state": "running", "position": None},
        unfinished | {"state": "cancelling", "position": None},
    ]


@given(dispenses, st.integers(-60, 60))
def test_every_command_fits_and_keeps_its_numbers(dispense: Dispense, seconds: int) -> None:
    expires_at = ENDED + timedelta(seconds=seconds, microseconds=1)
    body = encode(command_document(JOB_ID, dispense, expires_at=expires_at, now=ENDED))
    read: dict[str, Any] = msgspec.json.decode(body)
    assert len(body) <= MAX_BYTES
    if seconds >= 0:
        assert (read["id"], read["volume"], read["degree"]) == (str(JOB_ID), dispense.volume, dispense.degree)
        assert dispense.type.startswith(read["type"])
    else:
        assert (read["state"], read["volume"], read["degree"], read["type"]) == ("lapsed", 0, 0, "none")


@given(st.text('a"é🌤漢', max_size=600))
def test_a_name_is_shortened_before_anything_else_and_no_more_than_needed(name: str) -> None:
    shown = command_document(JOB_ID, msgspec.structs.replace(CUP, type=name), expires_at=SOON, now=ENDED)
    assert (shown["frames"], shown["changed"]) == (CUP.frames, ["degree"])
    if shown["type"] != name:
        following = name[len(shown["type"])]
        assert len(encode(shown | {"type": shown["type"] + following})) > MAX_BYTES


@given(
    st.builds(
        ErrorInfo,
        code=st.from_regex(r"[a-z_]{1,40}", fullmatch=True),
        title=st.text(),
        status=st.integers(400, 599),
        detail=st.none() | st.text() | st.text('\x00"é🌤', min_size=200) | st.just("Volume 5"),
        field=st.none() | st.text() | st.text("\x00x", min_size=200) | st.just("degree"),
        retry_after_s=st.none() | st.floats(0, 1e6),
    )
)
def test_every_problem_fits_and_has_nothing_to_pour(error: ErrorInfo) -> None:
    rendered = render_problem(error)
    read: dict[str, Any] = msgspec.json.decode(rendered.body)
    assert len(rendered.body) <= MAX_BYTES
    assert read["status"] == rendered.status == error.status
    assert b"volume" not in rendered.body.lower()
    assert b"degree" not in rendered.body.lower()


def test_a_problem_is_a_problem_document() -> None:
    rendered = render_problem(NotFound("There is no job with this id.", field="job_id").info())
    assert (rendered.status, rendered.media_type) == (404, "application/problem+json")
    assert rendered.headers == {"Cache-Control": "no-store"}
    assert msgspec.json.decode(rendered.body) == {
        "type": "urn:smartsip:error:not_found",
        "title": "Not found",
        "status": 404,
        "code": "not_found",
        "field": "job_id",
        "detail": "There is no job with this id.",
    }


def seen(*events: Event, at: datetime) -> list[Event]:
    view = DeviceView(JOB_ID, valid_for=VALID)
    entries = [view(Entry(1, seq, round(at.timestamp() * 1000), event)) for seq, event in enumerate(events, 1)]
    return [entry.event for entry in entries if entry is not None]


def test_a_device_is_told_its_command_and_none_of_the_models_words() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    started, progress, completed = Started("demo", "demo"), Progress("asked again"), Completed("stop")
    words = Text('{"volume": 900}'), Reasoning("degree 95"), Usage(1, 2)
    command = command_document(JOB_ID, CUP, expires_at=now + VALID, now=now)
    assert seen(started, *words, progress, Result(as_data(CUP)), completed, at=now) == [
        started,
        progress,
        Result(command),
        completed,
    ]


def test_a_result_that_is_replayed_too_late_pours_nothing() -> None:
    [result] = seen(Result(as_data(CUP)), at=ENDED - timedelta(days=400))
    assert isinstance(result, Result)
    assert (result.data["state"], result.data["volume"], result.data["degree"]) == ("lapsed", 0, 0)


def test_a_failure_is_told_without_the_providers_words() -> None:
    error = ProviderRejected("volume must be 500", field="degree", retry_after_s=3).info()
    bare = ErrorInfo(code="provider_rejected", title="The provider rejected the request", status=422)
    assert seen(Failed(error), Expired(), Result({"volume": 900}), at=ENDED) == [Failed(bare), Expired()]


def test_what_is_not_for_the_device_is_no_frame() -> None:
    framer = DeviceFramer(DeviceView(JOB_ID, valid_for=VALID))
    frames = [framer.frame(Entry(1, seq, 0, event)) for seq, event in enumerate((Text("900"), Expired()), 1)]
    assert frames == [b"", b'id: 1.2\nevent: expired\ndata: {"type":"expired"}\n\n']
