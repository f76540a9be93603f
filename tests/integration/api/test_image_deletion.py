"""Deleting a photo with everything that came of it: rows, objects, logs. Whole tables are counted around it."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from minio import Minio
from psycopg import sql

from shared.adapters.redis_connection import connect
from shared.database.tables import metadata
from shared.domain.events import Completed, Text
from shared.settings import Settings
from tests.images import photo, photo_with_exif
from tests.integration.api.devices import new_device
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.photo_runner import PhotoRunner
from tests.integration.api.photos import JPEG, Opener, add_finding, client_of, opener_for
from tests.served import Served, served
from tests.stack import TestStack

ABOUT_PHOTOS = (
    *("image", "image_name", "touch", "finding"),
    *("job", "job_body", "job_done", "job_setback"),
)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def opener(api: Served, settings: Settings) -> AsyncIterator[Opener]:
    async with opener_for(api, settings) as opener:
        yield opener


def counts(settings: Settings) -> dict[str, int]:
    assert set(metadata.tables) >= set(ABOUT_PHOTOS)
    with psycopg.connect(settings.database.conninfo) as connection:
        counted: dict[str, int] = {}
        for table in ABOUT_PHOTOS:
            row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
            assert row is not None
            counted[table] = row[0]
        return counted


def objects_of(stack: TestStack, settings: Settings, content: bytes) -> set[str]:
    """The keys of everything in the bucket that was made of a photo."""
    client = Minio(
        endpoint=stack.objects.endpoint_url.partition("://")[2],
        access_key=stack.objects.access_key,
        secret_key=stack.objects.secret_key,
        secure=False,
        region="us-east-1",
    )
    listed = client.list_objects(bucket_name=settings.objects.bucket, recursive=True)
    names = [entry.object_name or "" for entry in listed]
    return {name for name in names if name.startswith(("images/1/", "thumbnails/1/")) and _digest(content) in name}


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


async def logs(settings: Settings) -> int:
    redis: Any = connect(settings.redis)  # its stubs leave much unknown
    keys = [key async for key in redis.scan_iter(f"{settings.redis.prefix}log:*")]
    await redis.aclose()
    return len(keys)


async def analyse(api: Served, path: str) -> str:
    """Submit a job about a stored photo."""
    source = {"image": {"id": path.rpartition("/")[2]}}
    answer = await api.client.post("/v2/jobs", json={"kind": "vision", "input": source})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def test_nothing_is_left_of_a_deleted_photo(api: Served, opener: Opener, settings: Settings, stack: TestStack):
    content = photo_with_exif() + b"deleted"
    device = await new_device(api)
    path = await opener.ready(content)
    image_id = UUID(path.rpartition("/")[2])
    with psycopg.connect(settings.database.conninfo) as connection:
        named = (1, device.number, "test", "a.jpg", image_id)
        connection.execute(
            "insert into image_name (owner_id, device_number, bucket, name, image_id) values (%s, %s, %s, %s, %s)",
            named,
        )
        connection.execute("insert into touch (owner_id, device_number, image_id) values (1, 0, %s)", (image_id,))
    async with PhotoRunner(api.front) as runner:
        job_id = await analyse(api, path)
        claim = await runner.answer_next()
        with psycopg.connect(settings.database.conninfo) as connection:
            connection.execute("insert into job_setback (job_id, fence, what) values (%s, 1, 'failed')", (claim.id,))
        await add_finding(api, image_id)
        before = counts(settings)
        assert all(before.values()), before
        assert objects_of(stack, settings, content)
        assert await logs(settings) == 2
        deleted = await api.client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert counts(settings) == dict.fromkeys(ABOUT_PHOTOS, 0)
    assert objects_of(stack, settings, content) == set()
    assert await logs(settings) == 0
    gone = [await api.client.get(url) for url in (path, f"{path}/content", f"/v2/jobs/{job_id}")]
    again = await api.client.delete(path)
    assert [answer.status_code for answer in (*gone, again)] == [404] * 4


async def test_only_the_photo_itself_is_deleted(api: Served, settings: Settings, stack: TestStack):
    kept, other = photo(seed=101), photo(seed=102)
    path = (await api.client.post("/v2/images", content=kept, headers=JPEG)).json()["links"]["self"]
    gone = (await api.client.post("/v2/images", content=other, headers=JPEG)).json()["links"]["self"]
    async with await client_of(api, "anna") as anna:
        hers = (await anna.post("/v2/images", content=other, headers=JPEG)).json()["links"]["self"]
        foreign = await anna.delete(gone)
        assert (foreign.status_code, foreign.json()["detail"]) == (404, "There is no image with this id.")
        assert (await api.client.get(gone)).status_code == 200
        await analyse(api, path)
        await api.client.post("/v2/jobs", json={"kind": "chat", "input": {"messages": [_message("Hi")]}})
        await add_finding(api, UUID(path.rpartition("/")[2]))
        before = counts(settings)
        assert (await api.client.delete(gone)).status_code == 204
        assert (await anna.get(hers)).status_code == 200
    assert counts(settings) == before | {
        "image": before["image"] - 1,
        "job": before["job"] - 1,
        "job_body": before["job_body"] - 1,
        "job_done": before["job_done"],
    }
    assert objects_of(stack, settings, kept)
    assert objects_of(stack, settings, other) == set()


async def test_a_photo_uploaded_again_is_a_new_image(api: Served, opener: Opener):
    first = await opener.ready(photo())
    await api.client.delete(first)
    second = await opener.ready(photo())
    assert second != first
    assert (await api.client.get(f"{second}/content")).status_code == 200


async def test_a_photo_that_was_never_opened_is_deleted_with_its_job(api: Served, settings: Settings, stack: TestStack):
    content = photo(seed=103)
    path = (await api.client.post("/v2/images", content=content, headers=JPEG)).json()["links"]["self"]
    assert (await api.client.delete(path)).status_code == 204
    assert counts(settings) == dict.fromkeys(ABOUT_PHOTOS, 0)
    assert objects_of(stack, settings, content) == set()


async def test_what_a_killed_worker_left_of_a_photo_is_deleted_too(api: Served, settings: Settings, stack: TestStack):
    content = photo(seed=104)
    path = (await api.client.post("/v2/images", content=content, headers=JPEG)).json()["links"]["self"]
    for key in (f"images/1/{_digest(content)}.clean.jpg", f"thumbnails/1/{_digest(content)}.jpg"):
        await api.front.objects.put(key, b"half done", media_type="image/jpeg")
    assert len(objects_of(stack, settings, content)) == 3
    assert (await api.client.delete(path)).status_code == 204
    assert objects_of(stack, settings, content) == set()


async def test_a_running_job_about_the_photo_is_cancelled_first(api: Served, settings: Settings, stack: TestStack):
    content = photo(seed=105)
    path = (await api.client.post("/v2/images", content=content, headers=JPEG)).json()["links"]["self"]
    async with JobRunner(api.front) as runner:
        job_id = await analyse(api, path)
        attempt = await runner.begin(job_id)
        refused = await api.client.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert int(refused.headers["retry-after"]) > 0
        assert (await api.client.get(path)).status_code == 200
        assert objects_of(stack, settings, content)
        assert (await api.client.get(f"/v2/jobs/{job_id}")).json()["cancel_requested_at"] is not None
        deleting = asyncio.create_task(api.client.delete(path))
        await attempt.say(Text("still here"))
        await attempt.end(Completed("stop"))
        assert (await deleting).status_code in (204, 409)
        assert (await api.client.delete(path)).status_code in (204, 404)
    assert counts(settings) == dict.fromkeys(ABOUT_PHOTOS, 0)
    assert objects_of(stack, settings, content) == set()


async def test_a_photo_is_deleted_while_redis_is_away(settings: Settings, stack: TestStack):
    content = photo(seed=106)
    nowhere = settings.redis.model_copy(update={"url": type(settings.redis.url)("redis://127.0.0.1:1/0")})
    async with served(settings.model_copy(update={"redis": nowhere})) as api:
        path = (await api.client.post("/v2/images", content=content, headers=JPEG)).json()["links"]["self"]
        assert (await api.client.delete(path)).status_code == 204
    assert counts(settings) == dict.fromkeys(ABOUT_PHOTOS, 0)
    assert objects_of(stack, settings, content) == set()


async def test_two_who_delete_a_photo_at_once_do_no_harm(api: Served, settings: Settings):
    path = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]["self"]
    await analyse(api, path)
    answers = await asyncio.gather(*(api.client.delete(path) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {204, 404}
    assert 204 in {answer.status_code for answer in answers}
    assert counts(settings) == dict.fromkeys(ABOUT_PHOTOS, 0)


async def test_a_photo_stays_whole_where_the_object_store_is_away(settings: Settings):
    async with served(settings) as api:
        path = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]["self"]
    nowhere = settings.objects.model_copy(update={"endpoint_url": "http://127.0.0.1:1"})
    async with served(settings.model_copy(update={"objects": nowhere})) as api:
        refused = await api.client.delete(path, timeout=30)
        assert (refused.status_code, (await api.client.get(path)).status_code) == (503, 200)


def _message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}
