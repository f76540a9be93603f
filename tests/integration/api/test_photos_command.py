"""`smartsip photos`, against a running server, a worker that opens what is uploaded, and a real bucket."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from minio import Minio
from typer.testing import CliRunner, Result

from compose.cli import app
from compose.errors import CannotStart
from shared.domain.jobs import Queue
from shared.settings import Settings
from tests.hearing_worker import hearing_worker
from tests.images import cut_off, photo, png, with_broken_pixels
from tests.integration.api.photos import JPEG, add_photo
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, served
from tests.stack import TestStack, make_bucket

REAL = Path(__file__).parents[4] / "shared" / "data" / "smartsip"
"""Twenty photos of the makers with their labels file; where they are not, drawn ones take their place."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running, hearing_worker(settings, queues=[Queue.MEDIA]):
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{ADMIN_TOKEN}\n")
    return file


async def smartsip(api: Served, token_file: Path, *arguments: str | Path) -> Result:
    command = ["photos", *map(str, arguments), "--url", api.url, "--token-file", str(token_file)]
    with structlog.testing.capture_logs():  # the server logs in this process, to the same standard output
        return await asyncio.to_thread(CliRunner().invoke, app, command, env={"COLUMNS": "200"})


async def library(api: Served) -> dict[str, tuple[list[str], dict[str, Any], bytes]]:
    """Return tags, labels and content of every photo, by the name it was imported under."""
    listed = (await api.client.get("/v2/images", params={"limit": 100})).json()["images"]
    contents = [(await api.client.get(one["links"]["content"])).content for one in listed]
    return {
        one["labels"]["file"]: (one["tags"], one["labels"], content)
        for one, content in zip(listed, contents, strict=True)
    }


async def empty(api: Served) -> None:
    for one in (await api.client.get("/v2/images", params={"limit": 100})).json()["images"]:
        assert (await api.client.delete(one["links"]["self"])).status_code == 204


def drawn(folder: Path) -> Path:
    """Write a folder like the makers' one, with a folder in it."""
    (folder / "more").mkdir(parents=True)
    lines = ["image,can_receive_water,container,contents"]
    for number in range(4):
        name = f"more/{number}.jpg" if number == 3 else f"{number}.jpg"
        (folder / name).write_bytes(photo(seed=number))
        lines.append(f"{name},{'yes' if number else 'no'},cup {number},")
    (folder / "labels.csv").write_text("\r\n".join(lines))
    return folder


def labels_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Read a labels file by hand, as it is to be found in the library."""
    told: dict[str, dict[str, Any]] = {}
    for row in csv.DictReader(StringIO((folder / "labels.csv").read_text(), newline="")):
        said = {name: cell for name, cell in row.items() if cell and name != "image"}
        said["can_receive_water"] = said["can_receive_water"] == "yes"
        told[row["image"]] = {"file": row["image"], **said}
    return told


async def test_the_makers_photos_come_with_their_labels_once_and_go_out_as_they_came(
    api: Served, token_file: Path, tmp_path: Path
):
    source = REAL if REAL.is_dir() else drawn(tmp_path / "drawn")
    wanted = labels_in(source)
    bring = ("import", source, "--labels", source / "labels.csv", "--recursive", "--tag", "makers")
    first = await smartsip(api, token_file, *bring)
    assert (first.exit_code, first.stdout) == (0, f"{len(wanted)} new, {len(wanted)} labelled\n"), first.output
    stored = await library(api)
    assert {name: (tags, labels) for name, (tags, labels, _) in stored.items()} == {
        name: (["makers"], labels) for name, labels in wanted.items()
    }

    again = await smartsip(api, token_file, *bring)
    assert (again.exit_code, again.stdout) == (0, f"{len(wanted)} already there\n")
    assert await library(api) == stored

    out = tmp_path / "out"
    assert (await smartsip(api, token_file, "export", out)).stdout == f"{len(wanted)} written\n"
    assert not list(out.rglob(".*"))
    await empty(api)
    back = await smartsip(api, token_file, "import", out, "--labels", out / "labels.csv", "--recursive")
    assert back.exit_code == 0, back.output
    assert await library(api) == stored


async def test_labels_that_the_file_does_not_name_stay(api: Served, token_file: Path, tmp_path: Path):
    source = drawn(tmp_path / "in")
    query = "?tag=old&label=container:mug&label=lab:7&label=file:first.jpg"
    await api.client.post(f"/v2/images{query}", content=photo(seed=0), headers=JPEG)
    (source / "copy of 1.jpg").write_bytes(photo(seed=1))
    rows = "image,container,tags\n0.jpg,cup,new\n1.jpg,glass,\n"
    (source / "labels.csv").write_text(rows)
    result = await smartsip(api, token_file, "import", source, "--labels", source / "labels.csv")
    assert (result.exit_code, result.stdout) == (0, "2 new, 2 already there, 2 labelled\n")
    shown = {name: (tags, labels) for name, (tags, labels, _) in (await library(api)).items()}
    copied = next(name for name in shown if "1.jpg" in name)  # whichever of the two came first
    assert shown == {
        "first.jpg": (["old", "new"], {"file": "first.jpg", "container": "cup", "lab": "7"}),
        copied: ([], {"file": copied, "container": "glass"}),
        "2.jpg": ([], {"file": "2.jpg"}),
    }

    (source / "labels.csv").write_text(f"{rows}copy of 1.jpg,mug,\n")
    disputed = await smartsip(api, token_file, "import", source, "--labels", source / "labels.csv")
    assert (disputed.exit_code, disputed.stdout.rpartition(", ")[2]) == (1, "1 refused\n")
    assert "1.jpg, whose labels say otherwise." in disputed.stderr


async def test_a_photo_that_only_the_worker_knows_to_be_none_is_named(api: Served, token_file: Path, tmp_path: Path):
    bad, short, good = tmp_path / "bad.png", tmp_path / "short.jpg", tmp_path / "good.jpg"
    bad.write_bytes(with_broken_pixels(png()))
    short.write_bytes(cut_off(photo()))
    good.write_bytes(photo())
    result = await smartsip(api, token_file, "import", bad, short, good, good)
    assert (result.exit_code, result.stdout) == (1, "1 new, 2 refused\n")
    assert sorted(line.partition(": ")[0] for line in result.stderr.splitlines()) == [str(bad), str(short)]
    assert list(await library(api)) == ["good.jpg"]


async def test_a_bucket_is_a_source_like_a_folder(
    api: Served, token_file: Path, stack: TestStack, monkeypatch: pytest.MonkeyPatch
):
    bucket = make_bucket(stack)
    host = stack.objects.endpoint_url.partition("://")[2]
    keys = (stack.objects.access_key, stack.objects.secret_key)
    client = Minio(endpoint=host, access_key=keys[0], secret_key=keys[1], secure=False, region="us-east-1")
    contents = {"cups/a.jpg": photo(seed=1), "cups/b/c.jpg": photo(seed=2), "cups/notes.txt": b"-", "d.jpg": b"-"}
    for key, content in contents.items():
        client.put_object(bucket_name=bucket, object_name=key, data=BytesIO(content), length=len(content))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
    where = ("--endpoint", stack.objects.endpoint_url)

    flat = await smartsip(api, token_file, "import", f"s3://{bucket}/cups", *where)
    assert (flat.exit_code, flat.stdout) == (0, "1 new\n"), flat.output
    assert flat.stderr == (
        "1 other file was left alone: notes.txt and 1 folder was not entered: b (--recursive enters folders).\n"
    )
    deep = await smartsip(api, token_file, "import", f"s3://{bucket}/cups/", "--recursive", *where)
    assert (deep.exit_code, deep.stdout) == (0, "1 new, 1 already there\n")
    one = await smartsip(api, token_file, "import", f"s3://{bucket}/cups/b/c.jpg", *where)
    assert (one.exit_code, one.stdout) == (0, "1 already there\n")
    assert sorted(await library(api)) == ["a.jpg", "b/c.jpg"]

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-key")
    refused = await smartsip(api, token_file, "import", f"s3://{bucket}/cups", *where)
    assert isinstance(refused.exception, CannotStart)
    said = f"s3://{bucket}/cups cannot be listed at {stack.objects.endpoint_url} (it answered 403)."
    assert str(refused.exception) == said
    assert "not-the-key" not in f"{refused.output}{refused.exception!r}"


async def test_an_export_overwrites_nothing_and_can_be_run_again(api: Served, token_file: Path, tmp_path: Path):
    out = tmp_path / "out"
    for number in range(3):
        query = f"?tag=kept&label=file:../{'cup' if number else 'mug'}.jpg"
        headers = JPEG | {"Prefer": "wait=10"}
        await api.client.post(f"/v2/images{query}", content=photo(seed=number), headers=headers)
    await add_photo(api, tags=["kept"])
    await api.client.post("/v2/images", content=photo(seed=9), headers=JPEG)
    out.mkdir()
    (out / "mug.jpg").write_bytes(b"something else")

    first = await smartsip(api, token_file, "export", out, "--tag", "kept")
    assert (first.exit_code, first.stdout) == (1, "2 written, 1 not opened yet, 1 refused\n")
    assert first.stderr == "mug.jpg: Another file of this name is there already; --force overwrites it.\n"
    rows = list(csv.DictReader(StringIO((out / "labels.csv").read_text(), newline="")))
    assert [(row["image"][:4], row["tags"], row["label:file"]) for row in rows] == [
        ("cup.", "kept", "../cup.jpg"),
        ("cup-", "kept", "../cup.jpg"),
    ]
    assert {row["image"] for row in rows} | {"mug.jpg", "labels.csv"} == {file.name for file in out.iterdir()}

    stopped = await smartsip(api, token_file, "export", out, "--tag", "kept")
    assert str(stopped.exception).startswith(f"{out / 'labels.csv'} is there already: name another folder")
    forced = await smartsip(api, token_file, "export", out, "--tag", "kept", "--force")
    assert (forced.exit_code, forced.stdout) == (0, "1 written, 2 already there, 1 not opened yet\n")


async def test_a_list_is_short_for_people_and_whole_for_scripts(api: Served, token_file: Path):
    for number in range(3):
        await add_photo(api, tags=["a"], labels={"file": f"{number}.jpg", "child_present": number == 2})
    short = await smartsip(api, token_file, "list", "--tag", "a", "--limit", "2")
    assert [line.split("  ")[2:] for line in short.stdout.splitlines()] == [
        ["pending", "2.jpg", "a, child_present=yes"],
        ["pending", "1.jpg", "a, child_present=no"],
    ]
    assert short.stderr == "These are the newest 2; --limit 0 lists all.\n"
    found = await smartsip(api, token_file, "list", "--json", "--limit", "0", "--label", "child_present:false")
    listed = (await api.client.get("/v2/images", params={"label": "child_present:false"})).json()["images"]
    assert [json.loads(line) for line in found.stdout.splitlines()] == listed
    assert len(listed) == 2
    nothing = await smartsip(api, token_file, "list", "--analysed")
    assert nothing.stderr == "There are no such photos: smartsip photos import DIR brings some.\n"
    wrong = await smartsip(api, token_file, "list", "--state", "open")
    assert str(wrong.exception).startswith("The server refused (422): ")
