"""Batches through the api: begin, hand out, count, steer; the worker is played, everything else is real."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from api.services.batches.pump import BatchPump
from shared.database.statements.provider_lists import heard
from shared.domain.dispense import INLINE, Intervention
from shared.domain.errors import ErrorInfo
from shared.domain.models import ListedModel
from shared.settings import ProviderEndpoint, Settings
from shared.settings_dialects import Price
from tests.integration.api.accounts import new_user
from tests.integration.api.batch_rows import add_photos
from tests.integration.api.batch_runner import CUP, BatchRunner
from tests.served import Served, served
from tests.stack import eventually

BROKEN = ErrorInfo(code="provider_timeout", status=504, title="The provider did not answer in time", detail="silence")
PRICED = "openai/gpt-4o"
TWO: list[dict[str, Any]] = [{"model": PRICED}, {"model": "demo/demo", "name": "second"}]
Json = dict[str, Any]
EVERY: Json = {"filter": {}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "providers": {"openai": ProviderEndpoint(base_url="http://127.0.0.1:9/v1")},
            "clocks": settings.clocks.model_copy(update={"batch_every": timedelta(seconds=0.1)}),
            "prices": {PRICED: Price(input=Decimal(1), output=Decimal(1))},
        }
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def runner(api: Served) -> AsyncIterator[BatchRunner]:
    async with BatchRunner(api) as runner:
        yield runner


async def some_photos(api: Served, count: int) -> list[UUID]:
    unlabelled: list[Json] = [{} for _ in range(count)]
    return await add_photos(api, unlabelled)


async def begin(api: Served, variants: list[Json] | None = None, **body: Any) -> Json:
    wanted: Json = {"selection": EVERY, "variants": variants or TWO} | body
    answer = await api.client.post("/v2/batches", json=wanted)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    return answer.json()


async def look(api: Served, batch: Json) -> Json:
    return (await api.client.get(batch["links"]["self"])).json()


async def ask(api: Served, batch: Json, what: str, body: Json | None = None) -> Json:
    answer = await api.client.post(f"{batch['links']['self']}/{what}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def until(api: Served, batch: Json, **wanted: Any) -> Json:
    """Wait until a batch is so, and return it."""
    seen: list[Json] = []

    async def is_so() -> bool:
        seen.append(await look(api, batch))
        flat = seen[-1]["progress"] | {"state": seen[-1]["state"], "is_over": seen[-1]["ended_at"] is not None}
        return all(flat[name] == value for name, value in wanted.items())

    await eventually(is_so, within=10, expecting=f"{wanted}")
    return seen[-1]


async def items_of(api: Served, batch: Json, **query: Any) -> list[Json]:
    answer = await api.client.get(batch["links"]["items"], params={"limit": 1000} | query)
    return answer.json()["items"]


async def jobs_in(api: Served) -> int:
    return (await api.front.queries.rows(text("select count(*) from job where queue = 'batch'")))[0][0]


async def test_every_photo_gets_one_result_per_variant_and_what_it_took_is_counted(
    api: Served, runner: BatchRunner
) -> None:
    photos = await some_photos(api, 5)
    batch = await begin(api, name="november", note="why not")
    assert (batch["name"], batch["note"], batch["state"], batch["photos"]) == ("november", "why not", "running", 5)
    await runner.run(10, lambda spec: CUP if spec["model"] == PRICED else BROKEN)
    batch = await until(api, batch, is_over=True)

    nothing = {"pending": 0, "running": 0, "cancelled": 0, "deleted": 0, "rate_per_s": None, "seconds_left": None}
    tokens = {"input_tokens": 4500, "output_tokens": 500, "cost": pytest.approx(0.05)}
    assert [variant["progress"] for variant in batch["variants"]] == [
        {"photos": 5, "succeeded": 5, "failed": 0, "unpriced": 0} | nothing | tokens,
        {"photos": 5, "succeeded": 0, "failed": 5, "unpriced": 0} | nothing | tokens,
    ]
    assert [(one["number"], one["name"], one["model"]) for one in batch["variants"]] == [
        (1, PRICED, PRICED),
        (2, "second", "demo/demo"),
    ]
    assert (batch["state"], batch["progress"]["photos"]) == ("completed", 10)
    assert sorted(runner.ran) == sorted((variant, photo) for variant in (1, 2) for photo in photos)
    items = await items_of(api, batch)
    assert [(item["position"], item["variant"]) for item in items] == [(n, v) for n in range(5) for v in (1, 2)]
    assert [UUID(item["image_id"]) for item in items[::2]] == sorted(photos, reverse=True)  # the newest first
    told = {name: value for name, value in items[0].items() if name not in ("job_id", "ended_at", "latency_ms")}
    assert told == {
        "variant": 1,
        "position": 0,
        "image_id": str(max(photos)),
        "state": "succeeded",
        "tries": 1,
        "error": None,
        "volume": 200,
        "degree": 80,
        "asked_volume": 200,
        "asked_degree": 80,
        "receivable": True,
        "child_present": False,
        "container": "cup",
        "contents": "tea",
        "interventions": [],
        "is_unusable": False,
        "input_tokens": 900,
        "output_tokens": 100,
        "cost": 0.01,
    }
    assert items[1]["error"] == {"code": "provider_timeout", "detail": "silence"}


async def test_the_envelopes_changes_are_kept_beside_what_the_model_wanted(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 1)
    batch = await begin(api, TWO[:1])
    cut = Intervention("volume", "2 l", 200, "this device pours at most 200 ml")
    await runner.run(1, lambda _: msgspec.structs.replace(CUP, interventions=[cut]))
    await until(api, batch, is_over=True)
    (item,) = await items_of(api, batch)
    assert (item["volume"], item["asked_volume"], item["asked_degree"], item["interventions"]) == (
        *(200, 2000, 80),
        ["volume"],
    )


async def test_only_what_slots_need_is_handed_out_and_other_ones_jobs_are_not_touched(
    api: Served, runner: BatchRunner
) -> None:
    await some_photos(api, 60)
    batch = await begin(api)
    await until(api, batch, running=16)
    pump = BatchPump(api.front)
    for _ in range(5):  # however often, and from wherever
        await pump.once()
    await pump.close()
    assert (await jobs_in(api), (await look(api, batch))["progress"]["pending"]) == (16, 104)


async def test_a_pause_takes_back_what_nobody_began_and_resume_goes_on(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 20)
    batch = await begin(api)
    began = await runner.claim()
    paused = await ask(api, batch, "pause")
    assert (paused["state"], paused["reason"]) == ("paused", "paused by its owner")
    await until(api, batch, running=1, pending=39)
    assert await runner.queued() == []
    await runner.end(began)
    still = await until(api, batch, running=0, succeeded=1)
    assert (still["state"], still["ended_at"]) == ("paused", None)
    assert (await ask(api, batch, "resume"))["state"] == "running"
    await runner.run(39)
    await until(api, batch, is_over=True, succeeded=40, state="completed")
    assert len(set(runner.ran)) == len(runner.ran) == 40


async def test_cancelled_it_stops_what_runs_and_keeps_what_was_found(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 10)
    batch = await begin(api)
    await runner.run(3)
    began = await runner.claim()
    assert (await ask(api, batch, "cancel"))["state"] == "cancelled"

    async def is_told() -> bool:
        row = text("select cancel_requested_at from job where id = :id")
        return (await api.front.queries.rows(row, {"id": began.id}))[0][0] is not None

    await eventually(is_told, within=5, expecting="the running job's cancel")
    await runner.end(began)  # it was too late for it
    batch = await until(api, batch, is_over=True, succeeded=4, pending=16)
    answer = await api.client.post(f"{batch['links']['self']}/resume")
    assert (answer.status_code, answer.json()["detail"]) == (409, "This batch is cancelled: it cannot be resumed.")
    assert (await ask(api, batch, "cancel"))["state"] == "cancelled"  # again is harmless


async def test_what_failed_is_tried_again_and_counted_once(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 4)
    batch = await begin(api)
    await runner.run(8, lambda spec: BROKEN)
    await until(api, batch, is_over=True, failed=8)
    batch = await ask(api, batch, "retry", {"variant": 2})
    assert (batch["state"], batch["ended_at"], batch["progress"]["failed"]) == ("running", None, 4)
    await runner.run(4)
    batch = await until(api, batch, is_over=True, failed=4, succeeded=4)
    assert batch["progress"]["input_tokens"] == 12 * 900  # what was paid is paid
    assert [item["tries"] for item in await items_of(api, batch, variant=2)] == [2] * 4
    refused = await api.client.post(f"{batch['links']['self']}/retry", json={"variant": 3})
    assert (refused.status_code, refused.json()["field"]) == (422, "variant")


async def test_a_variant_that_is_added_later_is_asked_about_the_same_photos(api: Served, runner: BatchRunner) -> None:
    photos = await some_photos(api, 3)
    batch = await begin(api, TWO[:1])
    await runner.run(3)
    await until(api, batch, is_over=True)
    await some_photos(api, 3)  # not among those the batch began with
    added = await ask(api, batch, "variants", {"model": PRICED, "parameters": {"temperature": 0.5}})
    assert [(one["number"], one["name"]) for one in added["variants"]] == [(1, PRICED), (2, f"{PRICED} (2)")]
    await runner.run(3)
    await until(api, batch, is_over=True, succeeded=6)
    assert sorted(runner.ran[3:]) == sorted((2, photo) for photo in photos)


async def test_a_batch_that_cannot_be_moved_does_not_hold_up_the_others(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 2)
    broken = await begin(api, TWO[:1])
    await runner.run(2)
    await until(api, broken, is_over=True)
    for statement in (
        "update job_done set reply = 'x' where id in (select job_id from batch_item where batch_id = :id) returning id",
        "update batch_item set state = 1 where batch_id = :id returning position",
        "update batch set state = 0, ended_at = null where id = :id returning id",
    ):
        await api.front.queries.rows(text(statement), {"id": UUID(broken["id"])})
    well = await begin(api, TWO[:1])
    await runner.run(2)
    await until(api, well, is_over=True, succeeded=2)


async def test_a_prompt_of_its_own_has_the_name_that_promotions_refuse(api: Served) -> None:
    await some_photos(api, 1)
    batch = await begin(api, [{"model": PRICED, "prompt_text": "What is it?"}])
    assert batch["variants"][0]["prompt"] == INLINE


async def test_a_budget_pauses_it_before_it_is_overspent_and_a_higher_one_goes_on(
    api: Served, runner: BatchRunner
) -> None:
    await some_photos(api, 20)
    batch = await begin(api, TWO[:1], budget={"cost": 0.07})
    await runner.run(7)
    paused = await until(api, batch, state="paused", running=0, succeeded=7)
    assert (paused["reason"], paused["progress"]["cost"]) == (
        "The budget is spent (0.07 of 0.07): raise it and resume.",
        pytest.approx(0.07),
    )
    await api.client.patch(batch["links"]["self"], json={"budget": {"tokens": 9_000}})
    await ask(api, batch, "resume")
    await runner.run(2)
    paused = await until(api, batch, state="paused", running=0, succeeded=9)
    assert paused["reason"] == "The budget is spent (9,000 of 9,000 tokens): raise it and resume."
    await api.client.patch(batch["links"]["self"], json={"budget": None})
    await ask(api, batch, "resume")
    await runner.run(11)
    await until(api, batch, state="completed", succeeded=20)


async def test_a_quota_that_is_spent_pauses_it_and_loses_nothing(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 6)
    await api.client.put("/v2/quotas/owner", json={"limit_tokens": 12_000})
    batch = await begin(api, [{"model": PRICED, "parameters": {"max_output_tokens": 100}}])
    paused = await until(api, batch, state="paused")
    assert paused["reason"] == "A quota of tokens is spent: raise it, then resume."
    await api.client.delete("/v2/quotas/owner")
    await eventually(lambda: _quota_forgotten(api), within=5, expecting="the quota to be forgotten")
    await ask(api, batch, "resume")
    await runner.run(6)
    await until(api, batch, state="completed", succeeded=6)
    assert len(set(runner.ran)) == 6


async def _quota_forgotten(api: Served) -> bool:
    return (await api.client.get("/v2/quotas")).json()["quotas"] == []


async def test_what_was_handed_out_and_never_submitted_is_submitted_once(
    api: Served, runner: BatchRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.batch_work.LOST_AFTER_S", 0.3)
    await some_photos(api, 4)
    batch = await begin(api, TWO[:1])

    async def are_submitted() -> bool:
        return await jobs_in(api) == 4

    await eventually(are_submitted, within=10, expecting="the jobs of the batch")
    # as if the process had died before it could submit them
    gone = text(
        "with gone as (delete from job where queue = 'batch' returning id) delete from job_body using gone"
        " where job_body.id = gone.id returning job_body.id"
    )
    lost = {row.id for row in await api.front.queries.rows(gone)}
    await runner.run(4)
    await until(api, batch, state="completed", succeeded=4)
    assert {UUID(item["job_id"]) for item in await items_of(api, batch)} == lost


async def test_a_photo_that_is_deleted_leaves_no_trace_but_its_place(api: Served, runner: BatchRunner) -> None:
    photos = await some_photos(api, 30)
    batch = await begin(api, TWO[:1])
    await runner.run(1)
    _, done = runner.ran[0]
    unborn, *_, waiting = sorted(photo for photo in photos if photo != done)
    await until(api, batch, succeeded=1)
    await ask(api, batch, "pause")
    await until(api, batch, running=0)
    for photo in (done, waiting, unborn):
        assert (await api.client.delete(f"/v2/images/{photo}")).status_code == 204
    await ask(api, batch, "resume")
    await runner.run(27)
    batch = await until(api, batch, state="completed", succeeded=27, deleted=3, failed=0)
    gone = await items_of(api, batch, state="deleted")
    assert {UUID(item["image_id"]) for item in gone} == {done, waiting, unborn}
    results = [
        {name: item[name] for name in item if name not in ("variant", "position", "image_id", "tries", "ended_at")}
        for item in gone
    ]
    nothing: Json = dict.fromkeys(results[0]) | {"state": "deleted", "interventions": []}
    assert results == [nothing] * 3
    assert batch["progress"]["input_tokens"] == 28 * 900


async def test_it_is_watched_until_it_is_over(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 2)
    batch = await begin(api, TWO[:1])
    kinds: list[str] = []
    async with api.client.stream("GET", batch["links"]["events"]) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        running = asyncio.create_task(runner.run(2))
        last = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            elif line.startswith("data: "):
                last = line.removeprefix("data: ")
        await running
    assert (kinds[0], kinds[-1], kinds.count("ended")) == ("progress", "ended", 1)
    assert (await look(api, batch)) == json.loads(last)


async def test_the_same_idempotency_key_begins_one_batch(api: Served) -> None:
    await some_photos(api, 1)
    body: Json = {"selection": EVERY, "variants": TWO}
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(api.client.post("/v2/batches", json=body, headers=headers) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await api.client.post("/v2/batches", json=body | {"name": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_filter_a_limit_and_a_sample_select(api: Served) -> None:
    photos = await add_photos(api, [{"lab": 7 if n % 2 else 8} for n in range(10)])
    seventh = await begin(api, selection={"filter": {"label": ["lab:7"]}})
    newest = await begin(api, selection={"filter": {}, "limit": 3})
    picked = [await begin(api, selection={"filter": {}, "sample": 4}) for _ in range(2)]
    named = await begin(api, selection={"ids": [str(photos[4]), str(photos[2]), str(photos[4])]})
    assert [seventh["photos"], newest["photos"], named["photos"]] == [5, 3, 2]
    assert await selected(api, newest) == sorted(photos)[:-4:-1]
    assert await selected(api, named) == [photos[4], photos[2]]
    assert await selected(api, picked[0]) == await selected(api, picked[1])


async def selected(api: Served, batch: Json) -> list[UUID]:
    rows = text("select image_id from batch_photo where batch_id = :id order by position")
    return [row.image_id for row in await api.front.queries.rows(rows, {"id": UUID(batch["id"])})]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"selection": {"filter": {"label": ["lab:9"]}}}, "selection.filter", "no ready photo of yours"),
        ({"selection": {"ids": [str(UUID(int=5))]}}, "selection.ids.0", "there is no image with the id"),
        ({"selection": {"ids": []}}, "selection.ids", "at least 1"),
        ({"selection": {}}, "selection", "give either ids or filter"),
        ({"selection": {"filter": {}, "limit": 1, "sample": 1}}, "selection", "give either limit or sample"),
        ({"selection": {"filter": {"colour": "red"}}}, "selection.filter.colour", ""),
        ({"variants": []}, "variants", ""),
        ({"variants": [{"model": "nobody/model"}]}, "variants.0.model", "not configured"),
        ({"variants": [{"model": "demo"}]}, "variants.0.model", ""),
        ({"variants": [*TWO, {"model": "openai/gtp-4o"}]}, "variants.2.model", "Like it are: openai/gpt-4o"),
        ({"variants": [{"model": "openai/gpt-3.5-turbo"}]}, "variants.0.model", "cannot see"),
        ({"variants": [{"model": PRICED, "prompt": "nope"}]}, "variants.0.prompt", "there is no prompt nope"),
        ({"variants": [{"model": PRICED, "profile": "nope"}]}, "variants.0.profile", "there is no profile nope"),
        ({"variants": [TWO[1], TWO[1]]}, "variants.1.name", "has this name"),
        ({"variants": [{"model": PRICED, "parameters": {"temperature": 9}}]}, "variants.0.parameters.temperature", ""),
        ({"name": "a\0b"}, "name", ""),
        ({"budget": {"cost": 0}}, "budget.cost", ""),
        ({"budget": {"cost": 1}}, "budget.cost", "no price is configured for demo/demo"),
    ],
)
async def test_what_cannot_be_begun_is_refused_by_its_field(api: Served, change: Json, field: str, says: str) -> None:
    await add_photos(api, [{"lab": 7}])
    await api.front.queries.rows(heard("openai", [ListedModel.named("gpt-4o"), ListedModel.named("gpt-3.5-turbo")]))
    answer = await api.client.post("/v2/batches", json={"selection": EVERY, "variants": TWO} | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert says in answer.json()["detail"]
    assert (await api.client.get("/v2/batches")).json() == {"batches": [], "next": None}


async def test_batches_are_listed_newest_first_and_are_their_owners(api: Served) -> None:
    await some_photos(api, 1)
    first, second = await begin(api), await begin(api)
    page = (await api.client.get("/v2/batches", params={"limit": 1})).json()
    assert ([batch["id"] for batch in page["batches"]], page["next"]) == ([second["id"]], second["id"])
    rest = (await api.client.get("/v2/batches", params={"cursor": page["next"]})).json()
    assert ([batch["id"] for batch in rest["batches"]], rest["next"]) == ([first["id"]], None)
    assert (await api.client.get("/v2/batches", params={"state": "completed"})).json()["batches"] == []

    stranger = api.client_with((await new_user(api, "stranger")).token)
    path = first["links"]["self"]
    answers = [
        await stranger.get("/v2/batches"),
        *[await stranger.get(f"{path}{rest}") for rest in ("", "/items", "/events")],
        *[await stranger.post(f"{path}/{what}") for what in ("pause", "resume", "cancel", "retry")],
        await stranger.post(f"{path}/variants", json=TWO[0]),
        await stranger.patch(path, json={"name": "mine"}),
        await stranger.delete(path),
        await stranger.get(f"/v2/batches/{uuid4()}"),
    ]
    assert [answer.status_code for answer in answers] == [200, *[404] * 11]
    assert answers[0].json() == {"batches": [], "next": None}
    await stranger.aclose()


async def test_only_what_is_over_is_deleted(api: Served, runner: BatchRunner) -> None:
    await some_photos(api, 1)
    batch = await begin(api, TWO[:1])
    path = batch["links"]["self"]
    assert (await api.client.delete(path)).status_code == 409
    await runner.run(1)
    await until(api, batch, is_over=True)
    assert (await api.client.patch(path, json={"name": "done", "note": "well"})).json()["name"] == "done"
    assert [(await api.client.delete(path)).status_code, (await api.client.get(path)).status_code] == [204, 404]
    assert await jobs_in(api) == 1
