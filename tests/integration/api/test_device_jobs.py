"""One POST with a photo: its command in time, later, again, never twice, and never after it has lapsed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from shared.database.tables import job, touch
from shared.domain.dispense import Dispense, Intervention
from shared.domain.errors import ProviderRejected
from shared.domain.ids import JobId
from shared.domain.jobs import State
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import new_device
from tests.integration.api.photo_device import JOBS, PhotoDevice, patient, stored
from tests.integration.api.photo_runner import CUP, PhotoRunner, payload_of
from tests.served import Served, served

HOT = Dispense(
    volume=150,
    degree=29,
    type="child's cup",
    profile="smartsip-v0.1",
    is_safe_default=False,
    interventions=[Intervention("degree", 80, 29, "a child")],
    frames=["69662d0ea1"],
    raw='{"volume": 150, "degree": 80}',
)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(patient(settings)) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[PhotoRunner]:
    async with PhotoRunner(api.front) as running:
        yield running


@pytest.fixture
async def device(api: Served) -> AsyncIterator[PhotoDevice]:
    registered = await new_device(api)
    async with api.client_with(registered.token) as client:
        yield PhotoDevice(api, registered, client)


@pytest.fixture
async def neighbour(api: Served) -> AsyncIterator[PhotoDevice]:
    """Another device of the same owner."""
    registered = await new_device(api)
    async with api.client_with(registered.token) as client:
        yield PhotoDevice(api, registered, client)


async def age_touches(api: Served, seconds: float) -> datetime:
    """Let the touch have begun so much earlier; return when that was. To the server it is another touch by that."""
    earlier = touch.c.began_at - timedelta(seconds=seconds)
    [row] = await api.front.queries.rows(update(touch).values(began_at=earlier).returning(touch.c.began_at))
    return row.began_at


async def age_ends(api: Served, seconds: float) -> None:
    """Let every job have ended so much earlier."""
    earlier = job.c.ended_at - timedelta(seconds=seconds)
    await api.front.queries.rows(update(job).values(ended_at=earlier).returning(job.c.id))


async def test_a_photo_is_answered_with_its_command_within_the_wait(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next(HOT))
    answer = await device.post(query="?wait=4")
    claim = await answering
    view = await device.api.front.looks.look(claim.id)
    assert view is not None
    assert view.job.ended_at is not None
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    command = answer.json()
    assert datetime.fromisoformat(command.pop("expires_at")) == view.job.ended_at + timedelta(seconds=30)
    assert command == {
        "id": str(claim.id),
        "state": "succeeded",
        "volume": 150,
        "degree": 29,
        "type": "child's cup",
        "frames": ["69662d0ea1"],
        "changed": ["degree"],
    }


async def test_the_job_is_the_devices_and_about_its_photo(device: PhotoDevice, runner: PhotoRunner):
    job_id = JobId(UUID(await device.sent()))
    look = await device.api.front.looks.look(job_id)
    payload = payload_of(await runner.claim_next())
    rows = await device.api.front.queries.rows(text("select id, owner_id, device_id from image"))
    assert look is not None
    assert [tuple(row) for row in rows] == [
        (UUID(payload["input"]["image"]["id"]), device.registered.owner_id, device.registered.id)
    ]
    assert (look.job.owner_id, look.fair_key) == (device.registered.owner_id, device.registered.number)
    assert look.job.deadline - look.job.created_at == pytest.approx(timedelta(seconds=15), abs=timedelta(seconds=1))


async def test_a_job_that_takes_longer_is_accepted_and_asked_for_later(device: PhotoDevice, runner: PhotoRunner):
    before = await device.sent(photo(seed=1))
    accepted = await device.post(query="?wait=0.1")
    job_id = accepted.json()["id"]
    look = await device.api.front.looks.look(JobId(UUID(job_id)))
    assert look is not None
    deadline = look.job.deadline.isoformat().replace("+00:00", "Z")
    waiting = {"id": job_id, "state": "queued", "position": 1, "deadline": deadline}
    assert (accepted.status_code, accepted.json()) == (202, waiting)
    assert accepted.headers["location"] == f"{JOBS}/{job_id}"
    assert accepted.headers["retry-after"] == "1"
    polled = await device.get(job_id)
    assert (polled.status_code, polled.json(), polled.headers["retry-after"]) == (202, waiting, "1")
    claims = [await runner.claim_next(), await runner.claim_next()]
    assert {str(claim.id) for claim in claims} == {before, job_id}
    running = await device.get(job_id)
    assert (running.status_code, running.json()) == (202, waiting | {"state": "running", "position": None})
    asking = asyncio.create_task(device.get(f"{job_id}?wait=10"))
    for claim in claims:
        await runner.succeed(claim, CUP)
    answer = await asking
    again = await device.get(job_id)
    assert (answer.status_code, answer.json()["volume"], again.json()) == (200, 200, answer.json())


async def test_a_repeated_request_is_the_same_job_and_the_same_command(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    first = await device.post(query="?wait=4")
    await answering
    again = [await device.post(query="?wait=4"), await device.post(query="?timeout_s=3"), await device.post()]
    assert [answer.json() for answer in again] == [first.json()] * 3
    assert {answer.headers.get("idempotency-replayed") for answer in again} == {"true"}
    assert await stored(device.api) == (1, 1)


async def test_requests_at_once_are_one_job(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    answers = await asyncio.gather(*(device.post(query="?wait=4") for _ in range(8)))
    await answering
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert await stored(device.api) == (1, 1)


async def test_a_touch_lasts_a_minute_from_its_beginning_however_often_it_is_repeated(device: PhotoDevice):
    first = await device.sent()
    began = await age_touches(device.api, 59)
    await device.sent()
    assert await age_touches(device.api, 0) == began
    await age_touches(device.api, 1.5)
    second = await device.sent()
    assert second != first
    assert await age_touches(device.api, 0) > began
    assert await device.sent() == second


async def test_another_photo_is_another_job(device: PhotoDevice):
    assert await device.sent(photo(seed=1)) != await device.sent(photo(seed=2))
    assert await stored(device.api) == (2, 2)


async def test_a_key_makes_one_job_however_long_it_takes(device: PhotoDevice):
    first = await device.sent(key="boot-7-1")
    assert await device.sent(key="boot-7-1") == first
    assert await device.api.front.queries.rows(select(touch)) == []  # no clock runs
    assert await device.sent(key="boot-7-2") != first
    assert await stored(device.api) == (1, 2)


async def test_a_key_is_good_for_one_photo(device: PhotoDevice):
    await device.sent(photo(seed=1), key="boot-7-1")
    refused = await device.post(photo(seed=2), key="boot-7-1")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await stored(device.api) == (1, 1)
    await device.sent(photo(seed=2), key="boot-7-2")
    refused = await device.post(photo(seed=2), key="boot-7-1")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await stored(device.api) == (2, 2)


async def test_two_devices_never_share_a_job(device: PhotoDevice, neighbour: PhotoDevice):
    jobs = {await each.sent(key=key) for each in (device, neighbour) for key in (None, "1")}
    assert len(jobs) == 4
    assert await stored(device.api) == (1, 4)


async def test_a_command_that_is_read_too_late_pours_nothing(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    command = (await device.post(query="?wait=4")).json()
    await answering
    await age_ends(device.api, 29)
    assert (await device.get(command["id"])).json()["volume"] == 200
    await age_ends(device.api, 1.5)
    read = [await device.get(command["id"]), await device.get(f"{command['id']}?wait=1"), await device.post()]
    nothing = {"id": command["id"], "state": "lapsed", "volume": 0, "degree": 0, "type": "none"}
    for answer in read:
        told = answer.json()
        assert (answer.status_code, told.pop("expires_at") < command["expires_at"], told) == (200, True, nothing)


async def test_a_job_that_fails_pours_nothing_and_says_only_why(device: PhotoDevice, runner: PhotoRunner):
    failing = asyncio.create_task(runner.fail_next(ProviderRejected("volume 500, key sk-123").info()))
    answer = await device.post(query="?wait=4")
    claim = await failing
    pours_nothing = {"id": str(claim.id), "state": "failed", "volume": 0, "degree": 0, "type": "none"}
    assert (answer.status_code, answer.json()) == (200, pours_nothing | {"error": "provider_rejected"})


async def test_a_job_whose_deadline_passes_pours_nothing(device: PhotoDevice):
    answer = await device.post(query="?wait=10&timeout_s=0.3")
    pours_nothing = {"id": answer.json()["id"], "state": "expired", "volume": 0, "degree": 0, "type": "none"}
    assert (answer.status_code, answer.json()) == (200, pours_nothing | {"error": "expired"})


async def test_a_cancelled_job_pours_nothing(device: PhotoDevice, runner: PhotoRunner):
    queued = await device.sent()
    cancelled = await device.cancel(queued)
    pours_nothing = {"state": "cancelled", "volume": 0, "degree": 0, "type": "none", "error": "cancelled"}
    assert (cancelled.status_code, cancelled.json()) == (200, {"id": queued} | pours_nothing)
    running = await device.sent(photo(seed=1))
    await runner.claim_next()
    asked = await device.cancel(running)
    assert (asked.status_code, asked.json()["state"]) == (202, "cancelling")


async def test_cancelling_too_late_pours_nothing_either(device: PhotoDevice, runner: PhotoRunner):
    answering = asyncio.create_task(runner.answer_next())
    command = (await device.post(query="?wait=4")).json()
    await answering
    answer = await device.cancel(command["id"])
    assert (answer.status_code, answer.json()["state"], answer.json()["volume"]) == (200, "lapsed", 0)


async def test_a_token_in_the_path_is_as_good(api: Served, runner: PhotoRunner):
    registered = await new_device(api)
    answering = asyncio.create_task(runner.answer_next())
    answer = await api.stranger.post(f"{registered.prefix}{JOBS}?wait=4", content=photo())
    await answering
    polled = await api.stranger.get(f"{registered.prefix}{JOBS}/{answer.json()['id']}")
    assert (answer.status_code, answer.json()["volume"], polled.json()) == (200, 200, answer.json())
    assert registered.token not in str(answer.headers)


async def test_a_device_that_hangs_up_finds_its_job_again(device: PhotoDevice, runner: PhotoRunner):
    posting = asyncio.create_task(device.post(query="?wait=20"))
    claim = await runner.claim_next()
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    await runner.succeed(claim, CUP)
    again = await device.post(query="?wait=4")
    assert (again.status_code, again.json()["id"], again.json()["volume"]) == (200, str(claim.id), 200)
    assert [view.state for view in await device.api.front.reads.list(None, limit=9)] == [State.SUCCEEDED]
