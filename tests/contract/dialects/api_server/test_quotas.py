"""What clients may use, what they have used, and whose clients they are."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.contract.dialects.api_server.rig import Rig, chunks_of
from tests.scripted_provider import openai_stream

SPENT = {"msg": "Insufficient token (client)!"}


@pytest.mark.covers("F001-07", "F001-10", "F001-19")
async def test_a_quota_shrinks_by_what_was_used_however_it_was_asked(rig: Rig) -> None:
    rig.provider.play(openai_stream(["Hi"], usage=(20, 3)))
    chunks_of(await rig.ask(stream=True, client_id=1, user_id="a"))
    assert await rig.info("1") == {"client_id": "1", "quota_used": 23, "max_quota": 500_000}
    assert (await rig.ask(client_id="1", user_id="b")).status_code == 200
    assert (await rig.ask(client_id="1", user_id="b")).status_code == 200
    assert await rig.info("1") == {"client_id": "1", "quota_used": 69, "max_quota": 500_000}
    jobs: dict[str, list[Any]] = {
        user: (await rig.client.get("/v2/jobs", params={"label": f"user_id:{user}"})).json()["jobs"]
        for user in ("a", "b", "c")
    }
    assert {user: len(found) for user, found in jobs.items()} == {"a": 1, "b": 2, "c": 0}
    assert jobs["a"][0]["labels"] == {"client_id": "1", "user_id": "a"}


@pytest.mark.covers("F001-09")
async def test_a_client_without_tokens_is_refused_before_anybody_is_asked(rig: Rig) -> None:
    await rig.allow("poor", 30)
    for stream in (True, False):
        response = await rig.ask(client_id="poor", stream=stream)
        assert (response.status_code, response.json()) == (402, SPENT)
        assert response.headers["content-type"] == "application/json"
    assert rig.provider.exchanges == []
    assert (await rig.ask(client_id="rich")).status_code == 200


@pytest.mark.covers("F001-09")
async def test_many_at_once_cannot_overspend_a_quota(rig: Rig) -> None:
    limit = 14_000
    await rig.allow("busy", limit)
    rig.provider.play(openai_stream(["Hi"], usage=(100, 100)).delayed(0.3))
    answers = await asyncio.gather(*(rig.ask(client_id="busy") for _ in range(12)))
    answered = [one for one in answers if one.status_code == 200]
    assert all((one.status_code, one.json()) == (402, SPENT) for one in answers if one not in answered)
    allowed = [exchange.json["max_completion_tokens"] for exchange in rig.provider.exchanges]
    assert len(allowed) == len(answered) > 1
    assert sum(allowed) < limit
    assert (await rig.info("busy"))["quota_used"] == 200 * len(answered)


@pytest.mark.covers("F001-19")
async def test_another_owners_clients_are_not_there_and_neither_are_those_that_never_asked(rig: Rig) -> None:
    await rig.ask(client_id="shared")
    await rig.info("shared")
    assert await told(rig.other, client_id="shared") == (404, {"msg": "Not Found!"})
    await rig.ask(rig.other, client_id="shared")
    await rig.ask(rig.other, client_id="shared")
    assert (await rig.info("shared", rig.other))["quota_used"] == 24
    assert (await rig.info("shared"))["quota_used"] == 12
    assert await told(rig.client) == (400, {"msg": "client_id must be provided"})
    assert (await rig.ask(client_id="new", stream="yes")).status_code == 400
    for unknown in ("new", "a\0b", "x" * 500, "client:shared", "%"):
        assert await told(rig.client, client_id=unknown, product_id="p") == (404, {"msg": "Not Found!"})


async def told(client: httpx.AsyncClient, **query: str) -> tuple[int, Any]:
    response = await client.get("/v1/client/info", params=query)
    return response.status_code, response.json()
