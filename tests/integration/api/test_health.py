import time
from collections.abc import Callable

from pydantic import SecretStr

from shared.settings import Settings
from tests.quick_settings import settings_for
from tests.served import served
from tests.stack import TestStack, eventually, make_bucket, migrated_database


async def test_health_needs_no_credential_and_says_what_the_old_clients_read(settings: Settings):
    async with served(settings) as api:
        named, alive = await api.stranger.get("/health"), await api.stranger.get("/health/live")
    expected = {"status": "healthy", "app": "Lite-LLM-Chat Backend", "version": "1.0.0"}
    assert (named.status_code, named.json()) == (200, expected)
    assert (alive.status_code, set(alive.json()), alive.json()["status"]) == (200, {"status", "version"}, "healthy")


async def test_ready_when_everything_is_there(settings: Settings):
    async with served(settings) as api:
        answer = await api.stranger.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "away": [], "degraded": []})
    assert answer.headers["cache-control"] == "no-store"


async def test_not_ready_without_the_object_store(settings: Settings):
    objects = settings.objects.model_copy(update={"secret_key": SecretStr("wrong")})
    async with served(settings.model_copy(update={"objects": objects})) as api:
        answer = await api.stranger.get("/health/ready")
    assert (answer.status_code, answer.json()["away"]) == (503, ["objects"])


async def test_without_redis_it_is_degraded_but_ready_and_without_postgresql_it_is_not(
    private_stack: Callable[[], TestStack],
):
    stack = private_stack()
    settings = settings_for(
        stack, database_url=migrated_database(stack), redis_prefix="health:", bucket=make_bucket(stack)
    )
    async with served(settings) as api:
        await stack.kill_valkey()
        began = time.monotonic()
        degraded = await api.stranger.get("/health/ready")
        assert time.monotonic() - began < 2
        await stack.stop_postgres()
        away = await api.stranger.get("/health/ready")
        alive = await api.stranger.get("/health/live")
        await stack.start_postgres()
        await stack.start_valkey()

        async def is_ready() -> bool:
            return (await api.stranger.get("/health/ready")).json()["status"] == "ready"

        await eventually(is_ready, within=10)
    assert (degraded.status_code, degraded.json()) == (200, {"status": "degraded", "away": [], "degraded": ["redis"]})
    assert (away.status_code, away.json()["away"], alive.status_code) == (503, ["postgresql"], 200)
