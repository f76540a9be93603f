"""What an api process counts, and how it reads the state of the queues when it is asked.

Every process speaks for itself: its own counts carry the label `instance` (host and process id), because processes
that share a port take turns in answering the scrape. Sums over processes are sums over `instance`. What comes from the
database has no such label: every process says the same.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.database.views import QueueDepth
from shared.domain.jobs import Queue

INSTANCE: Final = f"{socket.gethostname()}:{os.getpid()}"
REGISTRY: Final = CollectorRegistry()

_requests = Counter(
    "smartsip_http_requests",
    "Requests answered, by the route's pattern.",
    ["instance", "method", "route", "status"],
    registry=REGISTRY,
)
_request_seconds = Histogram(
    "smartsip_http_request_seconds",
    "From the request's head to the last byte of its answer; streams and long polls count in full.",
    ["instance", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
_first_token_seconds = Histogram(
    "smartsip_first_token_seconds",
    "From the acceptance of a job to its first delta at a reader, by the kind of the job.",
    ["instance", "kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    registry=REGISTRY,
)
_subscriptions = Gauge(
    "smartsip_open_subscriptions",
    "Channels of the event log this process listens to: jobs somebody here follows.",
    ["instance"],
    registry=REGISTRY,
)


def observe_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request; `route` is a pattern, never a path, so that its values stay few."""
    _requests.labels(INSTANCE, method, route, str(status)).inc()
    _request_seconds.labels(INSTANCE, route).observe(seconds)


def observe_first_token(kind: str, seconds: float) -> None:
    """Note how long a job's first delta took to reach a reader."""
    _first_token_seconds.labels(INSTANCE, kind).observe(seconds)


def render(*, subscriptions: int, state: Iterable[Metric]) -> bytes:
    """Return everything in Prometheus' text format."""
    _subscriptions.labels(INSTANCE).set(subscriptions)
    read = CollectorRegistry()
    read.register(_Ready(list(state)))
    return generate_latest(REGISTRY) + generate_latest(read)


def queue_metrics(depths: Mapping[Queue, QueueDepth]) -> list[Metric]:
    """Return the state of the queues."""
    oldest = GaugeMetricFamily("smartsip_oldest_job_seconds", "Age of the oldest queued job.", labels=["queue"])
    queued = GaugeMetricFamily("smartsip_queued_jobs", "Jobs that a worker could take now.", labels=["queue"])
    pausing = GaugeMetricFamily(
        "smartsip_pausing_jobs", "Jobs that wait before they are tried again.", labels=["queue"]
    )
    running = GaugeMetricFamily("smartsip_running_jobs", "Jobs that a worker runs.", labels=["queue"])
    slots = GaugeMetricFamily("smartsip_slots", "Jobs that live workers can run at a time.", labels=["queue"])
    for queue, depth in depths.items():
        oldest.add_metric([queue.value], depth.oldest_age_s)
        queued.add_metric([queue.value], depth.queued)
        pausing.add_metric([queue.value], depth.pausing)
        running.add_metric([queue.value], depth.running)
        slots.add_metric([queue.value], depth.slots)
    return [oldest, queued, pausing, running, slots]


def setback_metrics(*, lost_workers: int, setbacks: dict[str, int]) -> list[Metric]:
    """Return what went wrong, as far as the history that is kept tells."""
    lost = CounterMetricFamily(
        "smartsip_lost_workers", "Workers that died with jobs in their hands.", value=lost_workers
    )
    more = CounterMetricFamily(
        "smartsip_attempts_over_one",
        "Attempts beyond a job's first, by why the one before did not end it.",
        labels=["after"],
    )
    for what, count in sorted(setbacks.items()):
        more.add_metric([what], count)
    return [lost, more]


class _Ready(Collector):
    """Metrics that were read before."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._metrics
