"""Pictures and films as a caller of our own API has them: asked for, followed, found in the job, counted."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from pydantic import SecretStr, TypeAdapter

from api.routes.job_models import JobModel
from shared.domain.commands import Submission, SubmitJob
from shared.settings import Price, ProviderEndpoint, Settings
from tests import images, media
from tests.hearing_worker import hearing_worker
from tests.integration.workers.studio_world import (
    IMAGES,
    ORDER,
    SEEDANCE,
    SEEDREAM,
    SENSITIVE,
    TASKS,
    calls,
    film_at,
    inline,
    pictures,
    task,
)
from tests.scripted_provider import ScriptedProvider, answer
from tests.served import Served, served
from tests.stack import eventually
from workers.providers.demo_picture import demo_picture

WAITING = {"Prefer": "wait=10"}


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    ark = ProviderEndpoint(base_url=f"{provider.url}/api/v3", api_key=SecretStr("ark-scripted-key"))
    clocks = settings.clocks.model_copy(update={"order_look": timedelta(milliseconds=50)})
    prices = {SEEDREAM: Price.model_validate({"input": 0, "output": 10})}
    return settings.model_copy(update={"providers": {"doubao": ark}, "clocks": clocks, "prices": prices})


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as api, hearing_worker(settings):
        yield api


def wish(kind: str, model: str, **asked: Any) -> dict[str, Any]:
    return {"kind": kind, "model": model, "input": {"prompt": "A cup of tea", **asked}}


def pixels(content: bytes) -> bytes:
    with Image.open(BytesIO(content)) as picture:
        return picture.convert("RGB").tobytes()


async def usage_of(api: Served) -> list[dict[str, Any]]:
    groups = (await api.client.get("/v2/usage", params={"by": "kind"})).json()["groups"]
    return [{name: group[name] for name in ("name", "jobs", "output_tokens", "cost")} for group in groups]


async def test_the_jobs_document_says_where_each_picture_is_and_what_was_done_otherwise(
    api: Served, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.png()), {"error": SENSITIVE}), path=IMAGES)
    asked = wish("image", SEEDREAM) | {"parameters": {"options": {"ratio": "16:9"}}}
    answered = await api.client.post("/v2/jobs", json=asked, headers=WAITING)
    assert answered.status_code == 200, answered.text
    job = JobModel.model_validate_json(answered.content)
    assert job.reply is not None
    (image,) = job.reply.images
    links = {"self": f"/v2/images/{image.image_id}", "content": f"/v2/images/{image.image_id}/content"}
    assert (job.kind, job.state, image.media_type, image.links) == ("image", "succeeded", "image/png", links)
    assert [note.code for note in job.reply.notes] == ["parameter_dropped", "image_failed"]
    facts = (await api.client.get(links["self"])).json()
    content = (await api.client.get(links["content"])).content
    assert (facts["id"], facts["state"], len(content)) == (str(image.image_id), "ready", image.size_bytes)
    assert await usage_of(api) == [{"name": "image", "jobs": 1, "output_tokens": 16384, "cost": "0.16384"}]


async def test_a_films_progress_is_followed_and_its_document_says_where_it_is(
    api: Served, provider: ScriptedProvider
) -> None:
    looks = iter([task("queued"), task("running")])
    done = task("succeeded", **film_at(f"{provider.url}/film.mp4"))
    provider.play(answer({"id": ORDER}), path=TASKS)
    provider.play_with(lambda _: next(looks, done), path=f"{TASKS}/{ORDER}")
    provider.play(answer(media.mp4(), media_type="video/mp4"), path="/film.mp4")
    asked, headers = wish("video", SEEDANCE, duration_s=5), {"Accept": "text/event-stream"}
    async with api.client.stream("POST", "/v2/jobs", json=asked, headers=headers) as response:
        lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event["note"] for event in events if event["type"] == "progress"] == ["queued", "queued", "running"]
    assert [event["type"] for event in events[-3:]] == ["video_stored", "usage", "completed"]
    (listed,) = (await api.client.get("/v2/jobs", params={"kind": "video"})).json()["jobs"]
    job = JobModel.model_validate_json((await api.client.get(f"/v2/jobs/{listed['id']}")).content)
    assert job.reply is not None
    (video,) = job.reply.videos
    assert video.links == {"self": f"/v2/media/{video.video_id}", "content": f"/v2/media/{video.video_id}/content"}
    assert (await api.client.get(video.links["content"])).content == media.mp4()
    assert UUID((await api.client.get(video.links["self"])).json()["id"]) == video.video_id
    assert await usage_of(api) == [{"name": "video", "jobs": 1, "output_tokens": 108900, "cost": None}]


async def test_what_pictures_cost_draws_on_a_quota_and_nothing_is_asked_for_beyond_it(
    api: Served, provider: ScriptedProvider
) -> None:
    provider.play(pictures(inline(images.png())), path=IMAGES)
    await api.client.put("/v2/quotas/owner", json={"limit_tokens": 10_000})
    made = await api.client.post("/v2/jobs", json=wish("image", SEEDREAM), headers=WAITING)
    assert made.json()["state"] == "succeeded"

    async def is_settled() -> bool:
        (quota,) = (await api.client.get("/v2/quotas")).json()["quotas"]
        return (quota["used_tokens"], quota["reserved_tokens"], quota["left_tokens"]) == (16384, 0, -6384)

    await eventually(is_settled, expecting="what was used in place of what was reserved")
    refused = await api.client.post("/v2/jobs", json=wish("image", SEEDREAM), headers=WAITING)
    assert (refused.status_code, refused.json()["code"]) == (402, "tokens_spent")
    assert len(calls(provider, "POST")) == 1


async def test_the_demo_provider_makes_a_picture_that_says_what_it_is(api: Served) -> None:
    answered = await api.client.post("/v2/jobs", json=wish("image", "demo/demo"), headers=WAITING)
    (image,) = answered.json()["reply"]["images"]
    assert (image["media_type"], answered.json()["reply"]["text"]) == ("image/png", "")
    kept = (await api.client.get(image["links"]["content"])).content
    assert pixels(kept) == pixels(demo_picture())


async def test_every_documented_example_is_a_command_that_is_taken(api: Served) -> None:
    document = (await api.stranger.get("/openapi.json")).json()
    taken = document["paths"]["/v2/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    commands: TypeAdapter[Submission] = TypeAdapter(SubmitJob)
    kinds = {name: commands.validate_json(json.dumps(example["value"])).kind for name, example in taken.items()}
    assert kinds == {kind: kind for kind in ("chat", "vision", "image", "video")}
    assert "/v1/images/generations" in document["paths"]
