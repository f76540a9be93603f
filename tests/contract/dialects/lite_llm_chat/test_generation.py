"""Models that make pictures and films, as the old page uses them: the answer's text shows what was made."""

import base64
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import SecretStr

from shared.settings import ProviderEndpoint, Settings
from tests import images, media
from tests.contract.dialects.lite_llm_chat.rig import Rig, System, settings_with, system_with, text_of
from tests.gemini_replies import gemini_event
from tests.integration.workers.studio_world import (
    IMAGES,
    ORDER,
    SENSITIVE,
    TASKS,
    calls,
    film_at,
    inline,
    pictures,
    task,
)
from tests.scripted_provider import ScriptedProvider, answer, sse

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDREAM = {"provider": "doubao", "model": "doubao-seedream-4-5-251128"}
SEEDANCE = {"provider": "doubao", "model": "doubao-seedance-1-5-pro-251215"}
DRAWS = {"provider": "gemini", "model": "gemini-3.1-flash-image"}
PICTURE = re.compile(r"!\[image\]\((/uploads/[0-9a-f-]{36}\.(?:png|jpg))\)")
FILM = "/film.mp4"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(module_settings: Settings) -> AsyncIterator[System]:
    with ScriptedProvider() as provider:
        settings = settings_with(module_settings, provider)
        more = {
            "doubao": ProviderEndpoint(base_url=f"{provider.url}/api/v3", api_key=SecretStr("ark-scripted")),
            "gemini": ProviderEndpoint(base_url=provider.url, api_key=SecretStr("gemini-scripted")),
        }
        clocks = settings.clocks.model_copy(update={"order_look": timedelta(milliseconds=50)})
        settings = settings.model_copy(update={"providers": {**settings.providers, **more}, "clocks": clocks})
        async with system_with(settings, provider) as system:
            yield system


def draws() -> str:
    """Where Gemini's model is asked."""
    return f"/v1beta/models/{DRAWS['model']}:streamGenerateContent?alt=sse"


@pytest.mark.covers("F003-39")
async def test_seedreams_pictures_are_shown_in_the_answer_and_kept(rig: Rig) -> None:
    rig.provider.play(pictures(inline(images.png()), inline(images.photo()), images=2), path=IMAGES)
    shown = await rig.uploaded(images.photo(), name="a.jpg")
    events = await rig.chat(
        **SEEDREAM,
        messages=[{"role": "user", "content": "Two cups", "images": [shown]}],
        size="2048x2048",
        watermark=True,
        prompt_optimize_mode="standard",
        sequential_image_generation="auto",
        max_images=3,
        imagen_image_size="2K",
        ratio="16:9",
        thinking=True,
    )
    assert set(events[0]) == {"session_id"}
    assert events[-1] == {"done": True}
    found = PICTURE.findall(text_of(events))
    assert text_of(events) == "\n\n".join(f"![image]({url})" for url in found)
    opened = [await rig.client.get(url) for url in found]
    types = [one.headers["content-type"] for one in opened]
    assert ([one.status_code for one in opened], types) == ([200, 200], ["image/png", "image/jpeg"])
    assert (await rig.other.get(found[0])).status_code == 404
    assert (await rig.words(events[0]["session_id"]))[-1] == ("assistant", text_of(events))
    (call,) = calls(rig.provider, "POST", IMAGES)
    body = call.json
    data = body.pop("image")
    assert base64.b64decode(data.removeprefix("data:image/jpeg;base64,")) == images.photo()
    assert body == {
        "model": "doubao-seedream-4-5-251128",
        "prompt": "Two cups",
        "response_format": "b64_json",
        "size": "2048x2048",
        "watermark": True,
        "optimize_prompt_options": {"mode": "standard"},
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 3},
    }


@pytest.mark.covers("F003-39")
async def test_pictures_that_were_not_made_are_an_error_with_the_providers_words(rig: Rig) -> None:
    rig.provider.play(pictures({"error": SENSITIVE}, images=0), path=IMAGES)
    events = await rig.chat("Two cups", **SEEDREAM)
    assert [set(event) for event in events] == [{"session_id"}, {"error"}]
    assert SENSITIVE["message"] in events[1]["error"]
    whole = await rig.whole("Two cups", **SEEDREAM)
    assert whole.status_code == 500
    assert SENSITIVE["message"] in whole.json()["detail"]


@pytest.mark.covers("F003-40")
async def test_seedances_film_is_shown_in_the_answer_and_kept(rig: Rig) -> None:
    looks = iter([task("queued"), task("running")])
    done = task("succeeded", **film_at(f"{rig.provider.url}{FILM}"))
    rig.provider.play(answer({"id": ORDER}), path=TASKS)
    rig.provider.play_with(lambda _: next(looks, done), path=f"{TASKS}/{ORDER}")
    rig.provider.play(answer(media.mp4(), media_type="video/mp4"), path=FILM)
    shown = [await rig.uploaded(content) for content in (images.png(), images.photo())]
    answered = await rig.whole(
        **SEEDANCE,
        messages=[{"role": "user", "content": "Tea is poured", "images": shown}],
        ratio="16:9",
        resolution="720p",
        duration=5,
        watermark=False,
        generate_audio=True,
        draft=False,
        camera_fixed=True,
        seed=9,
    )
    assert answered.status_code == 200, answered.text
    message = answered.json()["message"]
    found = re.fullmatch(r"Video generated: !\[video\]\((/uploads/[0-9a-f-]{36}\.mp4)\)", message["content"])
    assert found is not None, message
    film = await rig.client.get(found[1])
    assert (film.status_code, film.headers["content-type"], film.content) == (200, "video/mp4", media.mp4())
    (order,) = calls(rig.provider, "POST", TASKS)
    body = order.json
    assert [part.get("role") for part in body.pop("content")] == [None, "first_frame", "last_frame"]
    assert body == {
        "model": "doubao-seedance-1-5-pro-251215",
        "ratio": "16:9",
        "resolution": "720p",
        "duration": 5,
        "watermark": False,
        "generate_audio": True,
        "draft": False,
        "camera_fixed": True,
        "seed": 9,
    }


@pytest.mark.covers("F003-40")
async def test_a_film_that_could_not_be_made_is_an_error(rig: Rig) -> None:
    failed = task("failed", error={"code": "InternalServiceError", "message": "The film broke."})
    rig.provider.play(answer({"id": ORDER}), path=TASKS)
    rig.provider.play(failed, path=f"{TASKS}/{ORDER}")
    events = await rig.chat("Tea is poured", **SEEDANCE)
    assert [set(event) for event in events] == [{"session_id"}, {"error"}]
    assert "The film broke." in events[1]["error"]
    assert len(calls(rig.provider, "POST", TASKS)) == 1


@pytest.mark.covers("F003-48", "F003-49")
async def test_geminis_pictures_stand_among_its_words_and_imagens_parameters_are_asked_of_it(rig: Rig) -> None:
    drawn = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(images.png()).decode()}}
    rig.provider.play(sse(gemini_event({"text": "pic:"}), gemini_event(drawn, finish="STOP")), path=draws())
    events = await rig.chat(
        "A cat", **DRAWS, modalities=["image", "text"], imagen_aspect_ratio="3:4", imagen_image_size="2K"
    )
    (url,) = PICTURE.findall(text_of(events))
    assert (text_of(events), events[-1]) == (f"pic:\n\n![image]({url})", {"done": True})
    assert (await rig.client.get(url)).headers["content-type"] == "image/png"
    (call,) = calls(rig.provider, "POST", draws())
    config = call.json["generationConfig"]
    assert sorted(config["responseModalities"]) == ["IMAGE", "TEXT"]
    assert config["imageConfig"] == {"aspectRatio": "3:4", "imageSize": "2K"}


@pytest.mark.covers("F003-49")
async def test_imagen_is_refused_with_what_replaced_it(rig: Rig) -> None:
    events = await rig.chat("A cat", provider="gemini", model="imagen-4.0-generate-001")
    assert [set(event) for event in events] == [{"session_id"}, {"error"}]
    assert re.search(r"Imagen was shut down.*gemini-3\.1-flash-image", events[1]["error"])
    assert calls(rig.provider, "POST") == []
