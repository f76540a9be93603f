"""Quotas and usage over HTTP: own ones are seen, an administrator sets them; sums of the ledger."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from shared.domain.ids import uuid7
from shared.settings import Settings
from tests.integration.api.accounts import User, new_user
from tests.integration.api.jobs import CHAT
from tests.served import Served, bearer, served

KEY = UUID(int=7)
NOTHING = {"reasoning_tokens": 0, "cached_tokens": 0, "lost_tokens": 0}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
async def anna(api: Served) -> User:
    return await new_user(api)


async def put(api: Served, subject: str, limit: object, **query: str) -> httpx.Response:
    return await api.client.put(f"/v2/quotas/{subject}", json={"limit_tokens": limit}, params=query)


async def of(api: Served, user: User, path: str, **query: str) -> httpx.Response:
    return await api.stranger.get(path, params=query, headers=bearer(user.token))


def row(subject: str, limit: int, *, used: int = 0, reserved: int = 0) -> dict[str, Any]:  # JSON
    left = limit - used - reserved
    tokens = {"limit_tokens": limit, "used_tokens": used, "reserved_tokens": reserved, "left_tokens": left}
    return {"subject": subject, **tokens}


def shown(answer: httpx.Response) -> list[dict[str, Any]]:  # JSON
    assert answer.status_code == 200, answer.text
    return [{name: value for name, value in quota.items() if name != "updated_at"} for quota in answer.json()["quotas"]]


async def test_an_administrator_sets_quotas_and_their_owner_sees_them(api: Served, anna: User):
    key = (await api.client.post("/v2/keys", json={"name": "k", "scopes": ["jobs"], "owner": "anna"})).json()
    made = await put(api, "owner", 1_000, owner="anna")
    assert (made.status_code, made.json()) == (200, row("owner", 1_000) | {"updated_at": made.json()["updated_at"]})
    await put(api, f"key:{key['id'].upper()}", 500, owner="anna")
    await put(api, "client:tea%2Froom ü", 200, owner="anna")
    assert (await put(api, "owner", 900, owner="anna")).json()["limit_tokens"] == 900
    expected = [row("client:tea/room ü", 200), row(f"key:{key['id']}", 500), row("owner", 900)]
    assert shown(await of(api, anna, "/v2/quotas")) == expected
    assert shown(await of(api, anna, "/v2/quotas", owner="anna")) == expected
    assert shown(await api.client.get("/v2/quotas", params={"owner": "anna"})) == expected
    assert shown(await api.client.get("/v2/quotas")) == []
    first = await of(api, anna, "/v2/quotas", limit="2")
    assert (shown(first), first.json()["next"]) == (expected[:2], f"key:{key['id']}")
    assert shown(await of(api, anna, "/v2/quotas", limit="2", cursor=first.json()["next"])) == expected[2:]


async def test_a_quota_refuses_what_it_does_not_suffice_for_and_begins_anew_when_it_is_reset(
    api: Served, settings: Settings
):
    assert (await put(api, "owner", 100)).status_code == 200
    accepted = await api.client.post("/v2/jobs", json=CHAT)
    assert accepted.status_code == 202
    assert shown(await api.client.get("/v2/quotas")) == [row("owner", 100, reserved=100)]
    refused = await api.client.post("/v2/jobs", json=CHAT)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["status"]) == (402, "tokens_spent", 402)
    assert problem["detail"].startswith("the quota owner has 0 tokens left")
    await api.client.post(f"/v2/jobs/{accepted.json()['id']}/cancel")
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("update quota set used_tokens = 99")
    reset = await api.client.post("/v2/quotas/owner/reset")
    assert (reset.status_code, reset.json()["used_tokens"]) == (200, 0)
    assert (await api.client.delete("/v2/quotas/owner")).status_code == 204
    assert (await api.client.post("/v2/jobs", json=CHAT)).status_code == 202
    assert shown(await api.client.get("/v2/quotas")) == []


async def test_a_request_that_leaves_the_answer_open_is_limited_to_what_is_left(api: Served):
    asked = CHAT | {"parameters": {"max_output_tokens": 50}}
    await put(api, "owner", 10_000)
    assert (await api.client.post("/v2/jobs", json=asked)).status_code == 202
    sent = 4 + -(-len("Why is the sky blue?") // 4)
    assert shown(await api.client.get("/v2/quotas")) == [row("owner", 10_000, reserved=sent + 50)]
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 4_000}}]
    assert (await api.client.post("/v2/jobs", json=CHAT | {"parameters": {"tools": tools}})).status_code == 202
    assert shown(await api.client.get("/v2/quotas"))[0]["reserved_tokens"] > 2 * sent + 50 + 4_096 + 1_000


NOT_QUOTAS: list[tuple[str, dict[str, Any], str]] = [
    ("owner", {"limit_tokens": -1}, "limit_tokens"),
    ("owner", {"limit_tokens": 2**63}, "limit_tokens"),
    ("owner", {"limit_tokens": "many"}, "limit_tokens"),
    ("owner", {"limit_tokens": 1.5}, "limit_tokens"),
    ("owner", {}, "limit_tokens"),
    ("owner", {"limit_tokens": 1, "used_tokens": 0}, "used_tokens"),
    ("owners", {"limit_tokens": 1}, "subject"),
    ("client:", {"limit_tokens": 1}, "subject"),
    ("client:a%00b", {"limit_tokens": 1}, "subject"),
    (f"client:{'x' * 201}", {"limit_tokens": 1}, "subject"),
    (f"client:{'x' * 400}", {"limit_tokens": 1}, "subject"),
    ("key:7", {"limit_tokens": 1}, "subject"),
    ("owner?owner=a%00b", {"limit_tokens": 1}, "owner"),
    ("owner?reset=1", {"limit_tokens": 1}, "reset"),
]


async def test_what_is_no_quota_is_refused_by_its_field(api: Served):
    for subject, body, field in NOT_QUOTAS:
        refused = await api.client.put(f"/v2/quotas/{subject}", json=body)
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


async def test_what_is_not_there_is_not_found_and_others_are_not_asked_about(api: Served, anna: User):
    foreign = (await api.client.post("/v2/keys", json={"name": "k", "scopes": ["jobs"], "owner": "anna"})).json()
    answers = [
        await put(api, f"key:{uuid4()}", 1),
        await put(api, f"key:{foreign['id']}", 1),
        await put(api, "owner", 1, owner="nobody"),
        await api.client.delete("/v2/quotas/owner"),
        await api.client.post("/v2/quotas/client:a/reset"),
        await api.client.get("/v2/usage", params={"owner": "nobody"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    for path in ("/v2/quotas", "/v2/usage"):
        for owner in ("local", "nobody"):
            refused = await of(api, anna, path, owner=owner)
            assert (refused.status_code, refused.json()["field"]) == (403, "owner")


def charges(settings: Settings, owner_id: int, *rows: tuple[Any, ...]) -> None:
    """Write into the ledger: kind, client, key, model, input and output tokens, is it estimated, cost, when."""
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        for values in rows:
            connection.execute(
                "insert into charge (job_id, owner_id, kind, client, key_id, model, input_tokens, output_tokens,"
                " is_estimated, cost, charged_at, reasoning_tokens, cached_tokens, lost_tokens)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, 0)",
                (uuid7(), owner_id, *values),
            )


def sums(jobs: int, sent: int, written: int, cost: str | None, *, estimated: int = 0, unpriced: int = 0) -> Any:  # JSON
    tokens = {"input_tokens": sent, "output_tokens": written, **NOTHING}
    return {"jobs": jobs, **tokens, "estimated_jobs": estimated, "cost": cost, "unpriced_jobs": unpriced}


async def test_usage_is_summed_by_what_is_asked_for(api: Served, anna: User, settings: Settings):
    charges(
        settings,
        anna.id,
        ("chat", "tea", KEY, "a/x", 10, 1, False, "0.000000001", "2026-03-01T00:00:00Z"),
        ("chat", "tea", None, "a/x", 20, 2, False, "1.5", "2026-03-01T23:59:59Z"),
        ("vision", None, None, "b/y", 40, 4, True, None, "2026-03-02T00:00:00+00:00"),
        ("vision", None, KEY, "b/y", 80, 8, False, None, "2026-03-03T00:00:00Z"),  # when it is over
    )
    charges(settings, 1, ("chat", "tea", KEY, "a/x", 1000, 1000, False, "1000", "2026-03-01T00:00:00Z"))
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-03T01:00:00+01:00"}
    first, third = sums(1, 10, 1, "0.000000001"), sums(1, 40, 4, None, estimated=1, unpriced=1)
    both = sums(2, 30, 3, "1.500000001")
    expected = {
        "model": [{"name": "a/x"} | both, {"name": "b/y"} | third],
        "kind": [{"name": "chat"} | both, {"name": "vision"} | third],
        "client": [{"name": None} | third, {"name": "tea"} | both],
        "day": [{"name": "2026-03-01"} | both, {"name": "2026-03-02"} | third],
        "key": [
            {"name": None} | sums(2, 60, 6, "1.5", estimated=1, unpriced=1),
            {"name": str(KEY)} | first,
        ],
    }
    total = sums(3, 70, 7, "1.500000001", estimated=1, unpriced=1)
    for by, groups in expected.items():
        answer = await of(api, anna, "/v2/usage", by=by, **span)
        assert answer.json() == {
            "from": "2026-03-01T00:00:00Z",
            "to": "2026-03-03T00:00:00Z",
            "by": by,
            "groups": groups,
            "total": total,
            "next": None,
        }
    page = (await of(api, anna, "/v2/usage", by="client", limit="1", **span)).json()
    assert (page["groups"], page["total"], page["next"]) == (expected["client"][:1], total, "=")
    page = (await of(api, anna, "/v2/usage", by="client", limit="1", cursor="=", **span)).json()
    assert (page["groups"], page["next"]) == (expected["client"][1:], None)
    by_administrator = await api.client.get("/v2/usage", params={"owner": "anna", "by": "model", **span})
    assert by_administrator.json()["groups"] == expected["model"]


async def test_usage_is_of_the_last_thirty_days_where_nobody_says_otherwise(api: Served, settings: Settings):
    charges(settings, 1, ("chat", None, None, "a/x", 10, 1, False, None, "2020-03-01T00:00:00Z"))
    found = (await api.client.get("/v2/usage")).json()
    assert (found["by"], found["groups"], found["total"]) == ("model", [], sums(0, 0, 0, None))
    found = (await api.client.get("/v2/usage", params={"to": "2020-03-31T00:00:00Z"})).json()
    assert (found["from"], found["total"]) == ("2020-03-01T00:00:00Z", sums(1, 10, 1, None, unpriced=1))


NOT_SUMS: list[tuple[dict[str, str], str]] = [
    ({"by": "owner"}, "by"),
    ({"from": "yesterday"}, "from"),
    ({"from": "2026-03-01T00:00:00"}, "from"),
    ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "from"),
    ({"to": "0001-01-02T00:00:00Z"}, "to"),
    ({"to": "9999-12-31T23:59:59-10:00"}, "to"),
    ({"from": "0001-01-01T00:00:00+10:00"}, "from"),
    ({"limit": "0"}, "limit"),
    ({"cursor": "=a\0"}, "cursor"),
    ({"cursor": "a"}, "cursor"),
    ({"unknown": "1"}, "unknown"),
]


async def test_what_cannot_be_summed_is_refused_by_its_field(api: Served):
    for query, field in NOT_SUMS:
        refused = await api.client.get("/v2/usage", params=query)
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
