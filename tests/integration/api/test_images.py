from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from shared.settings import Settings
from tests.images import bomb, cut_off, html_page, photo, png, webp
from tests.served import Served, served

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def client_of(api: Served, owner: str) -> httpx.AsyncClient:
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": ["images"], "owner": owner})
    return api.client_with(made.json()["secret"])


def rows(settings: Settings) -> list[Any]:
    with psycopg.connect(settings.database.conninfo) as connection:
        return connection.execute("select id, object_key from image").fetchall()


async def test_a_photo_is_stored_and_described(api: Served):
    answer = await api.client.post("/v2/images", content=photo(), headers=JPEG)
    shown = answer.json()
    image_id = UUID(shown["id"])
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v2/images/{image_id}")
    assert shown == {
        "id": str(image_id),
        "media_type": "image/jpeg",
        "size_bytes": len(photo()),
        "width": 240,
        "height": 240,
        "sha256": sha256(photo()).hexdigest(),
        "created_at": shown["created_at"],
        "links": {"self": f"/v2/images/{image_id}", "content": f"/v2/images/{image_id}/content"},
    }


async def test_the_same_photo_is_stored_once_per_owner(api: Served, settings: Settings):
    first = await api.client.post("/v2/images", content=photo(), headers=JPEG)
    second = await api.client.post("/v2/images", content=photo(), headers=JPEG)
    async with await client_of(api, "anna") as anna:
        other = await anna.post("/v2/images", content=photo(), headers=JPEG)
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == second.json()
    assert other.json()["id"] != first.json()["id"]
    assert len({key for _, key in rows(settings)}) == 2


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/x-www-form-urlencoded", "image/png"])
async def test_what_it_is_decides_not_what_it_is_called(api: Served, content_type: str):
    answer = await api.client.post("/v2/images", content=webp(), headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/webp")


@pytest.mark.parametrize("field", ["image", "file"])
async def test_a_form_is_taken_too(api: Served, field: str):
    answer = await api.client.post("/v2/images", files={field: ("a.png", png(), "image/png")})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/png")


async def test_a_photo_can_be_fetched_by_its_owner(api: Served):
    links = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]
    content = await api.client.get(links["content"])
    assert (content.status_code, content.content) == (200, photo())
    assert {name: content.headers[name] for name in ("content-type", "x-content-type-options", "cache-control")} == {
        "content-type": "image/jpeg",
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=31536000, immutable",
    }
    again = await api.client.get(links["content"], headers={"If-None-Match": content.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_link_serves_the_photo_without_a_credential(api: Served):
    links = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]
    shown = (await api.client.get(links["self"])).json()
    async with httpx.AsyncClient(trust_env=False) as anyone:
        answer = await anyone.get(shown["url"])
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, photo(), "image/jpeg")


async def test_links_are_made_under_the_public_name(settings: Settings):
    objects = settings.objects.model_copy(update={"public_url": "https://photos.example.org"})
    async with served(settings.model_copy(update={"objects": objects})) as api:
        links = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]
        assert (await api.client.get(links["self"])).json()["url"].startswith("https://photos.example.org/")


async def test_another_owners_photo_is_not_found(api: Served):
    links = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]
    async with await client_of(api, "anna") as anna:
        foreign = [await anna.get(link) for link in links.values()]
        unknown = await anna.get(f"/v2/images/{uuid4()}")
    assert [answer.status_code for answer in (*foreign, unknown)] == [404, 404, 404]
    assert len({answer.json()["detail"] for answer in (*foreign, unknown)}) == 1


async def test_an_id_that_is_none_is_refused(api: Served):
    answer = await api.client.get("/v2/images/../etc")
    malformed = await api.client.get("/v2/images/1")
    assert (answer.status_code, malformed.status_code, malformed.json()["field"]) == (404, 422, "image_id")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        pytest.param(b"", "image/jpeg", 422, id="0 bytes"),
        pytest.param(html_page(), "image/jpeg", 415, id="HTML named jpg"),
        pytest.param(cut_off(photo()), "image/jpeg", 422, id="truncated"),
        pytest.param(bomb(), "image/png", 413, id="50 megapixels"),
        pytest.param(b"GIF89a" + bytes(100), "image/gif", 415, id="a GIF"),
        pytest.param(b'{"image": 1}', "application/json", 415, id="JSON"),
        pytest.param(photo(), "text/html", 415, id="called HTML"),
        pytest.param(b"--x\r\nbroken", "multipart/form-data; boundary=x", 422, id="half a form"),
        pytest.param(b"--x--\r\n", "multipart/form-data; boundary=x", 422, id="an empty form"),
        pytest.param(b"--x--\r\n", "multipart/form-data", 400, id="a form without a boundary"),
    ],
)
async def test_what_is_no_photo_is_refused_and_nothing_is_stored(
    api: Served, settings: Settings, content: bytes, content_type: str, status: int
):
    answer = await api.client.post("/v2/images", content=content, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert "detail" in answer.json()
    assert rows(settings) == []


async def test_a_photo_in_a_wrong_field_or_with_others_is_refused(api: Served, settings: Settings):
    wrong = await api.client.post("/v2/images", files={"photo": ("a.jpg", photo())})
    text = await api.client.post("/v2/images", data={"image": "text"}, files={"other": ("a.jpg", photo())})
    two = await api.client.post("/v2/images", files=[("image", ("a.jpg", photo())), ("image", ("b.png", png()))])
    refused = await api.client.post("/v2/images", files={"image": ("a.jpg", html_page())})
    assert [answer.status_code for answer in (wrong, text, two, refused)] == [422, 422, 400, 415]
    assert [wrong.json()["field"], refused.json()["field"]] == ["image", "image"]
    assert rows(settings) == []


async def test_a_compressed_body_is_refused(api: Served):
    answer = await api.client.post("/v2/images", content=photo(), headers=JPEG | {"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Encoding")


async def test_more_than_the_limit_is_refused_announced_or_not(settings: Settings):
    limits = settings.limits.model_copy(update={"image_bytes": 100_000})
    async with served(settings.model_copy(update={"limits": limits})) as api:

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield bytes(1000)

        announced = await api.client.post("/v2/images", content=bytes(100_001), headers=JPEG)
        streamed = await api.client.post("/v2/images", content=chunks(), headers=JPEG)
        form = await api.client.post("/v2/images", files={"image": ("a.jpg", photo() + bytes(300_000))})
    assert [answer.status_code for answer in (announced, streamed, form)] == [413, 413, 413]
    assert rows(settings) == []


async def test_a_large_photo_is_taken_whole(api: Served):
    padded = photo() + bytes(5_000_000)
    links = (await api.client.post("/v2/images", content=padded, headers=JPEG)).json()["links"]
    assert (await api.client.get(links["content"])).content == padded
