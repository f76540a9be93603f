from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import INSTANCE, observe_first_token
from shared.database.workers import WorkerLeases
from shared.domain.ids import uuid7
from shared.domain.jobs import Queue
from shared.settings import Settings
from tests.served import Served, bearer, served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


Sample = tuple[str, frozenset[tuple[str, str]]]


async def scrape(api: Served) -> dict[Sample, float]:
    answer = await api.client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sample(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


async def test_metrics_want_a_credential_for_them(api: Served):
    made = await api.client.post("/v2/keys", json={"name": "prometheus", "scopes": ["metrics"]})
    allowed = await api.stranger.get("/metrics", headers=bearer(made.json()["secret"]))
    assert ((await api.stranger.get("/metrics")).status_code, allowed.status_code) == (401, 200)


async def test_slots_and_queues_are_told(api: Served, settings: Settings):
    leases = WorkerLeases(settings.database)
    await leases.open()
    await leases.register("w", [Queue.DEVICE], 7, timedelta(minutes=1))
    values = await scrape(api)
    await leases.close()
    assert values[sample("smartsip_slots", queue="device")] == 7
    assert values[sample("smartsip_slots", queue="chat")] == 0
    for name in ("oldest_job_seconds", "queued_jobs", "running_jobs", "pausing_jobs"):
        assert values[sample(f"smartsip_{name}", queue="device")] == 0


async def test_lost_workers_and_further_attempts_are_told(api: Served, settings: Settings):
    with psycopg.connect(settings.database.conninfo) as connection:
        for worker_id, what in (
            (1, "worker_lost"),
            (1, "worker_lost"),
            (2, "worker_lost"),
            (3, "failed"),
            (3, "replayed"),
        ):
            connection.execute(
                "insert into job_setback (job_id, fence, worker_id, what) values (%s, 1, %s, %s)",
                (uuid7(), worker_id, what),
            )
    values = await scrape(api)
    assert values[sample("smartsip_lost_workers_total")] == 2
    assert {
        after: values[sample("smartsip_attempts_over_one_total", after=after)] for after in ("worker_lost", "failed")
    } == {"worker_lost": 3, "failed": 1}


async def test_requests_are_counted_by_the_routes_pattern_never_by_path(api: Served):
    labels = {"instance": INSTANCE, "method": "GET", "route": "/v2/images/{image_id}", "status": "404"}
    before = (await scrape(api)).get(sample("smartsip_http_requests_total", **labels), 0)
    ids = [str(uuid7()) for _ in range(3)]
    for one in ids:
        await api.client.get(f"/v2/images/{one}")
        await api.stranger.get(f"/nothing/{one}")
    values = await scrape(api)
    assert values[sample("smartsip_http_requests_total", **labels)] == before + 3
    routes = {dict(labels)["route"] for name, labels in values if name == "smartsip_http_requests_total"}
    assert "unmatched" in routes
    assert not any(one in route for route in routes for one in ids)


async def test_first_tokens_and_subscriptions_are_told(api: Served):
    count = sample("smartsip_first_token_seconds_count", instance=INSTANCE, kind="chat")
    before = (await scrape(api)).get(count, 0)
    observe_first_token("chat", 0.012)
    values = await scrape(api)
    assert values[count] == before + 1
    assert values[sample("smartsip_open_subscriptions", instance=INSTANCE)] == 0
