"""A worker that asks a model tells how long the first token took."""

from shared.adapters.redis_first_tokens import RedisFirstTokens
from shared.domain.first_tokens import bucket_of
from tests.integration.workers.bench import Bench
from tests.scripted_provider import ScriptedProvider, answer, openai_stream
from tests.stack import eventually
from workers.runtime import Runtime


async def test_the_time_to_the_first_token_is_counted_once_for_each_answer_that_came(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(["one", "two", "three"]).delayed(0.1), answer("no", status=400))
    for _ in range(2):
        await runtime.runner.run(await bench.chat())
    counts = RedisFirstTokens(bench.redis, bench.settings.redis.prefix)

    async def are_told() -> bool:
        return await counts.of_last_hour() != {}

    await eventually(are_told, expecting="the counts")
    [(ref, buckets)] = (await counts.of_last_hour()).items()
    assert (ref, sum(buckets.values())) == ("openai/scripted", 1)
    assert min(buckets) >= bucket_of(0.1)
