"""The clocks and the law over any source of deltas, and the demo provider that lives by it without a network."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.domain.dispense import SMARTSIP_V01
from shared.domain.dispense.answer import parse_answer
from shared.domain.dispense.envelope import enforce
from shared.domain.dispense.prompt import PLAIN_SCHEMA, SCHEMA
from shared.domain.errors import ModelNotFound, ProviderError, ProviderRejected, ProviderTimeout, StreamIncomplete
from shared.domain.events import Delta, Finish, Noted, Reasoning, Text, ToolCall, Usage
from shared.settings import ProviderEndpoint
from shared.settings_groups import Clocks as ClockSettings
from shared.settings_providers import with_longer_waits
from tests import images
from workers.providers.base import (
    Clocks,
    GeneratedImage,
    Prompt,
    PromptImage,
    PromptMessage,
    PromptText,
    ProviderDelta,
    ResponseSchema,
)
from workers.providers.clocks import clocks_for
from workers.providers.complete import complete
from workers.providers.demo import DemoProvider
from workers.providers.least import NOT_A_MODEL
from workers.providers.table import build_providers

CLOCKS = Clocks(connect_s=0.1, first_delta_s=0.1, idle_s=0.1)
STOP = Finish("stop")


class Source:
    """Deltas to be yielded, and then perhaps an error or silence; knows whether it was closed."""

    def __init__(self, *deltas: ProviderDelta, error: Exception | None = None, silent: bool = False) -> None:
        self._deltas = deltas
        self._error = error
        self._silent = silent
        self.is_closed = False
        self.fell_silent = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[ProviderDelta, None]:
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


async def collect(source: Source) -> tuple[list[ProviderDelta], str | None]:
    deltas: list[ProviderDelta] = []
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
    assert await collect(Source(Text("a"), Usage(1, 1))) == ([Text("a"), Usage(1, 1)], "StreamIncomplete")
    assert await collect(Source(Usage(1, 1))) == ([], "StreamIncomplete")


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


@pytest.mark.parametrize("before", [(), (Text("a"),), (Text("a"), STOP)])
@pytest.mark.parametrize("noise", [Usage(1, 1), Noted("parameter_dropped", "x")])
async def test_counts_and_notes_without_end_are_no_progress(before: tuple[Delta, ...], noise: Delta) -> None:
    async def source() -> AsyncGenerator[ProviderDelta]:
        for delta in before:
            yield delta
        while True:
            await asyncio.sleep(0.01)  # often enough to move any clock that it could move
            yield noise

    async with asyncio.timeout(2):
        answer = complete(source(), CLOCKS, provider="p")
        told = [delta for delta in await taken(answer) if not isinstance(delta, Usage | Noted)]
    assert told == [*before] if STOP in before else [*before, ProviderTimeout]


async def test_words_after_the_finish_do_not_go_on_for_ever() -> None:
    async def source() -> AsyncGenerator[ProviderDelta]:
        yield STOP
        while True:
            await asyncio.sleep(0.01)
            yield Text("late")

    async with asyncio.timeout(2):
        *late, finish = await taken(complete(source(), CLOCKS, provider="p"))
    assert (set(late), finish) == ({Text("late")}, STOP)


async def taken(answer: AsyncGenerator[ProviderDelta]) -> list[ProviderDelta | type[ProviderError]]:
    """Everything that is told, and the class of the error at the end."""
    found: list[ProviderDelta | type[ProviderError]] = []
    try:
        async for delta in answer:
            found.append(delta)  # noqa: PERF401 - what came before a failure counts
    except ProviderError as error:
        found.append(type(error))
    return found


async def test_a_note_before_the_answer_leaves_the_first_deltas_clock_running() -> None:
    async def source() -> AsyncGenerator[ProviderDelta]:
        yield Noted("parameter_dropped", "x")
        await asyncio.sleep(0.15)
        yield Text("a")
        yield STOP

    slow = Clocks(connect_s=1, first_delta_s=2, idle_s=0.05)
    assert await taken(complete(source(), slow, provider="p")) == [Noted("parameter_dropped", "x"), Text("a"), STOP]


async def test_a_failure_after_words_still_says_what_was_used() -> None:
    failing = Source(Text("a"), Usage(1, 2), error=ProviderRejected())
    assert await collect(failing) == ([Text("a"), Usage(1, 2)], "ProviderRejected")
    assert await collect(Source(Usage(1, 2), error=ProviderRejected())) == ([], "ProviderRejected")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ((), "BadOutput"),
        ((Reasoning("hm"), Text(" \n")), "BadOutput"),
        ((Text("a"),), None),
        ((ToolCall(0, "c1", "pour"),), None),
    ],
)
async def test_a_limit_that_is_reached_before_the_first_word_is_no_answer(
    said: tuple[Delta, ...], error: str | None
) -> None:
    limit = Finish("length")
    expected = [*said, Usage(1, 9), *([] if error else [limit])]
    assert await collect(Source(*said, limit, Usage(1, 9))) == (expected, error)


async def test_the_first_finish_counts() -> None:
    assert await collect(Source(Text("a"), STOP, Finish("length"))) == ([Text("a"), STOP], None)


@pytest.mark.parametrize("content", [images.png(8, 8), images.noise(300, 300, "PNG")], ids=["small", "large"])
async def test_an_image_in_a_data_url_becomes_its_bytes(content: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    elsewhere = GeneratedImage(url="https://a.example/b.png")
    source = Source(GeneratedImage(url=url), elsewhere, GeneratedImage(content), STOP)
    assert await collect(source) == ([GeneratedImage(content), elsewhere, GeneratedImage(content), STOP], None)


async def test_an_image_that_cannot_be_read_is_noted() -> None:
    (note, finish), error = await collect(Source(GeneratedImage(url="data:image/png;base64,???"), STOP))
    assert (note, finish, error) == (
        Noted("image_refused", "An image of the answer was left out: The image is not base64."),
        STOP,
        None,
    )


class Patient:
    """A provider that needs time."""

    first_delta_s = 300.0
    idle_s = 90.0


@pytest.mark.parametrize(
    ("settings", "provider", "expected"),
    [
        (ClockSettings(), Patient(), Clocks(5, 300, 90)),
        (ClockSettings(), DemoProvider(), Clocks(5, 120, 60)),
        (ClockSettings(provider_idle=timedelta(seconds=1)), Patient(), Clocks(5, 300, 1)),
        (ClockSettings(provider_first_delta=timedelta(seconds=7)), Patient(), Clocks(5, 7, 90)),
        (with_longer_waits(ClockSettings(), timedelta(seconds=70)), Patient(), Clocks(5, 300, 90)),
        (with_longer_waits(ClockSettings(), timedelta(seconds=600)), Patient(), Clocks(5, 600, 600)),
    ],
)
def test_a_provider_that_needs_longer_gets_it_unless_the_operator_says_otherwise(
    settings: ClockSettings, provider: object, expected: Clocks
) -> None:
    assert clocks_for(settings, provider) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai", Clocks(5, 300, 120)),
        ("grok", Clocks(5, 3600, 300)),
        ("groq", Clocks(5, 120, 60)),
        ("ollama", Clocks(5, 300, 60)),
        ("my-server", Clocks(5, 300, 60)),
    ],
)
async def test_rows_say_how_long_they_may_be_silent(name: str, expected: Clocks) -> None:
    provider = build_providers({name: ProviderEndpoint(base_url="http://127.0.0.1:1")})[name]
    assert clocks_for(ClockSettings(), provider) == expected
    await provider.close()


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
