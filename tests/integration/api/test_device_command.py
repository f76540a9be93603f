"""`smartsip device`, against a running server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from typer.testing import CliRunner, Result

from compose.device import app
from compose.errors import CannotStart
from shared.security import is_device_token
from shared.settings import Settings
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, bearer, served

CONSTANT = re.compile(r'const char\* (\w+) = "(.*)";')
NOBODY = "019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{ADMIN_TOKEN}\n")
    return file


async def smartsip_device(url: str, token_file: Path, *arguments: str, typed: str | None = None) -> Result:
    command = [*arguments, "--url", url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, command, input=typed)


def constants(result: Result) -> dict[str, str]:
    """Read what is to be compiled in, of an output that holds nothing else."""
    assert result.exit_code == 0, result.output
    matches = [CONSTANT.fullmatch(line) for line in result.stdout.splitlines()]
    assert all(matches), result.stdout
    return {match[1]: match[2] for match in matches if match}


def token_in(address: str) -> str:
    token = address.rpartition("/d/")[2]
    assert is_device_token(token)
    return token


async def is_let_in(api: Served, token: str) -> bool:
    answer = await api.stranger.get("/v2/devices/me", headers=bearer(token))
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def test_a_device_is_registered_seen_rotated_and_revoked(api: Served, token_file: Path):
    added = await smartsip_device(api.url, token_file, "add", "kitchen", "--host", "192.168.1.20")
    first = constants(added)
    port = api.url.rpartition(":")[2]
    token = token_in(first["SERVICE_ADDRESS"])
    address = f"http://192.168.1.20:{port}/d/{token}"
    assert first == {"SERVICE_ADDRESS": address, "MINIO_URL": address, "BUCKET_NAME": "test"}
    assert "This is shown once" in added.stderr
    assert token not in added.stderr
    assert await is_let_in(api, token)

    listed = await smartsip_device(api.url, token_file, "list")
    assert re.split(r"  +", listed.stdout.splitlines()[1])[:5] == ["kitchen", "active", "0 s ago", "–", "default"]

    rotated = await smartsip_device(api.url, token_file, "rotate", "kitchen", "--overlap", "1h")
    second = token_in(constants(rotated)["MINIO_URL"])
    assert (await is_let_in(api, token), await is_let_in(api, second)) == (True, True)
    assert f"Its token {token[:8]}… is good until " in rotated.stderr

    revoked = await smartsip_device(api.url, token_file, "revoke", "kitchen", "--yes")
    assert (revoked.exit_code, revoked.stdout.startswith("Device kitchen (")) == (0, True)
    assert (await is_let_in(api, token), await is_let_in(api, second)) == (False, False)
    hidden = await smartsip_device(api.url, token_file, "list")
    assert (hidden.stdout, hidden.stderr) == (
        "",
        "There are no devices: smartsip device add NAME registers one.\n",
    )
    assert "revoked" in (await smartsip_device(api.url, token_file, "list", "--all")).stdout


async def test_a_device_that_signs_gets_its_keys_and_keeps_having_some(api: Served, token_file: Path):
    first = constants(await smartsip_device(api.url, token_file, "add", "hall", "--signing"))
    second = constants(await smartsip_device(api.url, token_file, "rotate", "hall"))
    assert list(first) == ["SERVICE_ADDRESS", "MINIO_URL", "BUCKET_NAME", "ACCESS_KEY", "SECRET_KEY"]
    assert first.keys() == second.keys()
    assert first["SECRET_KEY"] != second["SECRET_KEY"]
    shown = await smartsip_device(api.url, token_file, "show", "hall")
    assert f"signs as {second['ACCESS_KEY']}" in shown.stdout
    assert not [secret for secret in (first["SECRET_KEY"], second["SECRET_KEY"]) if secret in shown.output]


async def test_a_device_claims_itself_with_the_printed_code(api: Served, token_file: Path):
    added = await smartsip_device(api.url, token_file, "add", "bath", "--claim", "--profile", "smartsip-v0.1")
    lost = added.stdout.strip()
    code = (await smartsip_device(api.url, token_file, "claim", "bath")).stdout.strip()
    assert f"POST {api.url}/v2/devices/claim" in added.stderr
    assert (await api.stranger.post("/v2/devices/claim", json={"code": lost})).status_code in (404, 409)
    claimed = await api.stranger.post("/v2/devices/claim", json={"code": code})
    assert claimed.status_code == 201
    assert await is_let_in(api, claimed.json()["credential"]["token"])


async def test_json_holds_what_the_server_said_and_what_to_compile_in(api: Served, token_file: Path):
    added = json.loads((await smartsip_device(api.url, token_file, "add", "lab", "--json")).stdout)
    assert added["firmware_constants"]["MINIO_URL"] == api.url + added["credential"]["address"]
    (listed,) = json.loads((await smartsip_device(api.url, token_file, "list", "--json")).stdout)
    shown = json.loads((await smartsip_device(api.url, token_file, "show", added["id"], "--json")).stdout)
    assert listed == shown
    assert (shown["name"], UUID(shown["id"])) == ("lab", UUID(added["id"]))
    assert added["credential"]["token"] not in json.dumps([listed, shown])


async def test_devices_of_several_owners_are_told_apart(api: Served, token_file: Path):
    for owner in ("anna", "ben"):
        await smartsip_device(api.url, token_file, "add", "kitchen", "--owner", owner)
    listed = await smartsip_device(api.url, token_file, "list")
    assert "Owner" in listed.stdout.splitlines()[0]
    annas = await smartsip_device(api.url, token_file, "list", "--owner", "anna", "--json")
    assert [device["owner"] for device in json.loads(annas.stdout)] == ["anna"]
    refused = await smartsip_device(api.url, token_file, "rotate", "kitchen")
    assert str(refused.exception).startswith("Several devices are called 'kitchen': give the id (")
    by_id = re.findall(r"[0-9a-f-]{36}", str(refused.exception))[0]
    assert (await smartsip_device(api.url, token_file, "revoke", by_id, "--yes")).exit_code == 0
    assert (await smartsip_device(api.url, token_file, "rotate", "kitchen")).exit_code == 0


async def test_revoking_asks_first(api: Served, token_file: Path):
    token = token_in(constants(await smartsip_device(api.url, token_file, "add", "kitchen"))["MINIO_URL"])
    assert (await smartsip_device(api.url, token_file, "revoke", "kitchen", typed="n\n")).exit_code == 1
    assert await is_let_in(api, token)
    assert (await smartsip_device(api.url, token_file, "revoke", "kitchen", typed="y\n")).exit_code == 0
    assert not await is_let_in(api, token)


async def test_an_address_no_device_can_reach_is_pointed_out(api: Served, token_file: Path):
    here = await smartsip_device(api.url, token_file, "add", "kitchen")
    elsewhere = await smartsip_device(api.url, token_file, "add", "hall", "--host", "water.lan")
    assert "name another with --host" in here.stderr
    assert "--host" not in elsewhere.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", ""], "The server refused (422): name"),
        (["add", "x", "--profile", "nobodys"], "The server refused (422): "),
        (["add", "x", "--model", "gpt-4o"], "The server refused (422): model"),
        (["add", "x", "--claim", "--signing"], "The server refused (422): "),
        (["show", "kitchen"], "There is no device called 'kitchen': smartsip device list shows what there is."),
        (["show", NOBODY], "The server refused (404): "),
        (["revoke", NOBODY, "--yes"], "The server refused (404): "),
    ],
    ids=str,
)
async def test_a_refusal_is_one_sentence(api: Served, token_file: Path, arguments: list[str], sentence: str):
    refused = await smartsip_device(api.url, token_file, *arguments)
    assert isinstance(refused.exception, CannotStart)
    assert str(refused.exception).startswith(sentence)
    assert refused.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["rotate", "kitchen", "--overlap", "tomorrow"],
        ["add", "kitchen", "--host", "water.lan/d"],
        ["simulate", "--rate", "1", "--every", "1"],
        ["simulate", "--count", "0"],
        ["list", "--url", "water.lan"],
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_before_anything_is_asked(arguments: list[str]):
    refused = CliRunner().invoke(app, arguments)
    assert (refused.exit_code, "Invalid value for" in refused.stderr) == (2, True)


async def test_no_server_is_told_in_a_sentence(token_file: Path):
    for arguments in (["list"], ["add", "kitchen"], ["simulate", "--touches", "1"]):
        away = await smartsip_device("http://127.0.0.1:1", token_file, *arguments)
        assert str(away.exception).startswith("No server answers at http://127.0.0.1:1")
