"""The clocks of a touch: the device hangs up after 5 s without a line, and pours nothing that took longer than 15."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.domain.errors import ProviderTimeout
from shared.settings import Settings
from tests.firmware import Device, GaveUp
from tests.images import photo
from tests.integration.api.fielded import ANSWER, NAME, NOTHING, firmware_settings
from tests.integration.api.photo_runner import PhotoRunner
from tests.served import Served, served

SCALE = 0.2  # of every clock, here and in the device: the second between 4 and 5 must outlast a busy machine's pauses


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(firmware_settings(settings, scale=SCALE)) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
def device(api: Served) -> Device:
    return Device(api.url, scale=SCALE)


@pytest.mark.covers("F000-20")
async def test_a_provider_that_takes_twelve_seconds_is_waited_for_with_spaces(device: Device, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next(after_s=12 * SCALE))
    answer = await device.touch(NAME, photo())
    await answering
    assert (answer.status, answer.headers["transfer-encoding"]) == (200, "chunked")
    assert answer.body.lstrip(b" ") == ANSWER
    assert 4 <= answer.body.count(b" ") <= 6
    assert set(answer.arrivals[:-1]) == {b" "}
    assert [frame.hex() for frame in answer.frames] == ["69995e130a"]


async def test_after_fifteen_seconds_nothing_is_poured(device: Device, runner: PhotoRunner):
    claiming = asyncio.create_task(runner.claim_next())
    answer = await device.touch(NAME, photo())
    await claiming
    assert (answer.status, answer.body.lstrip(b" "), answer.frames) == (200, NOTHING, [])


async def test_a_job_nobody_takes_pours_nothing(device: Device):
    answer = await device.touch(NAME, photo())
    assert (answer.status, answer.body.lstrip(b" "), answer.frames) == (200, NOTHING, [])


async def test_a_late_failure_is_the_command_that_pours_nothing(device: Device, runner: PhotoRunner):
    failing = asyncio.create_task(runner.fail_next(ProviderTimeout().info(), after_s=6 * SCALE))
    answer = await device.touch(NAME, photo())
    await failing
    assert (answer.status, answer.body.lstrip(b" "), answer.frames) == (200, NOTHING, [])


async def test_without_spaces_the_device_would_have_hung_up(settings: Settings):
    silent = firmware_settings(settings, scale=SCALE)
    clocks = silent.clocks.model_copy(update={"firmware_answer": timedelta(seconds=10 * SCALE)})
    async with served(silent.model_copy(update={"clocks": clocks})) as api:
        with pytest.raises(GaveUp):
            await Device(api.url, scale=SCALE).touch(NAME, photo())
