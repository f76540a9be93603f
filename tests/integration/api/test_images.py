"""Uploading, opening and fetching images, with a real worker's runner where they are opened."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from PIL import Image

from shared.adapters.minio_object_store import MinioObjectStore
from shared.domain.errors import NotFound
from shared.settings import Settings
from tests.images import (
    SECRET_PLACE,
    bomb,
    cut_off,
    html_page,
    photo,
    photo_with_exif,
    png,
    webp,
    with_broken_pixels,
)
from tests.integration.api.photos import JPEG, Opener, client_of, opener_for
from tests.served import Served, served

WRONG_REMARKS = [
    ("colour=red", "colour"),
    ("tag=", "tag.0"),
    ("tag=a&tag=" + "x" * 65, "tag.1"),
    ("tag=a%00b", "tag.0"),
    ("tag=a%0ab", "tag.0"),
    ("&".join(f"tag={number}" for number in range(33)), "tag"),
    ("label=lab", "label"),
    ("label=:7", "label"),
    ("label=a%20b:7", "label"),
    ("label=lab:%00", "label"),
    ("label=lab:1&label=lab:2", "label"),
    ("label=lab:" + "x" * 201, "label"),
]
"""Each with the parameter that is to be named."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def opener(api: Served, settings: Settings) -> AsyncIterator[Opener]:
    async with opener_for(api, settings) as opener:
        yield opener


def rows(settings: Settings) -> list[Any]:
    with psycopg.connect(settings.database.conninfo) as connection:
        return connection.execute("select id, object_key from image").fetchall()


def jobs(settings: Settings) -> list[Any]:
    with psycopg.connect(settings.database.conninfo) as connection:
        return connection.execute("select kind, queue, image_id from job join job_body using (id)").fetchall()


def impatient(settings: Settings) -> Settings:
    clocks = settings.clocks.model_copy(update={"image_ready": timedelta(seconds=0.1)})
    return settings.model_copy(update={"clocks": clocks})


async def test_a_photo_is_stored_and_described_and_a_job_is_to_open_it(api: Served, settings: Settings):
    answer = await api.client.post("/v2/images", content=photo(), headers=JPEG)
    shown = answer.json()
    image_id = UUID(shown["id"])
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v2/images/{image_id}")
    assert shown == {
        "id": str(image_id),
        "state": "pending",
        "media_type": "image/jpeg",
        "size_bytes": len(photo()),
        "width": 240,
        "height": 240,
        "sha256": sha256(photo()).hexdigest(),
        "created_at": shown["created_at"],
        "device": None,
        "tags": [],
        "labels": {},
        "links": {
            "self": f"/v2/images/{image_id}",
            "content": f"/v2/images/{image_id}/content",
            "thumbnail": f"/v2/images/{image_id}/thumbnail",
        },
        "job": shown["job"],
    }
    job = (await api.client.get(shown["job"])).json()
    assert (job["kind"], job["state"], job["model"]) == ("upload", "queued", "smartsip/decoder")
    assert jobs(settings) == [("upload", "media", image_id)]


async def test_who_prefers_to_wait_is_told_that_it_is_ready(api: Served, opener: Opener):
    asking = asyncio.create_task(
        api.client.post("/v2/images", content=photo(), headers=JPEG | {"Prefer": "wait=10"}, timeout=20)
    )
    await opener.open_next()
    answer = await asking
    again = await api.client.post("/v2/images", content=photo(), headers=JPEG | {"Prefer": "wait=10"})
    assert (answer.status_code, answer.json()["state"], answer.json()["job"]) == (201, "ready", None)
    assert answer.headers["preference-applied"] == "wait=10"
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_who_waits_too_short_is_told_where_to_look(api: Served):
    answer = await api.client.post("/v2/images", content=photo(), headers=JPEG | {"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    assert (await api.client.get(answer.json()["job"])).json()["state"] == "queued"


async def test_the_same_photo_is_stored_once_per_owner_and_opened_by_one_job(api: Served, settings: Settings):
    first = await api.client.post("/v2/images", content=photo(), headers=JPEG)
    second = await api.client.post("/v2/images", content=photo(), headers=JPEG | {"Idempotency-Key": "a"})
    async with await client_of(api, "anna") as anna:
        other = await anna.post("/v2/images", content=photo(), headers=JPEG)
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == second.json()
    assert other.json()["id"] != first.json()["id"]
    assert len({key for _, key in rows(settings)}) == 2
    assert len(jobs(settings)) == 2


async def test_an_image_whose_job_was_cancelled_is_opened_by_another(api: Served):
    first = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()
    await api.client.post(f"{first['job']}/cancel")
    second = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()
    assert (second["id"], second["state"]) == (first["id"], "pending")
    assert second["job"] != first["job"]


async def test_nobody_submits_such_a_job_by_hand(api: Served, settings: Settings):
    image_id = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["id"]
    by_hand = await api.client.post("/v2/jobs", json={"kind": "upload", "input": {"image_id": image_id}})
    bare = await api.client.post("/v2/jobs?kind=upload", content=photo(), headers=JPEG)
    assert [(answer.status_code, answer.json()["field"]) for answer in (by_hand, bare)] == [(422, "kind")] * 2
    assert len(jobs(settings)) == 1


async def test_tags_and_labels_can_come_with_the_upload(api: Served):
    query = "?tag=kitchen&tag=%20new%20&tag=new&label=lab:7&label=run:a:b"
    first = (await api.client.post(f"/v2/images{query}", content=photo(), headers=JPEG)).json()
    more = (await api.client.post("/v2/images?tag=late&label=lab:8", content=photo(), headers=JPEG)).json()
    assert (first["tags"], first["labels"]) == (["kitchen", "new"], {"lab": "7", "run": "a:b"})
    assert (more["tags"], more["labels"]) == (["kitchen", "new", "late"], {"lab": "8", "run": "a:b"})


async def test_wrong_tags_labels_and_headers_are_refused_before_anything_is_stored(api: Served, settings: Settings):
    told: list[tuple[str, int, str]] = []
    for query, _ in WRONG_REMARKS:
        answer = await api.client.post(f"/v2/images?{query}", content=photo(), headers=JPEG)
        told.append((query, answer.status_code, answer.json()["field"]))
    for name, value in (("Prefer", "wait=-1"), ("Idempotency-Key", "a b")):
        answer = await api.client.post("/v2/images", content=photo(), headers=JPEG | {name: value})
        told.append((name, answer.status_code, answer.json()["field"]))
    expected = [*WRONG_REMARKS, ("Prefer", "Prefer"), ("Idempotency-Key", "Idempotency-Key")]
    assert told == [(query, 422, field) for query, field in expected]
    assert rows(settings) == []


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/x-www-form-urlencoded", "image/png"])
async def test_what_it_is_decides_not_what_it_is_called(api: Served, content_type: str):
    answer = await api.client.post("/v2/images", content=webp(), headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/webp")


@pytest.mark.parametrize("field", ["image", "file"])
async def test_a_form_is_taken_too(api: Served, field: str):
    answer = await api.client.post("/v2/images", files={field: ("a.png", png(), "image/png")})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/png")


async def test_a_photo_can_be_fetched_by_its_owner(api: Served, opener: Opener):
    path = await opener.ready(photo())
    content = await api.client.get(f"{path}/content")
    tag = f'"{sha256(content.content).hexdigest()}"'
    names = ("content-type", "x-content-type-options", "content-security-policy", "cache-control", "etag")
    assert content.status_code == 200
    assert {name: content.headers[name] for name in names} == {
        "content-type": "image/jpeg",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, max-age=31536000, immutable",
        "etag": tag,
    }
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await api.client.get(f"{path}/content", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for unknown in ('"other"', tag.strip('"'), tag[:-2] + '"'):
        changed = await api.client.get(f"{path}/content", headers={"If-None-Match": unknown})
        assert (changed.status_code, changed.content) == (200, content.content)


async def test_where_a_photo_was_taken_is_never_shown(api: Served, opener: Opener, settings: Settings):
    sent = photo_with_exif()
    assert SECRET_PLACE.encode() in sent
    path = await opener.ready(sent)
    shown = (await api.client.get(path)).json()
    content = await api.client.get(f"{path}/content")
    thumbnail = await api.client.get(f"{path}/thumbnail")
    async with httpx.AsyncClient(trust_env=False) as anyone:
        linked = await anyone.get(shown["url"])
    for answer in (content, thumbnail, linked):
        assert answer.status_code == 200
        assert SECRET_PLACE.encode() not in answer.content
        assert len(Image.open(BytesIO(answer.content)).getexif()) == 0
    assert (shown["sha256"], shown["size_bytes"]) == (sha256(sent).hexdigest(), len(content.content))
    assert linked.content == content.content
    original = f"images/1/{sha256(sent).hexdigest()}.jpg"
    objects = MinioObjectStore(settings.objects)
    with pytest.raises(NotFound):
        await objects.get(original)
    objects.close()


async def test_a_large_photo_has_a_small_jpeg_of_itself(api: Served, opener: Opener):
    path = await opener.ready(photo(800, 600))
    content = await api.client.get(f"{path}/content")
    thumbnail = await api.client.get(f"{path}/thumbnail")
    picture = Image.open(BytesIO(thumbnail.content))
    assert (thumbnail.headers["content-type"], picture.format, picture.size) == ("image/jpeg", "JPEG", (320, 240))
    assert thumbnail.headers["etag"] != content.headers["etag"]
    again = await api.client.get(f"{path}/thumbnail", headers={"If-None-Match": thumbnail.headers["etag"]})
    assert again.status_code == 304


async def test_a_small_photo_is_its_own_thumbnail(api: Served, opener: Opener):
    path = await opener.ready(photo())
    content, thumbnail = [await api.client.get(f"{path}/{what}") for what in ("content", "thumbnail")]
    assert (thumbnail.content, thumbnail.headers["etag"]) == (content.content, content.headers["etag"])


async def test_a_photo_that_nobody_opened_yet_is_opened_when_it_is_asked_for(
    api: Served, opener: Opener, settings: Settings
):
    for seed, what in enumerate(("content", "thumbnail", "link"), 1):
        uploaded = await api.client.post("/v2/images", content=photo(seed=seed), headers=JPEG)
        answer = await opener.while_asked(api.client, f"{uploaded.json()['links']['self']}/{what}")
        assert answer.status_code == 200
        assert len(jobs(settings)) == seed


async def test_a_photo_is_not_shown_before_it_was_opened(settings: Settings):
    async with served(impatient(settings)) as api:
        path = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]["self"]
        for what in ("content", "thumbnail", "link"):
            answer = await api.client.get(f"{path}/{what}")
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert photo() not in answer.content
        facts = (await api.client.get(path)).json()
        assert (facts["state"], facts["url"], facts["url_expires_at"]) == ("pending", None, None)
        assert len(jobs(settings)) == 1  # every question joined it


async def test_a_device_that_stored_a_photo_needs_no_upload_for_it_to_be_shown(
    api: Served, opener: Opener, settings: Settings
):
    job = await api.client.post("/v2/jobs?kind=vision", content=photo(), headers=JPEG)
    assert job.status_code == 202
    ((image_id, _),) = rows(settings)
    answer = await opener.while_asked(api.client, f"/v2/images/{image_id}/content")
    assert answer.status_code == 200


async def test_a_link_serves_the_photo_without_a_credential(api: Served, opener: Opener):
    path = await opener.ready(photo())
    shown = (await api.client.get(path)).json()
    link = (await api.client.get(f"{path}/link?expires_s=60")).json()
    content = await api.client.get(f"{path}/content")
    async with httpx.AsyncClient(trust_env=False) as anyone:
        answers = [await anyone.get(url) for url in (shown["url"], link["url"])]
    for answer in answers:
        assert (answer.status_code, answer.content) == (200, content.content)
        assert answer.headers["content-type"] == "image/jpeg"
    assert "X-Amz-Expires=60" in link["url"]
    lifetime = datetime.fromisoformat(link["expires_at"]) - datetime.fromisoformat(shown["url_expires_at"])
    assert timedelta(minutes=-60) < lifetime < timedelta(minutes=-58)


async def test_a_link_lives_a_minute_to_a_week(api: Served):
    told: list[tuple[int, str]] = []
    for query in ("expires_s=59", "expires_s=604801", "expires_s=soon", "expires_s=", "for=60"):
        answer = await api.client.get(f"/v2/images/{uuid4()}/link?{query}")
        told.append((answer.status_code, answer.json()["field"]))
    assert told == [(422, "expires_s")] * 4 + [(422, "for")]


async def test_links_are_made_under_the_public_name(settings: Settings):
    objects = settings.objects.model_copy(update={"public_url": "https://photos.example.org"})
    changed = settings.model_copy(update={"objects": objects})
    async with served(changed) as api, opener_for(api, settings) as opener:
        path = await opener.ready(photo())
        assert (await api.client.get(path)).json()["url"].startswith("https://photos.example.org/")


async def test_another_owners_photo_is_not_found(api: Served):
    path = (await api.client.post("/v2/images", content=photo(), headers=JPEG)).json()["links"]["self"]
    asked = [path, *(f"{path}/{what}" for what in ("content", "thumbnail", "link")), f"/v2/images/{uuid4()}"]
    async with await client_of(api, "anna") as anna:
        answers = [await anna.get(url) for url in asked]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert len({answer.json()["detail"] for answer in answers}) == 1


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
    assert (rows(settings), jobs(settings)) == ([], [])


async def test_what_only_the_decoder_can_tell_is_refused_and_forgotten(api: Served, opener: Opener, settings: Settings):
    broken = with_broken_pixels(png())
    waiting = {"Content-Type": "image/png", "Prefer": "wait=10"}
    asking = asyncio.create_task(api.client.post("/v2/images", content=broken, headers=waiting, timeout=20))
    await opener.open_next()
    answer = await asking
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "image_refused", "body")
    assert rows(settings) == []
    with pytest.raises(NotFound):
        await api.front.objects.get(f"images/1/{sha256(broken).hexdigest()}.png")


async def test_what_turns_out_to_be_no_photo_is_never_shown(api: Served, opener: Opener, settings: Settings):
    broken = with_broken_pixels(png())
    path = (await api.client.post("/v2/images", content=broken, headers=JPEG)).json()["links"]["self"]
    answer = await opener.while_asked(api.client, f"{path}/content")
    again = await api.client.get(f"{path}/content")
    assert (answer.status_code, answer.json()["code"], again.status_code) == (422, "image_refused", 404)
    assert rows(settings) == []


async def test_no_room_among_waiting_jobs_is_told_before_anything_is_stored(settings: Settings):
    limits = settings.limits.model_copy(update={"waiting_per_owner": 1})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        assert (await api.client.post("/v2/images", content=photo(), headers=JPEG)).status_code == 201
        refused = await api.client.post("/v2/images", content=png(), headers=JPEG)
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
    assert len(rows(settings)) == 1


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
    shown = (await api.client.post("/v2/images", content=padded, headers=JPEG)).json()
    assert (shown["size_bytes"], shown["sha256"]) == (len(padded), sha256(padded).hexdigest())
    assert await api.front.objects.get(f"images/1/{shown['sha256']}.jpg") == padded
