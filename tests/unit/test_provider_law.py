"""The clocks and the law over any source of deltas, and the demo provider that lives by it without a network."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.domain.dispense import SMARTSIP_V01
from shared.domain.dispense.answer import parse_answer
from shared.domain.dispense.envelope import enforce
from shared.domain.dispense.prompt import PLAIN_SCHEMA, SCHEMA
from shared.domain.errors import ModelNotFound, ProviderError, ProviderRejected, ProviderTimeout, StreamIncomplete
from shared.domain.events import Delta, Finish, Reasoning, Text, Usage
from shared.settings import ProviderEndpoint
from workers.providers.base import Clocks, Prompt, PromptImage, PromptMessage, PromptText, ResponseSchema
from workers.providers.complete import complete
from workers.providers.demo import DemoProvider
from workers.providers.least import NOT_A_MODEL
from workers.providers.table import build_providers

CLOCKS = Clocks(connect_s=0.1, first_delta_s=0.1, idle_s=0.1)
STOP = Finish("stop")


class Source:
    """Deltas to be yielded, and then perhaps an error or silence; knows whether it was closed."""

    def __init__(self, *deltas: Delta, error: Exception | None = None, silent: bool = False) -> None:
        self._deltas = deltas
        self._error = error
        self._silent = silent
        self.is_closed = False
        self.fell_silent = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[Delta, None]:
        try:
            for delta in self._deltas:
                yield delta
            if self._silent:
                self.fell_silent.set()
                await asyncio.get_running_loop().create_future()
            if self._error:
                raise self._error
        finally:
            self.is_closed = True


async def collect(source: Source) -> tuple[list[Delta], str | None]:
    deltas: list[Delta] = []
    try:
        async for delta in complete(source(), CLOCKS, provider="p"):
            deltas.append(delta)  # noqa: PERF401 - what came before a failure counts
    except ProviderError as error:
        return deltas, type(error).__name__
    return deltas, None


async def test_the_last_usage_and_the_finish_come_last_whatever_the_wires_order() -> None:
    source = Source(Usage(1, 1), Text("a"), STOP, Usage(1, 2), Text("late"))
    assert await collect(source) == ([Text("a"), Text("late"), Usage(1, 2), STOP], None)
    assert source.is_closed


async def test_no_finish_is_no_answer() -> None:
    assert await collect(Source(Text("a"), Usage(1, 1))) == ([Text("a")], "StreamIncomplete")


async def test_silence_after_the_finish_ends_the_answer() -> None:
    source = Source(Text("a"), STOP, silent=True)
    assert await collect(source) == ([Text("a"), STOP], None)
    assert source.is_closed


async def test_what_the_provider_reports_after_the_finish_still_counts() -> None:
    assert await collect(Source(STOP, error=ProviderRejected())) == ([], "ProviderRejected")
    assert await collect(Source(STOP, error=StreamIncomplete())) == ([STOP], None)


@pytest.mark.parametrize("deltas", [(), (Text("a"),)])
async def test_silence_before_the_finish_is_a_timeout(deltas: tuple[Delta, ...]) -> None:
    source = Source(*deltas, silent=True)
    assert await collect(source) == (list(deltas), "ProviderTimeout")
    assert source.is_closed


async def test_a_cancel_is_not_taken_for_a_timeout() -> None:
    source = Source(Text("a"), silent=True)
    task = asyncio.create_task(collect(source))
    await source.fell_silent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.is_closed


async def test_a_timeout_leaves_its_task_uncancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(ProviderTimeout):
        async for _ in complete(Source(silent=True)(), CLOCKS, provider="p"):
            pass
    assert task.cancelling() == 0


@given(
    deltas=st.lists(
        st.builds(Text, st.text(min_size=1))
        | st.builds(Reasoning, st.text(min_size=1))
        | st.builds(Usage, st.integers(0, 9), st.integers(0, 9))
        | st.just(STOP)
    )
)
def test_every_answer_ends_with_one_finish_or_one_error(deltas: list[Delta]) -> None:
    seen, error = asyncio.run(collect(Source(*deltas)))
    assert (error is None) == (STOP in deltas)
    assert [delta for delta in seen if isinstance(delta, Finish)] == [STOP] * (error is None)
    assert error is not None or seen[-1] == STOP
    assert sum(isinstance(delta, Usage) for delta in seen) <= 1


def say(*parts: PromptText | PromptImage, model: str = "demo", schema: ResponseSchema | None = None) -> Prompt:
    return Prompt(model, (PromptMessage("user", parts),), response_schema=schema)


async def demo_text(prompt: Prompt) -> str:
    provider = DemoProvider(word_pause_s=0)
    return "".join([d.text async for d in provider.stream(prompt, CLOCKS) if isinstance(d, Text)])


async def test_the_demo_says_that_it_is_no_model() -> None:
    photo = PromptImage(b"jpeg", "image/jpeg")
    text = await demo_text(say(PromptText("Hello\nthere"), photo))
    assert "not a model" in text
    assert "“Hello there” and sent 1 image." in text
    assert "not a model" in await demo_text(Prompt("demo", ()))


async def test_the_demo_streams_word_by_word_and_finishes() -> None:
    deltas = [delta async for delta in DemoProvider(word_pause_s=0).stream(say(PromptText("Hi")), CLOCKS)]
    words = [delta for delta in deltas if isinstance(delta, Text)]
    assert len(words) > 10
    assert deltas[len(words) :] == [Usage(1, len(words), is_estimated=True), STOP]


async def test_the_demo_pours_nothing_for_a_photo() -> None:
    text = await demo_text(say(PromptText("How much?"), schema=ResponseSchema("dispense", SCHEMA)))
    assert json.loads(text) == {
        "receivable": False,
        "container": "none",
        "contents": NOT_A_MODEL,
        "fill_level": 0,
        "child_present": False,
        "confidence": 0,
        "volume": 0,
        "degree": 0,
    }
    poured = enforce(parse_answer(text), SMARTSIP_V01)
    assert (poured.volume, poured.degree, poured.type) == (0, 0, "none")


async def test_the_demo_pours_nothing_in_the_first_systems_form_either() -> None:
    text = await demo_text(say(PromptText("How much?"), schema=ResponseSchema("plain", PLAIN_SCHEMA)))
    assert json.loads(text) == {"volume": "0", "degree": "0", "type": NOT_A_MODEL}
    poured = enforce(parse_answer(text), SMARTSIP_V01)
    assert (poured.volume, poured.degree, poured.is_safe_default) == (0, 0, False)


async def test_the_demo_fills_any_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "fixed": {"const": 7},
            "maybe": {"type": ["string", "null"]},
            "list": {"type": "array"},
            "inner": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "odd": {},
        },
    }
    text = await demo_text(say(schema=ResponseSchema("any", schema)))
    expected: dict[str, object] = {
        "kind": "a",
        "fixed": 7,
        "maybe": NOT_A_MODEL,
        "list": [],
        "inner": {"x": 0},
        "odd": None,
    }
    assert json.loads(text) == expected


async def test_the_demos_pace_is_part_of_the_models_name() -> None:
    provider = DemoProvider(word_pause_s=60)
    loop = asyncio.get_running_loop()
    began = loop.time()
    words = [delta async for delta in provider.stream(say(model="slow-5"), CLOCKS) if isinstance(delta, Text)]
    assert 0.005 * len(words) <= loop.time() - began < 5


@pytest.mark.parametrize("model", ["gpt-4o", "slow-", "slow-x", "slow-123456", "demo2"])
async def test_the_demo_has_no_other_models(model: str) -> None:
    with pytest.raises(ModelNotFound, match="slow-<ms per word>"):
        await demo_text(say(model=model))


async def test_what_is_configured_can_be_asked_and_demo_always() -> None:
    endpoint = ProviderEndpoint(base_url="http://127.0.0.1:1", api_key=SecretStr(""))
    providers = build_providers({"openai": endpoint, "ollama": endpoint, "my-server": endpoint, "demo": endpoint})
    assert {name: (p.name, p.stops_billing_on_abort) for name, p in providers.items()} == {
        "demo": ("demo", "yes"),
        "openai": ("openai", "yes"),
        "ollama": ("ollama", "yes"),
        "my-server": ("my-server", "unknown"),
    }
    assert list(build_providers({})) == ["demo"]
    for provider in providers.values():
        await provider.close()


def test_an_image_does_not_show_its_bytes() -> None:
    assert repr(PromptImage(b"secret", "image/jpeg")) == "PromptImage(6 bytes of image/jpeg)"
