"""Which profile, prompt and model a photo gets: as the request, the device, the profile, the server says, in order."""

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import event

from api.auth import Caller, caller_with
from api.scopes import Scope
from api.services.submit import resolve_photo
from api.services.vision import resolve_vision
from shared.domain.commands import VisionInput
from shared.domain.dispense import SMARTSIP_V01, DeviceProfile
from shared.domain.errors import Conflict, InvalidRequest
from shared.settings import Settings
from tests.images import photo
from tests.integration.api.devices import new_device
from tests.integration.api.photo_runner import PhotoRunner, payload_of
from tests.integration.api.test_profiles import KETTLE, LAB, client_of
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, served

INLINE = {"data": "aGVsbG8="}
ANY_PHOTO = VisionInput.model_validate({"image": INLINE})
KETTLE_WHOLE = DeviceProfile.model_validate(KETTLE | {"name": "kettle"})


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings.model_copy(update={"profiles": {"lab": LAB}})) as running:
        await running.client.put("/v2/profiles/kettle", json=KETTLE)
        await running.client.post("/v2/prompts/tea", json={"text": "Pour tea."})
        await running.client.post("/v2/prompts/tea", json={"text": "Pour green tea.", "form": "plain"})
        await running.client.put("/v2/profiles/teapot", json=KETTLE | {"prompt": "tea@1"})
        yield running


async def caller_of(api: Served, token: str = ADMIN_TOKEN) -> Caller:
    caller = await caller_with(api.front, token)
    assert caller is not None
    return caller


async def device(
    api: Served, *, profile: str | None = None, prompt: str | None = None, model: str | None = None
) -> Caller:
    return await caller_of(api, (await new_device(api, profile=profile, prompt=prompt, model=model)).token)


async def resolved(api: Served, caller: Caller, **asked: str) -> dict[str, Any]:
    """What a job's row would say, without the image."""
    wish = VisionInput.model_validate({"image": INLINE} | asked)
    task = await resolve_vision(api.front, caller, wish)
    return task.model_dump(exclude={"image"}, exclude_defaults=True)


@contextmanager
def queries(api: Served) -> Generator[list[str]]:
    """What SQLAlchemy's pool is asked while the block runs."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(api.front.engine.sync_engine, "before_cursor_execute", note)
    yield asked
    event.remove(api.front.engine.sync_engine, "before_cursor_execute", note)


async def test_the_nearest_choice_wins(api: Served):
    anybody, plain = await caller_of(api), await device(api)
    chosen = await device(api, profile="teapot", prompt="tea@2")
    by_profile = await device(api, profile="teapot")
    envelope = KETTLE_WHOLE.model_dump(exclude_defaults=True)
    kettle = {"profile": "kettle", "envelope": envelope}
    teapot = {"profile": "teapot", "envelope": envelope | {"name": "teapot", "prompt": "tea@1"}}
    lab = {"profile": "lab", "envelope": LAB.model_dump(exclude_defaults=True)}
    tea_1 = {"prompt": "tea@1", "prompt_text": "Pour tea."}
    tea_2 = {"prompt": "tea@2", "prompt_text": "Pour green tea.", "form": "plain"}
    original = {"prompt": "smartsip@1", "form": "plain"}
    inline = {"prompt": "inline", "prompt_text": "Pour."}
    cases: list[tuple[Caller, dict[str, str], dict[str, Any]]] = [
        (anybody, {}, {}),
        (anybody, {"profile": "smartsip-v0.1", "prompt": "smartsip"}, {}),
        (anybody, {"prompt": "smartsip@1"}, original),
        (anybody, {"profile": "lab"}, lab),
        (anybody, {"profile": "kettle", "prompt": "tea"}, kettle | tea_2),
        (anybody, {"profile": "teapot"}, teapot | tea_1),
        (anybody, {"profile": "teapot", "prompt": "tea@2"}, teapot | tea_2),
        (anybody, {"profile": "teapot", "prompt_text": "Pour."}, teapot | inline),
        (plain, {}, {}),
        (chosen, {}, teapot | tea_2),
        (chosen, {"prompt": "smartsip@1"}, teapot | original),
        (chosen, {"profile": "kettle"}, kettle | tea_2),
        (chosen, {"profile": "smartsip-v0.1", "prompt_text": "Pour."}, inline),
        (by_profile, {}, teapot | tea_1),
    ]
    for caller, asked, task in cases:
        assert await resolved(api, caller, **asked) == task, (caller.name, asked)


async def test_the_nearest_model_wins(api: Served, settings: Settings):
    await api.client.put("/v2/profiles/teapot", json=KETTLE | {"model": "demo/of-profile"})
    anybody, by_profile = await caller_of(api), await device(api, profile="teapot")
    chosen = await device(api, profile="teapot", model="demo/of-device")
    cases: list[tuple[Caller, str | None, str | None, str]] = [
        (anybody, None, None, settings.default_model),
        (anybody, None, "teapot", "demo/of-profile"),
        (anybody, "demo/asked", "teapot", "demo/asked"),
        (by_profile, None, None, "demo/of-profile"),
        (by_profile, None, "kettle", settings.default_model),
        (chosen, None, None, "demo/of-device"),
        (chosen, "demo/asked", None, "demo/asked"),
    ]
    for caller, model, profile, expected in cases:
        wish = VisionInput.model_validate({"image": INLINE, "profile": profile})
        assert (await resolve_photo(api.front, caller, wish, model=model))[0] == expected, (caller.name, model, profile)


async def test_what_is_built_in_costs_no_query_and_everything_else_one(api: Served):
    anybody = await caller_of(api)
    both = await device(api, profile="kettle", prompt="tea")
    cases: list[tuple[Caller, dict[str, str], int]] = [
        (anybody, {}, 0),
        (anybody, {"profile": "smartsip-v0.1", "prompt": "smartsip@1"}, 0),
        (anybody, {"prompt_text": "Pour."}, 0),
        (anybody, {"profile": "lab"}, 1),
        (anybody, {"prompt": "tea"}, 1),
        (anybody, {"profile": "kettle"}, 1),
        (both, {}, 2),
    ]
    for caller, asked, count in cases:
        with queries(api) as sent:
            await resolved(api, caller, **asked)
        assert len([statement for statement in sent if "SELECT" in statement]) == count, (asked, sent)


async def test_a_name_that_leads_nowhere_is_refused_with_the_names_there_are(api: Served):
    photo_job: dict[str, Any] = {"kind": "vision", "input": {"image": INLINE}}
    cases = [
        ("profile", "pot", "there is no profile pot; there are: kettle, teapot, lab, smartsip-v0.1"),
        ("prompt", "pot", "there is no prompt pot; there are: tea, smartsip"),
        ("prompt", "tea@3", "there is no prompt tea@3; there are: tea, smartsip"),
        ("prompt", "smartsip@3", "there is no prompt smartsip@3; there are: tea, smartsip"),
    ]
    for name, value, detail in cases:
        answer = await api.client.post("/v2/jobs", json=photo_job | {"input": {"image": INLINE, name: value}})
        problem = answer.json()
        assert (answer.status_code, problem["field"], problem["detail"]) == (422, f"input.{name}", detail)
    assert (await api.client.get("/v2/jobs")).json()["jobs"] == []


async def test_other_owners_names_lead_nowhere(api: Served):
    async with await client_of(api, "anna", Scope.JOBS) as anna:
        for name, value in (("profile", "kettle"), ("prompt", "tea")):
            body = {"kind": "vision", "input": {"image": INLINE, name: value}}
            answer = await anna.post("/v2/jobs", json=body)
            assert (answer.status_code, answer.json()["field"]) == (422, f"input.{name}")
            assert value not in answer.json()["detail"].partition("there are")[2]


async def test_at_most_twenty_names_are_told(api: Served):
    for number in range(20):
        await api.client.put(f"/v2/profiles/a{number:02}", json=KETTLE)
    with pytest.raises(InvalidRequest) as refused:
        await resolved(api, await caller_of(api), profile="pot")
    assert str(refused.value).endswith("a18, a19 and more")


async def test_a_bare_photo_with_a_name_that_leads_nowhere_is_not_stored(api: Served):
    for parameter, field in (
        ("profile=pot", "profile"),
        ("prompt=pot", "prompt"),
        ("prompt=tea&prompt_text=x", "prompt_text"),
        ("prompt_text=%20", "prompt_text"),
    ):
        answer = await api.client.post(
            f"/v2/jobs?kind=vision&{parameter}", content=photo(), headers={"Content-Type": "image/jpeg"}
        )
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await api.client.get("/v2/images")).json()["images"] == []


async def test_a_device_whose_profile_prompt_or_provider_is_gone_is_refused_and_gets_no_other(api: Served):
    gone = await device(api, profile="pot")
    mute = await device(api, prompt="pot")
    teapot = await device(api, profile="teapot")
    unreachable = await device(api, profile="kettle")
    with psycopg.connect(api.front.settings.database.conninfo, autocommit=True) as connection:
        connection.execute("delete from prompt where name = 'tea'")
        change = "update device_profile set document = document || %s where name = 'kettle'"
        connection.execute(change, [Jsonb({"model": "gone/gpt-4o"})])
    for caller, detail in (
        (gone, "The profile pot of this device does not exist any more: give the device another one."),
        (mute, "The prompt pot of this device does not exist any more: give it another one."),
        (teapot, "The prompt tea@1 of the profile teapot does not exist any more: give it another one."),
        (
            unreachable,
            "The model gone/gpt-4o of the profile kettle is of a provider that is not configured on this server: give"
            " the profile another one.",
        ),
    ):
        with pytest.raises(Conflict) as refused:
            await resolve_photo(api.front, caller, ANY_PHOTO, model=None)
        assert str(refused.value) == detail


async def test_an_accepted_job_keeps_what_it_was_accepted_with(api: Served):
    body = {"kind": "vision", "input": {"image": INLINE, "profile": "kettle", "prompt": "tea"}}
    async with PhotoRunner(api.front) as runner:
        accepted = await api.client.post("/v2/jobs", json=body)
        assert accepted.status_code == 202, accepted.text
        await api.client.put("/v2/profiles/kettle", json=KETTLE | {"max_volume_ml": 40})
        await api.client.post("/v2/prompts/tea", json={"text": "Pour nothing."})
        await api.client.delete("/v2/profiles/kettle")
        claim = await runner.claim_next()
    assert payload_of(claim)["input"] == {
        "image": INLINE,
        "prompt": "tea@2",
        "prompt_text": "Pour green tea.",
        "form": "plain",
        "profile": "kettle",
        "envelope": KETTLE_WHOLE.model_dump(mode="json", exclude_defaults=True),
    }


async def test_a_devices_photo_is_asked_about_as_the_device_says(api: Served):
    kitchen = await new_device(api, profile="kettle", prompt="tea@1")
    async with api.client_with(kitchen.token) as client, PhotoRunner(api.front) as runner:
        answer = await client.post("/v2/devices/me/jobs", content=photo(), headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 202, answer.text
        task = payload_of(await runner.claim_next())["input"]
    assert (task["profile"], task["envelope"]["max_volume_ml"], task["prompt"], task["prompt_text"]) == (
        "kettle",
        KETTLE["max_volume_ml"],
        "tea@1",
        "Pour tea.",
    )
    assert SMARTSIP_V01.max_volume_ml != KETTLE["max_volume_ml"]
