"""The fielded firmware as a registered device: its token in the path, photos and jobs of its own, and no other's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, literal, select, update

from shared.database.statements.photo_names import name_for_image
from shared.database.tables import device_profile, image, image_name, job, touch
from shared.domain.dispense import SMARTSIP_V01
from shared.domain.ids import uuid7
from shared.settings import Settings
from tests.firmware import Device
from tests.images import photo
from tests.integration.api.devices import Registered, new_device
from tests.integration.api.fielded import ANSWER, NAME, Stored, fielded, firmware_settings, is_refusal, stored
from tests.integration.api.photo_runner import PhotoRunner, payload_of
from tests.served import Served, served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(firmware_settings(settings, firmware_access="token")) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
async def registered(api: Served) -> Registered:
    return await new_device(api, owner_name="anna", name="kitchen")


@pytest.fixture
def device(api: Served, registered: Registered) -> Device:
    return fielded(api, registered)


async def test_a_touch_of_a_device_is_its_owners_and_its_own(
    device: Device, registered: Registered, runner: PhotoRunner, api: Served
):
    answering = asyncio.create_task(runner.answer_next())
    answer = await device.touch(NAME, photo())
    claim = await answering
    assert (answer.status, answer.body, [frame.hex() for frame in answer.frames]) == (200, ANSWER, ["69995e130a"])
    jobs = await api.front.queries.rows(select(job.c.owner_id, job.c.fair_key))
    photos = await api.front.queries.rows(select(image.c.owner_id, image.c.device_id, image.c.id))
    names = await api.front.queries.rows(select(image_name.c.owner_id, image_name.c.device_number, image_name.c.name))
    assert [*map(tuple, jobs)] == [(registered.owner_id, registered.number)]
    assert [*map(tuple, names)] == [(registered.owner_id, registered.number, NAME)]
    assert [*map(tuple, photos)] == [
        (registered.owner_id, registered.id, UUID(payload_of(claim)["input"]["image"]["id"]))
    ]


@pytest.mark.covers("F000-10")
async def test_a_photo_of_another_device_of_the_same_owner_is_not_to_be_had(
    device: Device, runner: PhotoRunner, api: Served
):
    other = fielded(api, await new_device(api, owner_name="anna"))
    await other.put(NAME, photo())
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == Stored(images=1, names=1, jobs=0)


async def test_two_devices_that_use_the_same_name_get_each_its_own_photos_command(api: Served, runner: PhotoRunner):
    asked: dict[str, str] = {}
    for owner in ("anna", "anna", "boris"):
        seed = len(asked)
        device = fielded(api, await new_device(api, owner_name=owner))
        await device.put("image_000001.jpg", photo(seed=seed))
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.ask("/image_000001.jpg")).body == ANSWER
        asked[payload_of(await answering)["input"]["image"]["id"]] = owner
    assert [*asked.values()] == ["anna", "anna", "boris"]
    assert await stored(api) == Stored(images=3, names=3, jobs=3)


async def test_the_same_photo_from_two_devices_of_an_owner_is_one_image_and_two_touches(
    api: Served, runner: PhotoRunner
):
    for _ in range(2):
        device = fielded(api, await new_device(api, owner_name="anna"))
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch(NAME, photo())).body == ANSWER
        await answering
    assert await stored(api) == Stored(images=1, names=2, jobs=2)


async def test_what_the_server_says_of_a_device_wins_over_what_is_compiled_into_it(api: Served, runner: PhotoRunner):
    profile = SMARTSIP_V01.model_copy(update={"name": "small-cups", "max_volume_ml": 150})
    kitchen = await new_device(api, owner_name="anna", model="demo/kitchen", profile="small-cups", prompt="smartsip@1")
    document = profile.model_dump(mode="json")
    row = {"owner_id": kitchen.owner_id, "name": "small-cups", "document": document}
    await api.front.queries.rows(device_profile.insert().values(row).returning(device_profile.c.name))
    answering = asyncio.create_task(runner.answer_next())
    assert (await fielded(api, kitchen).touch(NAME, photo(), llm_type="demo", model="compiled-in")).body == ANSWER
    task = payload_of(await answering)
    assert (task["model"], task["input"]["prompt"]) == ("demo/kitchen", "smartsip@1")
    assert "small-cups" in str(task["input"]["profile"])


async def test_without_a_model_of_its_own_a_device_asks_for_the_one_compiled_in(device: Device, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    await device.touch(NAME, photo(), llm_type="demo", model="compiled-in")
    assert payload_of(await answering)["model"] == "demo/compiled-in"


async def test_what_its_profile_says_comes_before_the_model_compiled_in(api: Served, runner: PhotoRunner):
    attic = await new_device(api, owner_name="anna", profile="small-cups")
    profile = SMARTSIP_V01.model_copy(update={"name": "small-cups", "model": "demo/of-profile"})
    row = {"owner_id": attic.owner_id, "name": profile.name, "document": profile.model_dump(mode="json")}
    async with api.front.queries.transaction() as connection:
        await connection.execute(insert(device_profile).values(row))
    answering = asyncio.create_task(runner.answer_next())
    await fielded(api, attic).touch(NAME, photo(), llm_type="demo", model="compiled-in")
    assert payload_of(await answering)["model"] == "demo/of-profile"


async def test_asking_about_the_same_photo_within_a_minute_is_one_job(
    device: Device, registered: Registered, runner: PhotoRunner, api: Served
):
    assert (await device.put(NAME, photo())).status == 200
    began = select(image.c.owner_id, literal(registered.number), image.c.id, func.now() - timedelta(seconds=50))
    columns = ["owner_id", "device_number", "image_id", "began_at"]
    await api.front.queries.rows(touch.insert().from_select(columns, began).returning(touch.c.image_id))
    answering = asyncio.create_task(runner.answer_next())
    assert (await device.ask(f"/{NAME}")).body == ANSWER
    await answering
    assert (await device.ask(f"/{NAME}")).body == ANSWER
    assert len(await runner.jobs()) == 1


async def test_asking_about_the_same_photo_after_a_minute_is_another_touch(
    device: Device, runner: PhotoRunner, api: Served
):
    for jobs in (1, 2):
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch(NAME, photo())).body == ANSWER
        await answering
        assert len(await runner.jobs()) == jobs
        turned = update(touch).values(began_at=touch.c.began_at - timedelta(seconds=61)).returning(touch.c.image_id)
        await api.front.queries.rows(turned)


async def test_a_command_that_has_lapsed_is_not_told_again(settings: Settings):
    clocks = settings.clocks.model_copy(update={"command_valid": timedelta(milliseconds=1)})
    quick = firmware_settings(settings.model_copy(update={"clocks": clocks}), firmware_access="token")
    async with served(quick) as api, PhotoRunner(api.front) as runner:
        device = fielded(api, await new_device(api))
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch(NAME, photo())).body == ANSWER
        await answering
        again = await device.ask(f"/{NAME}")
        assert is_refusal(again, 409, "this command was made too long ago: touch the screen again")
        assert len(await runner.jobs()) == 1


async def test_a_photo_that_was_deleted_in_that_moment_gets_no_name(api: Served, registered: Registered):
    statement = name_for_image(registered.owner_id, registered.number, "test", NAME, image_id=uuid7())
    assert await api.front.queries.rows(statement) == []
    assert await api.front.queries.rows(select(image_name.c.name)) == []
