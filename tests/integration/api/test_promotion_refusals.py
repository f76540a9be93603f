"""What is not promoted, or not taken back, and what is said about it; nothing is changed then."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from api.scopes import Scope
from shared.domain.batches import BatchState, VariantSpec
from shared.domain.commands import Parameters
from shared.domain.dispense import INLINE, DeviceProfile
from shared.settings import Settings
from tests.integration.api.batch_rows import VariantRows, add_batch, add_photos
from tests.integration.api.promotions import (
    AFTER,
    BEFORE,
    GPT,
    PROFILE,
    batch_of,
    choice,
    promoted,
    promoting,
    refusal,
    reverted,
)
from tests.integration.api.test_profiles import KETTLE, client_of
from tests.served import Served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with promoting(settings) as running:
        yield running


async def test_what_is_not_there_any_more_is_not_brought_back(api: Served):
    await api.client.post("/v2/prompts/coffee", json={"text": "Pour coffee."})
    await api.client.put("/v2/profiles/kitchen", json=PROFILE | {"prompt": "coffee@1"})
    made = (await promoted(api, batch_id := await batch_of(api))).json()
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 409
    assert (await api.client.delete("/v2/prompts/coffee")).status_code == 204
    assert refusal(await reverted(api, made)) == (409, None, "The prompt coffee@1 does not exist any more.")
    assert await choice(api) == AFTER

    await api.client.put("/v2/profiles/kitchen", json=PROFILE)
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 204
    assert refusal(await promoted(api, batch_id)) == (409, None, "The prompt tea@1 does not exist any more.")
    elsewhere = await batch_of(api, VariantSpec(model="gone/model"))
    assert refusal(await promoted(api, elsewhere))[2].startswith("The model gone/model is of a provider that is not")
    assert await choice(api) == {"model": None, "prompt": None}


async def test_only_a_completed_batch_promotes(api: Served):
    for state in (BatchState.RUNNING, BatchState.PAUSED, BatchState.CANCELLED):
        told = f"The batch is {state}: only a completed one says how good its variants are."
        assert refusal(await promoted(api, await batch_of(api, state=state))) == (409, None, told)
    photos = await add_photos(api, [{"can_receive_water": True}])
    begun_again = await add_batch(api, photos, [VariantRows(spec=GPT, items=[None])])
    told = "The batch was begun again meanwhile: wait until it is completed."
    assert refusal(await promoted(api, begun_again)) == (409, None, told)
    assert (await api.client.get("/v2/promotions")).json() == {"promotions": [], "next": None}


async def test_a_variant_that_no_profile_can_ask_like_is_refused(api: Served):
    inline = VariantSpec(model="openai/gpt-4o", prompt=INLINE, prompt_text="Pour.")
    cool = VariantSpec(model="openai/gpt-4o", parameters=Parameters(temperature=0.1))
    batch_id = await batch_of(api, inline, cool)
    cases = [
        (1, "this variant's prompt has no name: store it as a prompt first (POST /v2/prompts/NAME), and run a batch"),
        (2, "this variant was asked with parameters (temperature), which no profile has: run a batch without them"),
        (3, "the batch has no variant 3; there are: 1 (openai/gpt-4o), 2 (openai/gpt-4o)"),
    ]
    for variant, told in cases:
        status, field, detail = refusal(await promoted(api, batch_id, variant=variant))
        assert (status, field, detail[: len(told)]) == (422, "variant", told)
    assert await choice(api) == BEFORE


async def test_only_a_profile_of_the_owners_own_is_changed(api: Served):
    batch_id = await batch_of(api)
    for name in ("smartsip-v0.1", "lab"):
        status, field, detail = refusal(await promoted(api, batch_id, profile=name))
        assert (status, field) == (409, "profile")
        assert detail.startswith(
            f"The profile {name} is everybody's and cannot be changed: store one of your own first"
        )
    told = "there is no profile pot: see GET /v2/profiles"
    assert refusal(await promoted(api, batch_id, profile="pot")) == (422, "profile", told)


async def test_what_a_profile_with_other_limits_showed_does_not_count(api: Served):
    await api.client.put("/v2/profiles/kettle", json=KETTLE)
    kettle = DeviceProfile.model_validate(KETTLE | {"name": "kettle"})
    bars = {"max_executed_violations": 3}
    made = (await promoted(api, await batch_of(api), profile="kettle", bars=bars)).json()
    told = "measured with the limits of smartsip-v0.1, which are others: run a batch with this profile"
    assert [(bar["measured"], bar["reason"]) for bar in made["results"]] == [(1, told)]
    assert not made["passed"]
    with_it = await batch_of(api, GPT.model_copy(update={"profile": "kettle", "envelope": kettle}))
    assert (await promoted(api, with_it, profile="kettle", bars=bars)).json()["after"] == AFTER


async def test_others_batches_and_promotions_are_not_there(api: Served):
    batch_id = await batch_of(api)
    made = (await promoted(api, batch_id)).json()
    async with await client_of(api, "anna", Scope.DEVICES) as anna:
        await anna.put("/v2/profiles/kitchen", json=PROFILE)
        for answer in (
            await promoted(api, batch_id, client=anna),
            await anna.get(made["links"]["self"]),
            await anna.post(f"{made['links']['self']}/revert"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await anna.get("/v2/promotions")).json()["promotions"] == []
    assert (await promoted(api, uuid4())).status_code == 404
    async with await client_of(api, "local", Scope.JOBS) as reader:
        assert (await promoted(api, batch_id, client=reader)).status_code == 403
        assert (await reader.get(made["links"]["self"])).json() == made
    assert await choice(api) == AFTER


async def test_bad_wishes_are_refused_by_their_field(api: Served):
    batch_id = await batch_of(api)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"variant": 0}, "variant"),
        ({"variant": "1"}, "variant"),
        ({"profile": "../x"}, "profile"),
        ({"profile": "a\0b"}, "profile"),
        ({"bars": {}}, "bars"),
        ({"bars": {"min_accuracy": None}}, "bars"),
        ({"bars": {"min_accuracy": 1.1}}, "bars.min_accuracy"),
        ({"bars": {"max_failures": "0.1"}}, "bars.max_failures"),
        ({"bars": {"min_beauty": 1}}, "bars.min_beauty"),
        ({"surprise": 1}, "surprise"),
    ]
    for change, field in cases:
        answer = await promoted(api, batch_id, **change)
        assert (answer.status_code, answer.json()["field"]) == (422, field), (change, answer.text)
    assert (await api.client.get("/v2/promotions?limit=0")).json()["field"] == "limit"
    assert (await api.client.get("/v2/promotions/nothing")).json()["field"] == "promotion_id"
