"""One door for images, videos and audio files, and one way to fetch them, as dialects use them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import APIRouter, Request, Response

from api.auth import CallerDep
from api.dependencies import FrontDep
from api.media_body import receive_file
from api.served import open_upload
from api.services.uploads import upload_any
from shared.domain.errors import NotFound
from shared.domain.media import upload_id_of, upload_path
from shared.settings import Settings
from tests import media
from tests.images import SECRET_PLACE, html_page, photo, photo_with_exif, png
from tests.integration.api.photos import Opener, client_of, opener_for
from tests.served import Served, served

router = APIRouter(prefix="/older")


@router.post("/upload")
async def upload(request: Request, front: FrontDep, caller: CallerDep) -> str:
    async with receive_file(request, limit=front.settings.limits.media_bytes) as received:
        stored = await upload_any(front, caller.owner_id, received)
    return upload_path(stored.id, stored.extension)


@router.get("/uploads/{name}")
async def fetch(name: str, request: Request, front: FrontDep, caller: CallerDep) -> Response:
    upload_id = upload_id_of(f"/uploads/{name}")
    if upload_id is None:
        raise NotFound
    return await open_upload(request, front, caller.owner_id, upload_id)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        running.app.include_router(router)
        yield running


@pytest.fixture
async def opener(api: Served, settings: Settings) -> AsyncIterator[Opener]:
    async with opener_for(api, settings) as opener:
        yield opener


async def uploaded(client: httpx.AsyncClient, content: bytes, *, name: str = "a.html") -> str:
    """Upload a file and return its path."""
    answer = await client.post("/older/upload", files={"file": (name, content, "text/html")})
    assert answer.status_code == 200, answer.text
    return f"/older{answer.json()}"


@pytest.mark.parametrize(
    ("content", "extension", "media_type"),
    [
        pytest.param(photo(), "jpg", "image/jpeg", id="a photo"),
        pytest.param(png(), "png", "image/png", id="a picture"),
        pytest.param(media.mp4(), "mp4", "video/mp4", id="a film"),
        pytest.param(media.wav(), "wav", "audio/wav", id="a recording"),
    ],
)
async def test_whatever_is_taken_is_stored_and_served_as_what_it_is(
    api: Served, opener: Opener, content: bytes, extension: str, media_type: str
):
    path = await uploaded(api.client, content)
    assert path.endswith(f".{extension}")
    await opener.open_all()
    answer = await api.client.get(path)
    expected = {
        "content-type": media_type,
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{path.rpartition("/")[2]}"',
    }
    assert answer.status_code == 200
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert await uploaded(api.client, content) == path


async def test_a_photo_is_served_without_what_it_says_of_its_place(api: Served, opener: Opener):
    path = await uploaded(api.client, photo_with_exif())
    answer = await opener.while_asked(api.client, path)
    assert answer.status_code == 200
    assert SECRET_PLACE.encode() not in answer.content


async def test_a_range_of_an_uploaded_film_is_served(api: Served, opener: Opener):
    path = await uploaded(api.client, media.mp4())
    await opener.open_all()
    answer = await api.client.get(path, headers={"Range": "bytes=4-7"})
    assert (answer.status_code, answer.content) == (206, b"ftyp")


async def test_what_is_not_taken_is_refused_whatever_it_is_called(api: Served, settings: Settings):
    pages = [html_page(), b"<svg onload='alert(1)'/>", b"GIF89a" + bytes(50), b"#!/bin/sh\n"]
    answers = [await api.client.post("/older/upload", files={"file": ("a.mp4", page, "video/mp4")}) for page in pages]
    nothing = await api.client.post("/older/upload", files={"file": ("a.mp4", b"")})
    missing = await api.client.post("/older/upload", files={"other": ("a.jpg", photo())})
    assert [answer.status_code for answer in (*answers, nothing, missing)] == [415, 415, 415, 415, 422, 422]
    assert {answer.json()["field"] for answer in (*answers, nothing, missing)} == {"file"}
    with psycopg.connect(settings.database.conninfo) as connection:
        assert connection.execute("select id from image union all select id from media").fetchall() == []


async def test_an_image_may_not_be_as_large_as_a_film(settings: Settings):
    limits = settings.limits.model_copy(update={"image_bytes": 100_000})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        api.app.include_router(router)
        files = {"file": ("a.jpg", photo() + bytes(100_000))}
        refused = await api.client.post("/older/upload", files=files)
        film = await uploaded(api.client, media.mp4(frames=bytes(100_000)))
    assert (refused.status_code, refused.json()["field"], film[-4:]) == (413, "file", ".mp4")


async def test_nothing_is_shown_before_a_worker_has_seen_it(settings: Settings):
    clocks = settings.clocks.model_copy(update={"image_ready": timedelta(seconds=0.1)})
    async with served(settings.model_copy(update={"clocks": clocks})) as api:
        api.app.include_router(router)
        answers = [await api.client.get(await uploaded(api.client, content)) for content in (photo(), media.mp4())]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "unavailable")] * 2


async def test_anothers_uploads_and_other_paths_are_not_found(api: Served, opener: Opener):
    paths = [await uploaded(api.client, content) for content in (photo(), media.mp4())]
    await opener.open_all()
    image, film = paths
    others = [
        *(f"/older/uploads/{uuid4()}.mp4", film.replace(".mp4", ".html"), film.replace(".mp4", ""), f"{film}.html"),
        *("/older/uploads/..%2f..%2fetc%2fpasswd", "/older/uploads/%2e%2e", f"{image}%00", "/older/uploads/.env"),
    ]
    async with await client_of(api, "anna") as anna:
        foreign = [await anna.get(path) for path in paths]
        own = [await uploaded(anna, content) for content in (photo(), media.mp4())]
    unknown = [await api.client.get(path) for path in others]
    assert [answer.status_code for answer in (*foreign, *unknown)] == [404] * (len(paths) + len(others))
    assert set(own).isdisjoint(paths)
