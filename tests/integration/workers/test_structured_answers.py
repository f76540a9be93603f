"""Answers in a form that was asked for: real HTTP, real Valkey, mostly no runner around them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.commands import ChatInput, JobSpec, Message, Parameters
from shared.domain.errors import BadOutput, ProviderOverloaded
from shared.domain.events import Event, Noted, Reasoning, Text, ToolCall, Usage
from shared.domain.jobs import Kind, State
from shared.settings_providers import ProviderLimits
from tests.integration.workers.bench import Bench
from tests.integration.workers.gate_world import World
from tests.scripted_provider import Reply, ScriptedProvider, answer, ollama_stream, openai_chunk, openai_stream, sse
from tests.stack import eventually
from workers.providers.base import Prompt, PromptMessage, PromptText
from workers.runtime import Runtime
from workers.services.answers.structured_answer import structured_answer

STRICT, GRAMMAR, WORDS = "openai/first", "ollama/second", "third/third"
"""A provider that keeps to schemas, one that is believed to, and one that only knows that it is to be JSON."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ml": {"type": "integer"}},
    "required": ["ml"],
    "additionalProperties": False,
}
CUP, PROBLEM = '{"ml": 200}', "$.ml is not of type integer"
BAD = '{"ml": "much"}'
REPAIRED = Noted("answer_repaired", f"The model's first answer did not have the form: {PROBLEM}.")
SAID = PromptMessage("user", (PromptText("How much?"),))


def formed(*, strict: bool = True, **more: Any) -> Parameters:
    named = {"name": "cup", "schema": SCHEMA, "strict": strict}
    return Parameters(response_format={"type": "json_schema", "json_schema": named}, **more)


def said_at(model: str, *words: str, finish: str = "stop") -> Reply:
    """An answer of 7 and 5 tokens."""
    return ollama_stream(words, finish=finish) if model == GRAMMAR else openai_stream(words, finish=finish)


async def ask(world: World, model: str, parameters: Parameters | None = None) -> tuple[str, list[Event]]:
    """Return why the answer ended, and what was reported."""
    attempt = world.attempt(model, fallbacks={})
    reason = await structured_answer(attempt, Prompt(attempt.spec.model_name, (SAID,), parameters or formed()))
    return reason, [event for event in world.events if not (isinstance(event, Noted) and "parameter" in event.code)]


async def fails(world: World, model: str, parameters: Parameters | None = None) -> tuple[str | None, list[Event]]:
    """Return why the answer was refused, and what was reported."""
    with pytest.raises(BadOutput) as refused:
        await ask(world, model, parameters)
    return refused.value.detail, [event for event in world.events if not isinstance(event, Noted)]


def texts(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Text)]


async def test_a_provider_that_keeps_to_schemas_is_heard_as_it_speaks(world: World, provider: ScriptedProvider) -> None:
    provider.play(said_at(STRICT, "\n", '{"ml": ', "200}"))
    _, events = await ask(world, STRICT)
    assert ("".join(texts(events)), len(texts(events)) > 1, events[-1]) == ('\n{"ml": 200}', True, Usage(7, 5))


@pytest.mark.parametrize("model", [GRAMMAR, WORDS])
@pytest.mark.parametrize(
    "words",
    [['{"ml"', ": 200}"], ["```json\n", CUP, "\n```"], ["Sure! ", CUP, " Enjoy."]],
    ids=["valid", "fenced", "in sentences"],
)
async def test_elsewhere_the_json_alone_is_reported_when_it_is_whole(
    world: World, provider: ScriptedProvider, model: str, words: list[str]
) -> None:
    provider.play(said_at(model, *words))
    reason, events = await ask(world, model)
    assert (reason, events[0], [type(event) for event in events]) == ("stop", Text(CUP), [Text, Usage])
    assert len(provider.exchanges) == 1


@pytest.mark.parametrize("model", [STRICT, GRAMMAR, WORDS])
async def test_an_answer_without_the_form_is_asked_for_once_more(
    world: World, provider: ScriptedProvider, model: str
) -> None:
    wrong = f"Here: {BAD}"
    provider.play(said_at(model, wrong), said_at(model, "```\n", CUP, "\n```"))
    reason, events = await ask(world, model)
    used = [event for event in events if isinstance(event, Usage)]
    assert (reason, events[:2], len(used)) == ("stop", [REPAIRED, Text(CUP)], 1)
    first, second = (exchange.json["messages"] for exchange in provider.exchanges)
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]
    assert (second[: len(first)], second[len(first)]["content"]) == (first, wrong)
    assert PROBLEM in second[-1]["content"]


async def test_both_answers_are_paid_for(world: World, provider: ScriptedProvider) -> None:
    counted = openai_stream([BAD], usage=(7, 5))
    provider.play(counted, openai_stream([CUP], usage=(20, 6)))
    _, events = await ask(world, WORDS)
    assert events == [REPAIRED, Text(CUP), Usage(27, 11)]
    provider.play(counted, openai_stream([CUP], usage=None))
    _, events = await ask(world, WORDS)
    used = events[-1]
    assert isinstance(used, Usage)
    assert (used.is_estimated, used.input_tokens > 7, used.output_tokens > 5) == (True, True, True)


@pytest.mark.parametrize("model", [GRAMMAR, WORDS])
async def test_two_answers_without_the_form_are_an_error_and_not_shown(
    world: World, provider: ScriptedProvider, model: str
) -> None:
    provider.play(said_at(model, "no"), said_at(model, BAD))
    detail, events = await fails(world, model)
    assert detail == f"The model's answer does not have the form that was asked for: {PROBLEM}."
    assert ([type(event) for event in events], len(provider.exchanges)) == ([Usage], 2)


@pytest.mark.parametrize("said", [BAD, CUP + " Enjoy!", '{"ml": 20'])
async def test_what_was_heard_already_is_an_error_at_its_end(
    world: World, provider: ScriptedProvider, said: str
) -> None:
    provider.play(said_at(STRICT, said))
    _, events = await fails(world, STRICT)
    assert ("".join(texts(events)), events[-1], len(provider.exchanges)) == (said, Usage(7, 5), 1)


@pytest.mark.parametrize(("model", "heard"), [(STRICT, ['{"ml": 20']), (GRAMMAR, []), (WORDS, [])])
async def test_an_answer_that_the_limit_cut_is_an_error_and_not_asked_for_again(
    world: World, provider: ScriptedProvider, model: str, heard: list[str]
) -> None:
    provider.play(said_at(model, '{"ml": 20', finish="length"))
    detail, events = await fails(world, model, formed(max_output_tokens=5))
    assert detail == "The answer was cut by the limit of tokens before it had the form that was asked for."
    assert (texts(events), len(provider.exchanges)) == (heard, 1)


async def test_a_schema_that_is_not_strict_is_kept_back_everywhere(world: World, provider: ScriptedProvider) -> None:
    provider.play(said_at(STRICT, BAD), said_at(STRICT, CUP))
    _, events = await ask(world, STRICT, formed(strict=False))
    assert events == [REPAIRED, Text(CUP), Usage(14, 10)]


@pytest.mark.parametrize("model", [STRICT, GRAMMAR, WORDS])
async def test_any_object_will_do_where_no_schema_is_given(
    world: World, provider: ScriptedProvider, model: str
) -> None:
    provider.play(said_at(model, "[1]") if model != STRICT else said_at(model, "One:"), said_at(model, '{"a": 1}'))
    _, events = await ask(world, model, Parameters(response_format={"type": "json_object"}))
    assert (events[0].__class__, texts(events), len(provider.exchanges)) == (Noted, ['{"a": 1}'], 2)


async def test_a_schema_that_a_provider_refused_is_put_into_words_and_kept_back(
    world: World, provider: ScriptedProvider
) -> None:
    refused = answer({"error": {"message": "Invalid schema for response_format 'cup'"}}, status=400)
    provider.play(refused, said_at(STRICT, BAD), refused, said_at(STRICT, CUP))
    _, events = await ask(world, STRICT)
    assert events == [REPAIRED, Text(CUP), Usage(14, 10)]
    forms = [exchange.json["response_format"]["type"] for exchange in provider.exchanges]
    assert forms == ["json_schema", "json_object"] * 2


async def test_a_function_that_is_called_is_no_answer_to_look_at(world: World, provider: ScriptedProvider) -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "pour", "arguments": "{}"}}
    provider.play(
        sse(openai_chunk({"content": "Wait"}), openai_chunk({"tool_calls": [call]}), openai_chunk(finish="tool_calls"))
    )
    reason, events = await ask(world, WORDS)
    assert (reason, events[:2]) == ("tool_calls", [Text("Wait"), ToolCall(0, "call_1", "pour", "{}")])


async def test_thoughts_are_heard_while_the_answer_is_kept_back(world: World, provider: ScriptedProvider) -> None:
    provider.play(openai_stream([CUP], reasoning=["hm"]))
    _, events = await ask(world, WORDS)
    assert events == [Reasoning("hm"), Text(CUP), Usage(7, 5)]


async def test_an_answer_that_breaks_off_is_not_shown_and_what_it_used_is_told(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(said_at(WORDS, BAD), answer({"error": {"message": "no"}}, status=503))
    with pytest.raises(ProviderOverloaded):
        await ask(world, WORDS)
    assert [event for event in world.events if not isinstance(event, Noted)] == [Usage(7, 5)]


@pytest.mark.parametrize("world", [ProviderLimits(requests_per_minute=1)], indirect=True)
async def test_a_repair_that_may_not_be_asked_for_now_is_not_waited_for(
    world: World, provider: ScriptedProvider
) -> None:
    provider.play(said_at(STRICT, f"Here: {BAD}"))
    detail, events = await fails(world, STRICT)
    assert (detail is not None and PROBLEM in detail, events) == (True, [Usage(7, 5)])


async def test_other_answers_stream_as_ever(world: World, provider: ScriptedProvider) -> None:
    provider.play(said_at(WORDS, "Hel", "lo"))
    _, events = await ask(world, WORDS, Parameters(response_format={"type": "text"}))
    assert events == [Text("Hel"), Text("lo"), Usage(7, 5)]


def job(model: str) -> JobSpec:
    asked = ChatInput(messages=[Message(role="user", content="How much?")])
    return JobSpec(kind=Kind.CHAT, model=model, input=asked, parameters=formed())


async def test_a_chat_with_a_form_ends_with_it_and_with_the_sum_in_the_ledger(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(ollama_stream(["no"]), ollama_stream([CUP]))
    job_id = await bench.accept(job("ollama/scripted"))
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert (ending.state, ending.reply.text, [note.code for note in ending.reply.notes]) == (
        State.SUCCEEDED,
        CUP,
        ["answer_repaired"],
    )
    used = ending.reply.usage
    assert used is not None
    rows = await bench.rows("select input_tokens, output_tokens from charge where job_id = %s", job_id)
    assert rows == [(used.input_tokens, used.output_tokens)]


async def test_what_a_cancelled_answer_used_that_nobody_saw_is_estimated(
    world: World, provider: ScriptedProvider
) -> None:
    stream = openai_stream(["A rather long answer"], reasoning=["hm"])
    provider.play(replace(stream, pieces=(b"".join(stream.pieces[:3]),), ending="stall"))
    task = asyncio.create_task(ask(world, WORDS))

    async def is_heard() -> bool:
        return Reasoning("hm") in world.events

    await eventually(is_heard, within=5, expecting="what stands before the words")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    used = world.events[-1]
    assert isinstance(used, Usage)
    assert (used.is_estimated, used.input_tokens > 0, used.output_tokens, texts(world.events)) == (True, True, 5, [])
