"""The load generator: runs one plan in a process of its own and reports what it measured.

`python -m benchmarks.load PLAN.json MEASURED.json`. While the clock runs it only sends, and notes what arrives when.
"""

import asyncio
import gc
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, assert_never

import msgspec
import uvloop

from benchmarks.connection import Connection, Response
from benchmarks.devices import DevicePosts, Touches
from benchmarks.figures import percentiles
from benchmarks.photos import DirectPhotos, SystemPhotos
from benchmarks.plan import Measured, Plan
from benchmarks.script import read_script
from benchmarks.streams import DirectStreams, SystemStreams
from benchmarks.submissions import DirectSubmissions, SystemSubmissions
from benchmarks.work import Outcome, Work

OPENING_AT_ONCE: Final = 64
"""Connections opened side by side before the clock starts; more would overrun a listening socket's backlog."""
MOST_PROBLEMS: Final = 20
"""Texts that name a job are all different; the first tell enough."""


class Piece(NamedTuple):
    """One piece of work as it was done, not judged yet. It began when it was due, and asked with its last request."""

    began_ns: int
    asked_ns: int
    ended_ns: int
    responses: Sequence[Response]
    failure: str | None


class Judged(NamedTuple):
    """One piece of work and what came of it."""

    piece: Piece
    outcome: Outcome


def new_work(plan: Plan) -> Work:
    """Return the work a plan asks for."""
    match plan.work:
        case "streams":
            return DirectStreams(plan) if plan.target == "direct" else SystemStreams(plan)
        case "photos":
            return DirectPhotos(plan) if plan.target == "direct" else SystemPhotos(plan)
        case "submissions":
            return DirectSubmissions(plan) if plan.target == "direct" else SystemSubmissions(plan)
        case "touches":
            return DirectPhotos(plan) if plan.target == "direct" else Touches(plan)
        case "device posts":
            return DirectPhotos(plan) if plan.target == "direct" else DevicePosts(plan)
        case _:
            assert_never(plan.work)


async def run(plan: Plan) -> Measured:
    """Do all of a plan's work, then judge it."""
    work = new_work(plan)
    connections = [Connection(plan.port) for _ in range(plan.in_flight)]
    await _open(connections)
    gc.collect()
    gc.disable()  # nothing here is cyclic, and a collection would be measured as somebody's latency
    cpu_before = time.process_time()
    began_ns = time.monotonic_ns()
    pieces = await _perform(plan, work, connections)
    cpu_s = time.process_time() - cpu_before
    gc.enable()
    for connection in connections:
        connection.close()
    judged = [Judged(piece, _judge(work, piece)) for piece in pieces]
    return _measured(plan, judged, began_ns=began_ns, cpu_s=cpu_s)


async def _open(connections: list[Connection]) -> None:
    for batch in range(0, len(connections), OPENING_AT_ONCE):
        await asyncio.gather(*(connection.open() for connection in connections[batch : batch + OPENING_AT_ONCE]))


async def _perform(plan: Plan, work: Work, connections: list[Connection]) -> list[Piece]:
    numbers = iter(range(plan.count)) if plan.count is not None else itertools.count()
    start = time.monotonic()
    end = start + plan.warm_up_s + plan.measured_s if plan.measured_s is not None else math.inf
    spread_s = plan.start_within_s if plan.every_s is None else plan.every_s
    pieces: list[Piece] = []

    async def client(place: int, connection: Connection) -> None:
        due = start + place * spread_s / len(connections)
        while due < end and (number := next(numbers, None)) is not None:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            requests = work.requests(number, place)
            began = time.monotonic() if plan.every_s is None else due
            pieces.append(await _one_piece(plan, requests, connection, began))
            due = time.monotonic() if plan.every_s is None else due + plan.every_s

    async with asyncio.TaskGroup() as clients:
        for place, connection in enumerate(connections):
            clients.create_task(client(place, connection))
    return pieces


async def _one_piece(plan: Plan, requests: Sequence[bytes], connection: Connection, began: float) -> Piece:
    responses: list[Response] = []
    failure: str | None = None
    asked_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(plan.give_up_s):
            for request in requests:
                asked_ns = time.monotonic_ns()
                responses.append(await connection.exchange(request))
                if plan.work == "touches":
                    connection.close()  # the fielded firmware opens a connection for every request
    except TimeoutError:
        connection.close()
        failure = f"given up after {plan.give_up_s:g} s"
    except OSError as error:
        failure = f"no connection: {error.strerror or error}"
    return Piece(int(began * 1e9), asked_ns, time.monotonic_ns(), responses, failure)


def _judge(work: Work, piece: Piece) -> Outcome:
    if piece.failure is not None:
        return Outcome(piece.failure)
    try:
        return work.judge(piece.responses)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Outcome(f"the answer cannot be read: {error}")


def _measured(plan: Plan, judged: list[Judged], *, began_ns: int, cpu_s: float) -> Measured:
    whole = [one for one in judged if one.outcome.problem is None]
    figures, samples = _stream_figures(plan, judged, began_ns) if plan.work == "streams" else ({}, {})
    if plan.work != "streams":
        counted = list(_in_window(plan, whole, began_ns))
        answer_ms = [_ms(one.piece.ended_ns - one.piece.asked_ns) for one in counted]
        figures |= percentiles("answer_ms", answer_ms)
        if plan.every_s is not None:
            touch_ms = [_ms(one.piece.ended_ns - one.piece.began_ns) for one in counted]
            figures |= percentiles("touch_ms", touch_ms)
            samples["touch_ms"] = touch_ms
        figures["answers_per_s"] = len(answer_ms) / _window_s(plan, judged, began_ns)
        samples["answer_ms"] = answer_ms
    return Measured(
        begun=len(judged),
        whole=len(whole),
        problems=dict(Counter(one.outcome.problem for one in judged if one.outcome.problem).most_common(MOST_PROBLEMS)),
        figures=figures,
        samples=samples,
        cpu_s={"load generator": cpu_s},
    )


def _in_window(plan: Plan, judged: list[Judged], began_ns: int) -> Iterator[Judged]:
    if plan.measured_s is None:
        return iter(judged)
    first_ns = began_ns + int(plan.warm_up_s * 1e9)
    last_ns = first_ns + int(plan.measured_s * 1e9)
    if plan.every_s is not None:  # by when it was due, or those that took long would be left out
        return (one for one in judged if first_ns <= one.piece.began_ns < last_ns)
    return (one for one in judged if first_ns <= one.piece.ended_ns < last_ns)


def _window_s(plan: Plan, judged: list[Judged], began_ns: int) -> float:
    if plan.measured_s is not None:
        return plan.measured_s
    return (max(one.piece.ended_ns for one in judged) - began_ns) / 1e9


def _stream_figures(plan: Plan, judged: list[Judged], began_ns: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    first_token_ms = [
        _ms(one.outcome.first_token_ns - one.piece.began_ns) for one in judged if one.outcome.first_token_ns is not None
    ]
    travel_ms = [_ms(received - sent) for one in judged for received, sent in one.outcome.tokens]
    stream_s = [(one.piece.ended_ns - one.piece.began_ns) / 1e9 for one in judged if one.outcome.problem is None]
    figures = (
        percentiles("first_token_ms", first_token_ms)
        | percentiles("travel_ms", travel_ms)
        | percentiles("stream_s", stream_s)
    )
    if (rate := _tokens_per_s(plan, judged, began_ns)) is not None:
        figures["tokens_per_s"] = rate
    return figures, {"first_token_ms": first_token_ms, "stream_s": stream_s}


def _tokens_per_s(plan: Plan, judged: list[Judged], began_ns: int) -> float | None:
    """Return the tokens that arrived while every stream should have been running, per second.

    That is from the last start to the first end at an ideal provider: a system that lags gets no longer window. None
    for plans where streams follow one another.
    """
    script = read_script(plan.model)
    assert script is not None, plan.model
    first_ns = began_ns + int((plan.start_within_s + script.first_token_ms / 1000) * 1e9)
    last_ns = began_ns + int(script.duration_s * 1e9)
    if plan.count != plan.in_flight or last_ns - first_ns < 1e8:
        return None
    arrived = sum(first_ns <= received < last_ns for one in judged for received, _ in one.outcome.tokens)
    return arrived * 1e9 / (last_ns - first_ns)


def _ms(duration_ns: int) -> float:
    return duration_ns / 1e6


def main() -> None:
    """Run the plan in the first file named on the command line and write the outcome to the second."""
    plan_file, measured_file = map(Path, sys.argv[1:])
    plan = msgspec.json.decode(plan_file.read_bytes(), type=Plan)
    measured_file.write_bytes(msgspec.json.encode(uvloop.run(run(plan))))


if __name__ == "__main__":
    main()
