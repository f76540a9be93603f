"""Whether a device waits longer while a batch runs: the same touches beside nothing and beside a batch, in turn."""

from dataclasses import dataclass, field
from typing import Final

from benchmarks.batch_control import Batches
from benchmarks.batch_results import Figure, Result, at_most
from benchmarks.batch_stage import Stage
from benchmarks.cases import Load
from benchmarks.figures import percentile
from benchmarks.plan import Measured

PERCENTS: Final = (50, 95, 99)
GOAL: Final = 1.05
"""Of the whole answer, the provider's second included: what a person at the dispenser waits for."""


@dataclass(frozen=True, kw_only=True)
class Touching:
    """A touch so often, for so long beside each of the two, so many times.

    Devices take turns, so that a late answer does not hold up the next touch.
    """

    every_s: float = 0.25
    devices: int = 16
    seconds: float
    rounds: int


@dataclass
class Answers:
    """How long devices waited for their answers, round by round."""

    name: str
    rounds_ms: list[list[float]] = field(default_factory=list[list[float]])

    @property
    def all_ms(self) -> list[float]:
        """Those of all rounds."""
        return [answer for answers in self.rounds_ms for answer in answers]

    def of_rounds(self, percent: float) -> list[float]:
        """Return a percentile of each round."""
        return [percentile(answers, percent) for answers in self.rounds_ms]


def devices(stage: Stage, touching: Touching, *, photos: int, at_a_time: int, latency_ms: int, shows: str) -> Result:
    """Let devices touch beside a paused batch and beside the same one running, and so on in turn."""
    load = Load(
        work="device posts",
        model=f"photo-{latency_ms}",
        in_flight=touching.devices,
        every_s=touching.devices * touching.every_s,
        warm_up_s=touching.devices * touching.every_s,
        measured_s=touching.seconds,
    )
    batches = Batches(stage, latency_ms=latency_ms)
    _touched(stage, load)  # unmeasured: connections, prepared statements, decoders
    batch = batches.begin(photos)
    idle, busy, problems = Answers("idle"), Answers("in a batch"), list[str]()
    for _ in range(touching.rounds):
        batches.pause(batch.id)
        _note(idle, _touched(stage, load), problems)
        batches.resume(batch.id, running=at_a_time)
        _note(busy, _touched(stage, load), problems)
        if batches.look(batch.id).is_over:
            problems.append(f"a batch of {photos} photos ended too soon: give it more")
            break
    else:
        batch = batches.cancel(batch.id)
        if batch.progress.failed:
            problems.append(f"photos failed: {batch}")
    return Result(
        case="device",
        shows=shows,
        figures=figures_of(idle, busy, latency_ms=latency_ms),
        problems=problems,
        samples={"idle_ms": idle.all_ms, "batch_ms": busy.all_ms},
    )


def figures_of(idle: Answers, busy: Answers, *, latency_ms: int) -> list[Figure]:
    """Return what is added to the provider's time, in both, and how much longer the whole answer takes."""
    if not idle.all_ms or not busy.all_ms:
        return []
    added = [
        Figure(label=f"added p{percent}, {answers.name}{_spread(answers, percent, latency_ms)}", value=value, unit="ms")
        for percent in PERCENTS
        for answers in (idle, busy)
        for value in (percentile(answers.all_ms, percent) - latency_ms,)
    ]
    ratios = [
        at_most(f"whole answer p{percent}, in a batch over idle", value, most=GOAL)
        if percent < max(PERCENTS)
        else Figure(label=f"whole answer p{percent}, in a batch over idle", value=value)
        for percent in PERCENTS
        for value in (percentile(busy.all_ms, percent) / percentile(idle.all_ms, percent),)
    ]
    return [*added, *ratios]


def _spread(answers: Answers, percent: int, latency_ms: int) -> str:
    values = answers.of_rounds(percent)
    return f" (rounds {min(values) - latency_ms:.1f} to {max(values) - latency_ms:.1f})"


def _touched(stage: Stage, load: Load) -> Measured:
    keys = stage.system.devices(load.in_flight, model=f"openai/{load.model}")
    plan = load.plan("system", port=stage.system.port, token=stage.system.token, scale=1.0, devices=keys)
    return stage.load(plan)


def _note(answers: Answers, measured: Measured, problems: list[str]) -> None:
    if measured.samples["answer_ms"]:
        answers.rounds_ms.append(list(measured.samples["answer_ms"]))
    problems += [f"{answers.name}, {times} times: {problem}" for problem, times in measured.problems.items()]
