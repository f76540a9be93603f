"""The benchmark of batches: does it ask about every photo, and notice what is missing?"""

import asyncio
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from minio import Minio

from benchmarks.batch_devices import Touching, devices
from benchmarks.batch_memory import memory
from benchmarks.batch_stage import Stage
from benchmarks.batch_throughput import throughput
from benchmarks.system import System, mock_provider
from compose.processes import Child
from tests.e2e.system import System as WholeSystem
from tests.e2e.system import whole_system
from tests.quick_settings import ADMIN_TOKEN
from tests.scripted_provider import ScriptedProvider
from tests.stack import TestStack

SLOTS = 6
PHOTOS = 100
LATENCY_MS = 400


@pytest.fixture(scope="module")
def stage(stack: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A system with a library of photos, of which nothing is running in this thread: benchmarks wait in theirs."""
    folder = tmp_path_factory.mktemp("stage")
    with mock_provider(folder) as (port, mock), ScriptedProvider() as nobody, asyncio.Runner() as runner:
        address = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}
        opening = whole_system(stack, nobody, folder / "system.log", **address)
        whole = runner.run(opening.__aenter__())
        try:
            runner.run(whole.worker(slots=SLOTS))
            staged = Stage(system=_measurable(whole, mock, folder), provider=mock, put=_putter(whole), folder=folder)
            staged.add_photos(PHOTOS)
            yield staged
        finally:
            runner.run(opening.__aexit__(None, None, None))


def _measurable(whole: WholeSystem, mock: Child, folder: Path) -> System:
    return System(
        port=whole.port,
        token=ADMIN_TOKEN,
        database_url=whole.environment["DATABASE_URL"],
        redis_url=whole.stack.redis_url,
        objects=folder,
        process=mock,  # the one that is a child of this process
    )


def _putter(whole: WholeSystem) -> Callable[[str, bytes], None]:
    objects, bucket = whole.stack.objects, whole.environment["SMARTSIP_OBJECTS__BUCKET"]
    store = Minio(
        endpoint=objects.endpoint_url.partition("://")[2],
        access_key=objects.access_key,
        secret_key=objects.secret_key,
        secure=objects.endpoint_url.startswith("https://"),
        region="us-east-1",
    )

    def put(key: str, content: bytes) -> None:
        store.put_object(bucket_name=bucket, object_name=key, data=BytesIO(content), length=len(content))

    return put


def test_every_case_is_measured_and_no_photo_is_missing(stage: Stage) -> None:
    paced = throughput(stage, photos=20, at_a_time=SLOTS, latency_ms=LATENCY_MS, shows="")
    grown = memory(stage, photos=PHOTOS, latency_ms=LATENCY_MS, seconds=0.5, shows="")
    touching = Touching(every_s=0.1, devices=4, seconds=0.4, rounds=1)
    waited = devices(stage, touching, photos=PHOTOS, at_a_time=SLOTS, latency_ms=LATENCY_MS, shows="")

    assert [(result.case, list(result.problems)) for result in (paced, grown, waited)] == [
        ("throughput", []),
        ("memory", []),
        ("device", []),
    ]
    assert len(paced.samples["ended_s"]) == 20
    assert min(paced.samples["ended_s"]) >= LATENCY_MS / 1000
    assert all(grown.samples[f"{phase}, valkey"] for phase in ("small before", "large", "small after"))
    assert min(*waited.samples["idle_ms"], *waited.samples["batch_ms"]) >= LATENCY_MS - 1
    assert len(waited.samples["idle_ms"]) == len(waited.samples["batch_ms"]) == 4


def test_a_photo_without_a_result_is_told(stage: Stage) -> None:
    with psycopg.connect(stage.system.database_url) as connection:
        connection.execute(
            "update image set object_key = 'gone' where id = (select id from image order by id desc limit 1)"
        )

    lost = throughput(stage, photos=2, at_a_time=SLOTS, latency_ms=LATENCY_MS, shows="")

    (problem,) = lost.problems
    assert problem.startswith("2 photos took 2 jobs: Batch(")
    assert "succeeded=1, failed=1" in problem
