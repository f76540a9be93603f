"""The AWS signature V2 that the fielded firmware puts on its uploads: checked where the device was given a pair."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.settings import Settings
from tests.firmware import Device, sign
from tests.images import photo
from tests.integration.api.devices import Registered, new_device
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
from tests.integration.api.photo_runner import PhotoRunner
from tests.served import Served, served

WRONG = "the access key or the signature is wrong"
UNSIGNED = "this device signs its uploads: Authorization: AWS <access key>:<signature>"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(firmware_settings(settings, firmware_access="token")) as running:
        yield running


@pytest.fixture
async def registered(api: Served) -> Registered:
    return await new_device(api, access_key="AKITCHEN", secret_key="a secret / of + the pair")


@pytest.fixture
def device(api: Served, registered: Registered) -> Device:
    return fielded(api, registered)


def request(
    device: Registered, *, authorization: str | None = None, date: str | None = None, body: bytes = b""
) -> bytes:
    """A PUT with exactly these headers, of a photo that is announced whole."""
    lines = [
        f"PUT {device.prefix}/test/{NAME} HTTP/1.1",
        *("Host: device", "Content-Type: image/jpeg", f"Content-Length: {len(body)}"),
        *([f"Authorization: {authorization}"] if authorization is not None else []),
        *([f"Date: {date}"] if date is not None else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def signed(device: Registered, date: str) -> str:
    return f"AWS {device.access_key}:{sign(str(device.secret_key), 'PUT', 'image/jpeg', date, f'/test/{NAME}')}"


def in_http(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.covers("F000-12")
async def test_a_device_that_signs_with_its_pair_is_answered(device: Device, api: Served):
    async with PhotoRunner(api.front) as runner:
        answering = asyncio.create_task(runner.answer_next())
        assert (await device.touch(NAME, photo())).body == ANSWER
        await answering


async def test_the_tokens_prefix_is_not_part_of_what_is_signed(device: Device, api: Served, registered: Registered):
    date = in_http(datetime.now(UTC))
    whole = sign(str(registered.secret_key), "PUT", "image/jpeg", date, f"{registered.prefix}/test/{NAME}")
    answer = await device.send(request(registered, authorization=f"AWS AKITCHEN:{whole}", date=date, body=photo()))
    assert is_refusal(answer, 403, WRONG)


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [("AKITCHEN", "minioadmin"), ("minioadmin", "a secret / of + the pair"), ("minioadmin", "minioadmin")],
    ids=["wrong secret", "wrong access key", "both"],
)
async def test_a_wrong_key_or_signature_is_refused_without_a_hint_which(
    device: Device, api: Served, access_key: str, secret_key: str
):
    device.access_key, device.secret_key = access_key, secret_key
    assert is_refusal(await device.put(NAME, photo()), 403, WRONG)
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == NOTHING_STORED


async def test_a_pair_is_good_for_its_own_device_only(device: Device, api: Served):
    other = fielded(api, await new_device(api, access_key="AOTHER", secret_key="another pair"))
    device.access_key, device.secret_key = other.access_key, other.secret_key
    assert is_refusal(await device.put(NAME, photo()), 403, WRONG)


async def test_an_upload_that_is_not_signed_is_refused(device: Device, api: Served, registered: Registered):
    date = in_http(datetime.now(UTC))
    malformed = [
        "",
        "AWS",
        "AWS AKITCHEN",
        "AWS AKITCHEN:",
        "AWS AKITCHEN:abc",
        "AWS :" + "a" * 27 + "=",
        "Basic QUs6U0s=",
    ]
    newer = "AWS4-HMAC-SHA256 Credential=AKITCHEN/20241116/us-east-1/s3/aws4_request"
    for authorization in (None, *malformed, newer, "AWS AKITCHEN:" + "\xe9" * 28):
        answer = await device.send(request(registered, authorization=authorization, date=date, body=photo()))
        assert is_refusal(answer, 403, UNSIGNED)
    assert await stored(api) == NOTHING_STORED


async def test_a_signature_of_another_photos_name_is_refused(device: Device, api: Served, registered: Registered):
    date = in_http(datetime.now(UTC))
    other = sign(str(registered.secret_key), "PUT", "image/jpeg", date, "/test/other.jpg")
    answer = await device.send(request(registered, authorization=f"AWS AKITCHEN:{other}", date=date, body=photo()))
    assert is_refusal(answer, 403, WRONG)


async def test_a_clock_at_1970_is_told_how_far_it_is_off(device: Device, api: Served):
    device.date = "Thu, 01 Jan 1970 00:00:07 GMT"
    refused = await device.put(NAME, photo())
    years = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=365.25)
    assert refused.body.decode().startswith(f"error msg: the device's clock is wrong: {years:.0f} years behind")
    assert (refused.status, refused.frames) == (403, [])
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == NOTHING_STORED


@pytest.mark.parametrize(
    ("off", "status", "says"),
    [
        (timedelta(minutes=-14), 200, ""),
        (timedelta(minutes=14), 200, ""),
        (timedelta(minutes=-16), 403, "error msg: the device's clock is wrong: 16 minutes behind"),
        (timedelta(minutes=17), 403, "error msg: the device's clock is wrong: 17 minutes ahead"),
        (timedelta(hours=-8), 403, "error msg: the device's clock is wrong: 8 hours behind"),
        (timedelta(days=365.25 * 50), 403, "error msg: the device's clock is wrong: 50 years ahead"),
    ],
    ids=str,
)
async def test_a_clock_may_be_off_by_a_quarter_of_an_hour(
    device: Device, api: Served, off: timedelta, status: int, says: str
):
    device.date = in_http(datetime.now(UTC) + off)
    answer = await device.put(NAME, photo())
    assert (answer.status, answer.body.decode()[: len(says)]) == (status, says)


async def test_a_date_that_cannot_be_read_is_refused(device: Device, api: Served, registered: Registered):
    date = "Sat, 99 Nov 2024 06:11:07 GMT"
    answer = await device.send(request(registered, authorization=signed(registered, date), date=date, body=photo()))
    assert is_refusal(answer, 403, "the header Date cannot be read; it is like Sat, 16 Nov 2024 06:11:07 GMT")


async def test_an_upload_without_a_date_is_refused(device: Device, api: Served, registered: Registered):
    answer = await device.send(request(registered, authorization=signed(registered, ""), body=photo()))
    assert is_refusal(answer, 403, "this device signs its uploads: the header Date is missing")


async def test_the_signature_is_looked_at_before_the_body_arrives(device: Device, registered: Registered):
    head = request(registered, date=in_http(datetime.now(UTC)), body=photo()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert is_refusal(await device.send(head), 403, UNSIGNED)


async def test_a_device_without_a_pair_may_sign_with_anything(api: Served):
    device = fielded(api, await new_device(api))
    device.date = "Thu, 01 Jan 1970 00:00:07 GMT"
    assert (await device.put(NAME, photo())).status == 200
    assert await stored(api) == Stored(images=1, names=1, jobs=0)


async def test_on_this_machine_any_signature_is_taken(settings: Settings):
    async with served(firmware_settings(settings)) as api:
        assert (await Device(api.url, date="Thu, 01 Jan 1970 00:00:07 GMT").put(NAME, photo())).status == 200
