"""Uploading, checking, fetching and deleting videos and audio files, with a real worker's runner."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.types import Message

from api.parts import PartsResponse, Span
from shared.domain.errors import NotFound
from shared.settings import Settings
from tests import media
from tests.images import html_page, photo
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.photos import Opener, client_of, opener_for
from tests.served import Served, served

MP4 = {"Content-Type": "video/mp4"}
SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, max-age=31536000, immutable",
    "accept-ranges": "bytes",
}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def opener(api: Served, settings: Settings) -> AsyncIterator[Opener]:
    async with opener_for(api, settings) as opener:
        yield opener


class Client:
    """Takes so many messages of an answer, then leaves, or stays and takes no more."""

    def __init__(self, *, takes: int, leaves: bool) -> None:
        self.messages: list[Message] = []
        self._takes = takes
        self._leaves = leaves
        self._has_left = asyncio.Event()

    async def send(self, message: Message) -> None:
        if len(self.messages) >= self._takes:
            if not self._leaves:
                await asyncio.Event().wait()
            self._has_left.set()
        self.messages.append(message)
        await asyncio.sleep(0)

    async def receive(self) -> Message:
        await self._has_left.wait()
        return {"type": "http.disconnect"}


def rows(settings: Settings, statement: str = "select object_key from media") -> list[Any]:
    with psycopg.connect(settings.database.conninfo) as connection:
        return connection.execute(statement.encode()).fetchall()


def key_of(content: bytes, extension: str) -> str:
    return f"media/1/{sha256(content).hexdigest()}.{extension}"


async def ready(api: Served, opener: Opener, content: bytes) -> str:
    """Upload a file, have it checked, and return where it is."""
    answer = await api.client.post("/v2/media", content=content, headers=MP4)
    assert answer.status_code == 201, answer.text
    await opener.open_all()
    path: str = answer.json()["links"]["self"]
    return path


async def test_a_film_is_stored_and_described_and_a_job_is_to_check_it(api: Served, settings: Settings):
    answer = await api.client.post("/v2/media", content=media.mp4(), headers=MP4)
    shown = answer.json()
    media_id = UUID(shown["id"])
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v2/media/{media_id}")
    assert shown == {
        "id": str(media_id),
        "kind": "video",
        "state": "pending",
        "media_type": "video/mp4",
        "size_bytes": len(media.mp4()),
        "sha256": sha256(media.mp4()).hexdigest(),
        "created_at": shown["created_at"],
        "links": {"self": f"/v2/media/{media_id}", "content": f"/v2/media/{media_id}/content"},
        "job": shown["job"],
    }
    job = (await api.client.get(shown["job"])).json()
    assert (job["kind"], job["state"], job["model"]) == ("upload", "queued", "smartsip/decoder")
    assert rows(settings) == [(key_of(media.mp4(), "mp4"),)]


async def test_who_prefers_to_wait_is_told_that_it_is_ready(api: Served, opener: Opener):
    headers = MP4 | {"Prefer": "wait=10"}
    asking = asyncio.create_task(api.client.post("/v2/media", content=media.wav(), headers=headers, timeout=20))
    await opener.open_next()
    answer = await asking
    again = await api.client.post("/v2/media", content=media.wav(), headers=headers)
    facts = await api.client.get(answer.json()["links"]["self"])
    assert (answer.status_code, answer.json()["state"], answer.json()["job"]) == (201, "ready", None)
    assert (answer.json()["kind"], answer.json()["media_type"]) == ("audio", "audio/wav")
    assert (again.status_code, again.json()) == (200, answer.json())
    assert facts.json() == {name: value for name, value in answer.json().items() if name != "job"}


async def test_the_job_reports_the_facts_of_the_file(api: Served, opener: Opener):
    uploaded = (await api.client.post("/v2/media", content=media.flac(), headers=MP4)).json()
    await opener.open_all()
    job = (await api.client.get(uploaded["job"])).json()
    assert (job["state"], job["result"]) == (
        "succeeded",
        {
            "media_id": uploaded["id"],
            "state": "ready",
            "kind": "audio",
            "media_type": "audio/flac",
            "size_bytes": len(media.flac()),
            "sha256": sha256(media.flac()).hexdigest(),
        },
    )


async def test_the_same_file_is_stored_once_per_owner_and_checked_by_one_job(api: Served, settings: Settings):
    first = await api.client.post("/v2/media", content=media.mp3(), headers=MP4)
    second = await api.client.post("/v2/media", files={"file": ("b.html", media.mp3(), "text/html")})
    async with await client_of(api, "anna") as anna:
        other = await anna.post("/v2/media", content=media.mp3(), headers=MP4)
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == second.json()
    assert other.json()["id"] != first.json()["id"]
    assert len({key for (key,) in rows(settings)}) == 2
    assert len(rows(settings, "select id from job")) == 2


async def test_a_file_is_served_as_what_it_is_and_never_as_a_page(api: Served, opener: Opener):
    content = media.mp4(frames=bytes(3_000_000) + b"<script>alert(1)</script>")
    path = await ready(api, opener, content)
    answer = await api.client.get(f"{path}/content")
    tag = f'"{sha256(content).hexdigest()}"'
    name = f'inline; filename="{path.rpartition("/")[2]}.mp4"'
    expected = SAFE | {"content-type": "video/mp4", "content-disposition": name, "etag": tag}
    expected["content-length"] = str(len(content))
    assert (answer.status_code, answer.content) == (200, content)
    assert {name: answer.headers.get(name) for name in expected} == expected
    again = await api.client.get(f"{path}/content", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_range_of_a_file_is_served(api: Served, opener: Opener):
    content = media.mp4(frames=bytes(range(256)) * 8192)
    size = len(content)
    path = f"{await ready(api, opener, content)}/content"
    for asked, begin, end in (("0-99", 0, 100), ("100-", 100, size), ("-7", size - 7, size), ("5-1100000", 5, 1100001)):
        answer = await api.client.get(path, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, content[begin:end])
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
    beyond = await api.client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    several = await api.client.get(path, headers={"Range": "bytes=0-1,4-5"})
    assert (several.status_code, several.content) == (200, content)


async def test_a_file_whose_object_is_gone_is_not_found_before_anything_is_sent(api: Served, opener: Opener):
    content = media.mp4(frames=b"soon gone")
    path = await ready(api, opener, content)
    await api.front.objects.delete(key_of(content, "mp4"))
    assert (await api.client.get(f"{path}/content")).status_code == 404


async def test_a_file_that_nobody_checked_yet_is_checked_when_it_is_asked_for(api: Served, opener: Opener):
    path = (await api.client.post("/v2/media", content=media.ogg(), headers=MP4)).json()["links"]["self"]
    answer = await opener.while_asked(api.client, f"{path}/content")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "audio/ogg", media.ogg())


async def test_a_file_is_not_shown_before_it_was_checked(settings: Settings):
    clocks = settings.clocks.model_copy(update={"image_ready": timedelta(seconds=0.1)})
    async with served(settings.model_copy(update={"clocks": clocks})) as api:
        path = (await api.client.post("/v2/media", content=media.mp4(), headers=MP4)).json()["links"]["self"]
        answer = await api.client.get(f"{path}/content")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert media.mp4() not in answer.content
    assert len(rows(settings, "select id from job")) == 1  # the question joined it


async def test_what_only_a_worker_can_tell_is_refused_and_forgotten(api: Served, opener: Opener, settings: Settings):
    broken = media.mp4()[:-1]
    headers = MP4 | {"Prefer": "wait=10"}
    asking = asyncio.create_task(api.client.post("/v2/media", content=broken, headers=headers, timeout=20))
    await opener.open_next()
    answer = await asking
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "media_refused", "body")
    assert answer.json()["detail"] == "The file is broken: a box reaches beyond the end."
    assert rows(settings) == []
    with pytest.raises(NotFound):
        await api.front.objects.get(key_of(broken, "mp4"))


async def test_what_turns_out_to_be_broken_is_never_shown(api: Served, opener: Opener, settings: Settings):
    path = (await api.client.post("/v2/media", content=media.wav()[:-9], headers=MP4)).json()["links"]["self"]
    answer = await opener.while_asked(api.client, f"{path}/content")
    again = await api.client.get(f"{path}/content")
    assert (answer.status_code, answer.json()["code"], again.status_code) == (422, "media_refused", 404)
    assert rows(settings) == []


async def test_a_file_whose_content_was_lost_can_be_uploaded_again(api: Served, opener: Opener, settings: Settings):
    first = (await api.client.post("/v2/media", content=media.aac(), headers=MP4)).json()
    await api.front.objects.delete(key_of(media.aac(), "aac"))
    await opener.open_all()
    job = (await api.client.get(first["job"])).json()
    assert (job["state"], job["error"]["code"], rows(settings)) == ("failed", "not_found", [])
    path = await ready(api, opener, media.aac())
    assert (await api.client.get(f"{path}/content")).content == media.aac()


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        pytest.param(b"", "video/mp4", 422, id="0 bytes"),
        pytest.param(html_page(), "video/mp4", 415, id="HTML named mp4"),
        pytest.param(b"<svg onload='alert(1)'/>", "video/mp4", 415, id="SVG named mp4"),
        pytest.param(b"#!/bin/sh\n", "audio/mpeg", 415, id="a script named mp3"),
        pytest.param(photo(), "video/mp4", 415, id="a photo"),
        pytest.param(media.mp4(), "text/html", 415, id="called HTML"),
        pytest.param(b'{"file": 1}', "application/json", 415, id="JSON"),
        pytest.param(b"--x\r\nbroken", "multipart/form-data; boundary=x", 422, id="half a form"),
        pytest.param(b"--x--\r\n", "multipart/form-data", 400, id="a form without a boundary"),
    ],
)
async def test_what_is_no_film_is_refused_and_nothing_is_stored(
    api: Served, settings: Settings, content: bytes, content_type: str, status: int
):
    answer = await api.client.post("/v2/media", content=content, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert "detail" in answer.json()
    assert (rows(settings), rows(settings, "select id from job")) == ([], [])


async def test_a_form_with_a_wrong_field_a_page_or_two_files_is_refused(api: Served, settings: Settings):
    wrong = await api.client.post("/v2/media", files={"video": ("a.mp4", media.mp4())})
    page = await api.client.post("/v2/media", files={"file": ("a.mp4", html_page(), "video/mp4")})
    two = await api.client.post("/v2/media", files=[("file", ("a.mp4", media.mp4())), ("media", ("b", media.wav()))])
    zipped = await api.client.post("/v2/media", content=media.mp4(), headers=MP4 | {"Content-Encoding": "gzip"})
    unknown = await api.client.post("/v2/media?title=a", content=media.mp4(), headers=MP4)
    answers = (wrong, page, two, zipped, unknown)
    assert [answer.status_code for answer in answers] == [422, 415, 400, 415, 422]
    fields = ["file", "file", "Content-Encoding", "title"]
    assert [answer.json()["field"] for answer in (wrong, page, zipped, unknown)] == fields
    assert rows(settings) == []


async def test_more_than_the_limit_is_refused_announced_or_not_raw_or_in_a_form(settings: Settings):
    limits = settings.limits.model_copy(update={"media_bytes": 9_000_000, "image_bytes": 100_000})
    film = media.mp4(frames=bytes(8_900_000))
    too_long = media.mp4(frames=bytes(9_200_000))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(too_long), 100_000):
            yield too_long[start : start + 100_000]

    async with served(settings.model_copy(update={"limits": limits})) as api:
        taken = await api.client.post("/v2/media", content=film, headers=MP4)
        form = await api.client.post("/v2/media", files={"file": ("a.mp4", film)})
        assert (taken.status_code, form.status_code, form.json()) == (201, 200, taken.json())
        assert taken.json()["size_bytes"] == len(film)
        announced = await api.client.post("/v2/media", content=too_long, headers=MP4)
        streamed = await api.client.post("/v2/media", content=chunks(), headers=MP4)
        in_form = await api.client.post("/v2/media", files={"file": ("a.mp4", too_long)})
        little_more = await api.client.post("/v2/media", files={"file": ("a.mp4", film + bytes(100_500))})
        refused = (announced, streamed, in_form, little_more)
        assert [answer.status_code for answer in refused] == [413] * 4
    assert len(rows(settings)) == 1


async def test_no_room_among_waiting_jobs_is_told_before_anything_is_stored(settings: Settings):
    limits = settings.limits.model_copy(update={"waiting_per_owner": 1})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        assert (await api.client.post("/v2/media", content=media.mp4(), headers=MP4)).status_code == 201
        refused = await api.client.post("/v2/media", content=media.wav(), headers=MP4)
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert len(rows(settings)) == 1


async def test_another_owners_file_is_not_found(api: Served, opener: Opener):
    path = await ready(api, opener, media.mp4())
    async with await client_of(api, "anna") as anna:
        asked = [("GET", path), ("GET", f"{path}/content"), ("DELETE", path), ("GET", f"/v2/media/{uuid4()}")]
        answers = [await anna.request(method, url) for method, url in asked]
        listed = await anna.get("/v2/media")
    assert [answer.status_code for answer in answers] == [404] * 4
    assert {answer.json()["detail"] for answer in answers} == {"There is no media file with this id."}
    assert listed.json() == {"media": [], "next": None}
    assert (await api.client.get(path)).status_code == 200


async def test_files_are_listed_newest_first_in_pages(api: Served):
    contents = (media.mp4(), media.wav(), media.mp3())
    uploads = [(await api.client.post("/v2/media", content=content, headers=MP4)).json() for content in contents]
    newest_first = [{name: value for name, value in shown.items() if name != "job"} for shown in reversed(uploads)]
    first = (await api.client.get("/v2/media?limit=2")).json()
    second = (await api.client.get(f"/v2/media?limit=2&cursor={first['next']}")).json()
    audio = (await api.client.get("/v2/media?kind=audio")).json()
    wrong = await api.client.get("/v2/media?kind=image")
    assert (first["media"], second) == (newest_first[:2], {"media": newest_first[2:], "next": None})
    assert (audio, wrong.status_code) == ({"media": newest_first[:2], "next": None}, 422)


async def test_nothing_is_left_of_a_deleted_file(api: Served, opener: Opener, settings: Settings):
    path = await ready(api, opener, media.mp4())
    kept = await ready(api, opener, media.wav())
    deleted = await api.client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    with pytest.raises(NotFound):
        await api.front.objects.get(key_of(media.mp4(), "mp4"))
    gone = [await api.client.get(path), await api.client.get(f"{path}/content"), await api.client.delete(path)]
    assert [answer.status_code for answer in gone] == [404] * 3
    for table in ("media", "job", "job_body", "job_done"):
        assert len(rows(settings, f"select id from {table}")) == 1
    assert (await api.client.get(f"{kept}/content")).content == media.wav()
    again = await ready(api, opener, media.mp4())
    assert again != path
    assert (await api.client.get(f"{again}/content")).status_code == 200


async def test_a_running_check_is_cancelled_before_its_file_is_deleted(api: Served, settings: Settings):
    uploaded = (await api.client.post("/v2/media", content=media.mp4(), headers=MP4)).json()
    async with JobRunner(api.front) as runner:
        await runner.begin(uploaded["job"].rpartition("/")[2])
        refused = await api.client.delete(uploaded["links"]["self"])
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await api.client.get(uploaded["job"])).json()["cancel_requested_at"] is not None
    assert len(rows(settings)) == 1


async def test_a_client_that_leaves_or_does_not_read_is_sent_no_more(api: Served):
    content = media.mp4(frames=bytes(3_000_000))
    await api.front.objects.put(key_of(content, "mp4"), content, media_type="video/mp4")
    sent: list[list[Message]] = []
    for client in (Client(takes=10, leaves=True), Client(takes=10, leaves=False), Client(takes=1000, leaves=False)):
        response = PartsResponse(
            api.front.objects,
            key_of(content, "mp4"),
            Span(0, len(content)),
            media_type="video/mp4",
            headers={},
            status=200,
            send_timeout=timedelta(seconds=0.1),
        )
        await (await response.begin())({"type": "http"}, client.receive, client.send)
        sent.append(client.messages)
    assert 10 < len(sent[0]) < 20
    assert len(sent[1]) == 10
    assert b"".join(message.get("body", b"") for message in sent[2]) == content
    assert [message.get("more_body") for message in (*sent[1], *sent[2])].count(False) == 1
