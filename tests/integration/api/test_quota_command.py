"""`smartsip quota` and `smartsip usage`, against a running server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import structlog
from typer.testing import CliRunner, Result

from compose.cli import app
from compose.errors import CannotStart
from shared.domain.ids import uuid7
from shared.settings import Settings
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{ADMIN_TOKEN}\n")
    return file


async def smartsip(api: Served, token_file: Path, *arguments: str) -> Result:
    where = ["--url", api.url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where])


async def test_quotas_are_set_listed_reset_and_lifted(api: Served, token_file: Path, settings: Settings):
    made = await smartsip(api, token_file, "quota", "set", "client:a/b", "500000")
    assert made.stdout == "client:a/b  0 used, 0 reserved of 500,000 tokens\n"
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        connection.execute("update quota set used_tokens = 1234")
    assert (await smartsip(api, token_file, "quota", "list")).stdout == made.stdout.replace("0 used", "1,234 used")
    assert (await smartsip(api, token_file, "quota", "reset", "client:a/b")).stdout == made.stdout
    lifted = await smartsip(api, token_file, "quota", "lift", "client:a/b", "--owner", "local")
    assert lifted.stdout == "client:a/b may use what it likes.\n"
    assert (await smartsip(api, token_file, "quota", "list")).stdout == ""
    refused = await smartsip(api, token_file, "quota", "set", "nothing", "1")
    assert isinstance(refused.exception, CannotStart)
    sentence = "The server refused (422): quotas are of: owner, key:<id of an API key>, client:<name> (subject)"
    assert str(refused.exception) == sentence


async def test_usage_is_printed_by_groups_and_in_all(api: Served, token_file: Path, settings: Settings):
    with psycopg.connect(settings.database.conninfo, autocommit=True) as connection:
        for model, cost in (("a/x", "0.5"), ("a/x", "1"), ("b/y", None)):
            connection.execute(
                "insert into charge (job_id, owner_id, kind, model, input_tokens, output_tokens, is_estimated, cost,"
                " reasoning_tokens, cached_tokens, lost_tokens, charged_at)"
                " values (%s, 1, 'chat', %s, 1000, 10, false, %s, 0, 0, 5, '2026-03-01T12:00:00Z')",
                (uuid7(), model, cost),
            )
    span = ["--from", "2026-03-01", "--to", "2026-03-02"]
    by_model = await smartsip(api, token_file, "usage", *span)
    assert by_model.stdout.splitlines() == [
        "2 jobs  2,010 in  20 out  cost 1.5  a/x",
        "1 jobs  1,005 in  10 out  no price  b/y",
        "3 jobs  3,015 in  30 out  cost 1.5 (1 without a price)  in all",
    ]
    by_client = await smartsip(api, token_file, "usage", "--by", "client", *span)
    assert by_client.stdout.splitlines()[0] == "3 jobs  3,015 in  30 out  cost 1.5 (1 without a price)  -"
    assert (await smartsip(api, token_file, "usage")).stdout == "0 jobs  0 in  0 out  no price  in all\n"
