"""What a batch costs, and whom it disturbs: `python -m benchmarks.batches`.

On a private system that runs as `smartsip up` does, with a mock provider of a fixed latency and tiny photos.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from benchmarks.batch_devices import Touching, devices
from benchmarks.batch_memory import SMALL_SHARE, memory
from benchmarks.batch_results import Report, Result, lines_of
from benchmarks.batch_stage import batch_stage
from benchmarks.batch_throughput import throughput
from benchmarks.cli import interrupt, say, whole_number
from benchmarks.machine import raise_file_limit, this_machine
from benchmarks.system import CHECKOUT
from compose.errors import CannotStart

Case: TypeAlias = Literal["throughput", "memory", "device"]
CASES: Final[tuple[Case, ...]] = ("throughput", "memory", "device")
PHOTOS: Final = {"throughput": 10_000, "memory": 100_000, "device": 20_000}
LATENCY_MS: Final = {"throughput": 1000, "memory": 250, "device": 1000}
SECONDS: Final = {"throughput": 0.0, "memory": 120.0, "device": 30.0}
LIMITS: Final = "SMARTSIP_PROVIDERS__OPENAI__LIMITS__"


class Options(argparse.Namespace):
    """What the command line said; None leaves it to the case."""

    case: Case | Literal["all"]
    photos: int | None
    slots: int
    workers: int
    latency_ms: int | None
    seconds: float | None
    rounds: int
    json: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what was found, and return the exit code: 1 where a photo got no result, however fast it was."""
    options = _parser().parse_args(arguments, namespace=Options())
    for stop_signal in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop_signal, interrupt)
    raise_file_limit()
    machine = this_machine(CHECKOUT)
    try:
        cases: Sequence[Case] = CASES if options.case == "all" else (options.case,)
        report = Report(machine=machine, results=[result for case in cases for result in _measured(case, options)])
    except (CannotStart, LookupError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: everything is stopped and removed.", file=sys.stderr)
        return 130
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    for line in lines_of(report):
        print(line)
    return 1 if any(result.problems for result in report.results) else 0


def _measured(case: Case, options: Options) -> list[Result]:
    photos, latency_ms = options.photos or PHOTOS[case], options.latency_ms or LATENCY_MS[case]
    seconds = options.seconds or SECONDS[case]
    match case:
        case "throughput":
            return _throughput(photos, at_a_time=options.slots, workers=options.workers, latency_ms=latency_ms)
        case "memory":
            return [_memory(photos, slots=options.slots, latency_ms=latency_ms, seconds=seconds)]
        case "device":
            touching = Touching(seconds=seconds, rounds=options.rounds)
            return [_devices(photos, touching, slots=options.slots, latency_ms=latency_ms)]
        case _:
            assert_never(case)


def _throughput(photos: int, *, at_a_time: int, workers: int, latency_ms: int) -> list[Result]:
    """Measure it held by a worker's slots, and by a provider's limit where there are twice as many slots."""
    limit = {f"{LIMITS}CONCURRENCY": str(at_a_time), f"{LIMITS}BATCH_SHARE": "1"}
    results: list[Result] = []
    for slots, settings, held_by in (
        (at_a_time, {}, f"{at_a_time} slots"),
        (2 * at_a_time, limit, f"a limit of {at_a_time} calls at a time, with {2 * at_a_time} slots"),
    ):
        shows = f"{photos:,} photos; the provider takes {latency_ms} ms; held by {held_by} of {workers} workers"
        say(f"throughput: {shows}")
        with batch_stage(slots=slots, workers=workers, settings=settings) as stage:
            stage.add_photos(photos)
            results.append(throughput(stage, photos=photos, at_a_time=at_a_time, latency_ms=latency_ms, shows=shows))
    return results


def _memory(photos: int, *, slots: int, latency_ms: int, seconds: float) -> Result:
    shows = (
        f"batches of {max(1, photos // SMALL_SHARE):,} photos one after the other, one of {photos:,}, and small ones"
        f" again, {seconds:g} s each; {slots} slots, the provider takes {latency_ms} ms; medians of the last third"
    )
    say(f"memory: {shows}")
    with batch_stage(slots=slots) as stage:
        stage.add_photos(photos)
        return memory(stage, photos=photos, latency_ms=latency_ms, seconds=seconds, shows=shows)


def _devices(photos: int, touching: Touching, *, slots: int, latency_ms: int) -> Result:
    shows = (
        f"a touch every {touching.every_s:g} s, {touching.rounds} times {touching.seconds:g} s beside a paused batch of"
        f" {photos:,} photos and beside the same one running; {slots} slots, the provider takes {latency_ms} ms"
    )
    say(f"device: {shows}")
    with batch_stage(slots=slots) as stage:
        stage.add_photos(photos)
        return devices(stage, touching, photos=photos, at_a_time=slots, latency_ms=latency_ms, shows=shows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batches", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--case", choices=[*CASES, "all"], default="all", help="what to measure (default all)")
    add("--photos", type=whole_number, metavar="N", help="photos of the (large) batch, to try it out with fewer")
    add("--slots", type=whole_number, default=100, metavar="N", help="jobs a worker runs at a time (default 100)")
    add("--workers", type=whole_number, default=2, metavar="N", help="who share the slots, for throughput (default 2)")
    add("--latency-ms", type=whole_number, metavar="MS", help="what the provider takes (default 1000, for memory 250)")
    add("--seconds", type=whole_number, metavar="S", help="of each phase (default 120 for memory, 30 for devices)")
    add("--rounds", type=whole_number, default=3, metavar="N", help="idle and busy, for devices (default 3)")
    add("--json", type=Path, metavar="FILE", help="write everything measured, every sample, to a file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
