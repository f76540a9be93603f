"""What a fielded device is refused, and how: a line of plain text, no frame, nothing stored, and nobody asked."""

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import Table, func, update

from shared.database.tables import device as devices
from shared.database.tables import device_credential
from shared.security import new_device_token
from shared.settings import Settings
from tests.firmware import Device
from tests.images import bomb, cut_off, html_page, photo
from tests.integration.api.devices import Registered, new_device
from tests.integration.api.fielded import (
    NAME,
    NOTHING_STORED,
    Stored,
    fielded,
    firmware_settings,
    is_refusal,
    stored,
)
from tests.served import Served, served
from tests.stack import eventually

TOKEN_NEEDED = "a valid token is required: http://host:port/d/<token>/…"
Logged = list[MutableMapping[str, Any]]  # what structlog's capture gives


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(firmware_settings(settings, firmware_access="token")) as running:
        yield running


@pytest.fixture
async def registered(api: Served) -> Registered:
    return await new_device(api, owner_name="anna", name="kitchen")


@pytest.fixture
def device(api: Served, registered: Registered) -> Device:
    return fielded(api, registered)


async def test_tokens_that_are_wrong_revoked_or_expired_are_refused(api: Served, registered: Registered):
    revoked, expired = await new_device(api), await new_device(api)
    await _set(api, devices, revoked.id, revoked_at=func.now())
    await _set(api, device_credential, expired.credential_id, expires_at=func.now())
    tokens = [new_device_token(), registered.token[:-1], "x", revoked.token, expired.token]
    for prefix in ["", *(f"/d/{token}" for token in tokens)]:
        device = Device(api.url + prefix)
        assert is_refusal(await device.put(NAME, photo()), 401, TOKEN_NEEDED)
        assert is_refusal(await device.ask(f"/{NAME}"), 401, TOKEN_NEEDED)
    assert await stored(api) == NOTHING_STORED


async def test_a_revocation_works_at_once_in_the_middle_of_a_touch(api: Served, device: Device, registered: Registered):
    assert (await device.put(NAME, photo())).status == 200
    await _set(api, devices, registered.id, revoked_at=func.now())
    assert is_refusal(await device.ask(f"/{NAME}"), 401, TOKEN_NEEDED)
    assert (await stored(api)).jobs == 0


BAD_PHOTOS = [
    pytest.param(html_page(), 415, id="HTML named .jpg"),
    pytest.param(cut_off(photo()), 422, id="a truncated JPEG"),
    pytest.param(bomb(), 413, id="a 50-megapixel bomb"),
    pytest.param(photo() + bytes(2_000_000), 413, id="two megabytes"),
    pytest.param(b"", 422, id="nothing"),
]


@pytest.mark.parametrize(("content", "status"), BAD_PHOTOS)
async def test_a_photo_that_cannot_be_taken_leaves_nothing_behind(
    device: Device, api: Served, content: bytes, status: int
):
    refused = await device.put(NAME, content)
    assert (refused.status, refused.body[:11], refused.frames) == (status, b"error msg: ", [])
    assert is_refusal(await device.ask(f"/{NAME}"), 404, "no such image")
    assert await stored(api) == NOTHING_STORED


@pytest.mark.parametrize(("content", "status"), BAD_PHOTOS)
async def test_after_a_refused_photo_its_name_does_not_mean_the_photo_of_before(
    device: Device, api: Served, content: bytes, status: int
):
    assert (await device.put("image_000001.jpg", photo())).status == 200
    assert (await device.put("image_000001.jpg", content)).status == status
    assert is_refusal(await device.ask("/image_000001.jpg"), 404, "no such image")
    assert await stored(api) == Stored(images=1, names=0, jobs=0)


async def test_a_put_that_stops_half_way_leaves_nothing_behind(device: Device, api: Served, registered: Registered):
    assert (await device.put("image_000001.jpg", photo())).status == 200
    head = (
        f"PUT {registered.prefix}/test/image_000001.jpg HTTP/1.1\r\nHost: device\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(photo(seed=1))}\r\n\r\n"
    )
    with structlog.testing.capture_logs() as events:
        _, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
        writer.write(head.encode() + photo(seed=1)[:1000])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: has(events, "request"), expecting="the end of the request")
    assert [event for event in events if event["event"] == "upload_refused"] == [
        {
            "event": "upload_refused",
            "log_level": "warning",
            "device": "kitchen",
            "name": "image_000001.jpg",
            "reason": "The connection closed before the whole body had arrived.",
        }
    ]
    assert is_refusal(await device.ask("/image_000001.jpg"), 404, "no such image")
    assert await stored(api) == Stored(images=1, names=0, jobs=0)


async def test_the_token_and_the_signature_are_in_no_log_line(
    api: Served, device: Device, registered: Registered, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    unknown = new_device_token()
    signing = await new_device(api, access_key="AK-1", secret_key="the secret of the pair")
    with structlog.testing.capture_logs() as events:
        for one in (device, Device(f"{api.url}/d/{unknown}"), fielded(api, signing)):
            one.secret_key = "another secret"
            await one.put(NAME, photo())
            await one.put("../x", photo())
            await one.ask("/nothing.jpg")
            await one.send(b"BREW " + one.service_address.removeprefix(api.url).encode() + b"/x HTTP/1.1\r\n\r\n")
    told = "\n".join([*map(str, events), *(record.getMessage() for record in caplog.records)])
    paths = [event["path"] for event in events if event["event"] == "request"]
    assert paths.count(f"/test/{NAME}") == paths.count("/smartsip/upload") == 3
    assert "/d/" not in told
    assert not [
        secret
        for secret in (registered.token, unknown, signing.token, "the secret of the pair", "another secret", "AWS ")
        if secret in told
    ]


async def has(events: Logged, name: str) -> bool:
    return any(event["event"] == name for event in events)


async def _set(api: Served, table: Table, row_id: UUID, **values: object) -> None:
    statement = update(table).where(table.c.id == row_id).values(values).returning(table.c.id)
    assert await api.front.queries.rows(statement)
