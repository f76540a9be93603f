"""What a device's bad request gets: a small problem, nothing to pour, nothing stored."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from shared.database.tables import device as device_table
from shared.settings import Settings
from tests.firmware import Device
from tests.images import bomb, cut_off, html_page, photo, png, webp
from tests.integration.api.devices import new_device
from tests.integration.api.photo_device import JOBS, MAX_BYTES, PhotoDevice, patient, readable, stored
from tests.served import Served, served

LONG = "x" * 5000


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(patient(settings)) as running:
        yield running


@pytest.fixture
async def device(api: Served) -> AsyncIterator[PhotoDevice]:
    registered = await new_device(api)
    async with api.client_with(registered.token) as client:
        yield PhotoDevice(api, registered, client)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?wait=-1", "wait"),
        ("?wait=61", "wait"),
        ("?wait=soon", "wait"),
        ("?wait=nan", "wait"),
        ("?wait=inf", "wait"),
        ("?timeout_s=0", "timeout_s"),
        ("?timeout_s=86401", "timeout_s"),
        ("?model=demo/demo", "model"),
        ("?volume=500", None),
        (f"?{LONG}=1", "x"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(device: PhotoDevice, query: str, field: str | None):
    refused = await device.post(query=query)
    named = refused.json().get("field")
    assert (refused.status_code, named and named[: len(field or "")]) == (422, field)
    assert await stored(device.api) == (0, 0)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(html_page(), 415, id="HTML"),
        pytest.param(b"", 422, id="nothing"),
        pytest.param(cut_off(photo()), 422, id="a truncated JPEG"),
        pytest.param(bomb(), 413, id="a 50-megapixel bomb"),
        pytest.param(photo() + bytes(2 * 1024 * 1024), 413, id="2 MB"),
    ],
)
async def test_what_is_no_photo_is_refused(device: PhotoDevice, content: bytes, status: int):
    head = (
        f"POST {JOBS}?wait=4 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {device.registered.token}\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    # A server that refuses by the length alone may hang up on a client that goes on sending.
    refused = await Device(device.api.url).send(head.encode() + content[: 512 * 1024])
    assert (refused.status, refused.headers["content-type"]) == (status, "application/problem+json")
    assert len(refused.body) <= MAX_BYTES
    assert (refused.frames, b"volume" in refused.body) == ([], False)
    assert await stored(device.api) == (0, 0)


@pytest.mark.parametrize("media_type", ["text/html", "image/gif", "application/json", "multipart/form-data"])
async def test_another_media_type_is_refused(device: PhotoDevice, media_type: str):
    refused = await device.post(media_type=media_type)
    assert (refused.status_code, refused.json()["field"]) == (415, "Content-Type")
    assert await stored(device.api) == (0, 0)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (photo(), "image/jpeg"),
        (photo(), None),
        (photo(), "application/octet-stream"),
        (photo(), "application/x-www-form-urlencoded"),
        (png(), "image/png"),
        (webp(), "IMAGE/WEBP; q=1"),
    ],
)
async def test_what_devices_and_curl_say_of_a_photo_is_taken(
    device: PhotoDevice, content: bytes, media_type: str | None
):
    assert (await device.post(content, media_type=media_type)).status_code == 202


async def test_a_photo_without_a_length_is_refused(device: PhotoDevice):
    async def chunks() -> AsyncIterator[bytes]:
        yield photo()

    refused = readable(await device.client.post(JOBS, content=chunks(), headers={"Content-Type": "image/jpeg"}))
    assert (refused.status_code, refused.json()["field"]) == (411, "Content-Length")
    assert await stored(device.api) == (0, 0)


async def test_half_a_photo_stores_nothing(device: PhotoDevice):
    host, port = device.api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {device.registered.token}\r\n"
        f"Content-Length: {len(photo())}\r\n\r\n".encode()
        + photo()[:1000]
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    await device.sent(photo(seed=1))  # behind the refused one, which is dealt with by now
    assert await stored(device.api) == (1, 1)


async def test_a_key_that_is_none_is_refused(device: PhotoDevice):
    refused = await device.post(key="a key")
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")
    assert await stored(device.api) == (0, 0)


async def test_a_full_queue_is_told_before_the_photo_is_stored(settings: Settings):
    async with served(patient(settings, waiting_per_owner=1)) as api:
        registered = await new_device(api)
        async with api.client_with(registered.token) as client:
            device = PhotoDevice(api, registered, client)
            first = await device.sent(photo(seed=1))
            refused = await device.post(photo(seed=2))
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
            assert await stored(api) == (1, 1)
            assert await device.sent(photo(seed=1)) == first  # a repeated request needs no room


@pytest.mark.parametrize(
    ("names", "status"), [({"model": "gone/model"}, 422), ({"profile": "gone"}, 409), ({"prompt": "gone@1"}, 409)]
)
async def test_what_a_device_names_and_is_gone_is_told_before_the_photo_is_stored(
    api: Served, names: dict[str, str], status: int
):
    registered = await new_device(api, **names)  # pyright: ignore[reportArgumentType] - its other keywords are not texts
    async with api.client_with(registered.token) as client:
        refused = await PhotoDevice(api, registered, client).post()
    assert (refused.status_code, "gone" in refused.json()["detail"]) == (status, True)
    assert await stored(api) == (0, 0)


async def test_who_is_no_device_is_refused(api: Served):
    key = await api.client.post("/v2/keys", json={"name": "x", "scopes": ["jobs", "images", "devices"]})
    async with api.client_with(key.json()["secret"]) as client:
        answers = {
            "nobody": await api.stranger.post(JOBS, content=photo()),
            "a key": await client.post(JOBS, content=photo()),
            "the administrator": await api.client.post(JOBS, content=photo()),
        }
    statuses = {who: readable(answer).status_code for who, answer in answers.items()}
    assert statuses == {"nobody": 401, "a key": 403, "the administrator": 403}
    assert await stored(api) == (0, 0)


async def test_a_revoked_device_is_refused_at_once_and_an_expired_token_too(device: PhotoDevice):
    api = device.api
    job_id = await device.sent()
    async with api.client_with((await new_device(api, expires_at=datetime.now(UTC))).token) as late:
        assert readable(await late.get(f"{JOBS}/{job_id}")).status_code == 401
    revoking = (
        update(device_table).where(device_table.c.id == device.registered.id).values(revoked_at=datetime.now(UTC))
    )
    await api.front.queries.rows(revoking.returning(device_table.c.id))
    refused = [await device.post(photo(seed=1)), await device.get(job_id), await device.cancel(job_id)]
    assert [answer.status_code for answer in refused] == [401] * 3
    assert device.registered.token not in "".join(answer.text for answer in refused)
    assert await stored(api) == (1, 1)


@pytest.mark.parametrize("path", ["not-a-uuid", "0198f3b0-0000-7000-8000-000000000000"])
async def test_a_job_that_is_not_there_is_a_small_problem(device: PhotoDevice, path: str):
    answers = [await device.get(path), await device.get(f"{path}/events"), await device.cancel(path)]
    assert {answer.status_code for answer in answers} == {404 if "-7000-" in path else 422}


async def test_a_wrong_wait_or_parameter_on_a_job_is_refused(device: PhotoDevice):
    job_id = await device.sent()
    for query, field in (("?wait=61", "wait"), ("?wait=x", "wait"), ("?x=1", "x")):
        refused = await device.get(f"{job_id}{query}")
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert (await device.get(f"{job_id}/events?after=x")).json()["field"] == "after"


async def test_a_stopped_object_store_is_told_without_words_to_pour(settings: Settings):
    away = settings.objects.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    async with served(patient(settings).model_copy(update={"objects": away})) as api:
        registered = await new_device(api)
        async with api.client_with(registered.token) as client:
            refused = await PhotoDevice(api, registered, client).post()
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert await stored(api) == (0, 0)
