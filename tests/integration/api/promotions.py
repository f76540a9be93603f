"""What the tests of promotions share: who can be promoted to what, and how that is asked for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from shared.domain.batches import BatchState, VariantSpec
from shared.domain.dispense import SMARTSIP_V01
from shared.settings import Settings
from shared.settings_providers import ProviderEndpoint
from tests.integration.api.batch_rows import ENDED_AT, VariantRows, add_batch, add_photos, answered, failed
from tests.integration.api.test_profiles import LAB
from tests.served import Served, served

GPT = VariantSpec(model="openai/gpt-4o", prompt="tea@1", prompt_text="Pour tea.")
PROFILE = SMARTSIP_V01.model_dump(mode="json", exclude={"name"})
BEFORE = {"model": "demo/demo", "prompt": "smartsip@1"}
AFTER = {"model": "openai/gpt-4o", "prompt": "tea@1"}
EASY = {"min_accuracy": 0.5}
TOO_HIGH = {"min_accuracy": 0.9}


@asynccontextmanager
async def promoting(settings: Settings) -> AsyncGenerator[Served]:
    """Serve with a provider to promote to, a prompt of the local owner's, and a profile that asks as `BEFORE`."""
    provider = ProviderEndpoint.model_validate({"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-nobody"})
    changes = {"providers": {"openai": provider}, "profiles": {"lab": LAB}}
    async with served(settings.model_copy(update=changes)) as running:
        await running.client.post("/v2/prompts/tea", json={"text": "Pour tea."})
        await running.client.put("/v2/profiles/kitchen", json=PROFILE | BEFORE)
        yield running


async def batch_of(api: Served, *specs: VariantSpec, state: BatchState = BatchState.COMPLETED) -> UUID:
    """A batch of three photos, two of them labelled; each variant is right about one, and fails on the third.

    Whatever its state, nothing of it is left to do, so that no api moves it on.
    """
    photos = await add_photos(api, [{"can_receive_water": True}, {"can_receive_water": False}, {}])
    variants = [VariantRows(spec=spec, items=[answered(), answered(), failed()]) for spec in specs or (GPT,)]
    return await add_batch(api, photos, variants, state=state, ended_at=ENDED_AT)


async def promoted(
    api: Served, batch_id: UUID, *, client: httpx.AsyncClient | None = None, **wish: Any
) -> httpx.Response:
    body = {"variant": 1, "profile": "kitchen", "bars": EASY} | wish
    return await (client or api.client).post(f"/v2/batches/{batch_id}/promotions", json=body)


async def reverted(api: Served, promotion: dict[str, Any]) -> httpx.Response:
    return await api.client.post(f"{promotion['links']['self']}/revert")


async def choice(api: Served, profile: str = "kitchen") -> dict[str, Any]:
    stored = (await api.client.get(f"/v2/profiles/{profile}")).json()
    return {"model": stored["model"], "prompt": stored["prompt"]}


def refusal(answer: httpx.Response) -> tuple[int, str | None, str]:
    problem = answer.json()
    return answer.status_code, problem.get("field"), problem["detail"]
