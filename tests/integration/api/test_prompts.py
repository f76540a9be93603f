"""Prompts over HTTP: versions that never change, whose they are, and who still asks them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from api.scopes import Scope
from shared.domain.dispense import BUILT_IN_PROMPTS
from shared.domain.ids import LOCAL_OWNER
from shared.settings import Settings
from tests.integration.api.devices import new_device
from tests.integration.api.test_profiles import JSON, KETTLE, client_of
from tests.served import Served, served

SMARTSIP_2 = {
    "name": "smartsip",
    "version": 2,
    "ref": "smartsip@2",
    "form": "full",
    "note": "",
    "origin": "built_in",
    "created_at": None,
}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "text"),
    ({"text": ""}, "text"),
    ({"text": " \n\t"}, "text"),
    ({"text": "x" * 20_001}, "text"),
    ({"text": "a\0b"}, "text"),
    ({"text": "\ud800"}, "text"),
    ({"text": 1}, "text"),
    ({"text": "x", "form": "poem"}, "form"),
    ({"text": "x", "note": "x" * 501}, "note"),
    ({"text": "x", "note": "a\0b"}, "note"),
    ({"text": "x", "version": 7}, "version"),
]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def add(api: Served, name: str = "tea", **wanted: Any) -> httpx.Response:
    return await api.client.post(f"/v2/prompts/{name}", json={"text": "Pour."} | wanted)


async def test_a_prompt_grows_by_versions_that_stay(api: Served):
    first = await add(api, text="Pour tea.", form="plain", note="a start")
    second = await add(api, text="Pour green tea.")
    assert [answer.status_code for answer in (first, second)] == [201, 201]
    assert [answer.headers["location"] for answer in (first, second)] == ["/v2/prompts/tea/1", "/v2/prompts/tea/2"]
    assert first.json() == {
        "name": "tea",
        "version": 1,
        "ref": "tea@1",
        "text": "Pour tea.",
        "form": "plain",
        "note": "a start",
        "origin": "own",
        "created_at": first.json()["created_at"],
    }
    assert (await api.client.get("/v2/prompts/tea")).json() == {
        "name": "tea",
        "origin": "own",
        "versions": [second.json(), first.json()],
    }
    assert (await api.client.get("/v2/prompts/tea/1")).json() == first.json()
    listed = (await api.client.get("/v2/prompts")).json()
    newest = {name: value for name, value in second.json().items() if name != "text"}
    assert listed == {"prompts": [newest, SMARTSIP_2]}


async def test_repeating_a_version_is_harmless(api: Served):
    first = await add(api, text="Pour tea.", note="a start")
    again = await add(api, text="Pour tea.", note="another note")
    assert (again.status_code, again.headers["location"]) == (200, "/v2/prompts/tea/1")
    assert again.json() == first.json()
    assert (await add(api, text="Pour tea.", form="plain")).json()["version"] == 2
    assert (await add(api, text="Pour tea.")).json()["version"] == 3


async def test_versions_that_are_added_at_the_same_time_get_numbers_of_their_own(api: Served, settings: Settings):
    async with served(settings) as other:
        apis = [api, other] * 8
        answers = await asyncio.gather(*(add(one, text=f"Pour {number}.") for number, one in enumerate(apis)))
        repeated = await asyncio.gather(*(add(one, "milk", text="Pour milk.") for one in apis))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 17))
    assert sorted(answer.status_code for answer in repeated) == [200] * 15 + [201]
    assert {answer.json()["version"] for answer in repeated} == {1}


async def test_the_built_in_prompt_can_be_read_word_for_word_and_not_be_changed(api: Served):
    whole = (await api.client.get("/v2/prompts/smartsip")).json()
    assert [version["version"] for version in whole["versions"]] == [2, 1]
    assert whole["versions"][1] == (await api.client.get("/v2/prompts/smartsip/1")).json()
    assert whole["versions"][1]["text"] == BUILT_IN_PROMPTS["smartsip@1"].text
    assert whole["versions"][1]["form"] == "plain"
    assert (await api.client.get("/v2/prompts/smartsip/3")).status_code == 404
    for answer in (
        await add(api, "smartsip"),
        await add(api, "inline"),
        await api.client.delete("/v2/prompts/smartsip"),
    ):
        assert (answer.status_code, answer.json()["field"]) == (409, "name")


async def test_owners_have_prompts_of_their_own(api: Served):
    await add(api, text="Mine.")
    async with await client_of(api, "anna", Scope.DEVICES) as anna:
        assert [prompt["name"] for prompt in (await anna.get("/v2/prompts")).json()["prompts"]] == ["smartsip"]
        assert (await anna.get("/v2/prompts/tea")).status_code == 404
        assert (await anna.get("/v2/prompts/tea/1")).status_code == 404
        assert (await anna.delete("/v2/prompts/tea")).status_code == 404
        assert (await anna.post("/v2/prompts/tea", json={"text": "Hers."})).json()["version"] == 1
    assert (await api.client.get("/v2/prompts/tea/1")).json()["text"] == "Mine."


async def test_jobs_keys_may_read_and_only_devices_keys_may_write(api: Served):
    await add(api)
    paths = ("/v2/prompts", "/v2/prompts/smartsip", "/v2/prompts/smartsip/1")
    async with await client_of(api, "anna", Scope.JOBS) as reader, await client_of(api, "anna", Scope.KEYS) as other:
        assert [(await reader.get(path)).status_code for path in paths] == [200, 200, 200]
        assert [(await other.get(path)).status_code for path in paths] == [403, 403, 403]
        assert (await reader.post("/v2/prompts/tea", json={"text": "x"})).status_code == 403
        assert (await reader.delete("/v2/prompts/tea")).status_code == 403
    assert [(await api.stranger.get(path)).status_code for path in paths] == [401, 401, 401]


async def test_a_prompt_that_somebody_asks_is_kept(api: Served, settings: Settings):
    await add(api)
    await add(api, "teapot")
    await new_device(api, name="kitchen", prompt="tea")
    await new_device(api, name="office", prompt="tea@1")
    await new_device(api, owner_name="anna", name="hers", prompt="tea")
    await api.client.put("/v2/profiles/kettle", json=KETTLE | {"prompt": "tea@1"})
    refused = await api.client.delete("/v2/prompts/tea")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "This prompt is asked by the device kitchen, the device office, the profile kettle."
        " Give them another one first.",
    )
    assert (await api.client.delete("/v2/prompts/teapot")).status_code == 204
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("update device set revoked_at = now()")
    await api.client.delete("/v2/profiles/kettle")
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 204


async def test_a_deleted_prompt_is_gone_and_its_numbers_are_not_used_again(api: Served, settings: Settings):
    for text in ("One.", "Two."):
        await add(api, text=text)
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 204
    for path in ("/v2/prompts/tea", "/v2/prompts/tea/1", "/v2/prompts/tea/2"):
        assert (await api.client.get(path)).status_code == 404
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 404
    assert (await api.client.get("/v2/prompts")).json() == {"prompts": [SMARTSIP_2]}
    with psycopg.connect(settings.database.conninfo) as connection:
        texts = connection.execute("select text from prompt").fetchall()
    assert texts == [("",)]

    assert (await add(api, text="Two.")).json()["version"] == 3
    assert (await api.client.get("/v2/prompts/tea/2")).status_code == 404
    assert (await api.client.delete("/v2/prompts/tea")).status_code == 204
    assert (await add(api, text="Four.")).json()["version"] == 4


async def test_a_name_whose_numbers_are_used_up_is_refused(api: Served, settings: Settings):
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute(
            "insert into prompt (owner_id, name, version, text, form) values (%s, 'tea', 999999, 'Last.', 'full')",
            [LOCAL_OWNER],
        )
    answer = await add(api)
    assert (answer.status_code, answer.json()["field"]) == (409, "name")
    assert (await api.client.get("/v2/prompts/tea/999999")).json()["text"] == "Last."


async def test_a_wrong_prompt_is_refused_by_its_field(api: Served):
    for body, field in WRONG:
        answer = await api.client.post("/v2/prompts/tea", content=json.dumps(body), headers=JSON)
        assert (answer.status_code, answer.json().get("field")) == (422, field), (str(body)[:40], answer.text)
    assert (await api.client.get("/v2/prompts/tea")).status_code == 404


async def test_a_reference_that_cannot_be_is_refused(api: Served):
    for path in ("Tea", "a@1", "tea/0", "tea/x", "tea/1000000", "tea/1.5"):
        answer = await api.client.get(f"/v2/prompts/{path}")
        assert (answer.status_code, answer.json()["field"]) == (422, "version" if "/" in path else "name"), path


async def test_a_text_comes_back_as_it_was_sent(api: Served):
    text = "  Gieße 200 ml 茶.\r\n\u2028🫖 {volume} %s \\ \" '--  \n"
    assert (await add(api, text=text)).json()["text"] == text
    assert (await api.client.get("/v2/prompts/tea/1")).json()["text"] == text
