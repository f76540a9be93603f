"""A worker process hears the wish for a list of models, which the api sends, and makes it come true."""

from collections.abc import Callable
from datetime import timedelta

from api.services.models import ModelLists
from api.services.refreshes import Refreshes
from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_upkeep import CeleryUpkeep
from shared.database.queries import Queries
from shared.domain.jobs import Queue
from tests.integration.workers.bench import Bench, WorkerProcess
from tests.scripted_provider import ScriptedProvider


async def test_a_worker_process_fetches_a_list_that_was_asked_for(
    bench: Bench, workers: Callable[..., WorkerProcess], provider: ScriptedProvider
) -> None:
    worker = workers(queues=(Queue.MEDIA,))
    await worker.logged("worker_registered")
    queries, redis = Queries(bench.engine), bench.settings.redis
    upkeep = CeleryUpkeep(create_celery(redis), bench.redis, redis.prefix)
    refreshes = Refreshes(queries, upkeep, provider_may_take=bench.settings.clocks.model_list)
    lists = ModelLists(
        queries,
        refreshes,
        providers=("ollama", "openai"),
        default_model="openai/scripted",
        cached_for=timedelta(hours=1),
        patience_s=15,
    )
    assert [model.ref for model in await lists.all()] == ["ollama/scripted", "openai/scripted"]
    assert sorted(exchange.path for exchange in provider.exchanges) == ["/api/show", "/api/tags", "/v1/models"]
    await refreshes.close()
