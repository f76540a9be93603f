"""`smartsip photos import` against a scripted library: what it sends, how it goes on, and how it ends."""

import os
import signal
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from threading import Barrier

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from compose.cli import app
from compose.errors import CannotStart
from compose.photo_bucket import keys_in, open_store
from compose.photo_export import row_of, safe_name
from compose.photo_filters import query_of
from compose.photo_view import View
from tests.images import photo
from tests.unit.scripted_library import Answer, Asked, ScriptedLibrary, busy, refused


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("secret-of-the-library\n")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photos, more than go at once."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.jpg").write_bytes(photo(48, 48, seed=number))
    return folder


def smartsip(library: ScriptedLibrary | str, token: Path, *arguments: str | Path) -> Result:
    url = library if isinstance(library, str) else library.url
    command = ["photos", *map(str, arguments), "--url", url, "--token-file", str(token)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def once_each(answer: Answer) -> Callable[[Asked], Answer | None]:
    """Answer each photo's first upload like this, and the next ones as usual."""
    seen = set[bytes]()

    def script(asked: Asked) -> Answer | None:
        if asked.method != "POST" or asked.body in seen:
            return None
        seen.add(asked.body)
        return answer

    return script


@pytest.mark.parametrize("answer", [busy(429), busy(503), Answer(502), Answer(None)], ids=["429", "503", "502", "cut"])
def test_an_upload_is_repeated_until_the_server_takes_it(token: Path, folder: Path, answer: Answer) -> None:
    with ScriptedLibrary(once_each(answer)) as library:
        result = smartsip(library, token, "import", folder)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "12 new\n", "")
    assert library.count("POST") == 24


def test_eight_photos_go_at_a_time(token: Path, folder: Path) -> None:
    meeting = Barrier(8)

    def script(asked: Asked) -> None:
        if asked.method == "POST" and library.count("POST") <= 8:
            meeting.wait(10)

    with ScriptedLibrary(script) as library:
        assert smartsip(library, token, "import", folder).stdout == "12 new\n"


def test_refused_photos_are_named_and_the_others_are_stored(token: Path, folder: Path) -> None:
    (folder / "page.jpg").write_bytes(b"<!DOCTYPE html><html></html>")
    bad = (folder / "03.jpg").read_bytes()
    with ScriptedLibrary(lambda asked: refused(422, "It shows nothing.") if asked.body == bad else None) as library:
        result = smartsip(library, token, "import", folder)
    assert (result.exit_code, result.stdout) == (1, "11 new, 2 refused\n")
    assert sorted(result.stderr.splitlines()) == [
        f"{folder}/03.jpg: It shows nothing.",
        f"{folder}/page.jpg: This is an HTML page, perhaps an error page under an image's name; images are taken as"
        " JPEG, PNG or WebP.",
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in_is_asked_no_further(token: Path, folder: Path, status: int) -> None:
    with ScriptedLibrary(lambda _: refused(status, "This token is none.")) as library:
        result = smartsip(library, token, "import", folder)
    assert isinstance(result.exception, CannotStart)
    assert str(result.exception) == (
        f"The server refused ({status}): This token is none. So far: nothing. What is stored stays; run it"
        " again for the rest."
    )
    assert library.count("POST") <= 8
    assert "secret-of-the-library" not in f"{result.output}{result.exception!r}"


def test_a_server_that_is_not_there_is_one_sentence(token: Path, folder: Path) -> None:
    result = smartsip("http://127.0.0.1:9", token, "import", folder)
    assert isinstance(result.exception, CannotStart)
    assert str(result.exception).startswith("No server answers at http://127.0.0.1:9 (ConnectError): start it with")


def test_photos_that_are_opened_late_are_waited_for_and_those_that_are_none_are_named(
    token: Path, folder: Path
) -> None:
    opened: list[str] = []

    def script(asked: Asked) -> Answer | None:
        if not asked.path.endswith("/thumbnail"):
            return None
        opened.append(asked.path)
        match len(opened):
            case 1:
                return busy(503)
            case 2:
                return refused(422, "It is cut off.")
            case 3:
                return refused(404, "There is no image with this id.")
            case _:
                return None

    with ScriptedLibrary(script, state="pending") as library:
        result = smartsip(library, token, "import", folder)
    assert (result.exit_code, result.stdout) == (1, "10 new, 2 refused\n")
    said = result.stderr.splitlines()
    assert said[0] == "Waiting until 12 photos are opened …"
    assert {line.partition(".jpg: ")[2] for line in said[1:]} == {
        "It is cut off.",
        "It could not be opened as an image, and is not stored.",
    }
    waited = [asked.headers.get("Prefer") for asked in library.asked if asked.method == "POST"]
    assert 1 <= waited.count("wait=20") <= 8, "the first ones wait for the opener, and then nobody does one by one"


def test_nothing_is_waited_for_where_nobody_wants_to(token: Path, folder: Path) -> None:
    with ScriptedLibrary(state="pending") as library:
        assert smartsip(library, token, "import", folder, "--no-wait").exit_code == 0
    assert library.count("GET") == 0
    assert not any("Prefer" in asked.headers for asked in library.asked)


def test_ctrl_c_says_that_what_is_stored_stays(token: Path, folder: Path) -> None:
    def script(asked: Asked) -> None:
        if asked.method == "POST" and library.count("POST") == 11:
            os.kill(os.getpid(), signal.SIGINT)

    with ScriptedLibrary(script) as library:
        result = smartsip(library, token, "import", folder)
    assert result.exit_code == 130
    assert " new. What is stored stays; run it again for the rest.\n" in result.stderr
    assert result.stderr.startswith("\nStopped: ")


def test_nothing_is_sent_where_the_labels_file_is_wrong(token: Path, folder: Path) -> None:
    labels = folder / "labels.csv"
    rows = [f"{number:02}.jpg,perhaps" for number in range(11)] + [f"gone{number}.jpg,yes" for number in range(12)]
    labels.write_text("\n".join(["image,child_present", *rows]))
    with ScriptedLibrary() as library:
        result = smartsip(library, token, "import", folder, "--labels", labels)
    told = str(result.exception).splitlines()
    assert told[0] == f'{labels}: line 2, child_present: "perhaps" is neither yes nor no'
    assert told[19] == f'{labels}: line 21, image: "gone8.jpg" is not among the photos'
    assert (told[20:], library.asked) == (["… and 3 more", "Nothing was imported."], [])


def test_rows_without_a_photo_pass_where_they_may_and_photos_without_a_row_are_counted(
    token: Path, folder: Path
) -> None:
    (folder / "labels.jsonl").write_text('{"image": "00.jpg", "container": "cup"}\n{"image": "gone.jpg"}\n')
    (folder / "notes.txt").write_text("")
    (folder / "._00.jpg").write_text("")
    (folder / "more").mkdir()
    with ScriptedLibrary() as library:
        result = smartsip(library, token, "import", folder, "--labels", folder / "labels.jsonl", "--ignore-missing")
    assert (result.exit_code, result.stdout) == (0, "12 new, 1 labelled\n")
    assert result.stderr.splitlines() == [
        "2 other files were left alone: ._00.jpg, notes.txt and 1 folder was not entered: more (--recursive enters"
        " folders).",
        "11 of 12 photos have no row in the labels file.",
    ]
    (first,) = [asked.body for asked in library.asked if asked.method == "PATCH" and b"cup" in asked.body]
    assert first == b'{"labels":{"container":"cup","file":"00.jpg"}}'


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone"], "There is no file or folder gone."),
        (["s3://"], "s3:// names no bucket: give s3://bucket/prefix."),
        ([".", "--labels", "gone.csv"], "The labels file gone.csv cannot be read: No such file or directory."),
        (["compose"], None),
    ],
)
def test_sources_that_are_none_are_told(token: Path, arguments: list[str], sentence: str | None) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "you"}
    command = ["photos", "import", *arguments, "--endpoint", "http://127.0.0.1:9", "--token-file", str(token)]
    result = CliRunner().invoke(app, command, env=environment)
    assert isinstance(result.exception, CannotStart)
    said = str(result.exception)
    assert said == sentence if sentence else said.startswith("There are no JPEG, PNG or WebP photos in compose. ")


@pytest.mark.parametrize(
    ("environment", "keys"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, ("a", "b")),
        ({"AWS_ACCESS_KEY_ID": "a", "MINIO_ACCESS_KEY": "c", "MINIO_SECRET_KEY": "d"}, ("c", "d")),
        ({"AWS_ACCESS_KEY_ID": "a", "MINIO_SECRET_KEY": "d"}, None),
    ],
)
def test_keys_of_a_store_are_a_whole_pair(environment: Mapping[str, str], keys: tuple[str, str] | None) -> None:
    if keys:
        assert keys_in(environment) == keys
        return
    with pytest.raises(CannotStart, match="set MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or AWS_ACCESS_KEY_ID and"):
        keys_in(environment)


def test_a_store_is_not_shown_with_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-mine")
    assert "only-mine" not in repr(open_store("http://127.0.0.1:9", None))
    with pytest.raises(CannotStart, match="without a path"):
        open_store("http://127.0.0.1:9/bucket", None)


@pytest.mark.parametrize(
    ("given", "media_type", "name"),
    [
        ("cup.jpg", "image/jpeg", "cup.jpg"),
        ("CUP.JPEG", "image/jpeg", "CUP.JPEG"),
        ("a/b/cup.jpg", "image/jpeg", "a/b/cup.jpg"),
        ("cup.jpg", "image/png", "cup.jpg.png"),
        ("cup", "image/webp", "cup.webp"),
        ("../../etc/passwd", "image/jpeg", "etc/passwd.jpg"),
        ("/a//./..\\b\x00\n.jpg", "image/jpeg", "a/b__.jpg"),
        ("...", "image/jpeg", "photo.jpg"),
        (".hidden.jpg", "image/jpeg", "_hidden.jpg"),
        ("ä" * 200 + ".jpg", "image/jpeg", "ä" * 98 + ".jpg"),
    ],
)
def test_exported_names_stay_below_the_folder(given: str, media_type: str, name: str) -> None:
    assert safe_name(given, media_type) == name


def test_a_row_says_what_the_import_needs_to_make_the_same_photo() -> None:
    labels = {"file": "cup.jpg", "volume_min": 100, "child_present": "perhaps", "lab": "7", "can_receive_water": True}
    assert row_of({"tags": ["a;b", "c"], "labels": labels}, "cup-1.jpg") == {
        "image": "cup-1.jpg",
        "tags": '"a;b";c',
        "label:file": "cup.jpg",
        "volume_min": "100",
        "label:child_present": "perhaps",
        "label:lab": '"7"',
        "can_receive_water": "yes",
    }


def test_filters_are_the_parameters_of_the_request() -> None:
    wanted = {"tag": ["a", "b"], "label": None, "analysed": False, "receivable": True, "min_volume": 0, "said": None}
    assert query_of(wanted) == {"tag": ["a", "b"], "analysed": "false", "receivable": "true", "min_volume": 0}


def test_progress_is_a_line_for_a_hundred_photos_where_nobody_watches() -> None:
    console = Console(width=80, record=True, file=StringIO())
    view = View("Importing", 250, console)
    for number in range(1, 251):
        view.step(f"{number} new")
    view.close()
    assert console.export_text() == "100 of 250 photos: 100 new\n200 of 250 photos: 200 new\n"


def test_progress_is_a_line_that_moves_on_a_terminal_and_goes_at_the_end() -> None:
    console = Console(width=100, file=StringIO(), force_terminal=True, record=True)
    view = View("Importing", 2, console)
    view.step("1 new")
    view.refuse("a\x1b.jpg", "It is none.")
    view.close()
    assert "a\ufffd.jpg: It is none." in console.export_text()
