"""Device profiles over HTTP: whose they are, what is refused, and what becomes of the devices that have one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.scopes import Scope
from shared.domain.dispense import SMARTSIP_V01, DeviceProfile
from shared.domain.ids import LOCAL_OWNER
from shared.settings import Settings
from tests.integration.api.devices import new_device
from tests.served import Served, served

KETTLE: dict[str, Any] = {
    "min_volume_ml": 20,
    "max_volume_ml": 400,
    "volume_step_ml": 20,
    "bands": [
        {"below_c": 35, "setpoint_c": None},
        {"below_c": 70, "setpoint_c": 60},
        {"below_c": 101, "setpoint_c": 92},
    ],
    "unlock_above_c": 90,
    "child_cap_c": 34,
}
KETTLE_WHOLE = DeviceProfile.model_validate(KETTLE | {"name": "kettle"}).model_dump(mode="json")
LAB = SMARTSIP_V01.model_copy(update={"name": "lab", "max_volume_ml": 100, "source": "the lab's own"})
BUILT_IN = SMARTSIP_V01.model_dump(mode="json") | {"origin": "built_in", "updated_at": None}
CONFIGURED = LAB.model_dump(mode="json") | {"origin": "configured", "updated_at": None}
NOT_SAFE: list[tuple[dict[str, Any], str]] = [
    ({"child_cap_c": 40}, "child_cap_c"),
    ({"bands": [KETTLE["bands"][0], {"below_c": 30, "setpoint_c": 60}]}, "bands.1.below_c"),
    ({"bands": [{"below_c": "x", "setpoint_c": 60}]}, "bands.0.below_c"),
    ({"bands": "none"}, "bands"),
    ({"max_volume_ml": 410}, "max_volume_ml"),
    ({"max_volume_ml": "400"}, "max_volume_ml"),
    ({"serial": "smartsip-v0.1"}, "bands"),
    ({"prompt": "nobody-wrote-it"}, "prompt"),
    ({"prompt": "smartsip@9"}, "prompt"),
    ({"prompt": "../x"}, "prompt"),
    ({"model": "nobody/gpt-4o"}, "model"),
    ({"model": "gpt-4o"}, "model"),
    ({"name": "pot"}, "name"),
    ({"name": 1}, "name"),
    ({"origin": "own"}, "origin"),
    ({"source": "a\0b"}, "source"),
    ({"source": "\ud800"}, "source"),
]
JSON = {"Content-Type": "application/json"}
"""For bodies that httpx would not encode: lone surrogates."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings.model_copy(update={"profiles": {"lab": LAB}})) as running:
        yield running


async def client_of(api: Served, owner_name: str, *scopes: Scope) -> httpx.AsyncClient:
    new = await api.front.keys.create(owner_name=owner_name, name="key", scopes=frozenset(scopes), expires_at=None)
    return api.client_with(new.secret)


async def listed(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    answer = await client.get("/v2/profiles")
    assert answer.status_code == 200, answer.text
    return [(profile["name"], profile["origin"]) for profile in answer.json()["profiles"]]


async def test_a_profile_is_stored_shown_changed_and_deleted(api: Served):
    new = await api.client.put("/v2/profiles/kettle", json=KETTLE)
    stored = new.json()
    assert (new.status_code, new.headers["location"]) == (201, "/v2/profiles/kettle")
    assert stored == KETTLE_WHOLE | {"origin": "own", "updated_at": stored["updated_at"]}
    assert (await api.client.get("/v2/profiles/kettle")).json() == stored

    changed = await api.client.put("/v2/profiles/kettle", json=KETTLE | {"name": "kettle", "max_volume_ml": 200})
    assert (changed.status_code, changed.json()["max_volume_ml"]) == (200, 200)
    assert changed.json()["updated_at"] > stored["updated_at"]

    assert (await api.client.delete("/v2/profiles/kettle")).status_code == 204
    for gone in (await api.client.get("/v2/profiles/kettle"), await api.client.delete("/v2/profiles/kettle")):
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


async def test_all_that_an_owner_may_use_is_listed_with_its_origin(api: Served):
    await api.client.put("/v2/profiles/kettle", json=KETTLE)
    profiles = (await api.client.get("/v2/profiles")).json()["profiles"]
    assert profiles[1:] == [CONFIGURED, BUILT_IN]
    assert (profiles[0]["name"], profiles[0]["origin"]) == ("kettle", "own")
    assert (await api.client.get("/v2/profiles/lab")).json() == CONFIGURED
    assert (await api.client.get("/v2/profiles/smartsip-v0.1")).json() == BUILT_IN


async def test_owners_see_change_and_delete_only_their_own(api: Served):
    await api.client.put("/v2/profiles/kettle", json=KETTLE)
    async with await client_of(api, "anna", Scope.DEVICES) as anna:
        assert await listed(anna) == [("lab", "configured"), ("smartsip-v0.1", "built_in")]
        assert (await anna.get("/v2/profiles/kettle")).status_code == 404
        assert (await anna.delete("/v2/profiles/kettle")).status_code == 404
        assert (await anna.put("/v2/profiles/kettle", json=KETTLE | {"max_volume_ml": 100})).status_code == 201
        assert (await anna.delete("/v2/profiles/kettle")).status_code == 204
    assert (await api.client.get("/v2/profiles/kettle")).json()["max_volume_ml"] == 400


async def test_jobs_keys_may_read_and_only_devices_keys_may_write(api: Served):
    async with await client_of(api, "anna", Scope.JOBS) as reader, await client_of(api, "anna", Scope.IMAGES) as other:
        assert [(await reader.get(path)).status_code for path in ("/v2/profiles", "/v2/profiles/lab")] == [200, 200]
        assert (await reader.put("/v2/profiles/kettle", json=KETTLE)).status_code == 403
        assert (await reader.delete("/v2/profiles/kettle")).status_code == 403
        assert (await other.get("/v2/profiles")).status_code == 403
    assert (await api.stranger.get("/v2/profiles")).status_code == 401


@pytest.mark.parametrize("name", ["smartsip-v0.1", "lab"])
async def test_names_that_mean_something_to_everybody_cannot_be_taken_or_deleted(api: Served, name: str):
    for answer in (
        await api.client.put(f"/v2/profiles/{name}", json=KETTLE),
        await api.client.delete(f"/v2/profiles/{name}"),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (409, "conflict", "name")
        assert name in problem["detail"]
    assert await listed(api.client) == [("lab", "configured"), ("smartsip-v0.1", "built_in")]


async def test_an_owners_profile_stays_what_it_is_when_the_configuration_takes_its_name(
    api: Served, settings: Settings
):
    await api.client.put("/v2/profiles/kettle", json=KETTLE)
    laxer = DeviceProfile.model_validate(KETTLE_WHOLE | {"max_volume_ml": 2000})
    async with served(settings.model_copy(update={"profiles": {"kettle": laxer}})) as later:
        assert (await later.client.get("/v2/profiles/kettle")).json()["max_volume_ml"] == 400
        assert await listed(later.client) == [("kettle", "own"), ("smartsip-v0.1", "built_in")]
        assert (await later.client.put("/v2/profiles/kettle", json=KETTLE | {"max_volume_ml": 40})).status_code == 200
        assert (await later.client.delete("/v2/profiles/kettle")).status_code == 204
        assert await listed(later.client) == [("kettle", "configured"), ("smartsip-v0.1", "built_in")]


async def test_a_profile_that_a_device_has_is_kept_until_the_device_is_gone(api: Served, settings: Settings):
    await api.client.put("/v2/profiles/kettle", json=KETTLE)
    device = await new_device(api, name="kitchen", profile="kettle")
    await new_device(api, owner_name="anna", name="hers", profile="kettle")
    refused = await api.client.delete("/v2/profiles/kettle")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "These devices have this profile: kitchen. Give them another one first.",
    )
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("update device set revoked_at = now() where id = %s", [device.id])
    assert (await api.client.delete("/v2/profiles/kettle")).status_code == 204


async def test_a_profile_that_is_not_safe_is_refused_by_its_field(api: Served):
    for change, field in NOT_SAFE:
        answer = await api.client.put("/v2/profiles/kettle", content=json.dumps(KETTLE | change), headers=JSON)
        assert (answer.status_code, answer.json().get("field")) == (422, field), (change, answer.text)
    assert (await api.client.get("/v2/profiles/kettle")).status_code == 404


async def test_the_example_in_the_documentation_is_a_profile_that_works(api: Served):
    document = (await api.client.get("/openapi.json")).json()
    body = document["paths"]["/v2/profiles/{name}"]["put"]["requestBody"]["content"]["application/json"]
    [example] = body["schema"]["examples"]
    assert (await api.client.put("/v2/profiles/kettle", json=example)).status_code == 201


async def test_a_refusal_says_what_the_hardware_would_do(api: Served):
    answer = await api.client.put("/v2/profiles/kettle", json=KETTLE | {"child_cap_c": 40})
    assert answer.json()["errors"] == [
        {
            "field": "child_cap_c",
            "message": "is too high: this device executes it at up to 60 °C, and 40 °C is the most for a child; give at"
            " most 34",
        }
    ]


async def test_a_body_that_is_no_document_is_refused(api: Served):
    for body in (b"", b"{", b"[]", b"null", b'"x"', b'{"a": NaN}'):
        answer = await api.client.put("/v2/profiles/kettle", content=body, headers=JSON)
        assert answer.status_code in (400, 422), (body, answer.text)


async def test_a_name_that_no_profile_can_have_is_refused(api: Served):
    for name in ("Kettle", "a b", "-x", "x" * 65, "%00", "a@1"):
        url = f"/v2/profiles/{name}"
        for answer in (await api.client.put(url, json=KETTLE), await api.client.get(url), await api.client.delete(url)):
            assert (answer.status_code, answer.json()["field"]) == (422, "name"), name


async def test_parameters_that_mean_nothing_are_refused(api: Served):
    for url in ("/v2/profiles", "/v2/profiles/lab", "/v2/prompts", "/v2/prompts/smartsip", "/v2/prompts/smartsip/1"):
        answer = await api.client.get(f"{url}?colour=red")
        assert (answer.status_code, answer.json()["field"]) == (422, "colour"), url
    for answer in (
        await api.client.put("/v2/profiles/kettle?colour=red", json=KETTLE),
        await api.client.post("/v2/prompts/tea?colour=red", json={"text": "Pour."}),
        await api.client.delete("/v2/profiles/kettle?colour=red"),
        await api.client.delete("/v2/prompts/tea?colour=red"),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, "colour")


async def test_a_stored_profile_that_today_is_not_safe_is_refused_and_never_replaced(api: Served, settings: Settings):
    document = KETTLE_WHOLE | {"child_cap_c": 60}
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute(
            "insert into device_profile (owner_id, name, document) values (%s, 'kettle', %s)",
            [LOCAL_OWNER, Jsonb(document)],
        )
    photo = {"kind": "vision", "input": {"image": {"data": "aGVsbG8="}, "profile": "kettle"}}
    for answer in (await api.client.get("/v2/profiles/kettle"), await api.client.post("/v2/jobs", json=photo)):
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("The profile kettle, as it is stored, is not safe by the rules of")
    assert (await api.client.put("/v2/profiles/kettle", json=KETTLE)).status_code == 200
    assert (await api.client.get("/v2/profiles/kettle")).json()["child_cap_c"] == 34
