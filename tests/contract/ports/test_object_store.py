"""The object store's contract, over a real S3 server."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from tempfile import TemporaryFile
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from shared.adapters.minio_object_store import MinioObjectStore
from shared.domain.errors import NotFound, PayloadTooLarge, Unavailable
from shared.settings import Objects, Settings

CONTENT = bytes(range(256)) * 20


@pytest.fixture
def store(settings: Settings) -> Iterator[MinioObjectStore]:
    opened = MinioObjectStore(settings.objects)
    yield opened
    opened.close()


@pytest.fixture
def key() -> str:
    return f"images/1/{uuid4().hex}.jpg"


def objects_like(settings: Settings, **changes: object) -> Objects:
    return settings.objects.model_copy(update=changes)


@asynccontextmanager
async def store_that_answers(
    settings: Settings, answer: bytes, *, stays_open: bool = False
) -> AsyncGenerator[MinioObjectStore]:
    """A store whose server sends the same bytes to everybody, whatever is asked."""
    is_over = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if stays_open:
            await is_over.wait()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = MinioObjectStore(objects_like(settings, endpoint_url=f"http://127.0.0.1:{port}"))
    try:
        yield store
    finally:
        is_over.set()
        store.close()
        server.close()
        await server.wait_closed()


async def test_what_was_put_can_be_got(store: MinioObjectStore, key: str):
    await store.put(key, CONTENT, media_type="image/jpeg")
    assert await store.get(key) == CONTENT


async def test_putting_again_is_harmless(store: MinioObjectStore, key: str):
    await store.put(key, CONTENT, media_type="image/jpeg")
    await store.put(key, CONTENT, media_type="image/jpeg")
    assert await store.get(key) == CONTENT


async def test_twenty_megabytes_go_in_one_piece(store: MinioObjectStore, key: str):
    content = CONTENT * 4096
    await store.put(key, content, media_type="image/png")
    assert await store.get(key) == content


async def test_what_a_file_holds_is_stored_from_its_beginning(store: MinioObjectStore, key: str):
    with TemporaryFile() as file:
        file.write(CONTENT)
        await store.put_file(key, file, size_bytes=len(CONTENT), media_type="video/mp4")
        await store.put_file(key, file, size_bytes=len(CONTENT), media_type="video/mp4")
        assert not file.closed
    assert await store.get(key) == CONTENT


async def test_a_missing_bucket_is_made_by_the_first_file_too(settings: Settings, key: str):
    store = MinioObjectStore(objects_like(settings, bucket=f"new-{uuid4().hex[:12]}"))
    with TemporaryFile() as file:
        file.write(CONTENT)
        await store.put_file(key, file, size_bytes=len(CONTENT), media_type="video/mp4")
    assert await store.get(key) == CONTENT
    store.close()


@pytest.mark.parametrize(
    ("first", "size_bytes"), [(0, 1), (0, len(CONTENT)), (17, 1000), (len(CONTENT) - 1, 1), (len(CONTENT) - 5, 100)]
)
async def test_a_part_of_an_object_can_be_got(store: MinioObjectStore, key: str, first: int, size_bytes: int):
    await store.put(key, CONTENT, media_type="video/mp4")
    assert await store.get_part(key, first=first, size_bytes=size_bytes) == CONTENT[first : first + size_bytes]


async def test_a_part_of_what_is_not_there_is_not_found(store: MinioObjectStore, key: str):
    with pytest.raises(NotFound):
        await store.get_part(key, first=0, size_bytes=1)


async def test_a_whole_object_is_not_taken_for_a_part(settings: Settings, key: str):
    async with store_that_answers(settings, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf") as store:
        with pytest.raises(Unavailable, match="parts"):
            await store.get_part(key, first=2, size_bytes=2)


async def test_many_at_a_time(store: MinioObjectStore, key: str):
    keys = [f"{key}.{number}" for number in range(100)]
    await asyncio.gather(*(store.put(one, one.encode(), media_type="image/jpeg") for one in keys))
    assert await asyncio.gather(*(store.get(one) for one in keys)) == [one.encode() for one in keys]


async def test_what_is_not_there_is_not_found(store: MinioObjectStore, key: str):
    with pytest.raises(NotFound):
        await store.get(key)


@pytest.mark.parametrize("limit", [len(CONTENT), len(CONTENT) + 1])
async def test_what_is_within_the_limit_is_read_whole(store: MinioObjectStore, key: str, limit: int):
    await store.put(key, CONTENT, media_type="image/jpeg")
    assert await store.get(key, limit=limit) == CONTENT


@pytest.mark.parametrize("limit", [0, 1, len(CONTENT) - 1])
async def test_what_is_longer_than_the_limit_is_refused(store: MinioObjectStore, key: str, limit: int):
    await store.put(key, CONTENT, media_type="image/jpeg")
    with pytest.raises(PayloadTooLarge, match=f"^At most {limit} bytes are taken here.$"):
        await store.get(key, limit=limit)
    assert await store.get(key) == CONTENT


async def test_of_an_object_without_an_announced_length_no_more_is_read_than_allowed(settings: Settings, key: str):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with store_that_answers(settings, head + b"100000\r\n" + bytes(0x100000), stays_open=True) as store:
        with pytest.raises(PayloadTooLarge):
            await store.get(key, limit=1000)


async def test_an_object_that_breaks_off_is_not_taken_for_a_whole_one(settings: Settings, key: str):
    async with store_that_answers(settings, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf") as store:
        with pytest.raises(Unavailable):
            await store.get(key, limit=1000)


async def test_what_was_deleted_is_not_found_and_deleting_again_is_harmless(store: MinioObjectStore, key: str):
    await store.put(key, CONTENT, media_type="image/jpeg")
    await store.delete(key)
    await store.delete(key)
    with pytest.raises(NotFound):
        await store.get(key)


async def test_a_link_serves_the_object_with_its_media_type_to_anyone(store: MinioObjectStore, key: str):
    await store.put(key, CONTENT, media_type="image/jpeg")
    link = await store.presign(key, expires=timedelta(minutes=5), media_type="image/webp")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(link)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/webp", CONTENT)


async def test_a_link_that_was_changed_serves_nothing(store: MinioObjectStore, key: str):
    await store.put(key, CONTENT, media_type="image/jpeg")
    await store.put(f"{key}.other", b"secret", media_type="image/jpeg")
    link = await store.presign(key, expires=timedelta(minutes=5), media_type="image/jpeg")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(link.replace(key, f"{key}.other"))
    assert answer.status_code == 403
    assert b"secret" not in answer.content


async def test_links_are_made_under_the_public_name_without_asking_anybody(settings: Settings, key: str):
    store = MinioObjectStore(objects_like(settings, public_url="https://photos.example.org:9443"))
    link = await store.presign(key, expires=timedelta(minutes=5), media_type="image/jpeg")
    assert link.startswith(f"https://photos.example.org:9443/{settings.objects.bucket}/{key}?")
    store.close()


def test_a_public_url_with_a_path_is_refused(settings: Settings):
    with pytest.raises(ValueError, match="has no path"):
        MinioObjectStore(objects_like(settings, public_url="https://example.org/photos"))


async def test_a_missing_bucket_is_made_by_the_first_object(settings: Settings, key: str):
    store = MinioObjectStore(objects_like(settings, bucket=f"new-{uuid4().hex[:12]}"))
    with pytest.raises(Unavailable, match="no bucket"):
        await store.check()
    await store.put(key, CONTENT, media_type="image/jpeg")
    await store.check()
    assert await store.get(key) == CONTENT
    store.close()


async def test_several_processes_may_make_the_bucket_at_once(settings: Settings):
    objects = objects_like(settings, bucket=f"new-{uuid4().hex[:12]}")
    stores = [MinioObjectStore(objects) for _ in range(4)]
    await asyncio.gather(*(store.ensure_bucket() for store in stores))
    await asyncio.gather(*(store.check() for store in stores))
    for store in stores:
        store.close()


async def test_a_store_that_is_away_is_unavailable_and_its_error_shows_no_secret(settings: Settings, key: str):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    store = MinioObjectStore(objects_like(settings, endpoint_url=f"http://127.0.0.1:{port}"))
    with pytest.raises(Unavailable) as caught:
        await store.get(key)
    assert settings.objects.secret_key.get_secret_value() not in f"{caught.value!r} {caught.value.info()!r}"
    store.close()


async def test_wrong_credentials_are_told_as_such(settings: Settings, key: str):
    store = MinioObjectStore(objects_like(settings, secret_key=SecretStr("not-the-secret")))
    with pytest.raises(Unavailable, match="credentials"):
        await store.put(key, CONTENT, media_type="image/jpeg")
    store.close()


async def test_a_silent_store_does_not_stop_the_event_loop(store: MinioObjectStore, settings: Settings, key: str):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        stuck = MinioObjectStore(objects_like(settings, endpoint_url=f"http://127.0.0.1:{port}"))
        waiting = [asyncio.create_task(stuck.get(key)) for _ in range(40)]
        await asyncio.wait(waiting, timeout=0.05)
        began = time.monotonic()
        await store.put(key, CONTENT, media_type="image/jpeg")
        assert time.monotonic() - began < 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    stuck.close()
