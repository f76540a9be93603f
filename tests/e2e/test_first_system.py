"""What the first SmartSip system did, done by the whole of this one: firmware, api, worker, and a provider's socket."""

import base64
import json
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.domain.dispense import BUILT_IN_PROMPTS, DEFAULT_PROMPT, SCHEMA
from tests.e2e.system import System, whole_system
from tests.firmware import Answer, Device, frames_for
from tests.images import photo
from tests.scripted_provider import ScriptedProvider, ollama_stream, openai_stream
from tests.stack import TestStack

NAME = "image_20241116_141107.jpg"
CUP = '{"volume":"200","degree":"80","type":"cup"}'
UNFIT = '{"volume": 0, "degree": null, "type": "not capable of receiving water"}'
FENCED = 'Sure! Here it is:\n```json\n{"volume": 300, "degree": 85, "type": "glass"}\n```'
PROMPT = BUILT_IN_PROMPTS[DEFAULT_PROMPT].text

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(stack: TestStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[System]:
    """One system for all of these tests, each of which takes photos of its own."""
    log_file = tmp_path_factory.mktemp("first_system") / "system.log"
    with ScriptedProvider() as provider:
        options = {
            "OLLAMA_API_URL": f"{provider.url}/api/generate",
            "SMARTSIP_PROVIDERS__FAKE__BASE_URL": f"{provider.url}/fake/v1",
        }
        async with whole_system(stack, provider, log_file, **options) as system:
            await system.worker()
            yield system


@pytest.fixture
def provider(system: System) -> ScriptedProvider:
    system.provider.exchanges.clear()
    system.provider.play(openai_stream([CUP]))
    system.provider.play(ollama_stream([CUP]), path="/api/chat")
    return system.provider


_seeds = count(1)


@pytest.fixture
def jpeg() -> bytes:
    """A photo nobody has seen before."""
    return photo(seed=next(_seeds))


@pytest.fixture
def device(system: System) -> Device:
    return Device(system.url)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def said_in(answer: Answer) -> str:
    """Return an answer without the blanks that keep a connection alive while a busy machine thinks (`Clocks`)."""
    return answer.body.lstrip(b" ").decode()


async def newest_image(system: System) -> dict[str, Any]:
    async with system.client() as client:
        listed = (await client.get("/v2/images")).json()["images"]
        image: dict[str, Any] = (await client.get(f"/v2/images/{listed[0]['id']}")).json()
        return image


@pytest.mark.covers("F000-02", "F000-03", "F000-05", "F000-13", "F000-15", "F000-16", "F000-24")
@pytest.mark.parametrize(
    ("llm_type", "model", "path"),
    [("openai", "gpt-4o-mini", "/v1/chat/completions"), ("fake", "any-model", "/fake/v1/chat/completions")],
)
async def test_a_provider_that_speaks_openais_is_asked_about_the_photo(
    device: Device, provider: ScriptedProvider, jpeg: bytes, llm_type: str, model: str, path: str
) -> None:
    answer = await device.touch(NAME, jpeg, llm_type=llm_type, model=model)
    assert (answer.status, said_in(answer)) == (200, CUP)
    (exchange,) = provider.exchanges
    asked = exchange.json
    content = asked["messages"][-1]["content"]
    assert (exchange.path, asked["model"], asked["temperature"], asked["top_p"]) == (path, model, 0, 0.9)
    assert content[0] == {"type": "text", "text": PROMPT}
    assert (content[1]["type"], content[1]["image_url"]["url"]) == (
        "image_url",
        f"data:image/jpeg;base64,{encoded(jpeg)}",
    )
    if llm_type == "openai":  # of others it is not known whether they take a schema: they are asked in words
        assert asked["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.covers("F000-04", "F000-05", "F000-13")
async def test_ollama_is_asked_about_the_photo(device: Device, provider: ScriptedProvider, jpeg: bytes) -> None:
    answer = await device.touch(NAME, jpeg, llm_type="ollama", model="llama3.2-vision:90b")
    assert (answer.status, said_in(answer)) == (200, CUP)
    exchange = provider.exchanges[-1]
    asked = exchange.json
    assert (exchange.path, asked["model"], asked["format"]) == ("/api/chat", "llama3.2-vision:90b", SCHEMA)
    assert asked["messages"][-1]["images"] == [encoded(jpeg)]
    assert (asked["options"]["temperature"], asked["options"]["top_p"]) == (0, 0.9)


@pytest.mark.covers("F000-21", "F000-22", "F000-23")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(UNFIT, {"volume": "0", "degree": "0", "type": "not capable of receiving water"}, id="unfit"),
        pytest.param(FENCED, {"volume": "300", "degree": "85", "type": "glass"}, id="fenced"),
        pytest.param("I cannot help with that.", {"volume": "0", "degree": "0", "type": "none"}, id="prose"),
        pytest.param(
            '{"volume": 9999, "degree": 100, "type": "tub"}', {"volume": "500", "degree": "90", "type": "tub"}, id="tub"
        ),
        pytest.param(
            '{"volume": "150 ml", "degree": "45", "type": "baby bottle"}',
            {"volume": "150", "degree": "29", "type": "baby bottle"},
            id="a child's",
        ),
        pytest.param(
            '{"volume": 5, "degree": 80, "type": "thimble"}',
            {"volume": "0", "degree": "0", "type": "thimble"},
            id="drop",
        ),
    ],
)
async def test_whatever_the_model_says_the_device_gets_strings_it_may_pour(
    device: Device, provider: ScriptedProvider, jpeg: bytes, said: str, told: dict[str, str]
) -> None:
    provider.play(openai_stream([said]))
    answer = await device.touch(NAME, jpeg)
    assert json.loads(answer.body) == told
    assert bool(frames_for(answer.body)) is (told["volume"] != "0")


@pytest.mark.covers("F000-11")
async def test_the_photo_stays_and_its_link_needs_no_credential(
    device: Device, system: System, provider: ScriptedProvider, jpeg: bytes
) -> None:
    await device.touch(NAME, jpeg)
    image = await newest_image(system)
    async with httpx.AsyncClient(trust_env=False) as stranger:
        fetched = await stranger.get(image["url"])
    assert (fetched.status_code, fetched.headers["content-type"], fetched.content) == (200, "image/jpeg", jpeg)
    assert "X-Amz-Expires=3600" in image["url"]


@pytest.mark.covers("F000-25")
async def test_no_error_tells_an_address_or_a_key(
    device: Device, provider: ScriptedProvider, system: System, jpeg: bytes
) -> None:
    provider.play(openai_stream([]).ended_after(10))
    secrets = ("sk-scripted", provider.openai_url, system.stack.objects.secret_key, "X-Amz-", "Signature")
    answers = [await device.touch(NAME, jpeg), await device.ask("/nothing.jpg"), await device.ask("/../secret")]
    said = "\n".join(answer.body.decode() for answer in answers)
    assert [secret for secret in secrets if secret in said] == []
    assert [frames_for(answer.body) for answer in answers] == [[], [], []]
