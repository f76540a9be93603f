"""Runs the cases: the bare provider and the system one after the other, in changing order, round after round."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.cases import Case, Load
from benchmarks.plan import Measured, Plan, Target
from benchmarks.system import System, python
from compose.errors import CannotStart
from compose.processes import last_words, spawn

RUN_WITHIN_S: Final = 600.0
WARM_UP: Final = (
    Load(work="streams", model="m-20-5-5", in_flight=20, count=200),
    Load(work="photos", model="photo-10", in_flight=20, count=200),
)
"""What is run before anything is measured: connections, prepared statements, decoders."""


class Run(msgspec.Struct, frozen=True):
    """One measured run."""

    case: str
    round: int
    target: Target
    measured: Measured


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a run needs: the bare provider, and the system unless no case wants it."""

    folder: Path
    provider_port: int
    provider_cpu: Callable[[], dict[str, float]]
    system: System | None
    scale: float

    def warm_up(self) -> None:
        """Run a little of everything, unmeasured.

        Raises:
            CannotStart: if not even that comes back whole, saying what was wrong.
        """
        for load in WARM_UP:
            measured = self.measure(self._plan(load, "system"))
            if measured.whole != measured.begun:
                raise CannotStart(f"The system does not work: {_worst(measured)}")

    def rounds(self, cases: Sequence[Case], *, rounds: int) -> Iterator[Run]:
        """Run every case `rounds` times, all cases in each round."""
        for number in range(1, rounds + 1):
            for case in cases:
                targets = case.targets if number % 2 else tuple(reversed(case.targets))
                for target in targets:
                    yield Run(case.name, number, target, self.measure(self._plan(case.load, target)))

    def _plan(self, load: Load, target: Target) -> Plan:
        if target == "direct":
            return load.plan(target, port=self.provider_port, token="bench", scale=self.scale)
        assert self.system is not None
        system = self.system
        devices = system.devices(load.clients(self.scale), model=f"openai/{load.model}") if load.is_of_devices else ()
        return load.plan(target, port=system.port, token=system.token, scale=self.scale, devices=devices)

    def measure(self, plan: Plan) -> Measured:
        """Run one plan, wait until the system has nothing left to do, and return what was measured."""
        before = self._cpu()
        measured = self._generate(plan)
        if plan.target == "system" and self.system is not None:
            self.system.wait_until_idle()
            if plan.work == "submissions":
                measured.figures["ended_per_s"] = self.system.ended_per_s(newest=measured.whole)
        after = self._cpu()
        measured.cpu_s |= {role: round(after[role] - before.get(role, 0.0), 2) for role in after}
        measured.figures["whole_share"] = measured.whole / measured.begun
        return measured

    def _cpu(self) -> dict[str, float]:
        return self.provider_cpu() | (self.system.cpu() if self.system is not None else {})

    def _generate(self, plan: Plan) -> Measured:
        plan_file, measured_file = self.folder / "plan.json", self.folder / "measured.json"
        plan_file.write_bytes(msgspec.json.encode(plan))
        measured_file.unlink(missing_ok=True)
        log = self.folder / "load.log"
        generator = spawn(python("load generator", "benchmarks.load", str(plan_file), str(measured_file), log=log))
        try:
            generator.process.wait(RUN_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise CannotStart(
                f"The load generator was not done after {RUN_WITHIN_S:.0f} s: {last_words(log)}"
            ) from error
        finally:
            generator.kill()
        if not measured_file.exists():
            raise CannotStart(f"The load generator stopped: {last_words(log, lines=3)}")
        return msgspec.json.decode(measured_file.read_bytes(), type=Measured)


def _worst(measured: Measured) -> str:
    problem, times = max(measured.problems.items(), key=lambda item: item[1])
    return f"{times} of {measured.begun}: {problem}"
