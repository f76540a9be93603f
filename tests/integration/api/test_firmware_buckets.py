"""Devices that write straight to the S3 server, into a bucket that is mapped to one owner."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from shared.adapters.minio_object_store import MinioObjectStore
from shared.database.tables import image, image_name
from shared.settings import Settings
from tests.firmware import Device
from tests.images import cut_off, html_page, photo
from tests.integration.api.devices import new_device
from tests.integration.api.fielded import (
    ANSWER,
    NAME,
    NOTHING_STORED,
    Stored,
    fielded,
    firmware_settings,
    is_refusal,
    stored,
)
from tests.integration.api.photo_runner import PhotoRunner, payload_of
from tests.served import Served, served
from tests.stack import TestStack, make_bucket

OLD = "image_000001.jpg"
GONE = "The service is not available at the moment"


@pytest.fixture
def bucket_of_anna(stack: TestStack) -> str:
    return make_bucket(stack)


@pytest.fixture
async def anna(settings: Settings, bucket_of_anna: str) -> AsyncIterator[MinioObjectStore]:
    """The bucket as a device sees it that writes into it."""
    store = MinioObjectStore(settings.objects.model_copy(update={"bucket": bucket_of_anna}))
    yield store
    store.close()


@pytest.fixture
async def api(settings: Settings, bucket_of_anna: str) -> AsyncIterator[Served]:
    buckets = {bucket_of_anna: "anna"}
    async with served(firmware_settings(settings, firmware_access="token", device_buckets=buckets)) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
async def device(api: Served) -> Device:
    return fielded(api, await new_device(api, owner_name="anna"))


async def put(bucket: MinioObjectStore, name: str, content: bytes) -> None:
    await bucket.put(name, content, media_type="image/jpeg")


async def asked_about(api: Served, runner: PhotoRunner, device: Device, name: str) -> bytes:
    """Let a device ask, and return the photo its command was made from."""
    answering = asyncio.create_task(runner.answer_next())
    assert (await device.ask(f"/{name}")).body == ANSWER
    image_id = payload_of(await answering)["input"]["image"]["id"]
    rows = await api.front.queries.rows(select(image.c.object_key).where(image.c.id == image_id))
    return await api.front.objects.get(rows[0].object_key)


async def test_a_photo_in_the_owners_bucket_is_answered_and_kept(
    api: Served, runner: PhotoRunner, device: Device, anna: MinioObjectStore
):
    await put(anna, NAME, photo())
    assert await asked_about(api, runner, device, NAME) == photo()
    assert await stored(api) == Stored(images=1, names=0, jobs=1)


async def test_a_name_that_is_used_again_means_the_newer_photo(
    api: Served, runner: PhotoRunner, device: Device, anna: MinioObjectStore
):
    for seed in (1, 2):
        await put(anna, OLD, photo(seed=seed))
        assert await asked_about(api, runner, device, OLD) == photo(seed=seed)
    assert await stored(api) == Stored(images=2, names=0, jobs=2)


async def test_asking_again_about_the_same_object_is_one_job(
    runner: PhotoRunner, api: Served, device: Device, anna: MinioObjectStore
):
    await put(anna, NAME, photo())
    assert await asked_about(api, runner, device, NAME) == photo()
    assert (await device.ask(f"/{NAME}")).body == ANSWER
    assert len(await runner.jobs()) == 1


async def test_the_bucket_of_an_owner_is_nobody_elses(api: Served, runner: PhotoRunner, anna: MinioObjectStore):
    await put(anna, NAME, photo())
    for owner_name in ("boris", "local"):
        device = fielded(api, await new_device(api, owner_name=owner_name))
        assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == NOTHING_STORED


async def test_a_name_that_is_nowhere_is_not_found(api: Served, runner: PhotoRunner, device: Device):
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == NOTHING_STORED


async def test_what_a_device_has_just_stored_here_is_not_mistaken_for_anothers_object(
    api: Served, runner: PhotoRunner, device: Device, anna: MinioObjectStore
):
    await put(anna, OLD, photo(seed=1))
    await device.put(OLD, photo(seed=2))
    assert await asked_about(api, runner, device, OLD) == photo(seed=2)


async def test_a_device_that_was_moved_to_the_bucket_is_asked_for_what_is_there(
    api: Served, runner: PhotoRunner, device: Device, anna: MinioObjectStore
):
    await device.put(OLD, photo(seed=1))
    await api.front.queries.rows(
        update(image_name).values(stored_at=func.now() - timedelta(seconds=61)).returning(image_name.c.name)
    )
    await put(anna, OLD, photo(seed=2))
    assert await asked_about(api, runner, device, OLD) == photo(seed=2)


async def test_what_is_not_in_the_bucket_is_looked_for_among_the_photos_stored_here(
    api: Served, runner: PhotoRunner, device: Device
):
    await device.put(NAME, photo())
    await api.front.queries.rows(
        update(image_name).values(stored_at=func.now() - timedelta(days=1)).returning(image_name.c.name)
    )
    assert await asked_about(api, runner, device, NAME) == photo()


@pytest.mark.parametrize(
    ("content", "status", "line"),
    [
        pytest.param(photo() + bytes(2_000_000), 413, "At most 1048576 bytes are taken here.", id="two megabytes"),
        pytest.param(html_page(), 415, None, id="HTML"),
        pytest.param(cut_off(photo()), 422, None, id="a truncated JPEG"),
        pytest.param(b"", 422, "The image is empty: 0 bytes arrived.", id="nothing"),
    ],
)
async def test_an_object_that_is_no_photo_is_refused(
    api: Served,
    runner: PhotoRunner,
    device: Device,
    anna: MinioObjectStore,
    content: bytes,
    status: int,
    line: str | None,
):
    await put(anna, NAME, content)
    answer = await device.ask(f"/{NAME}")
    assert is_refusal(answer, status, line or answer.body.decode().removeprefix("error msg: "))
    assert await stored(api) == NOTHING_STORED


async def test_a_name_that_is_a_path_reaches_no_bucket(api: Served, runner: PhotoRunner, device: Device):
    for name in ("../images/1/a.jpg", "%2e%2e%2fimages", "images/1/a.jpg", "."):
        assert is_refusal(await device.ask(f"/{name}"), 400, "invalid image name")


async def test_the_servers_own_bucket_cannot_be_read_by_name(api: Served, runner: PhotoRunner, device: Device):
    await api.front.objects.put(NAME, photo(), media_type="image/jpeg")
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")


async def test_a_bucket_that_is_not_there_is_no_bucket_without_photos(settings: Settings):
    missing = firmware_settings(settings, firmware_access="token", device_buckets={"nowhere-to-be-found": "anna"})
    async with served(missing) as api, PhotoRunner(api.front):
        device = fielded(api, await new_device(api, owner_name="anna"))
        assert is_refusal(await device.ask(f"/{NAME}"), 503, GONE)
        other = fielded(api, await new_device(api, owner_name="boris"))
        assert is_refusal(await other.ask(f"/{NAME}"), 404, "no such image")
        assert await stored(api) == NOTHING_STORED


async def test_a_bucket_of_several_is_found(settings: Settings, stack: TestStack, anna: MinioObjectStore):
    first, second = make_bucket(stack), make_bucket(stack)
    several = firmware_settings(settings, firmware_access="token", device_buckets={first: "anna", second: "anna"})
    store = MinioObjectStore(settings.objects.model_copy(update={"bucket": second}))
    await put(store, NAME, photo())
    store.close()
    async with served(several) as api, PhotoRunner(api.front) as runner:
        device = fielded(api, await new_device(api, owner_name="anna"))
        assert await asked_about(api, runner, device, NAME) == photo()


async def test_on_this_machine_the_buckets_of_the_local_owner_are_looked_into(
    settings: Settings, bucket_of_anna: str, anna: MinioObjectStore
):
    await put(anna, NAME, photo())
    local = firmware_settings(settings, device_buckets={bucket_of_anna: "local"})
    async with served(local) as api, PhotoRunner(api.front) as runner:
        assert await asked_about(api, runner, Device(api.url), NAME) == photo()
