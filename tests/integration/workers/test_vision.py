"""Photos with any prompt and any profile: what the model is asked, what is made of its answer, what is kept of it."""

import asyncio
import base64
import json
from typing import Any
from uuid import UUID

import pytest

from shared.domain.commands import InlineImage, Parameters, StoredImage
from shared.domain.dispense import BUILT_IN_PROMPTS, SCHEMAS, SMARTSIP_V01, AnswerForm, DeviceProfile
from shared.domain.errors import InvalidRequest
from shared.domain.events import Text
from shared.domain.ids import JobId, uuid7
from shared.domain.jobs import State
from tests.images import photo
from tests.integration.workers.bench import MODEL, Bench
from tests.scripted_provider import ScriptedProvider, answer, openai_stream
from tests.scripted_replies import openai_chunk, sse
from workers.runtime import Runtime

FULL = {
    "receivable": True,
    "container": "ceramic cup",
    "contents": "green tea leaves",
    "fill_level": 0.1,
    "child_present": False,
    "confidence": 0.9,
    "volume": 203,
    "degree": 80,
}
PLAIN = {"volume": "250", "degree": "95", "type": "glass"}
KETTLE = DeviceProfile(
    name="kettle", min_volume_ml=100, max_volume_ml=150, volume_step_ml=50, max_degree_c=70, child_cap_c=40
)


def inline() -> InlineImage:
    return InlineImage(data=base64.b64encode(photo()).decode())


async def result_of(bench: Bench, runtime: Runtime, job_id: JobId) -> dict[str, Any]:
    """Run a job to its success and return what came of it."""
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    assert ending.state is State.SUCCEEDED
    assert ending.reply.result is not None
    return ending.reply.result


async def findings(bench: Bench, image_id: UUID) -> list[tuple[Any, ...]]:
    return await bench.rows(
        "select job_id, owner_id, model, prompt, profile, volume, degree, container, contents, receivable,"
        " child_present, is_safe_default, is_changed from finding where image_id = %s",
        image_id,
    )


@pytest.mark.parametrize("ref", list(BUILT_IN_PROMPTS))
async def test_a_built_in_prompt_reaches_the_model_word_for_word_with_its_own_schema(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, ref: str
) -> None:
    prompt = BUILT_IN_PROMPTS[ref]
    provider.play(openai_stream([json.dumps(FULL if prompt.form is AnswerForm.FULL else PLAIN)]))
    result = await result_of(bench, runtime, await bench.vision(inline(), prompt=ref))
    name, schema = SCHEMAS[prompt.form]
    asked = provider.exchanges[0].json
    assert [message["role"] for message in asked["messages"]] == ["user"]
    assert asked["messages"][0]["content"][0] == {"type": "text", "text": prompt.text}
    assert asked["response_format"]["json_schema"] == {"name": name, "schema": schema, "strict": True}
    assert result["prompt"] == ref


async def test_a_plain_answer_is_taken_as_it_is_inside_the_envelope(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([json.dumps(PLAIN)]))
    result = await result_of(bench, runtime, await bench.vision(inline(), prompt="smartsip@1"))
    assert {name: result[name] for name in ("volume", "degree", "type", "is_safe_default", "profile")} == {
        "volume": 250,
        "degree": 90,
        "type": "glass",
        "is_safe_default": False,
        "profile": SMARTSIP_V01.name,
    }
    assert [change["field"] for change in result["interventions"]] == ["degree"]


async def test_thoughts_that_left_no_room_for_an_answer_give_the_safe_command(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    thoughts = openai_chunk({"reasoning_content": "A cup? A glass?"})
    provider.play(sse(thoughts, openai_chunk(finish="length")))
    result = await result_of(bench, runtime, await bench.vision(inline()))
    assert (result["volume"], result["is_safe_default"]) == (0, True)


@pytest.mark.parametrize(("form", "said"), [(AnswerForm.FULL, FULL), (AnswerForm.PLAIN, PLAIN)])
async def test_an_owners_prompt_is_asked_in_its_own_form(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, form: AnswerForm, said: dict[str, Any]
) -> None:
    provider.play(openai_stream([json.dumps(said)]))
    text = "How much, and how hot? Ünïcode “quotes” {braces}\n"
    job_id = await bench.vision(inline(), prompt="ours@3", prompt_text=text, form=form)
    result = await result_of(bench, runtime, job_id)
    asked = provider.exchanges[0].json
    assert asked["messages"][0]["content"][0]["text"] == text
    assert asked["response_format"]["json_schema"]["name"] == SCHEMAS[form][0]
    assert (result["prompt"], result["is_safe_default"]) == ("ours@3", False)


async def test_an_owners_profile_comes_with_the_job_and_decides(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([json.dumps(FULL)]))
    job_id = await bench.vision(inline(), profile=KETTLE.name, envelope=KETTLE)
    result = await result_of(bench, runtime, job_id)
    assert {name: result[name] for name in ("volume", "degree", "profile", "frames")} == {
        "volume": 150,
        "degree": 70,
        "profile": "kettle",
        "frames": [],
    }


@pytest.mark.parametrize(
    ("task", "field"), [({"profile": "unknown"}, "input.profile"), ({"prompt": "unknown@1"}, "input.prompt")]
)
async def test_a_profile_or_prompt_that_did_not_come_along_fails_before_anyone_is_asked(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider, task: dict[str, Any], field: str
) -> None:
    job_id = await bench.vision(inline(), **task)
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, error.code, error.field) == (State.FAILED, InvalidRequest.code, field)
    assert (ending.reply.result, provider.exchanges) == (None, [])


@pytest.mark.parametrize(
    ("model", "parameters", "sent"),
    [
        (MODEL, Parameters(), (0, 0.9)),
        (MODEL, Parameters(temperature=0.7), (0.7, 0.9)),
        (MODEL, Parameters(temperature=0.7, top_p=0.5), (0.7, 0.5)),
        ("openai/gpt-5", Parameters(temperature=0.7), (None, None)),
    ],
)
async def test_the_same_photo_gets_the_same_answer_unless_the_job_says_otherwise(
    bench: Bench,
    runtime: Runtime,
    provider: ScriptedProvider,
    model: str,
    parameters: Parameters,
    sent: tuple[float | None, float | None],
) -> None:
    provider.play(openai_stream([json.dumps(FULL)]))
    await result_of(bench, runtime, await bench.vision(inline(), model=model, parameters=parameters))
    asked = provider.exchanges[0].json
    assert (asked.get("temperature"), asked.get("top_p")) == sent


async def test_what_was_found_in_a_stored_photo_is_kept_once_per_job(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    image_id = await bench.store(photo(seed=20))
    provider.play(openai_stream([json.dumps(FULL)]), openai_stream(["I cannot tell."]))
    first = await bench.vision(StoredImage(id=image_id), prompt="ours@3", prompt_text="How much?")
    await asyncio.gather(*(runtime.runner.run(first) for _ in range(3)))
    await runtime.runner.run(first)
    seen = (200, 80, "ceramic cup", "green tea leaves", True, False, False, True)
    assert await findings(bench, image_id) == [(first, 1, MODEL, "ours@3", SMARTSIP_V01.name, *seen)]
    second = await bench.vision(StoredImage(id=image_id))
    await runtime.runner.run(second)
    unusable = (0, 0, "none", "", None, None, True, True)
    assert (await findings(bench, image_id))[1:] == [(second, 1, MODEL, "smartsip@2", SMARTSIP_V01.name, *unusable)]


async def test_nothing_is_kept_of_a_photo_that_is_not_stored_or_of_a_job_that_fails(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([json.dumps(FULL)]), answer({"error": {"message": "no"}}, status=400))
    await result_of(bench, runtime, await bench.vision(inline()))
    failing = await bench.vision(StoredImage(id=await bench.store(photo(seed=21))))
    await runtime.runner.run(failing)
    assert (await bench.ended(failing)).state is State.FAILED
    assert await bench.rows("select 1 from finding") == []


async def test_a_runner_that_was_fenced_off_writes_no_finding(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(list(json.dumps(FULL))).paced(100))
    image_id = await bench.store(photo(seed=22))
    job_id = await bench.vision(StoredImage(id=image_id))
    running = asyncio.create_task(runtime.runner.run(job_id))
    await bench.said(job_id, Text)
    await bench.rows("update job set fence = fence + 1 where id = %s", job_id)
    await running
    assert len(provider.exchanges) == 1
    assert await findings(bench, image_id) == []


async def test_a_photo_that_is_deleted_meanwhile_does_not_fail_the_end(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream(list(json.dumps(FULL))).paced(100))
    image_id = await bench.store(photo(seed=23))
    job_id = await bench.vision(StoredImage(id=image_id))
    running = asyncio.create_task(runtime.runner.run(job_id))
    await bench.said(job_id, Text)
    await bench.rows("delete from image where id = %s", image_id)
    await running
    ending = await bench.ended(job_id)
    assert (ending.state, ending.reply.result is not None) == (State.SUCCEEDED, True)


async def test_a_stored_photo_that_never_was_is_found_nowhere(bench: Bench, runtime: Runtime) -> None:
    image_id = uuid7()
    await runtime.runner.run(await bench.vision(StoredImage(id=image_id)))
    assert await findings(bench, image_id) == []
