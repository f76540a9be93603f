"""How close a batch comes to what its provider's latency and the allowed concurrency permit."""

from collections.abc import Sequence
from typing import Final

import psycopg

from benchmarks.batch_control import Batches
from benchmarks.batch_results import Figure, Result, at_least, cpu_figures
from benchmarks.batch_stage import Stage
from benchmarks.figures import percentile

GOAL: Final = 0.95
WARM_UP: Final = 3
"""So many times what runs at a time is asked first, unmeasured: connections, prepared statements, decoders."""
_ENDS: Final = """
select extract(epoch from item.ended_at - batch.created_at)::float8, item.latency_ms::float8
from batch_item as item join batch on batch.id = item.batch_id where batch.id = %s and item.state = 2 order by 1
"""
_JOBS: Final = "select count(*) from job_body where labels->>'batch' = %s"


def throughput(stage: Stage, *, photos: int, at_a_time: int, latency_ms: int, shows: str) -> Result:
    """Run one batch to its end, of as many photos as the library has."""
    batches = Batches(stage, latency_ms=latency_ms)
    warm = batches.begin(min(photos, WARM_UP * at_a_time))
    batches.wait(warm.id, lambda batch: batch.is_over)
    before = stage.cpu()
    begun = batches.begin(photos)
    ended = batches.wait(begun.id, lambda batch: batch.is_over)
    used = stage.cpu()
    with psycopg.connect(stage.system.database_url) as connection:
        ended_rows = connection.execute(_ENDS, (begun.id,)).fetchall()
        jobs = (connection.execute(_JOBS, (begun.id,)).fetchone() or (0,))[0]
    ends_s, taken_ms = [row[0] for row in ended_rows], [row[1] for row in ended_rows]
    is_whole = ended.progress.succeeded == len(ends_s) == jobs == photos
    return Result(
        case="throughput",
        shows=shows,
        figures=[
            *pace(ends_s, ideal=at_a_time * 1000 / latency_ms),
            *around(taken_ms, latency_ms=latency_ms),
            *cpu_figures(before, used, photos=photos),
        ],
        problems=[] if is_whole else [f"{photos} photos took {jobs} jobs: {ended}"],
        samples={"ended_s": ends_s, "taken_ms": taken_ms},
    )


def pace(ends_s: Sequence[float], *, ideal: float) -> list[Figure]:
    """Return how many photos ended a second, given when each did after the batch was begun, in order.

    The middle 80 % leave out how a batch gets under way, and that in the end fewer are left than there are places.
    """
    if not ends_s:
        return []
    first, last = len(ends_s) // 10, len(ends_s) - 1 - len(ends_s) // 10
    whole = len(ends_s) / ends_s[-1]
    middle = (last - first) / max(ends_s[last] - ends_s[first], 0.001)
    return [
        Figure(label="photos a second, from its begin to its end", value=whole),
        at_least(f"  of the whole, as a share of {ideal:g}", whole / ideal, least=GOAL),
        Figure(label="photos a second, the middle 80 %", value=middle),
        at_least(f"  of the middle, as a share of {ideal:g}", middle / ideal, least=GOAL),
        Figure(label="the first photo ended after", value=ends_s[0], unit="s"),
    ]


def around(taken_ms: Sequence[float], *, latency_ms: int) -> list[Figure]:
    """Return what a job takes beyond its provider's time: for so long its slot does not ask."""
    percents = (50, 95) if taken_ms else ()
    return [
        Figure(
            label=f"a job beyond the provider's time, p{percent}",
            value=percentile(taken_ms, percent) - latency_ms,
            unit="ms",
        )
        for percent in percents
    ]
