"""Parameters that a provider turns out not to take: asked once more without them, told, and remembered."""

from typing import Any

import pytest

from shared.domain.commands import Parameters
from shared.domain.errors import ProviderRejected
from shared.domain.events import Finish, Noted, Text
from tests.contract.providers.rows import EVERY_ROW, Row, collect
from tests.scripted_provider import ScriptedProvider, answer, openai_stream
from tests.scripted_replies import Reply
from workers.providers.base import Prompt, PromptMessage, PromptText, Provider

HI = (PromptMessage("user", (PromptText("Hi"),)),)
GIVEN = Prompt("m", HI, Parameters(temperature=0.5, top_p=0.9, max_output_tokens=9, frequency_penalty=0.5))
GREETING = openai_stream(["Hi"], usage=None)
SAID = [Text("Hi"), Finish("stop")]


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [row for row in EVERY_ROW if row.name == name], ids=str)


def faults(*names: str) -> Reply:
    detail = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"} for name in names
    ]
    return answer({"detail": detail}, status=422)


def of_openai(param: str, code: str = "unsupported_parameter") -> Reply:
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    return answer({"error": {"message": message, "param": param, "code": code}}, status=400)


def members(server: ScriptedProvider) -> list[set[str]]:
    return [set(exchange.json) - {"model", "messages", "stream"} for exchange in server.exchanges]


def refused(row: Row, *names: str) -> list[Noted]:
    return [Noted("parameter_dropped", f"{name}: {row.name} refused it for this model") for name in names]


@only("nvidia")
async def test_a_refused_parameter_is_left_out_told_and_not_tried_again(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    problem = {"title": "Unprocessable Entity", "detail": "body -> frequency_penalty\n  Extra inputs are not permitted"}
    server.play(answer(problem, status=422), GREETING)
    expected = ([*refused(row, "frequency_penalty"), *SAID], None)
    assert [await collect(provider, GIVEN), await collect(provider, GIVEN)] == [expected, expected]
    all_of_it = {"temperature", "top_p", "max_tokens", "frequency_penalty", "stream_options"}
    assert members(server) == [all_of_it, *[all_of_it - {"frequency_penalty"}] * 2]
    other = Prompt("another", HI, GIVEN.parameters)
    assert await collect(provider, other) == (SAID, None)
    assert members(server)[-1] == all_of_it


@only("mistral")
async def test_what_nobody_asked_for_is_left_out_in_silence_and_a_limit_keeps_its_other_name(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(faults("max_tokens", "top_p"), GREETING)
    assert await collect(provider, GIVEN) == ([*refused(row, "top_p"), *SAID], None)
    assert members(server)[1] == {"temperature", "frequency_penalty", "max_completion_tokens"}


@only("elsewhere")
async def test_usage_is_not_asked_for_where_that_is_refused(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(faults("stream_options"), GREETING)
    assert await collect(provider, GIVEN) == (SAID, None)
    assert "stream_options" not in members(server)[1]


@only("openai")
async def test_a_model_that_refuses_one_parameter_of_sampling_is_given_none_of_them(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(of_openai("temperature", "unsupported_value"), GREETING)
    expected = ([*refused(row, "temperature", "top_p", "frequency_penalty"), *SAID], None)
    assert [await collect(provider, GIVEN), await collect(provider, GIVEN)] == [expected, expected]
    assert members(server)[1:] == [{"max_completion_tokens", "stream_options"}] * 2


@only("openai")
async def test_a_value_that_is_refused_is_tried_again_with_the_next_prompt(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(of_openai("reasoning_effort", "unsupported_value"), GREETING)
    prompt = Prompt("m", HI, Parameters(reasoning_effort="xhigh"))
    assert await collect(provider, prompt) == ([*refused(row, "reasoning_effort"), *SAID], None)
    assert await collect(provider, prompt) == (SAID, None)
    assert ["reasoning_effort" in sent for sent in members(server)] == [True, False, True]


@only("nvidia")
@pytest.mark.parametrize("names", [("messages",), ("model",), ("tools",), ("response_format",), ("never_sent",)])
async def test_without_some_members_nothing_is_asked(
    provider: Provider, server: ScriptedProvider, names: tuple[str, ...]
) -> None:
    given: dict[str, Any] = {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "x"},
    }
    server.play(faults(*names))
    _, error = await collect(provider, Prompt("m", HI, Parameters.model_validate(given)))
    assert (type(error), len(server.exchanges)) == (ProviderRejected, 1)


@only("nvidia")
async def test_it_is_asked_once_more_and_not_a_third_time(provider: Provider, server: ScriptedProvider) -> None:
    server.play(faults("top_p"), faults("temperature"))
    assert [type((await collect(provider, GIVEN))[1]) for _ in "ab"] == [ProviderRejected] * 2
    assert [len(sent) for sent in members(server)] == [5, 4, 5, 4]  # what did not help is not remembered


@only("groq")
async def test_what_is_left_out_is_told_before_the_first_word(provider: Provider, server: ScriptedProvider) -> None:
    server.play(GREETING)
    prompt = Prompt("m", HI, Parameters(frequency_penalty=1, options={"top_k": 5, "top_p": 1}))
    notes = [
        Noted("parameter_dropped", f"{name}: groq does not take it") for name in ("frequency_penalty", "top_k", "top_p")
    ]
    assert await collect(provider, prompt) == ([*notes, *SAID], None)
