"""Asking for pictures and films over HTTP: accepted as any other job, and refused where nothing could come of it."""

from typing import Any

import pytest
from pydantic import SecretStr

from api.routes.job_models import AcceptedModel
from shared.domain.commands import JobSpec
from shared.settings import ProviderEndpoint, Settings
from tests.images import photo
from tests.integration.api.job_runner import JobRunner
from tests.integration.api.test_submitting import another_owner
from tests.served import served

MODEL = "doubao/doubao-seedream-4-5-251128"
FILMS = "doubao/doubao-seedance-1-5-pro-251215"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    ark = ProviderEndpoint(base_url="http://127.0.0.1:9/api/v3", api_key=SecretStr("ark"))
    return settings.model_copy(update={"providers": {"doubao": ark}})


def job(kind: str, *, model: str = MODEL, **asked: Any) -> dict[str, Any]:
    return {"kind": kind, "model": model, "input": {"prompt": "A cup", **asked}}


async def test_pictures_and_films_are_asked_for_as_any_other_job(settings: Settings) -> None:
    async with served(settings) as api, JobRunner(api.front) as runner:
        image_id = (
            await api.client.post("/v2/images", content=photo(), headers={"content-type": "image/jpeg"})
        ).json()["id"]
        wishes: tuple[tuple[str, dict[str, Any]], ...] = (
            ("image", {"n": 2, "size": "2K", "images": [{"id": image_id}]}),
            ("video", {"aspect_ratio": "16:9", "resolution": "720p", "duration_s": 5}),
        )
        for kind, asked in wishes:
            model = FILMS if kind == "video" else MODEL
            answer = await api.client.post("/v2/jobs", json=job(kind, model=model, **asked))
            assert answer.status_code == 202
            accepted = AcceptedModel.model_validate_json(answer.content)
            assert (accepted.kind, accepted.queue, accepted.state) == (kind, "media", "queued")
            spec = JobSpec.model_validate_json((await runner.claim(str(accepted.id))).claim.payload)
            assert spec.model_dump(mode="json", exclude_defaults=True)["input"] == {"prompt": "A cup", **asked}


async def test_what_nothing_could_come_of_is_refused_and_says_which_field(settings: Settings) -> None:
    async with served(settings) as api, await another_owner(api) as other:
        theirs = (await other.post("/v2/images", content=photo(), headers={"content-type": "image/jpeg"})).json()["id"]
        for asked, field in (
            (job("image", images=[{"id": theirs}]), "input.images.0.id"),
            (job("video", images=[{"id": theirs}]), "input.images.0.id"),
            (job("image", model="groq/llama"), "model"),
            (job("image", model="doubao/doubao-seed-1-6-251015"), "model"),
            (job("image", model=FILMS), "model"),
            (job("video"), "model"),
            ({"kind": "video", "input": {"prompt": "A cup"}}, "model"),
            (job("image", prompt="a\x00b"), "input.prompt"),
            (job("video", prompt="  "), "input"),
            (job("image", n=11), "input.n"),
        ):
            answer = await api.client.post("/v2/jobs", json=asked)
            assert (answer.status_code, answer.json()["field"]) == (422, field)
