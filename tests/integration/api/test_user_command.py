"""`smartsip user`, against a running server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from compose.errors import CannotStart
from compose.users import app
from shared.settings import Settings
from tests.integration.api.accounts import PASSWORD, log_in
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


async def smartsip_user(api: Served, token_file: Path, *arguments: str, typed: str = PASSWORD) -> Result:
    where = ["--url", api.url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where], f"{typed}\n")


async def statuses(api: Served, *passwords: str) -> list[int]:
    return [(await log_in(api, "anna", password)).status_code for password in passwords]


async def test_a_user_is_made_listed_kept_out_let_in_and_given_a_password(api: Served, token_file: Path):
    made = await smartsip_user(api, token_file, "add", "anna", "--admin")
    assert (made.exit_code, made.stdout.partition(" has the id ")[0]) == (0, "User anna (admin)")
    assert PASSWORD not in made.output
    listed = (await smartsip_user(api, token_file, "list")).stdout
    assert listed.split(maxsplit=1)[1] == "admin  never logged in  anna\n"
    assert await statuses(api, PASSWORD) == [200]
    assert "last login" in (await smartsip_user(api, token_file, "list")).stdout

    assert (await smartsip_user(api, token_file, "disable", "anna")).stdout == "User anna is disabled.\n"
    assert await statuses(api, PASSWORD) == [401]
    assert "disabled" in (await smartsip_user(api, token_file, "list")).stdout
    assert (await smartsip_user(api, token_file, "enable", "anna")).stdout == "User anna is enabled.\n"
    changed = await smartsip_user(api, token_file, "password", "anna", typed="a better password")
    assert changed.stdout == "User anna has a new password.\n"
    assert await statuses(api, PASSWORD, "a better password") == [401, 200]


async def test_a_refusal_is_one_sentence_without_the_password(api: Served, token_file: Path):
    refusals = [
        (["add", "local"], PASSWORD, "The server refused (409): username already exists"),
        (["add", "anna"], "short", "The server refused (422): password: must have 8 to 72 bytes in UTF-8"),
        (["disable", "nobody"], "", "There is no user nobody: `smartsip user list` shows all."),
    ]
    for arguments, typed, sentence in refusals:
        refused = await smartsip_user(api, token_file, *arguments, typed=typed)
        assert isinstance(refused.exception, CannotStart)
        assert str(refused.exception) == sentence
