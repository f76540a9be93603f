"""What differs from row to row: the parameters a provider is sent, and that each gets its own key only."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.commands import Parameters
from shared.domain.errors import ProviderAuth
from shared.domain.events import Finish, Noted, Text
from shared.settings import ProviderEndpoint
from tests.contract.providers.rows import EVERY_ROW, KEY, PROMPT, Row, collect
from tests.scripted_provider import ScriptedProvider, answer
from workers.providers.base import Prompt, Provider, ResponseSchema
from workers.providers.table import ROWS, build_providers, row_of

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
GIVEN = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 64,
    "stop": ["x"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
}
EVERYTHING = Prompt("a-model", PROMPT.messages, Parameters.model_validate(GIVEN))
STRUCTURED = Prompt("a-model", PROMPT.messages, response_schema=ResponseSchema("cup", SCHEMA))
STRICT = {"type": "json_schema", "json_schema": {"name": "cup", "schema": SCHEMA, "strict": True}}
LOOSE = {"type": "json_schema", "json_schema": {"name": "cup", "schema": SCHEMA}}
IN_WORDS = {"type": "json_object"}
USAGE = {"stream_options": {"include_usage": True}}
USUAL: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 64,
    "stop": ["x"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    **USAGE,
}


def but(without: str = "", **more: Any) -> dict[str, Any]:
    """What is usually sent, with some of it left out or replaced."""
    return {name: value for name, value in USUAL.items() if name not in without.split()} | more


PENALTIES = "presence_penalty frequency_penalty"
SENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (but("max_tokens", max_completion_tokens=64), STRICT),
    "deepseek": (but(f"temperature seed {PENALTIES}"), IN_WORDS),
    "doubao": (USUAL, IN_WORDS),
    "siliconflow": (but("seed"), IN_WORDS),
    "groq": (but(f"max_tokens {PENALTIES}", max_completion_tokens=64), LOOSE),
    "mistral": (but("seed stream_options", random_seed=7), LOOSE),
    "grok": (but(f"max_tokens stop {PENALTIES}", max_completion_tokens=64), STRICT),
    "openrouter": (but("max_tokens stream_options", max_completion_tokens=64), LOOSE),
    "gemini": (but(f"seed {PENALTIES}"), LOOSE),
    "cerebras": (but(f"max_tokens {PENALTIES}", max_completion_tokens=64), STRICT),
    "nvidia": (USUAL, IN_WORDS),
    "zhipu": (but(f"seed stream_options {PENALTIES}"), IN_WORDS),
    "vllm": (but("max_tokens", max_completion_tokens=64), LOOSE),
    "lmstudio": (USUAL, LOOSE),
    "llamacpp": (USUAL, LOOSE),
    "elsewhere": (USUAL, IN_WORDS),
}
"""Of each row: the parameters it is sent, and the form of answer it is asked for."""


def dropped(row: Row) -> set[Noted]:
    """What is told of the parameters that a row is not sent."""
    gone = GIVEN.keys() - SENT[row.name][0].keys() - {"max_output_tokens"}
    gone -= {"seed"} if row.name == "mistral" else set()
    why = {"deepseek": "does not take it while the model reasons"}.get(row.name, "does not take it")
    words = {name: "does not take it" if name == "seed" else why for name in gone}
    return {Noted("parameter_dropped", f"{name}: {row.name} {words[name]}") for name in gone}


every_row = pytest.mark.parametrize("row", EVERY_ROW, ids=str)


@every_row
async def test_each_is_sent_the_parameters_it_takes_and_its_own_key(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(row.stream(["Paris"], usage=None))
    deltas, error = await collect(provider, EVERYTHING)
    notes = [delta for delta in deltas if isinstance(delta, Noted)]
    assert (deltas, error) == ([*notes, Text("Paris"), Finish("stop")], None)
    assert (set(notes), len(notes)) == (dropped(row), len(dropped(row)))
    asked = server.exchanges[-1]
    parameters, _ = SENT[row.name]
    assert asked.json == {"model": "a-model", "messages": asked.json["messages"], "stream": True, **parameters}
    assert (asked.path, asked.headers["authorization"]) == (f"{row.path}/chat/completions", f"Bearer {KEY}")


@every_row
async def test_each_is_asked_for_json_as_it_understands_it(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    await collect(provider, STRUCTURED)
    assert server.exchanges[-1].json["response_format"] == SENT[row.name][1]


@every_row
async def test_no_refusal_repeats_a_key(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(answer({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401))
    _, error = await collect(provider)
    assert (type(error), KEY in repr(error)) == (ProviderAuth, False)


async def test_headers_of_the_settings_go_along_and_nowhere_else(server: ScriptedProvider) -> None:
    headers = {"HTTP-Referer": "https://tea.example", "X-Title": "Tea"}
    endpoint = ProviderEndpoint(base_url=server.openai_url, headers=headers)
    providers = build_providers({"openrouter": endpoint, "groq": ProviderEndpoint(base_url=server.openai_url)})
    for name in ("openrouter", "groq"):
        await collect(providers[name].with_key("sk-of-a-chat") if name == "openrouter" else providers[name])
    await providers["openrouter"].list_models(5)
    seen = [[exchange.headers.get(name.lower()) for name in headers] for exchange in server.exchanges]
    assert seen == [[*headers.values()], [None, None], [*headers.values()]]
    for provider in providers.values():
        await provider.close()


def test_an_endpoint_named_after_a_server_is_that_server() -> None:
    names = ("llamacpp", "llama_cpp", "llama-cpp", "lm_studio", "vllm")
    assert [(row_of(name).name, replace(row_of(name), name="")) for name in names] == [
        (name, replace(row_of(plain), name=""))
        for name, plain in zip(names, ("llamacpp", "llamacpp", "llamacpp", "lmstudio", "vllm"), strict=True)
    ]


def test_thoughts_in_tags_are_looked_for_where_models_write_them() -> None:
    assert {row.name for row in (*ROWS, row_of("elsewhere")) if row.think_tags} == {
        *("groq", "cerebras", "nvidia", "zhipu", "vllm", "lmstudio", "llamacpp", "elsewhere"),
    }
