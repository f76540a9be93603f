"""What a model writes between the lines of its answer: thoughts in tags, and images."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from shared.database.views import Ending
from shared.domain.commands import ChatInput, InlineImage, JobSpec, Message
from shared.domain.errors import StreamIncomplete, Unavailable
from shared.domain.events import Completed, Event, ImageStored, Reasoning, Started, Text, Usage
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId
from shared.domain.image_keys import clean_key, thumbnail_key
from shared.domain.jobs import Kind, State
from shared.settings import Settings
from tests import images
from tests.integration.workers.bench import MODEL, Bench, events_of
from tests.scripted_provider import DONE, ScriptedProvider, answer, ollama_stream, openai_chunk, openai_stream, sse
from tests.stack import eventually
from workers.running import Stop
from workers.runtime import Runtime

ANSWER = {
    "receivable": True,
    "container": "ceramic cup",
    "contents": "",
    "fill_level": 0.1,
    "child_present": False,
    "confidence": 0.9,
    "volume": 203,
    "degree": 80,
}
COLUMNS = "id, media_type, size_bytes, width, height, object_key, thumbnail_key, content_sha256, ready_at is not null"


def in_letters(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def written(content: bytes, *, alt: str = "a cup", media_type: str = "image/png") -> str:
    """An image as models write it."""
    return f"![{alt}](data:{media_type};base64,{base64.b64encode(content).decode()})"


def shown(image_id: object, *, alt: str = "a cup") -> str:
    return f"![{alt}](/v2/images/{image_id}/content)"


def merged(events: Sequence[Event]) -> list[Event]:
    """The events, neighbouring fragments joined."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, (Text, Reasoning)) and isinstance(last, (Text, Reasoning)) and type(event) is type(last):
            found[-1] = type(event)(last.text + event.text)
        else:
            found.append(event)
    return found


async def answered(bench: Bench, runtime: Runtime, *, owner_id: OwnerId = LOCAL_OWNER, model: str = MODEL) -> Ending:
    """Let a chat be answered; return its end."""
    asked = ChatInput(messages=[Message(role="user", content="Draw a cup")])
    job_id = await bench.accept(JobSpec(kind=Kind.CHAT, model=model, input=asked), owner_id=owner_id)
    await runtime.runner.run(job_id)
    return await bench.ended(job_id)


async def rows(bench: Bench) -> list[tuple[Any, ...]]:
    return await bench.rows(f"select {COLUMNS} from image order by id")  # pyright: ignore[reportArgumentType] - a constant


async def test_thoughts_in_tags_become_reasoning_and_leave_the_text(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(ollama_stream(in_letters("<think>\nA cup < a jug.\n</think>\n\nTake a cup <3!", 3)))
    ending = await answered(bench, runtime, model="ollama/scripted")
    assert merged(events_of(ending.entries)) == [
        Started("ollama", "scripted"),
        Reasoning("A cup < a jug.\n"),
        Text("Take a cup <3!"),
        Usage(7, 5),
        Completed("stop"),
    ]
    assert (ending.reply.text, ending.reply.reasoning) == ("Take a cup <3!", "A cup < a jug.\n")


async def test_a_photos_answer_is_read_without_the_thoughts_before_it(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    draft = json.dumps(ANSWER | {"volume": 450})
    provider.play(openai_stream(in_letters(f"<think>{draft}? Less.</think>{json.dumps(ANSWER)}")))
    job_id = await bench.vision(InlineImage(data=base64.b64encode(images.photo()).decode()))
    await runtime.runner.run(job_id)
    result = (await bench.ended(job_id)).reply.result
    assert result is not None
    assert (result["volume"], result["is_safe_default"]) == (200, False)


async def test_an_image_of_an_answer_is_stored_and_shown_instead_of_its_bytes(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    content = images.png_where_and_when()
    provider.play(openai_stream(in_letters(f"Here: {written(content)} and {written(content, alt='')}.", 4001)))
    ending = await answered(bench, runtime)
    ((image_id, media_type, size_bytes, *size, key, thumbnail, content_sha256, is_ready),) = await rows(bench)
    stored = ImageStored(str(image_id), media_type, size_bytes)
    events = events_of(ending.entries)
    assert merged(events) == [
        Started("openai", "scripted"),
        Text("Here: "),
        stored,
        Text(f"{shown(image_id)} and {shown(image_id, alt='')}."),
        Usage(7, 5),
        Completed("stop"),
    ]
    assert (ending.reply.images, ending.reply.text.count(shown(image_id))) == ([stored], 1)
    assert any(isinstance(event, Text) and shown(image_id) in event.text for event in events)  # not cut in two
    sha256, kept = hashlib.sha256(content).digest(), await bench.kept(content)
    assert (key, thumbnail) == (clean_key(LOCAL_OWNER, sha256, "png"), thumbnail_key(LOCAL_OWNER, sha256))
    assert (media_type, size_bytes, size, is_ready) == ("image/png", len(kept[key]), [640, 480], True)
    assert set(kept) == {key, thumbnail}
    assert hashlib.sha256(kept[key]).digest() == content_sha256
    assert images.SECRET_PLACE.encode() not in kept[key]


def beside(url: str) -> bytes:
    """A chunk with an image beside the words, as OpenRouter sends it."""
    return openai_chunk({"content": "", "images": [{"type": "image_url", "image_url": {"url": url}}]})


async def test_an_image_beside_the_words_is_stored_and_shown_among_them(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    urls = [f"data:image/png;base64,{base64.b64encode(it).decode()}" for it in (images.png(), images.html_page())]
    elsewhere = "http://127.0.0.1:1/b (1).png"  # where nobody answers
    provider.play(
        sse(openai_chunk({"content": "Here:"}), *map(beside, [*urls, elsewhere]), openai_chunk(finish="stop"), DONE)
    )
    ending = await answered(bench, runtime)
    ((image_id, media_type, size_bytes, *_),) = await rows(bench)
    stored, reference = ImageStored(str(image_id), media_type, size_bytes), shown(image_id, alt="image")
    (note,) = ending.reply.notes
    assert merged(events_of(ending.entries)) == [
        Started("openai", "scripted"),
        Text("Here:"),
        stored,
        Text(f"\n\n{reference}"),
        note,
        Text("\n\n![image](http://127.0.0.1:1/b%20%281%29.png)"),
        Completed("stop"),
    ]
    assert (note.code, media_type) == ("image_refused", "image/png")


async def test_an_image_that_its_provider_put_somewhere_is_fetched_and_stored(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(answer(images.png(), media_type="image/png"), path="/made.png")
    provider.play(sse(beside(f"{provider.url}/made.png"), openai_chunk(finish="stop"), DONE))
    ending = await answered(bench, runtime)
    ((image_id, *_),) = await rows(bench)
    assert ending.reply.text == shown(image_id, alt="image")
    assert [image.image_id for image in ending.reply.images] == [str(image_id)]


async def test_an_image_beside_the_words_of_a_photos_answer_is_no_part_of_it(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    url = f"data:image/png;base64,{base64.b64encode(images.png()).decode()}"
    provider.play(sse(openai_chunk({"content": json.dumps(ANSWER)}), beside(url), openai_chunk(finish="stop"), DONE))
    job_id = await bench.vision(InlineImage(data=base64.b64encode(images.photo()).decode()))
    await runtime.runner.run(job_id)
    reply = (await bench.ended(job_id)).reply
    assert (reply.text, len(reply.images)) == (json.dumps(ANSWER), 1)


async def test_a_plain_photo_of_an_answer_is_kept_as_it_is(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(ollama_stream(in_letters(written(images.photo(), media_type="image/webp"), 999)))
    job_id = await bench.chat(model="ollama/llava")
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    ((image_id, media_type, *_),) = await rows(bench)
    assert (ending.reply.text, media_type) == (shown(image_id), "image/jpeg")  # what it is, not what it is said to be
    assert list((await bench.kept(images.photo())).values()) == [images.photo()]


async def test_an_image_that_an_owner_has_already_is_shown_and_each_owner_has_their_own(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    await bench.rows("insert into owner (name) values ('other')")
    content = images.photo()
    uploaded = await bench.store(content)
    provider.play(openai_stream([written(content)]))
    for _ in range(2):
        assert (await answered(bench, runtime)).reply.text == shown(uploaded)
    other = await answered(bench, runtime, owner_id=OwnerId(2))
    owned = dict(await bench.rows("select owner_id, id from image where ready_at is not null"))
    assert len(owned) == 2
    assert (owned[1], other.reply.text) == (uploaded, shown(owned[2]))
    assert len(await rows(bench)) == 2


async def test_an_attempt_after_another_stores_no_second_image(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    whole = openai_stream([written(images.png()), " Done."])
    provider.play(whole.stalled_after(len(whole.body) - len(b"".join(whole.pieces[-4:]))), whole)
    job_id = await bench.chat()
    running = asyncio.create_task(runtime.runner.run(job_id))
    await bench.said(job_id, ImageStored)
    runtime.runner.in_hand.end(job_id, Stop.RELEASED)
    await running
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    ((image_id, *_),) = await rows(bench)
    assert (ending.fence, ending.reply.text) == (2, f"{shown(image_id)} Done.")
    assert [stored.image_id for stored in ending.reply.images] == [str(image_id)]


async def test_an_answer_whose_image_cannot_be_stored_now_is_not_passed_off_as_whole(
    bench: Bench, settings: Settings, provider: ScriptedProvider
) -> None:
    nowhere = settings.objects.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    runtime = await Runtime.open(settings.model_copy(update={"objects": nowhere}), queues=[], slots=1, decoders=1)
    await runtime.register()
    provider.play(openai_stream([written(images.png())]))
    job_id = await bench.chat()
    await runtime.runner.run(job_id)
    await runtime.close()
    ((setback,),) = [await bench.reads.setbacks(job_id)]
    assert setback.error is not None
    assert (setback.error.code, (await bench.view(job_id)).state) == (Unavailable.code, State.QUEUED)
    assert await rows(bench) == []


async def test_what_is_no_image_that_is_taken_leaves_an_empty_reference_and_nothing_else(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    broken, cut_off = images.with_broken_pixels(images.png(62, 48)), images.cut_off(images.png())
    hostile = [images.html_page(), broken, images.bomb(), cut_off]
    page = "SECRET" * 4
    said = " ".join([*(written(content) for content in hostile), f"![a cup](data:image/png;base64,{page}?)"])
    provider.play(openai_stream(in_letters(said, 5000)))
    with structlog.testing.capture_logs() as logged:
        ending = await answered(bench, runtime)
    assert (ending.state, ending.reply.text) == (State.SUCCEEDED, " ".join(["![a cup]()"] * 5))
    assert (ending.reply.images, await rows(bench)) == ([], [])
    assert [await bench.kept(content) for content in hostile] == [{}] * len(hostile)
    refused = [line for line in logged if line["event"] == "answer_image_refused"]
    assert [line["code"] for line in refused] == [
        "unsupported_media_type",
        "image_refused",
        "payload_too_large",
        "image_refused",
        "image_refused",
    ]
    assert page not in str(logged)


async def test_an_image_elsewhere_is_left_as_it_is_and_never_fetched(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    said = f"![a cup]({provider.url}/cup.png)"
    provider.play(openai_stream(in_letters(said)))
    ending = await answered(bench, runtime)
    assert (ending.reply.text, await rows(bench), len(provider.exchanges)) == (said, [], 1)


async def test_an_answer_that_breaks_off_keeps_its_words_and_no_half_image(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    for said, kept in (("Here: ![a cup](data:image/png;base64,AAAA", "Here: "), ("1 <", "1 <"), ("Oh ![a", "Oh ![a")):
        whole = openai_stream(in_letters(said, 5))
        provider.play(whole.cut_after(len(whole.body) - len(b"".join(whole.pieces[-3:]))))
        ending = await answered(bench, runtime)
        error = ending.reply.error
        assert error is not None
        assert (error.code, ending.reply.text) == (StreamIncomplete.code, kept)


async def test_a_cancelled_answer_shows_no_half_image_and_lets_go_of_the_provider(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    whole = openai_stream(["Here ", "<thi", "ng>: ", "![a cup](data:image/png;base64,", "AAAA"])
    provider.play(whole.stalled_after(len(whole.body) - len(b"".join(whole.pieces[-3:]))))
    job_id = await bench.chat()
    running = asyncio.create_task(runtime.runner.run(job_id))
    await bench.said(job_id, Text)
    await provider.until(lambda: provider.exchanges[0].pieces_sent == 6)
    assert await cancelled_in(bench, provider, job_id) < 0.5
    await running
    ending = await bench.ended(job_id)
    assert (ending.state, ending.reply.text) == (State.CANCELLED, "Here <thing>: ")


async def test_cancelling_while_an_image_is_stored_lets_go_of_the_provider(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    whole = openai_stream(["Here: ", written(images.png())])
    provider.play(whole.stalled_after(len(whole.body) - len(b"".join(whole.pieces[-3:]))))
    job_id = await bench.chat()
    async with await psycopg.AsyncConnection.connect(bench.settings.database.conninfo) as other:
        await other.execute("lock table image in access exclusive mode")
        running = asyncio.create_task(runtime.runner.run(job_id))
        await eventually(lambda: waiting_for_a_lock(bench), expecting="a worker that stores an image")
        assert await cancelled_in(bench, provider, job_id) < 0.5
        await running
    ending = await bench.ended(job_id)
    assert (ending.state, ending.reply.text, await rows(bench)) == (State.CANCELLED, "Here: ", [])


async def waiting_for_a_lock(bench: Bench) -> list[tuple[Any, ...]]:
    return await bench.rows(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )


async def cancelled_in(bench: Bench, provider: ScriptedProvider, job_id: JobId) -> float:
    """Cancel a job; return after how many seconds the provider saw its connection closed."""
    asked_at = time.monotonic()
    await bench.cancel(job_id)
    return await provider.wait_closed() - asked_at
