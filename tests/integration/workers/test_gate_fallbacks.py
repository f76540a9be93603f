"""Who is asked when a model may not or cannot be: real HTTP, real Valkey, no runner around it."""

from typing import Any

import pytest

from shared.database.queries import Queries
from shared.domain.errors import (
    ContentBlocked,
    ContextTooLong,
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    StreamIncomplete,
)
from shared.domain.events import Text
from shared.domain.jobs import Kind, Queue
from tests.integration.workers.bench import Bench
from tests.integration.workers.gate_world import SECOND, World
from tests.scripted_provider import ScriptedProvider, answer, openai_stream
from workers.outcomes import Park

OK = openai_stream(["from the first"])
LOST = answer({"error": {"message": "no such model"}}, status=404)


def refusal(status: int, code: str = "", **headers: str) -> Any:
    return answer({"error": {"message": "no", "code": code}}, status=status, headers=headers)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(refusal(429, **{"retry-after": "30"}), id="rate"),
        pytest.param(refusal(503), id="overloaded"),
        pytest.param(refusal(429, "insufficient_quota"), id="quota"),
        pytest.param(refusal(401), id="auth"),
        pytest.param(refusal(403, "unsupported_country_region_territory"), id="region"),
        pytest.param(LOST, id="not found"),
        pytest.param(OK.cut_after(0), id="broken before the first word"),
        pytest.param(OK.delayed(30), id="silent"),
    ],
)
async def test_what_another_provider_can_cure_goes_to_the_next_one(
    world: World, provider: ScriptedProvider, reply: Any
) -> None:
    provider.play(reply, model="first")
    provider.play(SECOND, model="second")
    attempt = world.attempt()
    assert await world.ask(attempt) == "from the second"
    assert world.reroutes == [("ollama", "second")]
    assert (attempt.model, attempt.provider) == ("ollama/second", world.providers["ollama"])
    assert [exchange.model for exchange in provider.exchanges] == ["first", "second"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(400, "content_policy_violation"), ContentBlocked),
        (refusal(400, "context_length_exceeded"), ContextTooLong),
        (refusal(400, "bad_request"), ProviderRejected),
    ],
)
async def test_what_is_wrong_with_the_request_is_not_asked_of_another(
    world: World, provider: ScriptedProvider, reply: Any, error: type[ProviderError]
) -> None:
    provider.play(reply, model="first")
    with pytest.raises(error):
        await world.ask()
    assert (world.reroutes, len(provider.exchanges)) == ([], 1)


async def test_fallbacks_are_asked_in_their_order_and_a_failing_one_is_passed_over_whatever_it_says(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(refusal(503), model="first")
    provider.play(answer({"error": "context window exceeded"}, status=400), model="second")
    provider.play(openai_stream(["from the third"]), model="third")
    assert await world.ask() == "from the third"
    assert world.reroutes == [("ollama", "second"), ("third", "third")]


async def test_a_batch_compares_models_so_nobody_answers_in_anothers_place(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(refusal(503), model="first")
    provider.play(SECOND, model="second")
    with pytest.raises(ProviderOverloaded):
        await world.ask(world.attempt(queue=Queue.BATCH))
    assert (world.reroutes, [exchange.model for exchange in provider.exchanges]) == ([], ["first"])


async def test_after_the_first_delta_nobody_else_is_asked(world: World, provider: ScriptedProvider) -> None:
    provider.play(OK.cut_after(len(b"".join(OK.pieces[:2]))), model="first")
    with pytest.raises(StreamIncomplete):
        await world.ask()
    assert (world.events, len(provider.exchanges)) == ([Text("from the first")], 1)


async def test_where_all_fail_it_is_what_may_pass_that_is_reported(world: World, provider: ScriptedProvider) -> None:
    provider.play(refusal(401), model="first")
    provider.play(refusal(503), model="second")
    provider.play(LOST, model="third")
    with pytest.raises(ProviderOverloaded):
        await world.ask()


async def test_where_all_fail_for_good_it_is_the_first_ones_reason_that_is_reported(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(LOST)
    provider.play(refusal(401), model="first")
    with pytest.raises(ProviderAuth):
        await world.ask()


async def test_a_callers_own_key_is_used_at_its_provider_only(world: World, provider: ScriptedProvider) -> None:
    provider.play(LOST, model="first")
    with pytest.raises(ModelNotFound):
        await world.ask(world.attempt(own_key="sk-own"))
    assert len(provider.exchanges) == 1


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.VIDEO])
async def test_an_order_goes_to_no_other_provider(world: World, provider: ScriptedProvider, kind: Kind) -> None:
    provider.play(LOST, model="first")
    with pytest.raises(ModelNotFound):
        await world.ask(world.attempt(kind=kind))
    assert len(provider.exchanges) == 1


@pytest.mark.parametrize(
    ("kind", "fallbacks", "asked"),
    [
        (Kind.CHAT, ("openai/gpt-3.5-turbo", "third/unheard-of"), ["first", "unheard-of"]),
        (Kind.VISION, ("openai/gpt-3.5-turbo", "third/unheard-of", "openai/gpt-4o"), ["first", "gpt-4o"]),
    ],
)
async def test_a_photo_goes_to_no_model_without_eyes_and_a_devices_only_to_one_that_has_them(
    world: World,
    provider: ScriptedProvider,
    bench: Bench,
    kind: Kind,
    fallbacks: tuple[str, ...],
    asked: list[str],
) -> None:
    provider.play(LOST, model="first")
    attempt = world.attempt(kind=kind, queries=Queries(bench.engine), fallbacks={"openai/first": fallbacks})
    await world.ask(attempt, photo=True)
    assert [exchange.model for exchange in provider.exchanges] == asked


async def test_a_model_that_asked_for_a_pause_is_not_asked_and_its_fallback_is(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(refusal(429, **{"retry-after": "30"}), model="first")
    provider.play(SECOND, model="second")
    for _ in range(2):
        assert await world.ask() == "from the second"
    assert [exchange.model for exchange in provider.exchanges] == ["first", "second", "second"]


async def test_without_a_fallback_the_job_waits_out_the_pause_and_holds_no_slot(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(refusal(429, **{"retry-after": "30"}), model="first")
    with pytest.raises(ProviderRateLimited):
        await world.ask(world.attempt(fallbacks={}))
    with pytest.raises(Park) as parked:
        await world.ask(world.attempt(fallbacks={}))
    assert 29 < parked.value.run_after_s < 33.1
    assert isinstance(parked.value.error, ProviderRateLimited)
    assert len(provider.exchanges) == 1
