"""Claim codes: how a device gets its own credential without anybody typing it in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from shared.security import canonical_claim_code, hash_of_key, is_device_token
from shared.settings import Settings
from tests.served import Served, bearer, served

UNKNOWN = "0000-0000-0000-0000"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def register(api: Served, **wanted: Any) -> dict[str, Any]:  # JSON
    answer = await api.client.post("/v2/devices", json={"name": "kitchen"} | wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def new_code(api: Served, device_id: str) -> str:
    answer = await api.client.post(f"/v2/devices/{device_id}/claim")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    code: str = answer.json()["claim"]["code"]
    return code


async def claim(api: Served, code: str, **more: Any) -> httpx.Response:
    return await api.stranger.post("/v2/devices/claim", json={"code": code} | more)


async def look_at(api: Served, device_id: str) -> dict[str, Any]:  # JSON
    device: dict[str, Any] = (await api.client.get(f"/v2/devices/{device_id}")).json()
    return device


async def is_let_in(api: Served, token: str) -> bool:
    return (await api.stranger.get("/v2/devices/me", headers=bearer(token))).status_code == 200


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    problem = answer.json()
    return answer.status_code, problem["code"], problem["field"]


def execute(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database.conninfo) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_a_device_gets_its_credential_with_its_code(api: Served, settings: Settings):
    made = await register(api, claim=True, profile="smartsip-v0.1")
    assert (made["credential"], made["state"], made["credentials"]) == (None, "unclaimed", [])
    left = datetime.fromisoformat(made["claim"]["expires_at"]) - datetime.now(UTC)
    assert abs(left - settings.clocks.claim_code) < timedelta(minutes=1)

    answer = await claim(api, made["claim"]["code"], firmware="0.2.1")
    claimed = answer.json()
    token = claimed["credential"]["token"]
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert is_device_token(token)
    assert claimed == {
        "device": {"id": made["id"], "name": "kitchen", "profile": "smartsip-v0.1"},
        "credential": {
            "token": token,
            "access_key": None,
            "secret_key": None,
            "address": f"/d/{token}",
            "expires_at": None,
        },
    }
    assert await is_let_in(api, token)
    device = await look_at(api, made["id"])
    assert (device["state"], device["firmware"]) == ("active", "0.2.1")
    assert device["claimed_at"] is not None


async def test_a_code_is_read_however_it_is_typed(api: Served):
    code = (await register(api, claim=True))["claim"]["code"]
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert (await claim(api, typed)).status_code == 201


async def test_only_a_hash_of_a_code_is_stored(api: Served, settings: Settings):
    code = (await register(api, claim=True))["claim"]["code"]
    rows = execute(settings, "select * from device")
    stored = [bytes(value) for value in rows[0] if isinstance(value, bytes)]
    assert hash_of_key(code) in stored
    assert code not in str(rows)
    assert code.replace("-", "") not in str(rows)


async def test_a_code_is_good_once_and_a_second_use_is_told_so(api: Served):
    code = (await register(api, claim=True))["claim"]["code"]
    token = (await claim(api, code)).json()["credential"]["token"]
    assert refusal(await claim(api, code)) == (409, "claim_used", "code")
    assert await is_let_in(api, token)


async def test_of_two_devices_that_claim_at_the_same_time_one_is_let_in(api: Served, settings: Settings):
    async with served(settings) as other:
        for number in range(5):
            code = (await register(api, name=f"device {number}", claim=True))["claim"]["code"]
            answers = await asyncio.gather(*(claim(one, code) for one in (api, other, api, other)))
            assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    per_device = execute(settings, "select count(*) from device_credential group by device_id")
    assert per_device == [(1,)] * 5


async def test_a_code_ends_when_its_time_is_over(api: Served, settings: Settings):
    made = await register(api, claim=True)
    execute(settings, "update device set claim_expires_at = now()")
    assert refusal(await claim(api, made["claim"]["code"])) == (409, "claim_expired", "code")
    assert (await look_at(api, made["id"]))["state"] == "unclaimed"
    assert (await claim(api, await new_code(api, made["id"]))).status_code == 201


async def test_a_new_code_takes_the_place_of_an_unused_one(api: Served):
    made = await register(api, claim=True)
    code = await new_code(api, made["id"])
    assert refusal(await claim(api, made["claim"]["code"])) == (404, "not_found", "code")
    assert (await claim(api, code)).status_code == 201


async def test_what_a_device_had_is_good_until_it_claims_and_ends_then(api: Served):
    made = await register(api)
    old = made["credential"]["token"]
    code = await new_code(api, made["id"])
    assert await is_let_in(api, old)
    new = (await claim(api, code)).json()["credential"]["token"]
    assert (await is_let_in(api, old), await is_let_in(api, new)) == (False, True)
    assert [one["hint"] for one in (await look_at(api, made["id"]))["credentials"]] == [new[:8]]


async def test_a_device_that_signed_is_given_a_new_pair_with_its_claim(api: Served):
    made = await register(api, signing="new")
    credential = (await claim(api, await new_code(api, made["id"]))).json()["credential"]
    assert credential["access_key"] not in (None, made["credential"]["access_key"])
    calling = await api.front.devices.calling(credential["token"])
    assert calling is not None
    assert calling.signing is not None
    assert calling.signing.secret_key.get_secret_value() == credential["secret_key"]


async def test_a_claimed_device_keeps_its_firmware_where_the_claim_names_none(api: Served):
    made = await register(api, claim=True)
    await claim(api, made["claim"]["code"], firmware="0.2")
    await claim(api, await new_code(api, made["id"]))
    assert (await look_at(api, made["id"]))["firmware"] == "0.2"


async def test_a_revoked_device_cannot_be_claimed(api: Served):
    unused = await register(api, claim=True)
    await api.client.delete(f"/v2/devices/{unused['id']}")
    assert refusal(await claim(api, unused["claim"]["code"])) == (404, "not_found", "code")
    used = await register(api, claim=True)
    await claim(api, used["claim"]["code"])
    await api.client.delete(f"/v2/devices/{used['id']}")
    assert refusal(await claim(api, used["claim"]["code"])) == (409, "claim_used", "code")
    assert {(await look_at(api, one["id"]))["state"] for one in (unused, used)} == {"revoked"}


async def test_a_registration_that_is_repeated_shows_no_code_again(api: Served):
    body, headers = {"name": "kitchen", "claim": True}, {"Idempotency-Key": "once"}
    first = (await api.client.post("/v2/devices", json=body, headers=headers)).json()
    again = await api.client.post("/v2/devices", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first | {"claim": None})
    assert (await claim(api, first["claim"]["code"])).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "code"),
        ({"code": ""}, 422, "code"),
        ({"code": "7K2M-9QRD-XW4T"}, 422, "code"),
        ({"code": "7K2M-9QRD-XW4T-H8V!"}, 422, "code"),
        ({"code": "U" * 16}, 422, "code"),
        ({"code": "0" * 101}, 422, "code"),
        ({"code": 7}, 422, "code"),
        ({"code": "\x00" * 16}, 422, "code"),
        ({"code": UNKNOWN}, 404, "code"),
        ({"code": UNKNOWN, "firmware": ""}, 422, "firmware"),
        ({"code": UNKNOWN, "firmware": "x" * 101}, 422, "firmware"),
        ({"code": UNKNOWN, "firmware": "0.2\n"}, 422, "firmware"),
        ({"code": UNKNOWN, "name": "mine"}, 422, "name"),
    ],
    ids=str,
)
async def test_a_wrong_claim_is_refused_by_its_field(api: Served, body: dict[str, Any], status: int, field: str):
    answer = await api.stranger.post("/v2/devices/claim", json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text


def test_the_example_of_an_unknown_code_is_one():
    assert canonical_claim_code(UNKNOWN) == UNKNOWN
