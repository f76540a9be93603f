"""Lists of models: asked for when they are old, kept when they cannot be had; and what a model's name means."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from api.services.models import KnownModel, ModelLists, ProviderFacts
from api.services.refreshes import Refreshes
from shared.database.queries import Queries
from shared.domain.errors import InvalidRequest
from shared.providers_known import KNOWN
from shared.settings import ProviderEndpoint, Settings
from tests.integration.api.upkeep import InProcess, upkeep_of
from tests.scripted_provider import ScriptedProvider, answer, model_list
from tests.stack import eventually

KEY = "sk-scripted-0123456789"
OPENAI, GROQ, DEEPSEEK, NOBODYS = "/openai/models", "/groq/models", "/deepseek/models", "/mine/models"
Lists = Callable[..., ModelLists]


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """Plays four providers, under a path each; all of them but the first have no list."""
    with ScriptedProvider() as provider:
        provider.play(answer("broken", status=500))
        provider.play(model_list("gpt-4o", "shared"), path=OPENAI)
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    names = ("openai", "groq", "deepseek", "mine")
    endpoints = {name: ProviderEndpoint(base_url=f"{provider.url}/{name}", api_key=SecretStr(KEY)) for name in names}
    return settings.model_copy(update={"providers": endpoints})


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[tuple[InProcess, Queries]]:
    async with upkeep_of(settings) as rig:
        yield rig


@pytest.fixture
def upkeep(rig: tuple[InProcess, Queries]) -> InProcess:
    return rig[0]


@pytest.fixture
async def lists(rig: tuple[InProcess, Queries]) -> AsyncIterator[Lists]:
    """Makes what one more api process knows."""
    upkeep, queries = rig
    made: list[Refreshes] = []

    def make(
        *,
        providers: tuple[str, ...] = ("openai",),
        default: str = "openai/gpt-4o",
        cached_for_s: float = 3600,
        patience_s: float = 1.0,
    ) -> ModelLists:
        moments = timedelta(seconds=0.4)
        made.append(Refreshes(queries, upkeep, provider_may_take=moments, worker_may_take=moments))
        return ModelLists(
            queries,
            made[-1],
            providers=providers,
            default_model=default,
            cached_for=timedelta(seconds=cached_for_s),
            patience_s=patience_s,
        )

    yield make
    for refreshes in made:
        await refreshes.close()


def calls(provider: ScriptedProvider, path: str = OPENAI) -> int:
    return sum(exchange.path == path for exchange in provider.exchanges)


def ids(models: list[KnownModel]) -> list[str]:
    return [model.ref for model in models]


async def made_older(settings: Settings, hours: int = 2) -> None:
    """Let time pass, for every list."""
    statement: LiteralString = (
        "update provider_list set listed_at = listed_at - make_interval(hours => %s),"
        " tried_at = tried_at - make_interval(hours => %s)"
    )
    async with await psycopg.AsyncConnection.connect(settings.database.conninfo, autocommit=True) as connection:
        await connection.execute(statement, (hours, hours))


async def test_a_list_is_fetched_once_and_then_believed_by_every_process(
    lists: Lists, provider: ScriptedProvider
) -> None:
    first = lists()
    assert ids(await first.all()) == ["openai/gpt-4o", "openai/shared"]
    assert ids(await first.all()) == ids(await lists().all("openai")) == ["openai/gpt-4o", "openai/shared"]
    assert calls(provider) == 1


async def test_callers_who_come_together_share_one_question(
    lists: Lists, provider: ScriptedProvider, upkeep: InProcess
) -> None:
    provider.play(model_list("gpt-4o").delayed(0.1), path=OPENAI)
    one = lists()
    answers = await asyncio.gather(*(one.all() for _ in range(20)))
    assert [ids(models) for models in answers] == [["openai/gpt-4o"]] * 20
    assert (upkeep.asked, calls(provider)) == (["openai"], 1)


async def test_an_old_list_is_answered_at_once_and_fetched_behind(
    lists: Lists, provider: ScriptedProvider, settings: Settings, upkeep: InProcess
) -> None:
    await lists().all()
    await made_older(settings)
    provider.play(model_list("gpt-6").delayed(0.2), path=OPENAI)
    began = time.monotonic()
    assert ids(await lists().all()) == ["openai/gpt-4o", "openai/shared"]
    assert time.monotonic() - began < 0.2

    async def is_new() -> bool:
        return ids(await lists().all()) == ["openai/gpt-6"]

    await eventually(is_new, expecting="the new list")


async def test_with_no_time_to_live_every_call_asks_anew(lists: Lists, provider: ScriptedProvider) -> None:
    provider.play(*(model_list(f"model-{number}").delayed(0.1) for number in range(4)), path=OPENAI)
    one = lists(cached_for_s=0)
    assert [ids(await one.all()) for _ in range(3)] == [[f"openai/model-{number}"] for number in range(3)]
    assert calls(provider) == 3


async def test_a_failure_keeps_the_last_good_list_and_says_why_without_the_key(
    lists: Lists, provider: ScriptedProvider, upkeep: InProcess
) -> None:
    await lists().all()
    provider.play(answer({"error": {"message": f"Wrong key {KEY}, Bearer {KEY}"}}, status=401), path=OPENAI)
    [before] = await lists().lists()
    await upkeep.fetch("openai")
    [known] = await lists().lists()
    assert (known.models, known.listed_at) == (before.models, before.listed_at)
    assert (before.error, known.error) == (None, "openai answered 401: Wrong key [key], [key]")
    assert known.tried_at != before.tried_at


async def test_a_failure_is_not_asked_about_again_for_a_while(
    lists: Lists, provider: ScriptedProvider, settings: Settings
) -> None:
    for _ in range(3):
        [known] = await lists(providers=("groq",), default="groq/x").lists()
        assert [model.id for model in known.models] == [*KNOWN["groq"].models]
        assert (known.listed_at, known.error) == (None, "groq answered 500: broken")
    assert calls(provider, GROQ) == 1
    await made_older(settings)
    provider.play(model_list("llama-9"), path=GROQ)

    async def is_new() -> bool:
        return ids(await lists(providers=("groq",), default="groq/x").all()) == ["groq/llama-9"]

    await eventually(is_new, expecting="the list that can be had again")


async def test_without_any_list_the_known_models_are_answered_or_none(lists: Lists) -> None:
    everybody = lists(providers=("openai", "groq", "doubao", "mine", "demo"))
    found = await everybody.lists()
    assert {known.provider: [model.id for model in known.models] for known in found} == {
        "doubao": [*KNOWN["doubao"].models],
        "groq": [*KNOWN["groq"].models],
        "mine": [],
        "openai": ["gpt-4o", "shared"],
        "demo": ["demo"],
    }


async def test_what_has_no_list_is_never_asked_for(lists: Lists, upkeep: InProcess) -> None:
    one = lists(providers=("doubao", "demo"), default="demo/demo", cached_for_s=0)
    assert ids(await one.all("demo")) == ["demo/demo"]
    assert len(await one.all()) == 1 + len(KNOWN["doubao"].models)
    assert upkeep.asked == []


async def test_a_lost_wish_is_waited_for_only_once_and_asked_again_later(lists: Lists, upkeep: InProcess) -> None:
    upkeep.is_heard = False
    one = lists(patience_s=0.3)
    began = time.monotonic()
    assert await one.all() == []
    assert 0.25 < time.monotonic() - began < 0.7
    began = time.monotonic()
    assert await one.all() == []
    assert time.monotonic() - began < 0.2
    assert upkeep.asked == ["openai"]
    upkeep.is_heard = True

    async def is_there() -> bool:
        return ids(await one.all()) == ["openai/gpt-4o", "openai/shared"]

    await eventually(is_there, expecting="the list")
    assert upkeep.asked == ["openai", "openai"]


async def test_a_glance_waits_for_nothing_and_asks_behind(lists: Lists, upkeep: InProcess) -> None:
    upkeep.is_heard = False
    one = lists(providers=("openai", "groq"), patience_s=5)
    began = time.monotonic()
    known = await one.glance()
    assert time.monotonic() - began < 0.3
    assert {name: (len(of.models), of.listed_at) for name, of in known.items()} == {
        "groq": (len(KNOWN["groq"].models), None),
        "openai": (0, None),
    }
    await eventually(lambda: _asked(upkeep, ["groq", "openai"]), expecting="two questions")


async def _asked(upkeep: InProcess, names: list[str]) -> bool:
    return sorted(upkeep.asked) == names


async def test_a_worker_that_lacks_the_provider_says_so(lists: Lists, upkeep: InProcess) -> None:
    await upkeep.fetch("cerebras")
    [known] = await lists(providers=("cerebras",), default="cerebras/x").lists()
    assert (known.models, known.error) == ((), "The worker that was asked has no provider named cerebras.")


async def test_a_list_that_does_not_come_in_time_is_a_failure(
    lists: Lists, provider: ScriptedProvider, upkeep: InProcess
) -> None:
    provider.play(model_list("late").delayed(60), path=OPENAI)
    await upkeep.fetch("openai", within=timedelta(seconds=0.1))
    [known] = await lists().lists()
    assert known.error == "openai did not list its models within 0.1 s"


async def test_providers_are_told_by_id_and_the_demo_last(lists: Lists) -> None:
    assert lists(providers=("openai", "demo", "mine", "deepseek")).providers() == [
        ProviderFacts("deepseek", "DeepSeek", "DeepSeek AI language models"),
        ProviderFacts("mine", "mine", "A server that speaks chat completions"),
        ProviderFacts("openai", "OpenAI", "OpenAI language models, or any server that speaks their protocol"),
        ProviderFacts("demo", "Demo", "Needs no key, and says in every answer that it is not a model"),
    ]


ALL = ("demo", "deepseek", "groq", "mine", "openai")


@pytest.fixture
async def listed(lists: Lists, provider: ScriptedProvider, upkeep: InProcess) -> ModelLists:
    """What a process knows when every list is there."""
    provider.play(model_list("meta-llama/Llama-3", "shared", "both"), path=GROQ)
    provider.play(model_list("deepseek-flash", "shared"), path=DEEPSEEK)
    provider.play(model_list("mine-1", "both", "openai/odd"), path=NOBODYS)
    for name in ALL:
        await upkeep.fetch(name)
    upkeep.is_heard = False
    return lists(providers=ALL, default="openai/gpt-4o")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "openai/gpt-4o"),
        ("", "openai/gpt-4o"),
        ("groq/whatever", "groq/whatever"),
        ("openai/odd", "openai/odd"),
        ("deepseek-flash", "deepseek/deepseek-flash"),
        ("meta-llama/Llama-3", "groq/meta-llama/Llama-3"),
        ("shared", "openai/shared"),
        ("both", "groq/both"),
        ("demo", "demo/demo"),
        ("nobody-lists-this", "openai/nobody-lists-this"),
        ("cerebras/not-configured", "openai/cerebras/not-configured"),
        ("Groq/case-matters", "openai/Groq/case-matters"),
    ],
)
async def test_a_name_is_resolved_by_provider_then_by_list_then_by_default(
    listed: ModelLists, name: str | None, expected: str
) -> None:
    assert await listed.resolve(name) == expected


async def test_an_alias_is_resolved_to_the_provider_that_lists_its_model(
    lists: Lists, provider: ScriptedProvider, upkeep: InProcess
) -> None:
    provider.play(answer({"data": [{"id": "medium-2604", "aliases": ["medium"]}]}), path=GROQ)
    await upkeep.fetch("groq")
    assert await lists(providers=("openai", "groq")).resolve("medium") == "groq/medium"


@pytest.mark.parametrize("name", [" ", "a b", "openai/", "openai/a\n", "nul\x00", "x" * 201, "openai/" + "x" * 201])
async def test_what_no_model_can_be_called_is_refused_with_its_field(listed: ModelLists, name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await listed.resolve(name)
    assert refused.value.field == "model"


@hypothesis_settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=30) | st.text("abc/ -", max_size=12))
async def test_any_name_is_resolved_to_a_configured_provider_or_refused(listed: ModelLists, name: str) -> None:
    try:
        provider, slash, model = (await listed.resolve(name)).partition("/")
    except InvalidRequest:
        return
    assert (provider in ALL, slash) == (True, "/")
    assert not name or f"{provider}/{model}" == name or model == name


async def test_resolving_waits_for_no_provider_and_asks_behind(
    lists: Lists, provider: ScriptedProvider, upkeep: InProcess
) -> None:
    provider.play(model_list("new-one").delayed(0.3), path=GROQ)
    one = lists(providers=("openai", "groq"))
    began = time.monotonic()
    assert await one.resolve("new-one") == "openai/new-one"
    assert time.monotonic() - began < 0.3
    await provider.until(lambda: calls(provider, GROQ) == calls(provider) == 1)
    assert sorted(upkeep.asked) == ["groq", "openai"]

    async def is_known() -> bool:
        return await lists(providers=("openai", "groq")).resolve("new-one") == "groq/new-one"

    await eventually(is_known, expecting="the model's provider")
