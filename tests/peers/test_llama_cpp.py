"""A real llama.cpp server with a model of random numbers: what it says means nothing, the way it says it is real."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from pydantic import SecretStr

from shared.domain.commands import Parameters
from shared.domain.errors import ContextTooLong, ProviderAuth, ProviderError
from shared.domain.events import Finish, Text, Usage
from shared.settings import ProviderEndpoint
from tests.contract.providers.rows import CLOCKS, collect
from tests.images import png
from tests.peers.servers import fetch, llama_server
from tests.peers.tiny_models import CONTEXT_TOKENS, END_TOKEN, write_eyes, write_model
from tests.stack import eventually
from workers.providers.base import (
    Prompt,
    PromptImage,
    PromptMessage,
    PromptPart,
    PromptText,
    Provider,
    ProviderDelta,
    ResponseSchema,
)
from workers.providers.table import build_providers

KEY: Final = "key-of-the-blind-server"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"label": {"enum": ["cat", "dog"]}, "ok": {"type": "boolean"}},
    "required": ["label", "ok"],
    "additionalProperties": False,
}
UNENDING: Final[dict[str, Any]] = {"logit_bias": {str(END_TOKEN): -100}}
"""An option without which one answer in some hundred ends before its first word."""
LONG: Final[dict[str, Any]] = {"type": "array", "items": {"enum": [0, 1]}, "minItems": 1000}
LEAST_TOKENS: Final = 2000
"""A long answer's: a digit and a comma for each entry."""


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    label: str
    ok: bool


@dataclass(frozen=True)
class Models:
    language: Path
    eyes: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    made = Models(folder / "tiny.gguf", folder / "eyes.gguf")
    write_model(made.language)
    write_eyes(made.eyes)
    return made


@pytest.fixture(scope="module")
def url(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model takes images."""
    with llama_server(tmp_path_factory.mktemp("llama"), models.language, eyes=models.eyes) as url:
        yield url


@pytest.fixture(scope="module")
def blind_url(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose model takes none, and that wants a key."""
    with llama_server(tmp_path_factory.mktemp("blind"), models.language, key=KEY) as url:
        yield url


@pytest.fixture
async def provider(url: str) -> AsyncIterator[Provider]:
    async with connected(url) as ready:
        yield ready


@asynccontextmanager
async def connected(url: str, *, key: str | None = None, name: str = "llamacpp") -> AsyncGenerator[Provider]:
    endpoint = ProviderEndpoint(base_url=f"{url}/v1", api_key=SecretStr(key) if key else None)
    provider = build_providers({name: endpoint})[name]
    try:
        yield provider
    finally:
        await provider.close()


def asked(*parts: PromptPart | str, **parameters: Any) -> Prompt:  # parameters are of many types
    said = tuple(PromptText(part) if isinstance(part, str) else part for part in parts)
    return Prompt("tiny", (PromptMessage("user", said),), Parameters(**parameters))


def form_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def usage_in(deltas: Sequence[ProviderDelta]) -> Usage:
    (usage,) = [delta for delta in deltas if isinstance(delta, Usage)]
    return usage


def text_in(deltas: Sequence[ProviderDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


def without_text(deltas: Sequence[ProviderDelta]) -> list[ProviderDelta]:
    return [delta for delta in deltas if not isinstance(delta, Text)]


@pytest.mark.parametrize("name", ["llamacpp", "mylab"])
async def test_an_answer_is_text_what_it_used_and_why_it_ended(url: str, name: str) -> None:
    question = "hi" if name == "llamacpp" else "hey"  # nothing of another's prompt may be kept
    async with connected(url, name=name) as provider:
        deltas, error = await collect(provider, asked(question, max_output_tokens=6, temperature=0, seed=1))

    prompt_tokens = 2 + len(f"<user>{question} <assistant>")  # a token a letter, a beginning, and a space before all
    used = usage_in(deltas)
    assert (used.input_tokens, used.output_tokens, deltas[-1], error) == (prompt_tokens, 6, Finish("length"), None)
    assert text_in(deltas)


async def test_the_same_seed_gives_the_same_answer(provider: Provider, url: str) -> None:
    # What is kept of a prompt is not calculated again, and rounding depends on how much is calculated at a time.
    prompt = asked("hi", max_output_tokens=12, seed=7, options={"cache_prompt": False, **UNENDING})
    first, _ = await collect(provider, prompt)
    async with connected(url) as again:
        second, _ = await collect(again, prompt)

    assert text_in(first) == text_in(second) != ""


@pytest.mark.parametrize(
    "prompt",
    [
        msgspec.structs.replace(asked("hi", max_output_tokens=300), response_schema=ResponseSchema("reading", SCHEMA)),
        asked("hi", max_output_tokens=300, response_format=form_of(SCHEMA)),
    ],
    ids=["ours", "the caller's"],
)
async def test_a_schema_is_kept_by_a_model_that_knows_nothing_of_it(provider: Provider, prompt: Prompt) -> None:
    deltas, error = await collect(provider, prompt)

    assert (deltas[-1], error) == (Finish("stop"), None)
    assert msgspec.json.decode(text_in(deltas), type=Reading).label in ("cat", "dog")


async def test_an_image_becomes_tokens_of_the_prompt(provider: Provider, url: str) -> None:
    image = PromptImage(png(28, 28), "image/png")
    blind, _ = await collect(provider, asked("hi", max_output_tokens=12, options=UNENDING))
    async with connected(url) as again:
        seeing, error = await collect(again, asked("hi", image, max_output_tokens=12, options=UNENDING))

    assert error is None
    assert usage_in(seeing).input_tokens > usage_in(blind).input_tokens


async def test_an_image_for_a_model_without_eyes_is_refused_in_its_words(blind_url: str) -> None:
    async with connected(blind_url, key=KEY) as blind:
        deltas, error = await collect(blind, asked("hi", PromptImage(png(28, 28), "image/png")))

    assert deltas == []
    assert isinstance(error, ProviderError)
    assert "image input is not supported" in str(error)


async def test_a_prompt_beyond_the_context_says_so(provider: Provider) -> None:
    deltas, error = await collect(provider, asked("x" * (CONTEXT_TOKENS + 1)))
    assert (deltas, type(error)) == ([], ContextTooLong)


async def test_a_wrong_key_says_so_without_repeating_it(blind_url: str) -> None:
    async with connected(blind_url, key="wrong-0123456789") as stranger:
        deltas, error = await collect(stranger, asked("hi"))

    assert (deltas, type(error)) == ([], ProviderAuth)
    assert "wrong-0123456789" not in str(error)


async def test_parameters_of_others_change_nothing(provider: Provider) -> None:
    others: dict[str, Any] = {
        "enable_thinking": True,
        "logprobs": True,
        "top_k": 1,
        "model": "other",
        "frobnicate": {"a": [1]},
    }
    deltas, error = await collect(provider, asked("hi", max_output_tokens=12, reasoning_effort="low", options=others))
    assert (without_text(deltas)[-1], error) == (Finish("length"), None)


async def test_closing_the_stream_stops_the_model_at_once(provider: Provider, url: str) -> None:
    stream = provider.stream(asked("hi", response_format=form_of(LONG)), CLOCKS)
    await anext(stream)
    await stream.aclose()

    async def is_idle() -> bool:
        return not any(slot["is_processing"] for slot in fetch(f"{url}/slots"))

    await eventually(is_idle)
    (slot,) = fetch(f"{url}/slots")
    assert slot["n_prompt_tokens"] < LEAST_TOKENS


async def test_a_connection_that_was_closed_without_a_word_costs_no_answer(provider: Provider) -> None:
    prompt = asked("hi", max_output_tokens=12, options=UNENDING)
    assert [(await collect(provider, prompt))[1] for _ in range(20)] == [None] * 20


async def test_the_list_has_the_model_what_it_sees_and_how_much_it_reads(provider: Provider) -> None:
    (listed,) = await provider.list_models(3)
    assert (listed.id, listed.abilities.vision, listed.abilities.context_length) == ("tiny", True, CONTEXT_TOKENS)
