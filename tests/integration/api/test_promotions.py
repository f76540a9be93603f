"""Promotions over HTTP: a variant becomes what a profile's dispensers ask, only if it passes, and the way back."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString
from uuid import UUID

import msgspec
import psycopg
import pytest
from sqlalchemy import select, text

from shared.database.tables import job_body
from shared.domain.batches import VariantSpec
from shared.domain.dispense import DEFAULT_PROMPT
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import new_device
from tests.integration.api.promotions import (
    AFTER,
    BEFORE,
    EASY,
    GPT,
    PROFILE,
    TOO_HIGH,
    batch_of,
    choice,
    promoted,
    promoting,
    refusal,
    reverted,
)
from tests.served import Served
from tests.stack import eventually

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with promoting(settings) as running:
        yield running


async def asked_by(api: Served, token: str, seed: int) -> tuple[str, str]:
    """Whom a device's next photo is to be shown to, and with which prompt."""
    async with api.client_with(token) as client:
        answer = await client.post("/v2/devices/me/jobs", content=photo(seed=seed), headers=JPEG)
    assert answer.status_code == 202, answer.text
    [row] = await api.front.queries.rows(select(job_body.c.payload).where(job_body.c.id == UUID(answer.json()["id"])))
    payload = msgspec.json.decode(row.payload)
    return payload["model"], payload["input"].get("prompt", DEFAULT_PROMPT)


@asynccontextmanager
async def held(api: Served, statement: LiteralString) -> AsyncGenerator[None]:
    """Keep what a statement locks until the block ends, and commit it then."""
    async with await psycopg.AsyncConnection.connect(api.front.settings.database.conninfo) as connection:
        await connection.execute(statement)
        yield


async def are_waiting(api: Served, count: int) -> None:
    """Wait until so many transactions want what is held."""
    waiting = text("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")

    async def do_wait() -> bool:
        return len(await api.front.queries.rows(waiting)) == count

    await eventually(do_wait, within=10, expecting=f"{count} that wait")


async def test_a_variant_that_passes_becomes_what_the_profile_asks(api: Served):
    batch_id = await batch_of(api)
    await new_device(api, profile="kitchen")
    await new_device(api, profile="kitchen", prompt="smartsip")
    await new_device(api, owner_name="anna", profile="kitchen")
    answer = await promoted(api, batch_id, bars=EASY | {"min_labelled": 2, "max_failures": 0.4})
    made = answer.json()
    path = f"/v2/promotions/{made['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, path)
    assert made == {
        "id": made["id"],
        "batch_id": str(batch_id),
        "variant": 1,
        "candidate": {
            "name": "openai/gpt-4o",
            "model": "openai/gpt-4o",
            "prompt": "tea@1",
            "profile": "smartsip-v0.1",
            "photos": 3,
            "labelled": 2,
        },
        "profile": "kitchen",
        "bars": {"min_accuracy": 0.5, "min_labelled": 2, "max_failures": 0.4},
        "results": [
            {"name": "min_accuracy", "wanted": 0.5, "measured": 0.5, "passed": True, "reason": ""},
            {"name": "min_labelled", "wanted": 2, "measured": 2, "passed": True, "reason": ""},
            {"name": "max_failures", "wanted": 0.4, "measured": 1 / 3, "passed": True, "reason": ""},
        ],
        "passed": True,
        "before": BEFORE,
        "after": AFTER,
        "devices": {"following": 1, "overriding": 1},
        "created_at": made["created_at"],
        "reverted_at": None,
        "links": {"self": path, "batch": f"/v2/batches/{batch_id}"},
    }
    assert (await api.client.get(path)).json() == made
    kitchen = (await api.client.get("/v2/profiles/kitchen")).json()
    assert kitchen == PROFILE | AFTER | {"name": "kitchen", "origin": "own", "updated_at": kitchen["updated_at"]}


async def test_a_variant_that_does_not_pass_is_recorded_and_changes_nothing(api: Served):
    before = (await api.client.get("/v2/profiles/kitchen")).json()
    answer = await promoted(api, await batch_of(api), bars=TOO_HIGH | {"max_cost_per_photo": 0.01})
    made = answer.json()
    assert (answer.status_code, made["passed"], made["before"], made["after"]) == (200, False, None, None)
    assert made["results"] == [
        {"name": "min_accuracy", "wanted": 0.9, "measured": 0.5, "passed": False, "reason": ""},
        {
            "name": "max_cost_per_photo",
            "wanted": 0.01,
            "measured": None,
            "passed": False,
            "reason": "nothing of it has a price",
        },
    ]
    assert (await api.client.get(made["links"]["self"])).json() == made
    assert (await api.client.get("/v2/profiles/kitchen")).json() == before
    assert refusal(await reverted(api, made)) == (
        409,
        None,
        "This promotion did not pass its bars: it changed nothing.",
    )


async def test_a_devices_photo_is_asked_as_promoted_and_after_the_way_back_as_before(api: Served):
    following = await new_device(api, profile="kitchen")
    overriding = await new_device(api, profile="kitchen", model="demo/other")
    asked = [await asked_by(api, following.token, 1)]
    made = (await promoted(api, await batch_of(api))).json()
    asked += [await asked_by(api, following.token, 2), await asked_by(api, overriding.token, 3)]
    assert (await reverted(api, made)).status_code == 200
    asked.append(await asked_by(api, following.token, 4))
    assert asked == [
        ("demo/demo", "smartsip@1"),
        ("openai/gpt-4o", "tea@1"),
        ("demo/other", "tea@1"),
        ("demo/demo", "smartsip@1"),
    ]


async def test_the_way_back_restores_the_choice_once_and_leaves_the_rest(api: Served):
    made = (await promoted(api, await batch_of(api))).json()
    await api.client.put("/v2/profiles/kitchen", json=PROFILE | AFTER | {"max_volume_ml": 300})
    back = await reverted(api, made)
    assert back.status_code == 200
    assert back.json() == made | {"reverted_at": back.json()["reverted_at"]}
    assert back.json()["reverted_at"] is not None
    kitchen = (await api.client.get("/v2/profiles/kitchen")).json()
    assert (kitchen["max_volume_ml"], await choice(api)) == (300, BEFORE)
    assert refusal(await reverted(api, made)) == (409, None, "This promotion was reverted before.")


async def test_there_is_no_way_back_from_a_profile_that_is_not_as_it_was_left(api: Served):
    made = (await promoted(api, await batch_of(api))).json()
    await api.client.put("/v2/profiles/kitchen", json=PROFILE | AFTER | {"prompt": "smartsip@2"})
    changed = "The profile kitchen is not as this promotion left it any more: change it directly."
    assert refusal(await reverted(api, made)) == (409, None, changed)
    assert (await api.client.delete("/v2/profiles/kitchen")).status_code == 204
    assert refusal(await reverted(api, made)) == (409, None, changed)


async def test_of_two_at_once_one_promotes_and_one_reverts(api: Served):
    batch_id = await batch_of(api, GPT, VariantSpec(model="demo/large"))
    async with held(api, "select from owner for update"):
        promoting = [asyncio.create_task(promoted(api, batch_id, variant=variant)) for variant in (1, 2)]
        await are_waiting(api, 2)
    made, late = sorted([await answer for answer in promoting], key=lambda answer: answer.status_code)
    assert made.status_code == 201
    assert refusal(late) == (409, None, "The profile kitchen was changed meanwhile: look at it, and try again.")
    assert await choice(api) == made.json()["after"]
    assert (await api.client.get("/v2/promotions")).json() == {"promotions": [made.json()], "next": None}

    async with held(api, "select from owner for update"):
        reverting = [asyncio.create_task(reverted(api, made.json())) for _ in range(2)]
        await are_waiting(api, 2)
    back, late = sorted([await answer for answer in reverting], key=lambda answer: answer.status_code)
    assert (back.status_code, refusal(late)) == (200, (409, None, "This promotion was reverted before."))
    assert await choice(api) == BEFORE


async def test_a_profile_that_is_changed_meanwhile_is_neither_promoted_nor_reverted(api: Served):
    batch_id = await batch_of(api)
    async with held(api, "update device_profile set document = document || '{\"max_volume_ml\": 90}'"):
        promoting = asyncio.create_task(promoted(api, batch_id))
        await are_waiting(api, 1)
    assert refusal(await promoting)[0] == 409
    assert (await choice(api), (await api.client.get("/v2/promotions")).json()["promotions"]) == (BEFORE, [])

    made = (await promoted(api, batch_id)).json()
    async with held(api, 'update device_profile set document = document || \'{"model": "demo/new"}\''):
        reverting = asyncio.create_task(reverted(api, made))
        await are_waiting(api, 1)
    assert refusal(await reverting)[0] == 409
    assert await choice(api) == AFTER | {"model": "demo/new"}


async def test_a_prompt_that_is_being_deleted_is_not_promoted(api: Served):
    async with held(api, "select from owner for no key update; delete from prompt"):
        promoting = asyncio.create_task(promoted(api, await batch_of(api)))
        await are_waiting(api, 1)
    assert refusal(await promoting) == (409, None, "The prompt tea@1 does not exist any more.")
    assert await choice(api) == BEFORE


async def test_promotions_are_listed_newest_first_page_by_page(api: Served):
    batch_id = await batch_of(api)
    await api.client.put("/v2/profiles/attic", json=PROFILE)
    made = [
        (await promoted(api, batch_id, profile=profile, bars=TOO_HIGH)).json()
        for profile in ("kitchen", "attic", "kitchen")
    ]
    page = (await api.client.get("/v2/promotions?limit=2")).json()
    assert page == {"promotions": [made[2], made[1]], "next": made[1]["id"]}
    rest = (await api.client.get(f"/v2/promotions?limit=2&cursor={page['next']}")).json()
    assert rest == {"promotions": [made[0]], "next": None}
    in_attic = (await api.client.get("/v2/promotions?profile=attic")).json()
    assert in_attic == {"promotions": [made[1]], "next": None}


async def test_a_promotion_outlives_its_batch(api: Served, settings: Settings):
    batch_id = await batch_of(api)
    made = (await promoted(api, batch_id)).json()
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("delete from batch")
    assert (await api.client.get(made["links"]["self"])).json() == made
    assert (await reverted(api, made)).status_code == 200
