"""Devices as their owners manage them, and what a device's token opens while it is good."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import structlog
from pydantic import SecretStr

from shared.encryption import Sealer
from shared.security import hash_of_key, is_device_token
from shared.settings import Settings
from tests.images import photo
from tests.served import Served, bearer, served

PAIR = {"access_key": "AKFIELD.ed-1", "secret_key": "minioadmin"}
SPACED = "min io adm in"
OTHER_MASTER_KEY = SecretStr("HxweHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=")


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def anna(api: Served) -> AsyncIterator[httpx.AsyncClient]:
    """An owner who manages devices and is no administrator."""
    async with api.client_with(await new_key(api, "devices", owner="anna")) as client:
        yield client


async def new_key(api: Served, *scopes: str, owner: str) -> str:
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": scopes, "owner": owner})
    secret: str = made.json()["secret"]
    return secret


async def register(client: httpx.AsyncClient, name: str = "kitchen", **wanted: Any) -> dict[str, Any]:  # JSON
    answer = await client.post("/v2/devices", json={"name": name} | wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def own_facts(api: Served, token: str, **headers: str) -> httpx.Response:
    return await api.stranger.get("/v2/devices/me", headers=bearer(token) | headers)


async def is_let_in(api: Served, token: str) -> bool:
    answer = await own_facts(api, token)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def execute(settings: Settings, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database.conninfo) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


async def test_a_device_is_registered_and_let_in_with_what_is_shown_once(api: Served, anna: httpx.AsyncClient):
    answer = await anna.post("/v2/devices", json={"name": "kitchen", "prompt": "smartsip@1", "model": "demo/demo"})
    made = answer.json()
    credential = made.pop("credential")
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v2/devices/{made['id']}")
    assert answer.headers["cache-control"] == "no-store"
    assert is_device_token(credential["token"])
    assert credential == {
        "token": credential["token"],
        "access_key": None,
        "secret_key": None,
        "address": f"/d/{credential['token']}",
        "expires_at": None,
    }
    assert made.pop("claim") is None
    assert made == {
        "id": made["id"],
        "owner": "anna",
        "name": "kitchen",
        "profile": None,
        "prompt": "smartsip@1",
        "model": "demo/demo",
        "firmware": None,
        "state": "active",
        "created_at": made["created_at"],
        "last_seen_at": None,
        "claimed_at": None,
        "revoked_at": None,
        "credentials": [
            {
                "id": made["credentials"][0]["id"],
                "hint": credential["token"][:8],
                "access_key": None,
                "created_at": made["created_at"],
                "expires_at": None,
            }
        ],
    }
    assert (await anna.get(f"/v2/devices/{made['id']}")).json() == made
    facts = (await own_facts(api, credential["token"])).json()
    assert (facts["id"], facts["name"], facts["profile"]["name"]) == (made["id"], "kitchen", "smartsip-v0.1")
    assert abs(datetime.fromisoformat(facts["server_time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    by_path = await api.stranger.get(f"{credential['address']}/v2/devices/me")
    assert by_path.json() | {"server_time": None} == facts | {"server_time": None}


async def test_what_is_stored_of_a_credential_is_of_no_use_to_who_reads_it(api: Served, settings: Settings):
    given = (await register(api.client, "given", signing=PAIR))["credential"]
    made = (await register(api.client, "made", signing="new"))["credential"]
    assert {name: given[name] for name in PAIR} == PAIR
    assert (len(made["access_key"]), len(made["secret_key"])) == (20, 40)
    rows = execute(settings, "select d.*, c.* from device d join device_credential c on c.device_id = d.id")
    assert len(rows) == 2
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    for secret in (given["token"], given["secret_key"], made["token"], made["secret_key"]):
        assert secret.encode() not in stored
    assert hash_of_key(given["token"]) in stored
    sealed = execute(settings, "select id, secret from device_credential where access_key = %s", PAIR["access_key"])
    credential_id, secret = sealed[0]
    opened = Sealer(settings.master_key).open(bytes(secret), purpose=f"device_credential:{credential_id}")
    assert opened == PAIR["secret_key"]


async def test_the_device_behind_a_token_is_found_with_its_pair(api: Served, anna: httpx.AsyncClient):
    made = await register(anna, profile="smartsip-v0.1", signing=PAIR)
    calling = await api.front.devices.calling(made["credential"]["token"])
    assert calling is not None
    assert calling.signing is not None
    assert (str(calling.id), calling.owner_name, calling.profile) == (made["id"], "anna", "smartsip-v0.1")
    assert calling.signing.access_key == PAIR["access_key"]
    assert calling.signing.secret_key.get_secret_value() == PAIR["secret_key"]


async def test_no_secret_is_told_to_a_log_an_error_or_a_repr(api: Served, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    secret = PAIR["secret_key"]
    with structlog.testing.capture_logs() as events:
        made = await register(api.client, signing=PAIR)
        token = made["credential"]["token"]
        code = (await api.client.post(f"/v2/devices/{made['id']}/claim")).json()["claim"]["code"]
        texts = [
            (await api.client.get("/v2/devices")).text,
            (await api.client.get(f"/v2/devices/{made['id']}")).text,
            (await api.client.post("/v2/devices", json={"name": "kitchen", "signing": PAIR})).text,
            (await api.client.post("/v2/devices", json={"name": "x", "signing": PAIR | {"colour": secret}})).text,
            (
                await api.client.post("/v2/devices", json={"name": "x", "signing": PAIR | {"secret_key": "min io ad"}})
            ).text,
            (await api.stranger.put(f"/d/{token}/test/a.jpg", content=photo())).text,
            (await api.stranger.get(f"/d/{token}/v2/devices")).text,
            (await own_facts(api, token)).text,
            (await api.stranger.post("/v2/devices/claim", json={"code": code, "firmware": "\n"})).text,
            (await api.client.delete(f"/v2/devices/{made['id']}")).text,
            (await own_facts(api, token)).text,
            (await api.stranger.post("/v2/devices/claim", json={"code": code})).text,
        ]
    calling = await api.front.devices.calling(token)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    told = "\n".join([*texts, *ours, *map(str, events), repr(calling)])
    assert "/test/a.jpg" in told
    assert all(one not in told for one in (token, secret, SPACED, code))


async def test_the_last_sight_and_the_firmware_of_a_device_are_noted(api: Served, settings: Settings):
    made = await register(api.client)
    token, path = made["credential"]["token"], f"/v2/devices/{made['id']}"

    async def noted() -> tuple[str | None, str | None]:
        device = (await api.client.get(path)).json()
        return device["last_seen_at"], device["firmware"]

    await own_facts(api, token, **{"X-Firmware": "0.1.3"})
    first_seen, firmware = await noted()
    assert first_seen is not None
    assert firmware == "0.1.3"
    await own_facts(api, token)
    await own_facts(api, token, **{"X-Firmware": "0.1.3"})
    assert await noted() == (first_seen, "0.1.3")
    await own_facts(api, token, **{"X-Firmware": "0.2"})
    assert (await noted())[1] == "0.2"
    for unshowable in (b"x" * 101, "0.3é".encode(), b""):
        headers = [(b"Authorization", f"Bearer {token}".encode()), (b"X-Firmware", unshowable)]
        assert (await api.stranger.get("/v2/devices/me", headers=headers)).status_code == 200
        assert (await noted())[1] == "0.2"
    execute(settings, "update device set last_seen_at = now() - interval '2 minutes'")
    await own_facts(api, token)
    seen_again = (await noted())[0]
    assert seen_again is not None
    assert seen_again >= first_seen


async def test_a_token_that_nobody_has_notes_no_sight(api: Served):
    made = await register(api.client)
    await api.client.delete(f"/v2/devices/{made['id']}")
    assert not await is_let_in(api, made["credential"]["token"])
    assert (await api.client.get(f"/v2/devices/{made['id']}")).json()["last_seen_at"] is None


async def test_a_revoked_device_is_refused_at_once_in_every_process_and_its_name_is_free(
    api: Served, settings: Settings
):
    made = await register(api.client)
    token, path = made["credential"]["token"], f"/v2/devices/{made['id']}"
    async with served(settings) as other:
        assert await is_let_in(other, token)
        for _ in range(2):
            assert (await api.client.delete(path)).status_code == 204
            assert not await is_let_in(other, token)
            assert not await is_let_in(api, token)
    revoked = (await api.client.get(path)).json()
    assert (revoked["state"], revoked["credentials"]) == ("revoked", [])
    for answer in (
        await api.client.patch(path, json={"name": "back"}),
        await api.client.post(f"{path}/rotate"),
        await api.client.post(f"{path}/claim"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await register(api.client))["id"] != made["id"]


async def test_old_and_new_token_are_good_until_the_overlap_is_over(api: Served, settings: Settings):
    made = await register(api.client)
    old, path = made["credential"]["token"], f"/v2/devices/{made['id']}"
    answer = await api.client.post(f"{path}/rotate", json={"overlap_s": 3600})
    rotated = answer.json()
    new = rotated["credential"]["token"]
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [one["hint"] for one in rotated["credentials"]] == [new[:8], old[:8]]
    assert rotated["credentials"][0]["expires_at"] is None
    ends = datetime.fromisoformat(rotated["credentials"][1]["expires_at"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    assert await is_let_in(api, old)
    assert await is_let_in(api, new)
    execute(settings, "update device_credential set expires_at = expires_at - interval '1 hour'")
    assert not await is_let_in(api, old)
    assert await is_let_in(api, new)
    assert [one["hint"] for one in (await api.client.get(path)).json()["credentials"]] == [new[:8]]


async def test_a_rotation_without_overlap_ends_the_old_token_at_once(api: Served):
    made = await register(api.client)
    answer = await api.client.post(f"/v2/devices/{made['id']}/rotate", json={"overlap_s": 0})
    assert not await is_let_in(api, made["credential"]["token"])
    assert await is_let_in(api, answer.json()["credential"]["token"])


async def test_a_rotation_has_the_overlap_of_the_settings_and_never_lengthens_an_older_one(
    api: Served, settings: Settings
):
    path = f"/v2/devices/{(await register(api.client))['id']}"
    await api.client.post(f"{path}/rotate", json={"overlap_s": 60})
    rotated = (await api.client.post(f"{path}/rotate")).json()
    now = datetime.now(UTC)
    newest, middle, first = (one["expires_at"] for one in rotated["credentials"])
    assert newest is None
    assert abs(datetime.fromisoformat(middle) - now - settings.clocks.rotation_overlap) < timedelta(minutes=1)
    assert datetime.fromisoformat(first) - now <= timedelta(minutes=1)


async def test_a_rotation_keeps_to_signing_unless_it_is_told_otherwise(api: Served):
    path = f"/v2/devices/{(await register(api.client, signing=PAIR))['id']}/rotate"
    as_before = (await api.client.post(path)).json()["credential"]
    given = (await api.client.post(path, json={"signing": PAIR})).json()["credential"]
    none = (await api.client.post(path, json={"signing": None})).json()["credential"]
    still_none = (await api.client.post(path, json={})).json()["credential"]
    new = (await api.client.post(path, json={"signing": "new"})).json()["credential"]
    assert as_before["access_key"] not in (None, PAIR["access_key"])
    assert {name: given[name] for name in PAIR} == PAIR
    assert (none["access_key"], none["secret_key"], still_none["access_key"]) == (None, None, None)
    assert len(new["secret_key"]) == 40


async def test_a_secret_sealed_under_another_master_key_shuts_the_device_out_until_it_is_rotated(
    api: Served, settings: Settings
):
    path = f"/v2/devices/{(made := await register(api.client, signing=PAIR))['id']}"
    unsigned = await register(api.client, "unsigned")
    token = made["credential"]["token"]
    async with served(settings.model_copy(update={"master_key": OTHER_MASTER_KEY})) as other:
        refused = await own_facts(other, token)
        put = await other.stranger.put(f"/d/{token}/test/a.jpg", content=photo())
        asked = await other.stranger.post(f"/d/{token}/smartsip/upload?image_name=a.jpg")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "SMARTSIP_MASTER_KEY" in refused.json()["detail"]
        assert [(one.status_code, one.text) for one in (put, asked)] == [
            (503, "error msg: The service is not available at the moment")
        ] * 2
        assert await is_let_in(other, unsigned["credential"]["token"])
        assert (await other.client.get(path)).json()["credentials"][0]["access_key"] == PAIR["access_key"]
        rotated = (await other.client.post(f"{path}/rotate")).json()["credential"]
        assert await is_let_in(other, rotated["token"])
    assert await is_let_in(api, token)


async def test_a_name_is_one_devices_of_an_owner(api: Served, anna: httpx.AsyncClient):
    await register(anna)
    bath = await register(anna, "bath")
    await register(api.client)
    again = await anna.post("/v2/devices", json={"name": "kitchen"})
    renamed = await anna.patch(f"/v2/devices/{bath['id']}", json={"name": "kitchen"})
    for answer in (again, renamed):
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (409, "conflict", "name")
    assert [one["name"] for one in (await anna.get("/v2/devices")).json()["devices"]] == ["bath", "kitchen"]


async def test_of_many_that_want_a_name_at_once_one_gets_it(api: Served):
    answers = await asyncio.gather(*(api.client.post("/v2/devices", json={"name": "kitchen"}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]


async def test_a_device_is_changed_and_null_takes_a_choice_back(api: Served):
    made = await register(api.client, prompt="smartsip@1")
    path = f"/v2/devices/{made['id']}"
    changed = await api.client.patch(path, json={"name": "bath", "model": "demo/demo", "profile": "smartsip-v0.1"})
    assert changed.json() == (await api.client.get(path)).json()
    back = (await api.client.patch(path, json={"prompt": None, "model": None})).json()
    wanted = {"name": "bath", "profile": "smartsip-v0.1", "prompt": None, "model": None}
    assert {name: back[name] for name in wanted} == wanted
    calling = await api.front.devices.calling(made["credential"]["token"])
    assert calling is not None
    assert (calling.name, calling.profile, calling.prompt, calling.model) == tuple(wanted.values())


async def test_owners_see_and_manage_only_their_own(api: Served, anna: httpx.AsyncClient):
    boris = await register(api.client, owner="boris")
    path = f"/v2/devices/{boris['id']}"
    own = await register(anna)
    answers = [
        await anna.get(path),
        await anna.patch(path, json={"name": "mine"}),
        await anna.post(f"{path}/rotate"),
        await anna.post(f"{path}/claim"),
        await anna.delete(path),
        await anna.get(f"/v2/devices/{uuid4()}"),
    ]
    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {
        (404, "There is no device with this id.")
    }
    assert [one["id"] for one in (await anna.get("/v2/devices")).json()["devices"]] == [own["id"]]
    assert (await anna.get("/v2/devices?owner=boris")).json()["devices"] == []
    foreign = await anna.post("/v2/devices", json={"name": "gift", "owner": "boris"})
    assert (foreign.status_code, foreign.json()["field"]) == (403, "owner")
    assert await is_let_in(api, boris["credential"]["token"])
    everybodys = (await api.client.get("/v2/devices")).json()["devices"]
    assert [one["owner"] for one in everybodys] == ["anna", "boris"]
    assert (await api.client.patch(path, json={"name": "named by an administrator"})).status_code == 200


async def test_an_owner_is_made_with_its_first_device_but_not_by_a_refused_request(api: Served, settings: Settings):
    refused = await api.client.post("/v2/devices", json={"name": "x", "owner": "carla", "profile": "unheard-of"})
    assert (refused.status_code, refused.json()["field"]) == (422, "profile")
    assert execute(settings, "select name from owner where name = 'carla'") == []
    assert (await register(api.client, owner="carla"))["owner"] == "carla"


async def test_devices_are_listed_by_state_and_name_in_pages(api: Served):
    active = [await register(api.client, f"device {number}") for number in range(3)]
    unclaimed = await register(api.client, "waits", claim=True)
    await api.client.delete(f"/v2/devices/{active[0]['id']}")

    async def listed(query: str) -> list[str]:
        return [one["id"] for one in (await api.client.get(f"/v2/devices?{query}")).json()["devices"]]

    assert await listed("state=active") == [active[2]["id"], active[1]["id"]]
    assert await listed("state=unclaimed") == [unclaimed["id"]]
    assert await listed("state=revoked") == [active[0]["id"]]
    assert await listed("name=device 1") == [active[1]["id"]]
    assert await listed("name=device") == []
    first = (await api.client.get("/v2/devices?limit=3")).json()
    second = (await api.client.get(f"/v2/devices?limit=3&cursor={first['next']}")).json()
    everyone = [unclaimed["id"], active[2]["id"], active[1]["id"], active[0]["id"]]
    assert [one["id"] for one in first["devices"] + second["devices"]] == everyone
    assert second["next"] is None


async def test_repeating_a_registration_shows_the_device_without_its_secrets(api: Served, settings: Settings):
    headers, body = {"Idempotency-Key": "boot-1"}, {"name": "kitchen", "signing": PAIR}
    answers = await asyncio.gather(*(api.client.post("/v2/devices", json=body, headers=headers) for _ in range(4)))
    [first] = [answer for answer in answers if answer.status_code == 201]
    repeated = [answer for answer in answers if answer is not first]
    for answer in repeated:
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
        assert answer.json() == first.json() | {"credential": None, "claim": None}
        assert answer.headers["location"] == first.headers["location"]
    for change in ({"name": "bath"}, {"signing": PAIR | {"secret_key": "minioadmin2"}}, {"model": "demo/demo"}):
        other = await api.client.post("/v2/devices", json=body | change, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert execute(settings, "select count(*) from device") == [(1,)]
    assert execute(settings, "select count(*) from device_credential") == [(1,)]
    elsewhere = await api.client.post("/v2/devices", json=body | {"owner": "anna"}, headers=headers)
    assert elsewhere.status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "profile": "No Such"}, "profile"),
        ({"name": "x", "profile": "unheard-of"}, "profile"),
        ({"name": "x", "prompt": "unheard-of@3"}, "prompt"),
        ({"name": "x", "prompt": "smartsip@99"}, "prompt"),
        ({"name": "x", "model": "gpt-4o"}, "model"),
        ({"name": "x", "model": "openai/gpt-4o"}, "model"),
        ({"name": "x", "signing": "old"}, "signing"),
        ({"name": "x", "signing": {"access_key": "abc"}}, "signing.secret_key"),
        ({"name": "x", "signing": {"access_key": "a:c", "secret_key": "minioadmin"}}, "signing.access_key"),
        ({"name": "x", "signing": {"access_key": "abc", "secret_key": "short"}}, "signing.secret_key"),
        ({"name": "x", "signing": "new", "claim": True}, "signing"),
        ({"name": "x", "claim": "perhaps"}, "claim"),
        ({"name": "x", "owner": "../a"}, "owner"),
        ({"name": "x", "token": "mine"}, "token"),
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused_by_its_field(api: Served, body: dict[str, Any], field: str):
    answer = await api.client.post("/v2/devices", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await api.client.get("/v2/devices")).json()["devices"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PATCH", "", {"name": None}, "name"),
        ("PATCH", "", {"profile": "unheard-of"}, "profile"),
        ("PATCH", "", {"owner": "boris"}, "owner"),
        ("PATCH", "?dry=1", {"name": "y"}, "dry"),
        ("POST", "/rotate", {"overlap_s": -1}, "overlap_s"),
        ("POST", "/rotate", {"overlap_s": 30 * 24 * 3600 + 1}, "overlap_s"),
        ("POST", "/rotate", {"signing": {}}, "signing.access_key"),
        ("POST", "/rotate", {"overlap": 5}, "overlap"),
        ("POST", "/claim?now=1", None, "now"),
        ("DELETE", "?force=1", None, "force"),
    ],
    ids=str,
)
async def test_a_wrong_change_is_refused_by_its_field_and_changes_nothing(
    api: Served, method: str, path: str, body: object, field: str
):
    made = await register(api.client)
    before = (await api.client.get(f"/v2/devices/{made['id']}")).json()
    answer = await api.client.request(method, f"/v2/devices/{made['id']}{path}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await api.client.get(f"/v2/devices/{made['id']}")).json() == before


async def test_a_change_that_changes_nothing_is_refused(api: Served):
    made = await register(api.client)
    answer = await api.client.patch(f"/v2/devices/{made['id']}", json={})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "name what is to be different: name, profile, prompt or model",
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=1", "state=asleep", "owner=../a", "colour=red"])
async def test_a_wrong_query_is_refused(api: Served, query: str):
    answer = await api.client.get(f"/v2/devices?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0])


async def test_a_key_for_devices_of_old_is_no_longer_made(api: Served):
    answer = await api.client.post("/v2/keys", json={"name": "kitchen", "scopes": ["jobs", "device"]})
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (422, "scopes")
    assert "POST /v2/devices" in problem["detail"]
    assert "smartsip device add" in problem["detail"]


async def test_a_key_that_is_no_devices_is_told_at_the_firmwares_address_how_to_register(
    api: Served, settings: Settings
):
    secret = await new_key(api, "jobs", "images", owner="anna")
    execute(settings, "update api_key set scopes = '{device,admin}'")
    for path in ("test/a.jpg", "smartsip/upload?image_name=a.jpg"):
        method = "PUT" if path.startswith("test") else "POST"
        answer = await api.stranger.request(method, f"/d/{secret}/{path}", content=photo())
        assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
        assert "smartsip device add" in answer.text
    assert execute(settings, "select count(*) from image") == [(0,)]
