"""The command line: `smartsip bench`, or `python -m benchmarks`."""

import argparse
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from benchmarks.cases import CASES, Case
from benchmarks.machine import cpu_by_role, raise_file_limit, this_machine
from benchmarks.report import new_report, render
from benchmarks.rounds import Bench, Run
from benchmarks.system import CHECKOUT, Size, System, mock_provider, private_system, temporary_folder
from compose.errors import CannotStart

EXAMPLES: Final = """\
examples:
  smartsip bench                                  everything, three rounds
  smartsip bench --case ttft-1 --case photos-200  two questions
  smartsip bench --case photos-1000 --workers 2   a larger system
  smartsip bench --scale 0.05 --rounds 1          does it run at all?
  smartsip bench --list                           what can be measured

The exit code is 0 if every stream and every answer was whole, however fast; 1 otherwise.
"""


class Options(argparse.Namespace):
    """What the command line said."""

    case: list[str]
    rounds: int
    json: Path | None
    log: Path | None
    api: int
    workers: int
    slots: int
    scale: float
    list: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report, and return the exit code."""
    options = _parser().parse_args(arguments, namespace=Options())
    if options.list:
        for case in CASES.values():
            print(f"{case.name:<18}{case.shows}")
        return 0
    for stop_signal in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop_signal, interrupt)
    try:
        return _run(options)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: everything is stopped and removed.", file=sys.stderr)
        return 130


def _run(options: Options) -> int:
    cases = [CASES[name] for name in dict.fromkeys(options.case)] or list(CASES.values())
    size = Size(api=options.api, workers=options.workers, slots=options.slots)
    machine = this_machine(CHECKOUT)
    with _bench(options, size, cases) as bench:
        runs = _measure(bench, cases, rounds=options.rounds)
    report = new_report(cases, runs, machine=machine, size=size, scale=options.scale)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    for line in render(report):
        print(line)
    return 0 if all(run.measured.whole == run.measured.begun for run in runs) else 1


@contextmanager
def _bench(options: Options, size: Size, cases: Sequence[Case]) -> Generator[Bench]:
    raise_file_limit()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        private = folder / "private"
        private.mkdir(mode=0o700)  # the plans in it carry the token
        port, provider = stack.enter_context(mock_provider(private))
        system: System | None = None
        if any("system" in case.targets for case in cases):
            say("Starting a private system")
            log = options.log or private / "system.log"
            system = stack.enter_context(private_system(folder, size, provider_port=port, log=log))
        bench = Bench(
            folder=private,
            provider_port=port,
            provider_cpu=lambda: {"mock provider": sum(cpu_by_role(provider.process.pid).values())},
            system=system,
            scale=options.scale,
        )
        if system is not None:
            say("Warming up")
            bench.warm_up()
        yield bench


def _measure(bench: Bench, cases: Sequence[Case], *, rounds: int) -> list[Run]:
    runs: list[Run] = []
    for run in bench.rounds(cases, rounds=rounds):
        runs.append(run)
        measured = run.measured
        say(f"round {run.round}: {run.case}, {run.target}: {measured.whole} of {measured.begun} whole")
    return runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smartsip bench",
        description="Start a private system and a mock provider on this machine, measure one beside the other,"
        " and leave nothing behind.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--case", action="append", default=[], choices=list(CASES), metavar="NAME", help="only this case; repeatable")
    add("--rounds", type=whole_number, default=3, metavar="N", help="how often every case is run (default 3)")
    add("--json", type=Path, metavar="FILE", help="write everything measured, every sample, to a file")
    add("--log", type=Path, metavar="FILE", help="keep what the system logs")
    add("--api", type=whole_number, default=1, metavar="N", help="api processes (default 1)")
    add("--workers", type=whole_number, default=1, metavar="N", help="workers beside the one for devices (default 1)")
    add("--slots", type=whole_number, default=1200, metavar="N", help="jobs each worker runs at a time (default 1200)")
    add("--scale", type=_share, default=1.0, metavar="SHARE", help="fewer and shorter runs, to try things out (0 to 1)")
    add("--list", action="store_true", help="list the cases and stop")
    return parser


def whole_number(text: str) -> int:
    """Read an option's number, of which there must be at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return share


def say(sentence: str) -> None:
    """Tell who waits what is being done."""
    print(f"{sentence} …", file=sys.stderr, flush=True)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, in order: handles a signal."""
    raise KeyboardInterrupt
