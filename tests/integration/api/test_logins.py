"""How often somebody may guess: counted before the guess, across processes, and forgotten with a right one."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network

import httpx
import psycopg
import pytest

from shared.settings import Settings
from tests.integration.api.accounts import PASSWORD, log_in, new_user, token_of
from tests.served import Served, bearer, served

PER_CLIENT, PER_ADDRESS = 3, 6


def throttled(settings: Settings, **changes: object) -> Settings:
    limits = settings.limits.model_copy(update={"logins_per_client": PER_CLIENT, "logins_per_address": PER_ADDRESS})
    return settings.model_copy(update={"limits": limits} | changes)


def failures(settings: Settings) -> list[tuple[str, int]]:
    """What is counted: the sort of subject, and how often."""
    with psycopg.connect(settings.database.conninfo) as connection:
        rows = connection.execute("select subject, failures from login_failure").fetchall()
    return sorted((str(subject).partition(":")[0], int(count)) for subject, count in rows)


def let_pass(settings: Settings, time: timedelta) -> None:
    """Let what was counted be older by this."""
    with psycopg.connect(settings.database.conninfo) as connection:
        connection.execute("update login_failure set began_at = began_at - %s", [time])


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(throttled(settings)) as running:
        yield running


async def test_a_hundred_guesses_at_once_are_as_many_as_the_limit_allows(api: Served, settings: Settings):
    await new_user(api, "anna")
    async with served(throttled(settings)) as other:
        guesses = (log_in((api, other)[number % 2], "anna", f"guess {number}") for number in range(100))
        answers = await asyncio.gather(*guesses)
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (PER_CLIENT, 100 - PER_CLIENT)
    assert failures(settings) == [("account", PER_CLIENT), ("address", PER_CLIENT)]


async def test_beyond_the_limit_the_right_password_is_refused_too_and_told_for_how_long(api: Served):
    await new_user(api, "anna")
    assert [(await log_in(api, "anna", "x")).status_code for _ in range(PER_CLIENT)] == [401] * PER_CLIENT
    refused = await log_in(api, "anna", PASSWORD)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_logins")
    assert 800 < int(refused.headers["retry-after"]) <= 900
    assert (await log_in(api, "boris", PASSWORD)).status_code == 401


async def test_an_address_is_stopped_whatever_the_names(api: Served, settings: Settings):
    statuses = [(await log_in(api, f"name {number}", "x")).status_code for number in range(PER_ADDRESS + 2)]
    assert statuses == [401] * PER_ADDRESS + [429] * 2
    assert failures(settings) == [("account", 1)] * PER_ADDRESS + [("address", PER_ADDRESS)]


async def test_a_right_password_forgets_the_wrong_ones_before_it(api: Served, settings: Settings):
    await new_user(api, "anna")
    for _ in range(2):
        assert (await log_in(api, "anna", "x")).status_code == 401
        assert await token_of(api, "anna")
    for _ in range(2 * PER_ADDRESS):
        assert await token_of(api, "anna")
    assert failures(settings) == [("address", 2)]


async def test_guessing_the_old_password_with_a_token_counts_as_logging_in(api: Served):
    user = await new_user(api, "anna")
    wanted = {"old_password": "wrong", "new_password": "a better password"}

    async def guess() -> int:
        answer = await api.stranger.put("/v2/users/me/password", json=wanted, headers=bearer(user.token))
        return answer.status_code

    assert [await guess() for _ in range(PER_CLIENT + 1)] == [422] * PER_CLIENT + [429]


async def test_a_window_ends_and_old_lines_are_deleted(api: Served, settings: Settings):
    await new_user(api, "anna")
    for _ in range(PER_CLIENT):
        await log_in(api, "anna", "x")
    await log_in(api, "nobody", "x")
    assert (await log_in(api, "anna", PASSWORD)).status_code == 429
    let_pass(settings, settings.clocks.login_window)
    assert [(await log_in(api, "anna", "x")).status_code for _ in range(PER_CLIENT)] == [401] * PER_CLIENT
    assert failures(settings) == [("account", 1), ("account", PER_CLIENT), ("address", PER_CLIENT)]
    let_pass(settings, settings.clocks.login_window)
    async with served(throttled(settings)) as another:  # a process prunes with its first attempt
        await log_in(another, "boris", "x")
    assert failures(settings) == [("account", 1), ("address", 1)]


async def test_behind_a_trusted_proxy_each_client_has_an_address_of_its_own(settings: Settings):
    async def statuses(api: Served) -> list[int]:
        return [(await guess(api, number)).status_code for number in range(PER_ADDRESS + 1)]

    async def guess(api: Served, number: int) -> httpx.Response:
        return await api.stranger.post(
            "/v2/users/login",
            json={"username": f"name {number}", "password": "x"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        )

    async with served(throttled(settings, trusted_proxies=(ip_network("127.0.0.0/8"),))) as api:
        assert await statuses(api) == [401] * (PER_ADDRESS + 1)
    async with served(throttled(settings)) as api:
        assert await statuses(api) == [401] * PER_ADDRESS + [429]


async def test_an_unknown_name_takes_as_long_as_a_wrong_password_and_one_guess_too_many_takes_no_time(
    settings: Settings,
):
    limits = settings.limits.model_copy(update={"password_rounds": 10, "logins_per_client": 3})  # some 60 ms each
    async with served(settings.model_copy(update={"limits": limits})) as api:
        await new_user(api, "anna")
        known = min([await seconds(api, "anna") for _ in range(3)])
        unknown = min([await seconds(api, "nobody") for _ in range(3)])
        impossible = min([await seconds(api, "\x00") for _ in range(3)])
        refused = min([await seconds(api, "anna", status=429) for _ in range(3)])
    assert refused < known / 2
    assert known / 2 < unknown < known * 2
    assert known / 2 < impossible < known * 2


async def seconds(api: Served, name: str, *, status: int = 401) -> float:
    began = time.process_time()
    assert (await log_in(api, name, "wrong")).status_code == status
    return time.process_time() - began


async def test_what_is_typed_where_the_name_belongs_is_not_stored(api: Served, settings: Settings):
    await log_in(api, "my-secret-password", "x")
    with psycopg.connect(settings.database.conninfo) as connection:
        assert "my-secret-password" not in str(connection.execute("select * from login_failure").fetchall())
