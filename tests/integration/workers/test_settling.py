"""Stored photos become fit to be shown: by upload jobs, and beside the provider's work; once, whoever does it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest

from shared.database.queries import Queries
from shared.domain.commands import ChatInput, ImagePart, JobSpec, Message, StoredImage, VisionTask
from shared.domain.errors import ImageRefused, NotFound, PayloadTooLarge
from shared.domain.events import Completed, Event, Result, Started
from shared.domain.ids import LOCAL_OWNER, OwnerId, new_job_id, uuid7
from shared.domain.image_keys import clean_key, original_key, thumbnail_key
from shared.domain.jobs import Kind, State
from shared.encryption import Sealer
from tests import images
from tests.integration.workers.bench import MODEL, Bench, events_of
from tests.scripted_provider import ScriptedProvider, openai_stream
from tests.stack import eventually
from workers.gate import Gate
from workers.runtime import Runtime
from workers.services.attempt import Attempt, Tools
from workers.services.media.load_image import Photo, load_photo
from workers.services.media.stored_image import find_image, read_image
from workers.services.pictures.decode_image import ImageDecoder
from workers.services.pictures.settle_beside import settling
from workers.services.pictures.settle_image import settle_image

ANSWER = '{"volume": 200, "degree": 25, "type": "cup"}'
SECRET = images.SECRET_PLACE.encode()
FIELD = "input.image"


@pytest.fixture
async def tools(bench: Bench) -> AsyncGenerator[Tools]:
    """What services get, with a decoder whose subprocess is replaced after two images."""
    async with ImageDecoder(processes=1, images_per_process=2) as decoder:
        yield Tools(
            providers={},
            objects=bench.objects,
            queries=Queries(bench.engine),
            decoder=decoder,
            clocks=bench.settings.clocks,
            sealer=Sealer(bench.settings.master_key),
            prices={},
            gate=cast("Gate", None),  # nothing here asks a provider
        )


async def row(bench: Bench, image_id: UUID) -> dict[str, Any]:
    """What an image's row says that a worker may change."""
    columns = "object_key, media_type, size_bytes, width, height, content_sha256, thumbnail_key, sha256"
    ((*values, is_ready),) = await bench.rows(
        "select object_key, media_type, size_bytes, width, height, content_sha256, thumbnail_key, sha256,"
        " ready_at is not null from image where id = %s",
        image_id,
    )
    return dict(zip(columns.split(", "), values, strict=True)) | {"is_ready": is_ready}


async def photo_of(tools: Tools, image_id: UUID) -> Photo:
    """The photo as a vision job loads it."""
    source = StoredImage(id=image_id)
    spec = JobSpec(kind=Kind.VISION, model=MODEL, input=VisionTask(image=source))
    said: list[Event] = []
    attempt = Attempt(job_id=new_job_id(), owner_id=LOCAL_OWNER, spec=spec, tools=tools, emit=said.append)
    return await load_photo(attempt, source)


@asynccontextmanager
async def held(bench: Bench, image_id: UUID) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Hold an image's row, so that nobody can write it meanwhile; what the holder writes is seen afterwards."""
    async with await psycopg.AsyncConnection.connect(bench.settings.database.conninfo) as connection:
        await connection.execute("select 1 from image where id = %s for update", [image_id])
        yield connection


async def test_an_upload_is_cleaned_shown_and_told(bench: Bench, runtime: Runtime) -> None:
    content = images.photo_where_and_when(orientation=6)
    sha256 = hashlib.sha256(content).digest()
    image_id = await bench.store(content)
    job_id = await bench.upload(image_id)
    await runtime.runner.run(job_id)
    kept = await bench.kept(content)
    clean, thumbnail = clean_key(LOCAL_OWNER, sha256, "jpg"), thumbnail_key(LOCAL_OWNER, sha256)
    assert set(kept) == {clean, thumbnail}
    assert SECRET in content
    assert SECRET not in kept[clean] + kept[thumbnail]
    assert await row(bench, image_id) == {
        "object_key": clean,
        "media_type": "image/jpeg",
        "size_bytes": len(kept[clean]),
        "width": 480,
        "height": 640,
        "content_sha256": hashlib.sha256(kept[clean]).digest(),
        "thumbnail_key": thumbnail,
        "sha256": sha256,
        "is_ready": True,
    }
    facts = {
        "image_id": str(image_id),
        "state": "ready",
        "media_type": "image/jpeg",
        "size_bytes": len(kept[clean]),
        "width": 480,
        "height": 640,
        "sha256": sha256.hex(),
    }
    ending = await bench.ended(job_id)
    assert events_of(ending.entries) == [Started("smartsip", "decoder"), Result(facts), Completed("stop")]


async def test_a_webp_is_kept_as_what_it_became(bench: Bench, runtime: Runtime) -> None:
    content = images.webp_where_and_when()
    image_id = await bench.store(content)
    await runtime.runner.run(await bench.upload(image_id))
    found = await row(bench, image_id)
    assert (found["media_type"], found["object_key"].rpartition(".clean.")[2]) == ("image/jpeg", "jpg")
    assert original_key(LOCAL_OWNER, found["sha256"], "webp") not in await bench.kept(content)


@pytest.mark.parametrize("content", [images.photo(), images.photo(1000, 700)])
async def test_a_plain_photo_stays_the_object_that_it_was(bench: Bench, runtime: Runtime, content: bytes) -> None:
    image_id = await bench.store(content)
    before = await row(bench, image_id)
    await runtime.runner.run(await bench.upload(image_id))
    found = await row(bench, image_id)
    assert found == before | {
        "is_ready": True,
        "content_sha256": before["sha256"],
        "thumbnail_key": found["thumbnail_key"],
    }
    kept = await bench.kept(content)
    assert kept.pop(found["object_key"]) == content
    assert list(kept) == ([found["thumbnail_key"]] if found["thumbnail_key"] else [])
    assert bool(found["thumbnail_key"]) == (found["width"] > 320)


async def test_an_upload_that_is_ready_is_a_success_and_what_a_killed_worker_left_is_removed(
    bench: Bench, runtime: Runtime
) -> None:
    content = images.png_where_and_when()
    image_id = await bench.store(content)
    first = await bench.upload(image_id)
    await runtime.runner.run(first)
    before, kept = await row(bench, image_id), await bench.kept(content)
    await bench.objects.put(original_key(LOCAL_OWNER, before["sha256"], "png"), content, media_type="image/png")
    second = await bench.upload(image_id)
    await runtime.runner.run(second)
    assert (await row(bench, image_id), await bench.kept(content)) == (before, kept)
    assert (await bench.ended(second)).reply.result == (await bench.ended(first)).reply.result


async def test_an_upload_whose_image_is_gone_is_not_found(bench: Bench, runtime: Runtime) -> None:
    job_id = await bench.upload(uuid7())
    await runtime.runner.run(job_id)
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, error.code, error.field) == (State.FAILED, NotFound.code, "input.image_id")


async def test_another_owners_image_is_not_found_and_not_touched(bench: Bench, runtime: Runtime) -> None:
    await bench.rows("insert into owner (name) values ('other')")
    content = images.with_broken_pixels(images.png(66, 48))
    image_id = await bench.store(content, owner_id=OwnerId(2))
    before = await row(bench, image_id)
    job_id = await bench.upload(image_id)
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert error.code == NotFound.code
    assert await row(bench, image_id) == before
    assert list((await bench.kept(content, owner_id=OwnerId(2))).values()) == [content]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (images.with_broken_pixels(images.png(65, 48)), ImageRefused.code),
        (images.bomb(6000, 5000), PayloadTooLarge.code),
    ],
)
async def test_an_upload_that_cannot_be_opened_is_forgotten_and_not_tried_again(
    bench: Bench, settings: Any, content: bytes, code: str
) -> None:
    limits = settings.limits.model_copy(update={"image_pixels": 20_000_000})
    runtime = await Runtime.open(settings.model_copy(update={"limits": limits}), queues=[], slots=1, decoders=1)
    await runtime.register()
    image_id = await bench.store(content)
    job_id = await bench.upload(image_id)
    await runtime.runner.run(job_id)
    await runtime.close()
    ending = await bench.ended(job_id)
    error = ending.reply.error
    assert error is not None
    assert (ending.state, ending.fence, error.code) == (State.FAILED, 1, code)
    assert await bench.rows("select 1 from image where id = %s", image_id) == []
    assert await bench.kept(content) == {}


async def test_what_another_worker_could_open_is_not_forgotten(bench: Bench, runtime: Runtime) -> None:
    content = images.with_broken_pixels(images.png(68, 48))
    image_id = await bench.store(content)
    job_id = await bench.upload(image_id)

    async def waits() -> list[tuple[Any, ...]]:
        return await bench.rows(
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )

    async with held(bench, image_id) as other:
        await other.execute("update image set ready_at = now() where id = %s", [image_id])
        running = asyncio.create_task(runtime.runner.run(job_id))
        await eventually(waits, expecting="a worker that wants to forget the image")
    await running
    assert (await bench.ended(job_id)).state is State.SUCCEEDED
    assert ((await row(bench, image_id))["is_ready"], list((await bench.kept(content)).values())) == (True, [content])


async def test_two_workers_at_once_make_one_row_and_lose_nothing(bench: Bench, runtime: Runtime) -> None:
    content = images.photo_where_and_when(900, 700, orientation=3)
    image_id = await bench.store(content)
    jobs = [await bench.upload(image_id) for _ in range(4)]
    await asyncio.gather(*(runtime.runner.run(job_id) for job_id in jobs))
    endings = [await bench.ended(job_id) for job_id in jobs]
    assert {ending.state for ending in endings} == {State.SUCCEEDED}
    found, kept = await row(bench, image_id), await bench.kept(content)
    assert set(kept) == {found["object_key"], found["thumbnail_key"]}
    assert hashlib.sha256(kept[found["object_key"]]).digest() == found["content_sha256"]


async def test_who_comes_second_deletes_nothing(bench: Bench, tools: Tools) -> None:
    content = images.photo_where_and_when(700, 500)
    image_id = await bench.store(content)
    stale = await find_image(tools, LOCAL_OWNER, image_id, field=FIELD)
    first = await settle_image(tools, stale, content)
    kept = await bench.kept(content)
    assert await settle_image(tools, stale, content) == first
    assert await bench.kept(content) == kept


async def test_an_image_that_is_deleted_meanwhile_leaves_no_object(bench: Bench, tools: Tools) -> None:
    content = images.photo_where_and_when(710, 510)
    image_id = await bench.store(content)
    stale = await find_image(tools, LOCAL_OWNER, image_id, field=FIELD)
    await bench.objects.delete(stale.object_key)
    await bench.rows("delete from image where id = %s", image_id)
    with pytest.raises(NotFound):
        await settle_image(tools, stale, content)
    assert await bench.kept(content) == {}


async def test_an_image_that_was_deleted_and_sent_again_keeps_its_objects(bench: Bench, tools: Tools) -> None:
    content = images.photo_where_and_when(720, 520)
    stale = await find_image(tools, LOCAL_OWNER, await bench.store(content), field=FIELD)
    await bench.rows("delete from image where id = %s", stale.id)
    again = await find_image(tools, LOCAL_OWNER, await bench.store(content), field=FIELD)
    ready = await settle_image(tools, again, content)
    with pytest.raises(NotFound):
        await settle_image(tools, stale, content)
    assert ready.object_key in await bench.kept(content)


async def test_an_object_that_was_replaced_since_its_row_was_read_is_found(bench: Bench, tools: Tools) -> None:
    content = images.photo_where_and_when(730, 530)
    image_id = await bench.store(content)
    stale = await find_image(tools, LOCAL_OWNER, image_id, field=FIELD)
    ready = await settle_image(tools, stale, content)
    found, cleaned = await read_image(tools, stale, field=FIELD)
    assert (found, found.is_ready) == (ready, True)
    assert SECRET not in cleaned
    await bench.objects.delete(ready.object_key)
    with pytest.raises(NotFound):
        await read_image(tools, stale, field=FIELD)


async def test_a_plain_small_photo_is_settled_beside_the_answer_without_being_decoded_again(
    bench: Bench, tools: Tools
) -> None:
    content = images.photo(seed=7)
    image_id = await bench.store(content)
    photo = await photo_of(tools, image_id)
    before = tools.decoder.process_ids
    async with settling(tools, photo):
        pass
    assert tools.decoder.process_ids == before  # a second image would have been this subprocess's last
    found = await row(bench, image_id)
    assert (found["is_ready"], found["content_sha256"], found["thumbnail_key"]) == (True, found["sha256"], None)
    assert list(await bench.kept(content)) == [found["object_key"]]


async def test_a_photo_with_metadata_is_cleaned_beside_the_answer(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([ANSWER]).delayed(0.2))
    content = images.photo_where_and_when(740, 540)
    image_id = await bench.store(content)
    job_id = await bench.vision(StoredImage(id=image_id))
    await runtime.runner.run(job_id)
    assert (await bench.ended(job_id)).state is State.SUCCEEDED
    found, kept = await row(bench, image_id), await bench.kept(content)
    assert found["is_ready"]
    assert set(kept) == {found["object_key"], found["thumbnail_key"]}
    assert SECRET not in kept[found["object_key"]]
    assert SECRET not in provider.exchanges[0].body


async def test_a_photo_that_cannot_be_settled_now_does_not_hold_up_or_fail_the_answer(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([ANSWER]))
    image_id = await bench.store(images.photo(seed=8))
    job_id = await bench.vision(StoredImage(id=image_id))
    async with held(bench, image_id):
        await runtime.runner.run(job_id)
        ending = await bench.ended(job_id)
    assert ending.state is State.SUCCEEDED
    assert not (await row(bench, image_id))["is_ready"]


async def test_a_photo_is_not_settled_any_more_when_its_job_is_cancelled(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    provider.play(openai_stream([ANSWER]).delayed(5))
    image_id = await bench.store(images.photo(seed=9))
    job_id = await bench.vision(StoredImage(id=image_id))
    async with held(bench, image_id):
        running = asyncio.create_task(runtime.runner.run(job_id))
        await provider.wait_requests()
        await bench.cancel(job_id)
        assert (await bench.ended(job_id)).state is State.CANCELLED
        await running
    assert not (await row(bench, image_id))["is_ready"]


async def test_a_stored_photo_that_cannot_be_opened_fails_its_vision_job_and_stays(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    content = images.with_broken_pixels(images.png(67, 48))
    image_id = await bench.store(content)
    before = await row(bench, image_id)
    job_id = await bench.vision(StoredImage(id=image_id))
    await runtime.runner.run(job_id)
    error = (await bench.ended(job_id)).reply.error
    assert error is not None
    assert error.code == ImageRefused.code
    assert (await row(bench, image_id), provider.exchanges) == (before, [])


async def test_a_chat_shows_a_photo_to_the_model_and_leaves_it_as_it_is(
    bench: Bench, runtime: Runtime, provider: ScriptedProvider
) -> None:
    content = images.photo_where_and_when(750, 550)
    image_id = await bench.store(content)
    before = await row(bench, image_id)
    part = ImagePart(type="image", image=StoredImage(id=image_id))
    spec = JobSpec(kind=Kind.CHAT, model=MODEL, input=ChatInput(messages=[Message(role="user", content=[part])]))
    await runtime.runner.run(await bench.accept(spec))
    assert SECRET not in provider.exchanges[0].body
    assert (await row(bench, image_id), list((await bench.kept(content)).values())) == (before, [content])
