"""Submitting, waiting, looking up, listing, cancelling and replaying jobs over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from api.routes.job_models import AcceptedModel, CancellingModel, JobModel, JobsModel, SetbacksModel
from api.scopes import Scope
from shared.domain.commands import JobSpec
from shared.domain.errors import DeadLetter, ProviderTimeout
from shared.domain.events import Cancelled, Completed, Failed, Result, Text, Usage
from shared.domain.ids import JobId
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.jobs import CHAT, submit
from tests.integration.api.photo_runner import payload_of
from tests.served import Served, served
from tests.stack import eventually

PHOTO = photo()


async def another_owner(api: Served, name: str = "somebody") -> httpx.AsyncClient:
    """A client of another owner's."""
    new = await api.front.keys.create(
        owner_name=name, name="key", scopes=frozenset({Scope.JOBS, Scope.IMAGES}), expires_at=None
    )
    return api.client_with(new.secret)


async def test_a_job_is_accepted_with_its_address_and_what_was_made_of_it(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        before = datetime.now(UTC)
        answer = await api.client.post("/v2/jobs", json=CHAT | {"labels": {"lab": "7"}, "timeout_s": 60})
        assert answer.status_code == 202
        job = AcceptedModel.model_validate_json(answer.content)
        assert answer.headers["location"] == f"/v2/jobs/{job.id}" == job.links["self"]
        assert job.model_dump(exclude={"id", "deadline", "links"}) == {
            "kind": "chat",
            "state": "queued",
            "queue": "chat",
            "model": "demo/demo",
            "labels": {"lab": "7"},
            "on_disconnect": "continue",
        }
        assert timedelta(seconds=59) < job.deadline - before < timedelta(seconds=62)
        assert answer.json()["deadline"].endswith("Z")
        attempt = await runner.claim(str(job.id))
        spec = JobSpec.model_validate_json(attempt.claim.payload)
        assert spec.model_dump(exclude_defaults=True) == {
            "kind": "chat",
            "model": "demo/demo",
            "input": {"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
        }


async def test_a_job_that_names_no_model_gets_the_servers_default(settings: Settings):
    async with served(settings) as api:
        answer = await api.client.post("/v2/jobs", json={key: CHAT[key] for key in ("kind", "input")})
        assert answer.json()["model"] == settings.default_model


async def test_a_caller_who_prefers_to_wait_gets_the_whole_job(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        asking = asyncio.create_task(
            api.client.post("/v2/jobs", json=CHAT, headers={"Prefer": "respond-async, wait=10"})
        )
        job_id = await queued_job(api)
        attempt = await runner.begin(job_id)
        await attempt.say(Text("Ray"), Text("leigh"), Usage(input_tokens=3, output_tokens=2), Result({"a": 1}))
        await attempt.end(Completed("stop"))
        answer = await asking
        assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=10")
        job = JobModel.model_validate_json(answer.content)
        assert (job.state, job.result, job.error, job.cancelled) == ("succeeded", {"a": 1}, None, None)
        assert job.reply is not None
        assert job.reply.model_dump() == {
            "text": "Rayleigh",
            "reasoning": "",
            "tool_calls": [],
            "search_results": [],
            "signatures": [],
            "images": [],
            "videos": [],
            "notes": [],
            "usage": {
                "input_tokens": 3,
                "output_tokens": 2,
                "reasoning_tokens": 0,
                "cached_tokens": 0,
                "is_estimated": False,
            },
            "provider": "demo",
            "model": "demo",
            "finish_reason": "stop",
        }
        assert (await api.client.get(f"/v2/jobs/{job_id}")).json() == answer.json()
        assert api.front.hub.open_readers == 0


async def test_a_wait_that_is_too_short_is_answered_with_where_to_look(settings: Settings):
    async with served(settings) as api:
        answer = await api.client.post("/v2/jobs", json=CHAT, headers={"Prefer": "wait=1"})
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert answer.headers["location"] == answer.json()["links"]["self"]
        assert answer.headers["preference-applied"] == "wait=1"
        assert api.front.hub.open_readers == 0


async def test_the_longest_wait_is_what_the_server_says(settings: Settings):
    limits = settings.limits.model_copy(update={"wait_s": 1})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        answer = await api.client.post("/v2/jobs", json=CHAT, headers={"Prefer": "wait=9999"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
        refused = await api.client.get(answer.headers["location"], params={"wait": 2})
        assert (refused.status_code, refused.json()["field"]) == (422, "wait")


async def test_a_long_poll_ends_with_the_job(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        polling = asyncio.create_task(api.client.get(f"/v2/jobs/{job_id}", params={"wait": 10}))
        await eventually(lambda: has_readers(api, 1))
        attempt = await runner.begin(job_id)
        await attempt.end(Failed(ProviderTimeout("nothing came").info()))
        job = JobModel.model_validate_json((await polling).content)
        assert job.error is not None
        assert (job.state, job.error.code, job.error.detail) == ("failed", "provider_timeout", "nothing came")
        again = await api.client.get(f"/v2/jobs/{job_id}", params={"wait": 10})
        assert again.json() == (await polling).json()
        assert (await api.client.get(f"/v2/jobs/{job_id}?wait=0")).status_code == 200


async def test_a_caller_who_leaves_while_waiting_cancels_a_job_with_that_policy(settings: Settings):
    async with served(settings) as api, JobRunner(api.front):
        body = CHAT | {"on_disconnect": "cancel"}
        with pytest.raises(httpx.ReadTimeout):
            await api.client.post("/v2/jobs", json=body, headers={"Prefer": "wait=30"}, timeout=0.5)

        async def is_cancelled() -> bool:
            jobs = (await api.client.get("/v2/jobs")).json()["jobs"]
            return [job["state"] for job in jobs] == ["cancelled"]

        await eventually(is_cancelled)
        assert api.front.hub.open_readers == 0


async def test_repeating_a_request_with_its_key_is_harmless(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        headers = {"Idempotency-Key": "boot-7:42"}
        first = await api.client.post("/v2/jobs", json=CHAT, headers=headers)
        again = await api.client.post("/v2/jobs", json=CHAT, headers=headers)
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.json()["id"] == first.json()["id"]
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        attempt = await runner.begin(first.json()["id"])
        await attempt.end(Completed("stop"))
        for extra in ({}, {"Prefer": "wait=5"}):
            ended = await api.client.post("/v2/jobs", json=CHAT, headers=headers | extra)
            assert (ended.status_code, ended.json()["state"]) == (200, "succeeded")
            assert ended.headers["idempotency-replayed"] == "true"
        other = await api.client.post("/v2/jobs", json=CHAT | {"timeout_s": 5}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert len((await api.client.get("/v2/jobs")).json()["jobs"]) == 1


async def test_twenty_at_once_with_one_key_make_one_job(settings: Settings):
    async with served(settings) as api:
        headers = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(
            *(api.client.post("/v2/jobs", json=CHAT, headers=headers, timeout=10) for _ in range(20))
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_key_belongs_to_its_owner(settings: Settings):
    async with served(settings) as api:
        headers = {"Idempotency-Key": "k"}
        async with await another_owner(api) as stranger:
            mine = await api.client.post("/v2/jobs", json=CHAT, headers=headers)
            theirs = await stranger.post("/v2/jobs", json=CHAT, headers=headers)
        assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize("media_type", ["image/jpeg", "application/x-www-form-urlencoded", "application/octet-stream"])
async def test_a_bare_photo_is_stored_and_becomes_a_job(settings: Settings, media_type: str):
    async with served(settings) as api, JobRunner(api.front) as runner:
        answer = await api.client.post(
            "/v2/jobs?kind=vision&model=demo/eyes&timeout_s=30&profile=smartsip-v0.1&label=lab:7&label=run:a:b",
            content=PHOTO,
            headers={"Content-Type": media_type},
        )
        assert answer.status_code == 202, answer.text
        job = AcceptedModel.model_validate_json(answer.content)
        assert (job.kind, job.queue, job.model, job.labels) == (
            "vision",
            "device",
            "demo/eyes",
            {"lab": "7", "run": "a:b"},
        )
        spec = payload_of((await runner.claim(str(job.id))).claim)
        image = await api.client.get(f"/v2/images/{spec['input']['image']['id']}")
        assert image.json()["sha256"] == sha256(PHOTO).hexdigest()


async def test_a_photo_too_many_is_refused_before_it_is_stored(settings: Settings):
    limits = settings.limits.model_copy(update={"waiting_per_owner": 1})
    async with served(settings.model_copy(update={"limits": limits})) as api:
        url = "/v2/jobs?kind=vision"
        assert (await api.client.post(url, content=PHOTO, headers={"Content-Type": "image/jpeg"})).status_code == 202
        other = photo(31, 17)
        refused = await api.client.post(url, content=other, headers={"Content-Type": "image/jpeg"})
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
        uploaded = await api.client.post("/v2/images", content=other, headers={"Content-Type": "image/jpeg"})
        assert uploaded.status_code == 201  # it is new


async def test_jobs_refer_to_the_owners_own_images_only(settings: Settings):
    async with served(settings) as api:
        image = await api.client.post("/v2/images", content=PHOTO, headers={"Content-Type": "image/jpeg"})
        source = {"id": image.json()["id"]}
        vision: dict[str, Any] = {"kind": "vision", "input": {"image": source}}
        parts = [{"type": "text", "text": "?"}, {"type": "image", "image": source}]
        chat = {"kind": "chat", "input": {"messages": [{"role": "user", "content": parts}]}}
        async with await another_owner(api) as stranger:
            for body, field in ((vision, "input.image.id"), (chat, "input.messages.0.content.1.image.id")):
                assert (await api.client.post("/v2/jobs", json=body)).status_code == 202
                refused = await stranger.post("/v2/jobs", json=body)
                assert (refused.status_code, refused.json()["field"]) == (422, field)


async def test_lists_are_the_owners_own_newest_first_and_filtered(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        ids = [await submit(api, labels={"n": str(number % 2)}) for number in range(5)]
        attempt = await runner.begin(ids[0])
        await attempt.end(Completed("stop"))
        async with await another_owner(api) as stranger:
            await submit(api, client=stranger)
            assert len((await stranger.get("/v2/jobs")).json()["jobs"]) == 1
        assert await listed(api) == ids[::-1]
        assert await listed(api, state="succeeded") == ids[:1]
        assert await listed(api, state="queued", label="n:1") == [ids[3], ids[1]]
        assert await listed(api, kind="vision") == []
        assert await listed(api, queue="chat", limit=2) == ids[:2:-1]


async def test_pages_follow_each_other_without_gap_or_repetition(settings: Settings):
    async with served(settings) as api:
        ids = [await submit(api) for _ in range(7)]
        found: list[str] = []
        cursor: str | None = None
        while True:
            parameters: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = JobsModel.model_validate_json((await api.client.get("/v2/jobs", params=parameters)).content)
            found += [str(job.id) for job in page.jobs]
            cursor = page.next
            if cursor is None:
                break
        assert found == ids[::-1]


async def test_cancelling_a_queued_job_is_done_at_once_and_again_changes_nothing(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        first = await api.client.post(f"/v2/jobs/{job_id}/cancel")
        again = await api.client.post(f"/v2/jobs/{job_id}/cancel")
        assert (first.status_code, again.status_code) == (200, 200)
        job = JobModel.model_validate_json(first.content)
        assert job.cancelled is not None
        assert (job.state, job.cancelled.phase) == ("cancelled", "queued")
        assert again.json() == first.json()


async def test_an_unconfirmed_cancel_says_so_and_a_job_that_ended_stays(settings: Settings):
    clocks = settings.clocks.model_copy(update={"cancel_confirm": timedelta(seconds=0.2)})
    async with served(settings.model_copy(update={"clocks": clocks})) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        answer = await api.client.post(f"/v2/jobs/{job_id}/cancel")
        assert answer.status_code == 202
        assert CancellingModel.model_validate_json(answer.content).state == "cancelling"
        await attempt.end(Cancelled(phase="streaming", provider_stops_billing="unknown"))
        after = await api.client.post(f"/v2/jobs/{job_id}/cancel")
        assert (after.status_code, after.json()["state"]) == (200, "cancelled")


async def test_a_dead_letter_is_replayed_by_administrators_only_and_shows_its_history(settings: Settings):
    async with served(settings) as api, JobRunner(api.front) as runner:
        job_id = await submit(api)
        attempt = await runner.begin(job_id)
        not_dead = await api.client.post(f"/v2/jobs/{job_id}/replay")
        assert (not_dead.status_code, not_dead.json()["code"]) == (409, "conflict")
        await attempt.end(Failed(DeadLetter("three times").info()))
        async with await another_owner(api) as stranger:
            assert (await stranger.post(f"/v2/jobs/{job_id}/replay")).status_code == 403
        replayed = await api.client.post(f"/v2/jobs/{job_id}/replay")
        assert (replayed.status_code, replayed.json()["state"]) == (202, "queued")
        history = SetbacksModel.model_validate_json((await api.client.get(f"/v2/jobs/{job_id}/setbacks")).content)
        assert [(one.attempt, one.what) for one in history.setbacks] == [(1, "replayed")]
        second = await runner.begin(job_id)
        assert second.claim.fence == 2


async def test_another_owners_job_is_not_there(settings: Settings):
    async with served(settings) as api:
        job_id = await submit(api)
        unknown = "0198f3b0-0000-7000-8000-000000000000"
        async with await another_owner(api) as stranger:
            for wanted in (job_id, unknown):
                for method, path in (
                    ("GET", ""),
                    ("GET", "?wait=5"),
                    ("GET", "/events"),
                    ("GET", "/setbacks"),
                    ("POST", "/cancel"),
                ):
                    answer = await stranger.request(method, f"/v2/jobs/{wanted}{path}")
                    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        view = await api.front.reads.get(JobId(UUID(job_id)), None)
        assert view is not None
        assert view.cancel_requested_at is None
        assert api.front.hub.open_readers == 0


@pytest.mark.covers("F000-19")
async def test_the_documentation_is_complete(settings: Settings):
    async with served(settings) as api:
        document = (await api.stranger.get("/openapi.json")).json()
        post = document["paths"]["/v2/jobs"]["post"]
        assert set(post["requestBody"]["content"]) == {"application/json", "image/jpeg", "image/png", "image/webp"}
        assert post["security"] == [{"bearer": []}]
        text = msgspec.json.encode(document).decode()
        for name in text.split('"#/components/schemas/')[1:]:
            assert name.partition('"')[0] in document["components"]["schemas"]
        assert (await api.stranger.get("/docs")).status_code == 200


@pytest.mark.covers("F000-01")
async def test_the_root_greets_people_with_a_page_and_devices_with_a_line(settings: Settings):
    async with served(settings) as api:
        page = await api.stranger.get("/", headers={"Accept": "text/html,*/*"})
        line = await api.stranger.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (line.status_code, line.text) == (200, "Hello, Sphinx!")


async def queued_job(api: Served) -> str:
    """Wait until there is a job, and return its id."""
    found: list[str] = []

    async def is_there() -> bool:
        found[:] = await listed(api)
        return bool(found)

    await eventually(is_there)
    return found[0]


async def listed(api: Served, **parameters: Any) -> list[str]:
    answer = await api.client.get("/v2/jobs", params=parameters)
    return [job["id"] for job in answer.json()["jobs"]]


async def has_readers(api: Served, count: int) -> bool:
    return api.front.hub.open_readers == count
