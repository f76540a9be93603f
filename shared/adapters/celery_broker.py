"""Celery on Redis, as this system uses it: a carrier of doorbells. Everything that must not be lost is elsewhere.

Acknowledged when heard, no results, no task events, no remote control: what a worker does is known from job rows.
"""

from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import kombu
from celery import Celery
from celery.app.amqp import AMQP

from shared import settings
from shared.adapters.sentinel_url import SENTINEL_SCHEMES, SentinelUrl
from shared.domain.jobs import Queue

CONNECT_TIMEOUT_S: Final = 2.0
SOCKET_TIMEOUT_S: Final = 10.0
"""Well above the 1 s for which a consumer's BRPOP may be silent."""
HEALTH_CHECK_S: Final = 5
"""A half-open connection is noticed about twice this later."""
PAUSES: Final = {"interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}
"""Seconds between two tries to connect."""


class QuickConnection(kombu.Connection):
    """Asks a broker that is away every second at most, for ever; kombu's own pauses grow to 30 s."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:  # kombu's own, passed on as they are
        """Connect, as kombu does, but with `PAUSES`."""
        return super().ensure_connection(*args, **{**PAUSES, **kwargs})


class QuickAMQP(AMQP):
    """Celery's messaging over `QuickConnection`."""

    Connection = QuickConnection


def create_celery(redis: settings.Redis) -> Celery:
    """Return the Celery application both sides share; it connects when it is first used.

    Raises:
        ValueError: if the URL is none that `redis_connection.connect` takes.
    """
    url, transport, ssl = _broker(redis.url.get_secret_value())
    app = Celery("smartsip", amqp=QuickAMQP, set_as_current=False, fixups=[])
    app.conf.update(
        broker_url=url,
        broker_use_ssl=ssl,
        broker_transport_options={
            "global_keyprefix": redis.prefix,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": HEALTH_CHECK_S,
            "priority_steps": [0],  # one list per queue
            **transport,
        },
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[kombu.Queue(queue.value) for queue in Queue],
        task_default_queue=Queue.CHAT.value,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_ignore_result=True,
        task_send_sent_event=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
    return app


def _broker(url: str) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """Translate a Redis URL to kombu's: the URL, transport options, and TLS settings."""
    if url.partition("://")[0] in SENTINEL_SCHEMES:
        return _sentinels(url)
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss"):
        return url, {}, None
    if parts.scheme == "unix":
        database = parse_qs(parts.query).get("db", ["0"])[-1]
        credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={quote(database)}", {}, None
    raise ValueError("the Redis URL must begin with redis://, rediss://, unix:// or redis+sentinel://")


def _sentinels(url: str) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    parsed = SentinelUrl.parse(url)
    credentials = f"{parsed.credentials}@" if parsed.credentials else ""
    sentinels = ";".join(f"sentinel://{credentials}{host}:{port}/{parsed.database}" for host, port in parsed.addresses)
    options = {
        "master_name": parsed.master,
        "sentinel_kwargs": {
            "password": parsed.sentinel_password,
            "socket_timeout": CONNECT_TIMEOUT_S,
            **({"ssl": True} if parsed.is_tls else {}),
        },
    }
    return sentinels, options, {"ssl_cert_reqs": "required"} if parsed.is_tls else None
