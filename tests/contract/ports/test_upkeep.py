"""What every `Upkeep` keeps: a stock kombu consumer decodes its wishes, which are dropped when they are too old."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from pydantic import SecretStr

from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_upkeep import EXPIRES_S, CeleryUpkeep
from shared.adapters.redis_connection import connect
from shared.domain.errors import Unavailable
from shared.domain.models import REFRESH_MODELS
from shared.settings import Redis, Settings


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Celery]:
    app = create_celery(settings.redis)
    yield app
    app.close()


def heard_by_kombu(app: Celery) -> tuple[str, str, Any, str]:
    """Consume one wish as any kombu program would: queue, task, arguments, and when it expires."""
    heard: list[tuple[str, str, Any, str]] = []

    def hear(body: Any, message: Any) -> None:
        headers = message.headers
        heard.append((message.delivery_info["routing_key"], headers["task"], body[0], headers["expires"]))
        message.ack()

    connection: Any = app.connection_for_read()
    with connection, connection.Consumer(list(app.amqp.queues.values()), callbacks=[hear], accept=["json"]):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        connection.drain_events(timeout=5)
    return heard[0]


async def test_a_stock_kombu_consumer_decodes_a_wish_which_expires(app: Celery, settings: Settings) -> None:
    client = connect(settings.redis)
    before = datetime.now(UTC)
    await CeleryUpkeep(app, client, settings.redis.prefix).refresh_models("groq")
    queue, task, arguments, expires = await asyncio.to_thread(heard_by_kombu, app)
    assert (queue, task, arguments) == ("media", REFRESH_MODELS, ["groq"])
    lives = datetime.fromisoformat(expires) - before
    assert timedelta(seconds=EXPIRES_S) <= lives < timedelta(seconds=EXPIRES_S + 5)
    await client.aclose()


async def test_a_broker_that_is_away_is_unavailable(redis_prefix: str) -> None:
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        settings = Redis(url=SecretStr(f"redis://127.0.0.1:{nobody.getsockname()[1]}"), prefix=redis_prefix)
        app, client = create_celery(settings), connect(settings)
        with pytest.raises(Unavailable, match="the broker cannot be reached"):
            await CeleryUpkeep(app, client, redis_prefix).refresh_models("groq")
        await client.aclose()
        app.close()
