"""Whether memory grows with the size of a batch: small ones one after the other, a large one, small ones again.

The next small one begins when all of the last is handed out, so that as many photos are under way as in a large one.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis import Redis

from benchmarks.batch_control import Batch, Batches
from benchmarks.batch_results import Figure, Result, at_most
from benchmarks.batch_stage import Stage
from benchmarks.machine import memory_by_role

SMALL_SHARE: Final = 100
"""The large batch has so many times the photos of a small one."""
SAMPLE_S: Final = 1.0
GOAL_SHARE: Final = 0.05
GOAL_MEBIBYTES: Final = 1.0
"""Ten bytes for each of 100,000 photos; Valkey alone has little more."""
JUDGED: Final = ("valkey", "api", "workers")
MEBIBYTE: Final = 1024 * 1024


@dataclass
class Phase:
    """What was seen while batches of one size ran."""

    name: str
    mebibytes: dict[str, list[float]] = field(default_factory=lambda: defaultdict[str, list[float]](list))
    begin_ms: list[float] = field(default_factory=list[float])
    look_ms: list[float] = field(default_factory=list[float])
    cancel_s: float = 0.0
    photos_per_s: float = 0.0
    problems: list[str] = field(default_factory=list[str])

    def steady(self, role: str) -> float:
        """Return the median of the last third, when all is as it stays."""
        samples = self.mebibytes[role]
        return statistics.median(samples[len(samples) * 2 // 3 :])


def memory(stage: Stage, *, photos: int, latency_ms: int, seconds: float, shows: str) -> Result:
    """Watch batches of a hundredth of the library and of all of it for so long each; the large one is then cancelled.

    Whatever grows with time alone shows between the first and the last phase, whose batches are equally small.
    """
    batches, small = Batches(stage, latency_ms=latency_ms), max(1, photos // SMALL_SHARE)
    _watched(stage, batches, Phase("warm-up"), photos=small, seconds=seconds)
    sizes = (("small before", small), ("large", photos), ("small after", small))
    phases = [_watched(stage, batches, Phase(name), photos=size, seconds=seconds) for name, size in sizes]
    return Result(
        case="memory",
        shows=shows,
        figures=figures_of(phases),
        problems=[problem for phase in phases for problem in phase.problems],
        samples={f"{phase.name}, {role}": mebibytes for phase in phases for role, mebibytes in phase.mebibytes.items()},
    )


def figures_of(phases: Sequence[Phase]) -> list[Figure]:
    """Return what small, large and small batches took, by part, and how quick a batch was to begin and to look at."""
    before, large, after = phases
    timed = [("POST /v2/batches", large.begin_ms), ("GET /v2/batches/ID", large.look_ms)]
    return [
        *(figure for role in _roles(before) for figure in _compared(role, before, large, after)),
        *(Figure(label=f"photos a second, {phase.name}", value=phase.photos_per_s) for phase in phases),
        *(Figure(label=f"{what}, large", value=statistics.median(ms), unit="ms") for what, ms in timed if ms),
        Figure(label="POST /v2/batches, small", value=statistics.median(before.begin_ms + after.begin_ms), unit="ms"),
        Figure(label="GET /v2/batches/ID, small", value=statistics.median(before.look_ms + after.look_ms), unit="ms"),
        Figure(label="cancelled after, large", value=large.cancel_s, unit="s"),
    ]


def _roles(phase: Phase) -> list[str]:
    return [*(role for role in JUDGED if role in phase.mebibytes), *sorted(phase.mebibytes.keys() - set(JUDGED))]


def _compared(role: str, before: Phase, large: Phase, after: Phase) -> list[Figure]:
    figures = [
        Figure(label=f"{role}: {phase.name}", value=phase.steady(role), unit="MiB") for phase in (before, large, after)
    ]
    if role not in JUDGED:
        return figures
    beside = max(before.steady(role), after.steady(role))
    most = max(GOAL_MEBIBYTES, GOAL_SHARE * beside)
    return [*figures, at_most(f"{role}: large minus small", large.steady(role) - beside, most=most, unit="MiB")]


def _watched(stage: Stage, batches: Batches, phase: Phase, *, photos: int, seconds: float) -> Phase:
    """Keep batches of a size under way for so long; what still runs then is cancelled."""
    valkey = Redis.from_url(stage.system.redis_url)  # pyright: ignore[reportUnknownMemberType] - its **kwargs
    began, batch, all_of_them = time.monotonic(), None, list[Batch]()
    with valkey:
        while time.monotonic() < began + seconds:
            if batch is None or batch.progress.pending == 0:
                batch = _begun(batches, phase, photos)
                all_of_them.append(batch)
            time.sleep(SAMPLE_S)
            for role, size_bytes in _memory(stage, valkey).items():
                phase.mebibytes[role].append(size_bytes / MEBIBYTE)
            asked = time.monotonic()
            batch = batches.look(batch.id)
            phase.look_ms.append((time.monotonic() - asked) * 1000)
    ended = [batches.look(one.id).progress for one in all_of_them]
    phase.photos_per_s = sum(one.succeeded for one in ended) / (time.monotonic() - began)
    _cancel(batches, phase, all_of_them)
    return phase


def _begun(batches: Batches, phase: Phase, photos: int) -> Batch:
    began = time.monotonic()
    batch = batches.begin(photos)
    phase.begin_ms.append((time.monotonic() - began) * 1000)
    return batch


def _cancel(batches: Batches, phase: Phase, all_of_them: Sequence[Batch]) -> None:
    stopped = time.monotonic()
    ended = [batches.cancel(batch.id) for batch in all_of_them]
    phase.cancel_s = time.monotonic() - stopped
    for batch in ended:
        if batch.progress.failed or batch.progress.deleted:
            phase.problems.append(f"{phase.name}: photos failed: {batch}")


def _memory(stage: Stage, valkey: Redis) -> Mapping[str, float]:
    """Return the bytes that each part takes: of Valkey what it keeps, of all others what their processes have."""
    told = valkey.info("memory")  # pyright: ignore[reportUnknownMemberType] - its **kwargs
    return memory_by_role(stage.system.process.process.pid) | {"valkey": told["used_memory"]}
