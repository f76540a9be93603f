from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.settings import Settings
from tests.served import Served, served
from tests.stack import eventually


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def make(api: Served, secret: str | None = None, **wanted: Any) -> dict[str, Any]:  # JSON
    client = api.client if secret is None else api.client_with(secret)
    answer = await client.post("/v2/keys", json={"name": "a key", "scopes": ["keys", "jobs"]} | wanted)
    assert answer.status_code == 201, answer.text
    if secret is not None:
        await client.aclose()
    made: dict[str, Any] = answer.json()
    return made


async def status(api: Served, secret: str, path: str = "/v2/providers") -> int:
    async with api.client_with(secret) as client:
        return (await client.get(path)).status_code


async def test_a_key_is_made_shown_once_and_works(api: Served):
    made = await make(api, owner="anna", name="kitchen")
    secret = made.pop("secret")
    assert made == {
        "id": made["id"],
        "owner": "anna",
        "name": "kitchen",
        "hint": secret[:8],
        "scopes": ["jobs", "keys"],
        "created_at": made["created_at"],
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
    }
    assert await status(api, secret) == 200
    listed = (await api.client.get("/v2/keys")).json()
    assert listed["next"] is None
    assert [key["id"] for key in listed["keys"]] == [made["id"]]
    assert secret not in str(listed)


async def test_only_a_hash_is_stored(api: Served, settings: Settings):
    secret = (await make(api))["secret"]
    with psycopg.connect(settings.database.conninfo) as connection:
        rows = connection.execute("select * from api_key").fetchall()
    assert len(rows) == 1
    assert secret not in str(rows)
    assert secret.encode() not in b"".join(value for value in rows[0] if isinstance(value, bytes))


async def test_a_revoked_key_stops_at_once_and_revoking_again_is_harmless(api: Served):
    made = await make(api)
    assert await status(api, made["secret"]) == 200
    for _ in range(2):
        assert (await api.client.delete(f"/v2/keys/{made['id']}")).status_code == 204
        assert await status(api, made["secret"]) == 401


async def test_another_process_hears_of_a_revocation_within_the_cache_time(api: Served, settings: Settings):
    made = await make(api)
    async with served(settings) as other:
        assert await status(other, made["secret"]) == 200
        await api.client.delete(f"/v2/keys/{made['id']}")

        async def is_refused() -> bool:
            return await status(other, made["secret"]) == 401

        await eventually(is_refused, within=2)


async def test_a_key_ends_when_it_expires(api: Served):
    soon = datetime.now(UTC) + timedelta(seconds=0.7)
    secret = (await make(api, expires_at=soon.isoformat()))["secret"]
    assert await status(api, secret) == 200

    async def is_refused() -> bool:
        return await status(api, secret) == 401

    await eventually(is_refused, within=3)
    assert datetime.now(UTC) >= soon


async def test_use_is_noted(api: Served):
    made = await make(api)
    await status(api, made["secret"])
    listed = (await api.client.get("/v2/keys")).json()["keys"]
    assert listed[0]["last_used_at"] is not None


async def test_keys_are_read_once_for_many_requests(api: Served, settings: Settings):
    secret = (await make(api))["secret"]
    async with api.client_with(secret) as client:
        assert {(await client.get("/v2/providers")).status_code for _ in range(20)} == {200}
    with psycopg.connect(settings.database.conninfo) as connection:
        row = connection.execute("select last_used_at from api_key").fetchone()
    assert row is not None


async def test_owners_see_and_end_only_their_own_keys(api: Served):
    anna, boris = await make(api, owner="anna"), await make(api, owner="boris")
    async with api.client_with(anna["secret"]) as client:
        listed = (await client.get("/v2/keys")).json()["keys"]
        foreign = await client.delete(f"/v2/keys/{boris['id']}")
        unknown = await client.delete(f"/v2/keys/{uuid4()}")
        by_name = (await client.get("/v2/keys?owner=boris")).json()["keys"]
    assert [key["id"] for key in listed] == [anna["id"]]
    assert (foreign.status_code, unknown.status_code, by_name) == (404, 404, [])
    assert foreign.json()["detail"] == unknown.json()["detail"]
    assert await status(api, boris["secret"]) == 200


async def test_a_key_makes_keys_like_itself_at_most(api: Served):
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    parent = await make(api, owner="anna", expires_at=until)
    child = await make(api, secret=parent["secret"], scopes=["jobs"])
    assert (child["owner"], child["scopes"], child["expires_at"]) == ("anna", ["jobs"], parent["expires_at"])
    refusals = {
        "owner": {"owner": "boris"},
        "scopes": {"scopes": ["jobs", "admin"]},
        "expires_at": {"expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    }
    async with api.client_with(parent["secret"]) as client:
        for field, change in refusals.items():
            answer = await client.post("/v2/keys", json={"name": "x", "scopes": ["jobs"]} | change)
            assert (answer.status_code, answer.json()["field"]) == (422 if field == "expires_at" else 403, field)


async def test_a_key_with_admin_is_good_for_everything(api: Served):
    secret = (await make(api, scopes=["admin"], owner="anna"))["secret"]
    assert await status(api, secret) == 200
    assert await status(api, secret, "/metrics") == 200
    made = await make(api, secret=secret, owner="boris", scopes=["admin"])
    assert made["owner"] == "boris"


async def test_pages_follow_each_other(api: Served):
    made = [(await make(api, name=f"key {number}"))["id"] for number in range(5)]
    first = (await api.client.get("/v2/keys?limit=3")).json()
    second = (await api.client.get(f"/v2/keys?limit=3&cursor={first['next']}")).json()
    assert [key["id"] for key in first["keys"] + second["keys"]] == made[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "", "scopes": ["jobs"]}, "name"),
        ({"name": "a\nb", "scopes": ["jobs"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "scopes": "jobs"}, "scopes"),
        ({"name": "x", "scopes": ["jobs"], "owner": "../a"}, "owner"),
        ({"name": "x", "scopes": ["jobs"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "scopes": ["jobs"], "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "scopes": ["jobs"], "secret": "mine"}, "secret"),
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused_by_its_field(api: Served, body: dict[str, Any], field: str):
    answer = await api.client.post("/v2/keys", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (await api.client.get("/v2/keys")).json()["keys"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=1", "colour=red"])
async def test_a_wrong_query_is_refused(api: Served, query: str):
    answer = await api.client.get(f"/v2/keys?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0])
