"""Dispensers and a whole system: one from `smartsip device add` to its end, and two hundred for a minute."""

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio

from compose.firmware import Device
from compose.processes import free_port
from compose.server import Server
from compose.simulate_devices import registered
from compose.simulate_photos import camera
from compose.simulation import Pace, Touch, play
from shared.database.tables import STATE_CODES
from shared.domain.jobs import ACTIVE, State
from shared.settings import Clocks
from tests.e2e.system import System, whole_system
from tests.images import photo
from tests.quick_settings import ADMIN_TOKEN
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, openai_stream
from tests.stack import TestStack, eventually

DEVICES = 200
EVERY_S = 5.0
SECONDS = 60.0
THINKING_S = 1.0
PHOTO = re.compile(rb"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")
CONSTANT = re.compile(r'const char\* (\w+) = "(.*)";')
# The firmware's timers are real ones here, and so is every clock of the system. That it gives up late, and not after
# 15 seconds, keeps a machine that is busy with other tests from deciding what is poured.
OPTIONS = {f"SMARTSIP_CLOCKS__{name.upper()}": str(value.total_seconds()) for name, value in Clocks()} | {
    "SMARTSIP_CLOCKS__FIRMWARE_GIVE_UP": "90",
    "SMARTSIP_FIRMWARE_ACCESS": "token",
}


@pytest.fixture(scope="module")
def provider() -> Generator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        provider.play_with(looked_at)
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    stack: TestStack, provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[System]:
    """One for all of these tests, which only add to it: starting it takes longer than most of them."""
    log = tmp_path_factory.mktemp("devices") / "system.log"
    prefix = {"SMARTSIP_REDIS__PREFIX": f"devices{os.urandom(4).hex()}:"}
    async with whole_system(stack, provider, log, **OPTIONS, **prefix) as system:
        await system.worker(slots=2 * DEVICES)
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(system: System) -> tuple[Server, Server]:
    """The system's api, and another one at another port."""
    url = f"http://127.0.0.1:{free_port()}"
    system.run("api", "--port", url.rpartition(":")[2])

    async def answers() -> bool:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            try:
                return (await client.get("/health/ready")).status_code == 200
            except httpx.TransportError:
                return False

    await eventually(answers, within=60, expecting="the second api's readiness")
    return Server(system.url, ADMIN_TOKEN), Server(url, ADMIN_TOKEN)


def looked_at(exchange: Exchange) -> Reply:
    """Answer about a photo what can be said of that photo alone, after a second."""
    found = PHOTO.search(exchange.body)
    assert found, exchange.body[:200]
    volume, degree = command_for(base64.b64decode(found[1]))
    seen = {"receivable": True, "container": "cup", "contents": "tea", "fill_level": 0.0, "child_present": False}
    answer = json.dumps(seen | {"confidence": 1.0, "volume": volume, "degree": degree})
    return openai_stream([answer]).delayed(THINKING_S)


def command_for(content: bytes) -> tuple[int, int]:
    """Return millilitres and degrees that the hardware can do, different for most photos."""
    digest = hashlib.sha256(content).digest()
    return 10 + 10 * (digest[0] % 50), digest[1] % 91


async def smartsip_device(system: System, *arguments: str, interrupt_after: str = "") -> tuple[int, str, str]:
    """Run the command line to its end; return exit code, standard output and standard error.

    With `interrupt_after` it gets a Ctrl-C when a line of its output has this in it.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "compose.cli", "device", *arguments, "--url", system.url),
        env=system.environment | {"SMARTSIP_TOKEN": ADMIN_TOKEN},
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        if interrupt_after:
            while interrupt_after not in (line := (await process.stdout.readline()).decode()):
                assert line, "it ended before it was interrupted"
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def compiled(out: str) -> Device:
    """Return a device with what was printed compiled in."""
    constants = {match[1]: match[2] for match in map(CONSTANT.fullmatch, out.splitlines()) if match}
    assert constants["SERVICE_ADDRESS"] == constants["MINIO_URL"]
    return Device(
        constants["SERVICE_ADDRESS"],
        access_key=constants["ACCESS_KEY"],
        secret_key=constants["SECRET_KEY"],
        bucket=constants["BUCKET_NAME"],
    )


async def test_a_dispenser_from_its_registration_to_its_end(system: System):
    code, out, err = await smartsip_device(system, "add", "kitchen", "--signing")
    assert (code, err.startswith("Device kitchen (")) == (0, True), err
    old = compiled(out)
    volume, degree = command_for(photo())
    answer = await old.touch("image_20241116_141107.jpg", photo())
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"volume": str(volume), "degree": str(degree), "type": "cup"},
    )

    listed = (await smartsip_device(system, "list"))[1].splitlines()[1]
    assert re.fullmatch(r"kitchen +active +\d+ (s|min) ago +– +default +[0-9a-f-]{36} *", listed)

    new = compiled((await smartsip_device(system, "rotate", "kitchen", "--overlap", "1h"))[1])
    for number, device in enumerate((old, new), start=1):
        other = photo(seed=number)
        answer = await device.touch("image_20241116_141108.jpg", other)
        assert (answer.command is not None and answer.command[:2]) == command_for(other)

    assert (await smartsip_device(system, "revoke", "kitchen", "--yes"))[0] == 0
    asked = len(system.provider.exchanges)
    for device in (old, new):
        answer = await device.touch("image_20241116_141109.jpg", photo(seed=9))
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (401, "text/plain")
        assert (answer.command, answer.frames) == (None, [])
    assert len(system.provider.exchanges) == asked


async def test_the_simulator_tells_what_each_would_have_poured_and_leaves_no_device(system: System, tmp_path: Path):
    for number in range(3):
        (tmp_path / f"cup{number}.jpg").write_bytes(photo(seed=number))
    options = ("--count", "3", "--rate", "1", "--touches", "2", "--photos", str(tmp_path), "--json")
    code, out, err = await smartsip_device(system, "simulate", *options)
    assert (code, err) == (0, "")
    *touches, last = map(json.loads, out.splitlines())
    assert sorted((touch["device"][-1], touch["touch"]) for touch in touches) == [
        (device, number) for device in "123" for number in (1, 2)
    ]
    assert {touch["ending"] for touch in touches} == {"poured"}
    assert all(touch["frames"] for touch in touches)
    assert (last["summary"]["touches"], last["summary"]["poured"], last["summary"]["problems"]) == (6, 6, 0)
    assert await unrevoked(system) == 0


async def test_ctrl_c_ends_the_simulation_and_its_devices(system: System):
    code, out, _ = await smartsip_device(system, "simulate", "--count", "4", "--every", "1", interrupt_after="#2")
    assert (code, "poured nothing" in out.splitlines()[-1]) == (130, True)
    assert await unrevoked(system) == 0


@pytest.mark.alone
async def test_two_hundred_dispensers_for_a_minute_get_one_command_for_each_touch(
    system: System, servers: tuple[Server, Server], provider: ScriptedProvider
):
    await is_idle(system)
    before, asked = await counts(system), len(provider.exchanges)
    touches: list[Touch] = []
    async with registered(servers[0], DEVICES // 2) as some, registered(servers[1], DEVICES // 2) as others:
        dispensers = [dispenser for pair in zip(some, others, strict=True) for dispenser in pair]
        await play(dispensers, Pace(EVERY_S, seconds=SECONDS), shoot=camera(None).shoot, on_touch=touches.append)

    assert [f"{touch.device} #{touch.number}: {touch.problem}" for touch in touches if touch.problem] == []
    assert [
        touch for touch in touches if touch.command is None or touch.command[:2] != command_for(touch.photo.content)
    ] == []
    assert {touch.device for touch in touches} == {dispenser.name for dispenser in dispensers}
    assert len({touch.photo.content for touch in touches}) == len(touches)

    await is_idle(system)
    assert await counts(system) == {what: number + len(touches) for what, number in before.items()}
    assert len(provider.exchanges) == asked + len(touches)


async def is_idle(system: System) -> None:
    """Wait until no job is left to do."""

    async def nothing_is_active() -> bool:
        active = [STATE_CODES[state] for state in ACTIVE]
        return await count(system, "select count(*) from job where state = any(%s)", active) == 0

    await eventually(nothing_is_active, within=30, expecting="the end of every job")


async def counts(system: System) -> dict[str, int]:
    """Count everything that there is one of for each touch with a photo of its own."""
    succeeded = STATE_CODES[State.SUCCEEDED]
    return {
        "jobs": await count(system, "select count(*) from job"),
        "jobs that succeeded": await count(system, "select count(*) from job where state = %s", succeeded),
        "jobs with a finding": await count(system, "select count(*) from job join finding on job_id = job.id"),
        "findings": await count(system, "select count(*) from finding"),
        "photos": await count(system, "select count(*) from image"),
        "photos that were opened": await count(system, "select count(ready_at) from image"),
    }


async def unrevoked(system: System) -> int:
    return await count(system, "select count(*) from device where revoked_at is null")


async def count(system: System, query: str, *values: object) -> int:
    async with await psycopg.AsyncConnection.connect(system.environment["DATABASE_URL"]) as connection:
        cursor = await connection.execute(query.encode(), values)
        return int((await cursor.fetchone() or (0,))[0])
