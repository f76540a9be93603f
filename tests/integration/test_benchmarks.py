"""The benchmarks measure what they say and notice what is wrong; how fast anything is, is not looked at here."""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cases import CASES, Load
from benchmarks.connection import Response
from benchmarks.devices import DevicePosts, Touches
from benchmarks.machine import descendants
from benchmarks.plan import DeviceKeys, Measured, Plan, WorkKind
from benchmarks.rounds import Bench
from benchmarks.script import PHOTO_ANSWER, PHOTO_DEGREE, PHOTO_VOLUME, Script, read_script, token_text
from benchmarks.sse import read_events
from benchmarks.streams import DirectStreams, SystemStreams
from benchmarks.system import CHECKOUT, mock_provider
from benchmarks.timer_wheel import TimerWheel, now_ms
from shared.domain.dispense import SMARTSIP_V01, enforce, parse_answer
from shared.domain.images import sniff

PLAN = Plan(work="streams", target="system", port=1, token="t", model="m-2-5-5", in_flight=1, count=1)
SENT_NS = 1_000_000_000


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Bench]:
    with mock_provider(tmp_path) as (port, _):
        yield Bench(folder=tmp_path, provider_port=port, provider_cpu=dict, system=None, scale=1.0)


@pytest.mark.parametrize(
    "load",
    [
        Load(work="streams", model="m-20-5-10", in_flight=20, count=60, start_within_s=0.1),
        Load(work="streams", model="m-3000-0-0", in_flight=3, count=6),
        Load(work="photos", model="photo-20", in_flight=10, warm_up_s=0.1, measured_s=0.5),
        Load(work="submissions", model="m-1-0-0", in_flight=5, count=50),
        Load(work="touches", model="photo-20", in_flight=10, every_s=0.2, measured_s=0.5),
    ],
    ids=["paced", "in one go", "photos", "submissions", "touches"],
)
def test_everything_the_mock_provider_sends_is_counted(provider: Bench, load: Load) -> None:
    measured = provider.measure(load.plan("direct", port=provider.provider_port, token="t", scale=1.0))

    assert measured.problems == {}
    assert measured.whole == measured.begun >= (load.count or 10)


def test_a_touch_that_had_to_wait_for_the_one_before_it_counts_from_when_it_was_due(provider: Bench) -> None:
    load = Load(work="touches", model="photo-300", in_flight=1, every_s=0.15, measured_s=1.0)

    measured = provider.measure(load.plan("direct", port=provider.provider_port, token="t", scale=1.0))

    assert measured.begun == measured.whole == len(measured.samples["touch_ms"]) == 7
    millisecond = 1.0  # the mock provider's clock is read in whole ones
    waited_ms = [touch - answer for touch, answer in zip(*both(measured), strict=True)]
    assert all(waited >= number * (150 - millisecond) - millisecond for number, waited in enumerate(waited_ms))


def both(measured: Measured) -> tuple[list[float], list[float]]:
    return measured.samples["touch_ms"], measured.samples["answer_ms"]


def test_no_token_comes_before_its_time(provider: Bench) -> None:
    load = Load(work="streams", model="m-5-10-30", in_flight=10, count=20)

    measured = provider.measure(load.plan("direct", port=provider.provider_port, token="t", scale=1.0))

    millisecond = 1.0  # the mock provider's clock is read in whole ones
    assert min(measured.samples["first_token_ms"]) >= 30 - millisecond
    assert min(measured.samples["stream_s"]) >= (70 - millisecond) / 1000


def test_an_unknown_model_is_told_as_a_problem(provider: Bench) -> None:
    load = Load(work="submissions", model="gpt-unknown", in_flight=1, count=2)

    measured = provider.measure(load.plan("direct", port=provider.provider_port, token="t", scale=1.0))

    assert measured.whole == 0
    assert measured.problems == {
        'HTTP 404 instead of 200: {"error":{"message":"no such model: gpt-unknown"}}': 2,
    }


def test_every_case_names_a_script_the_mock_provider_knows() -> None:
    assert [case.name for case in CASES.values() if read_script(case.load.model) is None] == []


def test_a_models_name_is_a_script() -> None:
    assert read_script("m-200-50-20") == Script(tokens=200, delay_ms=50, first_token_ms=20)
    assert read_script("photo-1000") == Script(tokens=1, delay_ms=0, first_token_ms=1000, is_photo=True)
    assert read_script("gpt-5") is None


def test_the_mock_providers_photo_answer_needs_no_intervention() -> None:
    dispense = enforce(parse_answer(PHOTO_ANSWER), SMARTSIP_V01)

    assert (dispense.volume, dispense.degree, list(dispense.interventions)) == (PHOTO_VOLUME, PHOTO_DEGREE, [])


def text(cursor: str, *positions: int) -> str:
    content = "".join(token_text(position, SENT_NS) for position in positions)
    return f'id: {cursor}\nevent: text\ndata: {{"type":"text","text":"{content}"}}\n\n'


def event(cursor: str, kind: str) -> str:
    return f'id: {cursor}\nevent: {kind}\ndata: {{"type":"{kind}"}}\n\n'


OPENING = "retry: 2000\n: stream of job events\n\n"
STARTED = event("1.1", "started")


def judged(body: str) -> str | None:
    events = Response()
    events.status, events.is_whole = 200, True
    events.pieces = [(SENT_NS + 5, body.encode())]
    return SystemStreams(PLAN).judge([events]).problem


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (OPENING + STARTED + text("1.2", 0) + text("1.3", 1) + event("1.4", "completed"), None),
        (event("0.1", "queued") + STARTED + text("1.2", 0, 1) + ": heartbeat\n\n" + event("1.3", "completed"), None),
        (STARTED + text("1.2", 0) + event("1.3", "completed"), "tokens are missing"),
        (
            STARTED + text("1.2", 0) + text("1.3", 0) + event("1.4", "completed"),
            "tokens were lost, doubled or out of order",
        ),
        (STARTED + text("1.2", 0) + text("1.4", 1) + event("1.5", "completed"), "the events' ids are not dense"),
        (STARTED + text("1.2", 0, 1), "the stream ended without a terminal event"),
        (STARTED + text("1.2", 0, 1) + event("1.3", "completed")[:-1], "the last event is cut off"),
        (STARTED + event("1.2", "failed"), 'the job failed: {"type":"failed"}'),
        (
            STARTED + text("1.2", 0) + event("2.1", "restarted") + text("2.2", 0, 1) + event("2.3", "completed"),
            "the job was restarted",
        ),
        (
            STARTED + text("1.2", 0, 1) + event("1.3", "completed") + event("1.4", "completed"),
            "the stream does not have one start and one end",
        ),
    ],
)
def test_a_stream_is_whole_only_if_nothing_is_missing_doubled_or_spliced(body: str, problem: str | None) -> None:
    assert judged(body) == problem


def test_a_direct_stream_without_its_end_is_not_whole() -> None:
    response = Response()
    response.status, response.is_whole = 200, True
    response.pieces = [(SENT_NS, b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % token_text(0, 1).encode())]

    assert DirectStreams(PLAN).judge([response]).problem == "the stream has no proper end"


def answered(body: str, *, status: int = 200) -> Response:
    response = Response()
    response.status, response.is_whole = status, True
    response.pieces = [(SENT_NS, body.encode())]
    return response


def device_plan(work: WorkKind) -> Plan:
    keys = DeviceKeys("http://127.0.0.1:1/d/ssd_token", "AKEY", "a secret")
    return msgspec.structs.replace(PLAN, work=work, devices=[keys])


@pytest.mark.parametrize(
    ("stored", "answer", "problem"),
    [
        (answered(""), answered('{"volume":"200","degree":"80","type":"cup"}'), None),
        (answered(""), answered('  {"volume":"200","degree":"80","type":"cup"}'), None),
        (answered(""), answered('{"volume":"0","degree":"0","type":"none"}'), "the wrong command: 0 ml, 0 °C"),
        (answered(""), answered("error msg: no", status=404), "HTTP 404 instead of 200: error msg: no"),
        (
            answered("no", status=403),
            answered('{"volume":"200","degree":"80","type":"cup"}'),
            "the photo was not stored: HTTP 403 instead of 200: no",
        ),
    ],
)
def test_a_touch_is_whole_only_with_the_right_command(stored: Response, answer: Response, problem: str | None) -> None:
    assert Touches(device_plan("touches")).judge([stored, answer]).problem == problem


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (answered('{"id":"1","state":"succeeded","volume":200,"degree":80,"type":"cup"}'), None),
        (answered('{"state":"succeeded","volume":200,"degree":90}'), "the wrong command: 200 ml, 90 °C"),
        (
            answered('{"state":"failed","volume":0,"degree":0}'),
            'the job failed: {"state":"failed","volume":0,"degree":0}',
        ),
        (answered('{"state":"running"}', status=202), "no answer within 4 s"),
    ],
)
def test_one_post_is_whole_only_with_the_right_command(answer: Response, problem: str | None) -> None:
    assert DevicePosts(device_plan("device posts")).judge([answer]).problem == problem


def test_no_two_photos_of_devices_are_the_same_also_not_in_the_next_run() -> None:
    photos: list[bytes] = []
    for _ in range(2):
        posts = DevicePosts(device_plan("device posts"))
        photos += [request.partition(b"\r\n\r\n")[2] for number in range(50) for request in posts.requests(number, 0)]

    assert len(set(photos)) == 100
    assert {sniff(photo).media_type for photo in photos} == {"image/jpeg"}


@given(cuts=st.lists(st.integers(min_value=0, max_value=400)))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = (OPENING + STARTED + text("1.2", 0) + ": heartbeat\n\n" + text("1.3", 1) + "id: 1.4\nda").encode()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [(SENT_NS, stream[start:end]) for start, end in itertools.pairwise(edges)]

    assert read_events(pieces) == read_events([(SENT_NS, stream)])


@given(delays_ms=st.lists(st.integers(min_value=0, max_value=8), min_size=1, max_size=20))
def test_the_wheel_calls_everything_once_in_order_and_never_early(delays_ms: list[int]) -> None:
    async def turn() -> list[tuple[int, int]]:
        wheel, called, done = TimerWheel(asyncio.get_running_loop()), list[tuple[int, int]](), asyncio.Event()

        def call(due_ms: int, now: int) -> None:
            called.append((due_ms, now))
            if len(called) == 2 * len(delays_ms):
                done.set()

        def call_twice(due_ms: int, now: int) -> None:
            call(due_ms, now)
            wheel.call_at(now + 3, lambda later: call(now + 3, later))

        start = now_ms()
        for delay_ms in delays_ms:
            wheel.call_at(start + delay_ms, lambda now, due_ms=start + delay_ms: call_twice(due_ms, now))
        async with asyncio.timeout(5):
            await done.wait()
        return called

    called = asyncio.run(turn())

    assert len(called) == 2 * len(delays_ms)
    assert [due_ms for due_ms, _ in called] == sorted(due_ms for due_ms, _ in called)
    assert all(now >= due_ms for due_ms, now in called)


def test_a_whole_private_system_is_measured_and_then_gone(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--scale", "0.02", "--slots", "50"]
    cases = ["ttft-1", "photos-200", "devices-200", "device-post-200", "submissions"]
    command += [word for case in cases for word in ("--case", case)] + ["--json", str(report)]

    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        out, said = bench.communicate(timeout=120)

    assert bench.returncode == 0, out + said
    runs = json.loads(report.read_text())["runs"]
    assert [(run["case"], run["target"], run["measured"]["problems"]) for run in runs] == [
        (case, target, {}) for case in cases for target in ("direct", "system")
    ]
    assert all(run["measured"]["whole"] == run["measured"]["begun"] > 0 for run in runs)


def test_interrupted_in_the_middle_it_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "benchmarks", "--case", "photos-200", "--slots", "50"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stderr is not None
        for line in bench.stderr:  # until the mock provider, the whole system and the load generator run
            if line.startswith("Warming up"):
                break
        children = descendants(bench.pid)

        bench.send_signal(signal.SIGINT)
        bench.communicate(timeout=60)

    assert bench.returncode == 130
    assert len(children) > 5
    assert [pid for pid in children if is_running(pid)] == []


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
