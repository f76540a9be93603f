"""`smartsip batch`, against a running server, and a worker where answers are needed."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from typer.testing import CliRunner, Result

from compose.cli import app
from compose.errors import CannotStart
from shared.domain.batches import VariantSpec
from shared.domain.jobs import Queue
from shared.settings import Settings
from tests.hearing_worker import hearing_worker
from tests.images import photo
from tests.integration.api.batch_rows import VariantRows, add_batch, add_photos, answered, failed
from tests.integration.api.promotions import BEFORE, PROFILE
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, served

MODEL = "demo/demo"
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


async def batch(api: Served, token_file: Path, *arguments: str, typed: str | None = None) -> Result:
    command = ["batch", *arguments, "--url", api.url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, command, input=typed)


async def library(api: Served, labels: Sequence[dict[str, Any]]) -> list[UUID]:
    """Photos that are there to be looked at."""
    photos = await add_photos(api, labels)
    for seed, image_id in enumerate(photos):
        await api.front.objects.put(f"images/1/{image_id}.jpg", photo(seed=seed), media_type="image/jpeg")
    return photos


async def test_a_batch_is_started_watched_and_reported(
    api: Served, token_file: Path, settings: Settings, tmp_path: Path
):
    await library(api, [{"can_receive_water": True}, {"can_receive_water": False}, {}])
    asked = ["--model", MODEL, "--variant", f"name=cold,model={MODEL},temperature=0", "--name", "november"]
    async with hearing_worker(settings, queues=(Queue.BATCH,)):
        watched = await batch(api, token_file, "start", "--label", "can_receive_water", *asked, "--watch")
    assert (watched.exit_code, watched.stderr) == (0, "2 photos × 2 variants = 4 jobs.\n")
    lines = watched.stdout.splitlines()
    assert lines[0].startswith("Batch #1 “november” running: 0 of 4 (0 %), ")
    warm = f"{MODEL} · smartsip@2"
    assert re.fullmatch(
        rf"Batch #1 “november” completed: 4 of 4 \(100 %\), [\d,]+ tokens; {warm} 2/2; cold 2/2", lines[-6]
    )
    assert [re.split("  +", line)[:5] for line in lines[-4:-1]] == [
        ["1", warm, "2/2", "0", "0"],
        ["2", "cold", "2/2", "0", "0"],
        ["", "all", "4/4", "0", "0"],
    ]
    assert lines[-1] == "Batch #1 “november” is completed. Compare: smartsip batch report 1"

    files = [tmp_path / name for name in ("report.html", "rows.csv", "rows.jsonl")]
    page, table, rows = files
    wanted = ["report", "latest", "--html", str(page), "--csv", str(table), "--jsonl", str(rows)]
    written = await batch(api, token_file, *wanted)
    assert (written.exit_code, written.stdout) == (0, "")
    assert written.stderr.splitlines() == [f"{file}: {file.stat().st_size:,} bytes." for file in files]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert len(list(csv.DictReader(io.StringIO(table.read_text())))) == 4
    assert len([json.loads(line) for line in rows.read_text().splitlines()]) == 4
    refused = await batch(api, token_file, *wanted)
    assert str(refused.exception) == f"{page} exists: name another file, or replace it with --force."

    shown = await batch(api, token_file, "report", "#1")
    assert shown.stdout.splitlines()[0] == (
        "Batch #1 “november”, completed: 2 photos, 2 of them labelled as able to receive water or not."
    )
    assert "50 % (9–91) 1/2" in shown.stdout
    found = json.loads((await batch(api, token_file, "report", "1", "--json")).stdout)
    assert (found["batch"]["number"], found["findings"]["labelled"]) == (1, 2)


async def test_a_batch_is_steered_extended_and_deleted(api: Served, token_file: Path):
    """Nobody hears this batch, so that nothing of it ends by itself."""
    photos = await add_photos(api, [{}, {}])
    ids = [part for image_id in photos for part in ("--id", str(image_id))]
    started = await batch(api, token_file, "start", *ids, "--model", MODEL, "--budget-tokens", "5000")
    assert started.exit_code == 0, started.output
    assert started.stderr == "2 photos × 1 variant = 2 jobs.\nWatch it: smartsip batch watch 1\n"
    batch_id = json.loads((await batch(api, token_file, "show", "1", "--json")).stdout)["id"]

    paused = await batch(api, token_file, "pause", batch_id[:8])
    assert paused.stdout.startswith("Batch #1 “demo/demo” paused (paused by its owner): 0 of 2 (0 %)")
    resumed = json.loads((await batch(api, token_file, "resume", "1", "--budget-tokens", "9000", "--json")).stdout)
    assert (resumed["state"], resumed["budget"]) == ("running", {"cost": None, "tokens": 9000})
    added = await batch(api, token_file, "add", "1", "--model", MODEL, "--temperature", "1", "--json")
    assert added.stderr == "Variant 2 is demo/demo (2).\n"
    assert [variant["parameters"] for variant in json.loads(added.stdout)["variants"]] == [{}, {"temperature": 1.0}]
    listed = await batch(api, token_file, "list", "--state", "running")
    assert re.split("  +", listed.stdout.splitlines()[1])[:4] == ["1", "demo/demo", "running", "2"]
    assert (await batch(api, token_file, "cancel", "latest")).stdout.startswith("Batch #1 “demo/demo” cancelled")
    watched = await batch(api, token_file, "watch", "1")
    assert watched.exit_code == 1
    assert watched.stdout.splitlines()[-1].startswith("Batch #1 “demo/demo” is cancelled: ")

    kept = await batch(api, token_file, "delete", "1", typed="n\n")
    assert (kept.exit_code, "Delete batch #1 (demo/demo) and the answers about 2 photos?" in kept.stdout) == (1, True)
    assert (await batch(api, token_file, "delete", "1", "--yes")).stdout == "Batch #1 is deleted.\n"
    empty = await batch(api, token_file, "list", "--state", "running")
    assert empty.stderr == "There are no batches that are running: smartsip batch start begins one.\n"


async def test_what_failed_is_tried_again_and_what_passes_its_bars_is_promoted(api: Served, token_file: Path):
    await api.client.put("/v2/profiles/kitchen", json=PROFILE | BEFORE)
    photos = await add_photos(api, [{"can_receive_water": True}] * 2)
    good = VariantRows(spec=VariantSpec(model=MODEL), items=[answered(), answered()], name="good")
    bad = VariantRows(spec=VariantSpec(model=MODEL, prompt="smartsip@1"), items=[answered(), failed()], name="bad")
    await add_batch(api, photos, [good, bad])

    to = ["--profile", "kitchen", "--min-accuracy", "0.9", "--max-failures", "0"]
    no = await batch(api, token_file, "promote", "latest", "--variant", "bad", *to)
    assert (no.exit_code, re.split("  +", no.stdout.splitlines()[2])) == (
        1,
        ["max failures", "≤ 0", "0.5", "not passed"],
    )
    yes = await batch(api, token_file, "promote", "latest", "--variant", "1", *to)
    assert (yes.exit_code, yes.stdout.splitlines()[-1].partition(", not")[0]) == (
        0,
        "Promoted: profile kitchen asks demo/demo with smartsip@2",
    )
    promotion_id = yes.stdout.split()[-1]
    listed = (await batch(api, token_file, "promotions", "--profile", "kitchen")).stdout.splitlines()
    assert [re.split("  +", line.strip())[1:6] for line in listed[1:]] == [
        ["kitchen", "good", MODEL, "smartsip@2", "promoted"],
        ["kitchen", "bad", MODEL, "smartsip@1", "not passed"],
    ]
    assert (await batch(api, token_file, "revert", promotion_id)).stdout.startswith("Reverted: profile kitchen asks ")
    again = await batch(api, token_file, "revert", promotion_id)
    assert str(again.exception) == "The server refused (409): This promotion was reverted before."

    retried = json.loads((await batch(api, token_file, "retry", "latest", "--variant", "bad", "--json")).stdout)
    assert [variant["progress"]["failed"] for variant in retried["variants"]] == [0, 0]


async def test_refusals_are_sentences(api: Served, token_file: Path):
    refusals = {
        ("start", "--limit", "5", "--model", MODEL): (
            "The server refused (422): no ready photo of yours is as this filter wants it (selection.filter)"
        ),
        ("start", "--label", "-:", "--model", MODEL): "The server refused (422): must be name:value or name; ",
        ("start", "--id", NOBODY, "--model", "nobody/x"): "The server refused (422): ",
        ("start", "--device", "attic", "--model", MODEL): "There is no device called 'attic'",
        ("show", "latest"): "There are no batches: smartsip batch start begins one.",
        ("pause", "7"): "There is no batch #7: smartsip batch list shows what there is.",
        ("report", NOBODY): "The server refused (404): There is no batch with this id.",
    }
    for arguments, sentence in refusals.items():
        refused = await batch(api, token_file, *arguments)
        assert isinstance(refused.exception, CannotStart), refused.output
        assert str(refused.exception).startswith(sentence)
