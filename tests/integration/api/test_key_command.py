"""`smartsip key`, against a running server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from compose.errors import CannotStart
from compose.keys import app
from shared.security import is_api_key
from shared.settings import Settings
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, bearer, served


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{ADMIN_TOKEN}\n")
    return file


async def smartsip_key(url: str, token_file: Path, *arguments: str) -> Result:
    where = ["--url", url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where])


async def test_a_key_is_made_listed_and_revoked(api: Served, token_file: Path):
    made = await smartsip_key(
        api.url, token_file, "add", "kitchen", "--scope", "jobs", "--owner", "anna", "--days", "2"
    )
    secret = made.stdout.strip()
    assert (made.exit_code, is_api_key(secret)) == (0, True)
    assert "shown this once" in made.stderr
    assert (await api.stranger.get("/v2/providers", headers=bearer(secret))).status_code == 200

    listed = await smartsip_key(api.url, token_file, "list", "--owner", "anna")
    key_id, hint, owner, scopes, *_ = listed.stdout.split()
    assert (hint, owner, scopes) == (f"{secret[:8]}…", "anna", "jobs")
    assert secret not in listed.stdout

    revoked = await smartsip_key(api.url, token_file, "revoke", key_id)
    assert (revoked.exit_code, revoked.stdout) == (0, f"Key {key_id} is revoked.\n")
    assert (await api.stranger.get("/v2/providers", headers=bearer(secret))).status_code == 401
    assert "revoked" in (await smartsip_key(api.url, token_file, "list")).stdout


async def test_many_keys_are_all_listed(api: Served, token_file: Path):
    for number in range(103):
        await api.client.post("/v2/keys", json={"name": f"key {number}", "scopes": ["jobs"]})
    listed = await smartsip_key(api.url, token_file, "list")
    assert len(listed.stdout.splitlines()) == 103


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "x", "--scope", "root"], "The server refused (422): scopes.0"),
        (["revoke", "1"], "The server refused (422): key_id"),
        (["revoke", "019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10"], "The server refused (404): There is no key with this id."),
    ],
    ids=str,
)
async def test_a_refusal_is_one_sentence(api: Served, token_file: Path, arguments: list[str], sentence: str):
    refused = await smartsip_key(api.url, token_file, *arguments)
    assert isinstance(refused.exception, CannotStart)
    assert str(refused.exception).startswith(sentence)


async def test_no_server_and_no_token_are_told_in_a_sentence(token_file: Path, tmp_path: Path):
    away = await smartsip_key("http://127.0.0.1:1", token_file, "list")
    assert str(away.exception).startswith("No server answers at http://127.0.0.1:1")
    without = await smartsip_key("http://127.0.0.1:1", tmp_path / "none", "list")
    assert str(without.exception).startswith("No token: ")
