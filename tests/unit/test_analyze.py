"""`smartsip analyze` against a scripted server: what it sends, what it shows, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from compose.analysis_view import printable
from compose.analyze import analyze
from compose.errors import CannotStart
from shared.domain import events
from shared.domain.errors import ProviderAuth
from tests import images
from tests.unit.scripted_smartsip import ANSWER, DISPENSE, GOOD, JOB, STARTED, ScriptedSmartSip, stream

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def served() -> Iterator[ScriptedSmartSip]:
    with ScriptedSmartSip() as served:
        yield served


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cup.jpg"
    path.write_bytes(images.photo())
    return path


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("ssk_test\n")
    return path


def run(*arguments: str | Path, environment: dict[str, str] | None = None) -> Result:
    app = typer.Typer()
    app.command()(analyze)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"} | (environment or {}))


def ask(served: ScriptedSmartSip, token: Path, *arguments: str | Path) -> Result:
    return run(*arguments, "--url", served.url, "--token-file", token)


def test_one_photo_shows_the_stream_and_then_the_result(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    result = ask(served, token, photo)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0] == ANSWER
    assert lines[1:6] == [
        "Container ceramic cup",
        "Pour 250 ml at 90 °C (this device heats to 94 °C)",
        "Changed volume 255 → 250: this device pours in steps of 10 ml",
        "degree 95 → 90: at most 90 °C on this device: more would release its child lock",
        "Serial 69 99 5e 18 0f",
    ]
    assert lines[6].startswith("Model demo/demo, ")
    assert lines[6].endswith(f" s, job {JOB}")


def test_the_server_gets_the_photo_as_it_is(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    assert ask(served, token, photo, "--model", "ollama/llava:7b").exit_code == 0
    (method, path, headers, body), (follow, events_path, _, _) = served.script.requests
    assert (method, path, body) == ("POST", "/v2/jobs?kind=vision&model=ollama%2Fllava%3A7b", images.photo())
    assert (headers["Content-Type"], headers["Authorization"]) == ("image/jpeg", "Bearer ssk_test")
    assert headers["Idempotency-Key"]
    assert (follow, events_path) == ("GET", f"/v2/jobs/{JOB}/events")


def test_json_is_one_line_for_each_photo(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    result = ask(served, token, photo, photo.with_name("none.jpg"), "--json")
    by_photo = {line.pop("photo"): line for line in map(json.loads, result.stdout.splitlines())}
    seconds = [line.pop("seconds") for line in by_photo.values()]
    assert by_photo == {
        str(photo): {"job": JOB, "model": "demo/demo", "result": DISPENSE},
        str(photo.with_name("none.jpg")): {"error": "There is no such file."},
    }
    assert all(second >= 0 for second in seconds)
    assert (result.exit_code, result.stderr) == (1, f"{photo.with_name('none.jpg')}: There is no such file.\n")


def test_bad_files_do_not_stop_the_good_ones(
    served: ScriptedSmartSip, photo: Path, token: Path, tmp_path: Path
) -> None:
    bad = {
        "empty.jpg": b"",
        "page.jpg": images.html_page(),
        "cut.jpg": images.cut_off(images.photo()),
        "large.jpg": images.photo() + bytes(20 * 1024 * 1024),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    result = ask(served, token, photo, *(tmp_path / name for name in bad), tmp_path, tmp_path / "none.jpg")
    assert result.exit_code == 1
    (good,) = [line for line in result.stderr.splitlines() if "cup.jpg" in line]
    assert good.partition(" ")[2] == f"{photo}: 250 ml at 90 °C (this device heats to 94 °C)"
    assert {line for line in result.stderr.splitlines() if line != good} == {
        f"{tmp_path}/empty.jpg: The image is empty: 0 bytes arrived.",
        f"{tmp_path}/page.jpg: This is an HTML page, perhaps an error page under an image's name; images are taken as"
        " JPEG, PNG or WebP.",
        f"{tmp_path}/cut.jpg: The JPEG is cut off: its end is missing.",
        f"{tmp_path}/large.jpg: The file has {len(images.photo()) + 20 * 1024 * 1024:,} bytes; a photo may have"
        " 20,971,520.",
        f"{tmp_path}: This is a directory; name the photos in it.",
        f"{tmp_path}/none.jpg: There is no such file.",
    }
    assert sum(method == "POST" for method, *_ in served.script.requests) == 1
    assert result.stdout.splitlines()[0].split() == ["Photo", "Container", "ml", "°C", "Changed", "Model", "s"]


def test_many_photos_get_a_table_with_a_row_each(served: ScriptedSmartSip, token: Path, tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(20)]
    for number, path in enumerate(photos):
        path.write_bytes(images.photo(seed=number))
    result = ask(served, token, *photos)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 21
    assert len(result.stderr.splitlines()) == 20
    assert all("ceramic cup" in line and "250" in line for line in result.stdout.splitlines()[1:])


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_broken_connection_is_taken_up_where_it_stopped(
    served: ScriptedSmartSip, photo: Path, token: Path, cut: int
) -> None:
    whole = stream(GOOD)
    broken = whole[: len(whole) * cut // 8]
    seen = broken.count(b"\n\n") - 1
    served.script.connections = [broken, stream(GOOD[seen:], seen + 1)]
    result = ask(served, token, photo, "--json")
    assert (result.exit_code, json.loads(result.stdout)["result"]) == (0, DISPENSE)
    last_ids = [headers.get("Last-Event-ID") for method, _, headers, _ in served.script.requests if method == "GET"]
    assert last_ids == [None, f"1.{seen}" if seen else None]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (
            events.Failed(error=ProviderAuth("401: bad key").info()),
            "The provider refused the configured credential: 401: bad key",
        ),
        (events.Cancelled(phase="queued"), "The job was cancelled."),
        (events.Expired(), "The job's deadline passed before a worker was free."),
        (
            events.Completed(finish_reason="stop"),
            "The job ended without a result that this version understands.",
        ),
    ],
)
def test_a_job_without_a_result_is_an_error_in_a_sentence(
    served: ScriptedSmartSip, photo: Path, token: Path, end: events.TerminalEvent, error: str
) -> None:
    served.script.connections = [stream([STARTED, end])]
    result = ask(served, token, photo)
    assert (result.exit_code, result.stderr) == (1, f"{photo}: {error}\n")


def test_a_restart_voids_what_came_before(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    restarted = events.Restarted(provider="ollama", model="llava", reason="worker_lost")
    served.script.connections = [
        stream([STARTED, events.Text(text="half"), events.Result(data={}), restarted, *GOOD[1:]])
    ]
    result = ask(served, token, photo, "--json")
    line = json.loads(result.stdout)
    assert (line["model"], line["result"]) == ("ollama/llava", DISPENSE)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (
            401,
            b"{}",
            "The server does not accept this token: give the right one with --token-file or SMARTSIP_TOKEN.",
        ),
        (422, b'{"title": "The image was refused", "detail": "It is empty."}', "The image was refused: It is empty."),
        (404, b"<html>", "The server answered with status 404 and no explanation."),
        (400, b'{"title": "No"}', "No."),
        (202, b"[]", "The server took the photo but named no job: is this a SmartSip server?"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    served: ScriptedSmartSip, photo: Path, token: Path, status: int, body: bytes, error: str
) -> None:
    served.script.submit_status, served.script.submit_body = status, body
    result = ask(served, token, photo)
    assert (result.exit_code, result.stderr) == (1, f"{photo}: {error}\n")


def test_a_job_that_takes_too_long_is_left_to_the_server(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    served.script.stays_open = True
    served.script.connections = [stream([STARTED])]
    result = ask(served, token, photo, "--timeout", "1")
    assert (result.exit_code, result.stderr) == (
        1,
        f"{photo}: No result within 1 s; job {JOB} goes on at the server.\n",
    )


def test_a_server_that_is_not_there_is_one_sentence(photo: Path, token: Path) -> None:
    result = run(photo, photo, photo, "--url", "http://127.0.0.1:9", "--token-file", token)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "No SmartSip server answers at http://127.0.0.1:9: start one with `./smartsip up`, or name another with"
        " --url.\n",
    )


def test_the_token_comes_from_the_environment_or_the_local_stack(
    served: ScriptedSmartSip, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "admin.token").write_text("local\n")
    nothing = {"SMARTSIP_TOKEN": "", "SMARTSIP_ADMIN_TOKEN": ""}
    run(photo, "--url", served.url, environment=nothing | {"SMARTSIP_TOKEN": "one"})
    run(photo, "--url", served.url, environment=nothing | {"SMARTSIP_ADMIN_TOKEN": "two"})
    run(photo, "--url", served.url, "--data", tmp_path, environment=nothing)
    sent = [headers["Authorization"] for method, _, headers, _ in served.script.requests if method == "POST"]
    assert sent == ["Bearer one", "Bearer two", "Bearer local"]


def test_a_missing_token_is_one_sentence(photo: Path, tmp_path: Path) -> None:
    error = run(photo, "--token-file", tmp_path / "none").exception
    assert isinstance(error, CannotStart)
    assert str(error) == (
        f"No token: {tmp_path / 'none'} cannot be read (No such file or directory). Start the local stack with"
        " ./smartsip up, name a file with --token-file, or set SMARTSIP_TOKEN."
    )


@pytest.mark.parametrize("arguments", [(), ("x.jpg", "--model", "llava"), ("x.jpg", "--url", "localhost")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_what_a_model_says_cannot_steer_the_terminal(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    served.script.connections = [stream([STARTED, events.Text(text="\x1b[2J[bold]\u202e\x07"), *GOOD[3:]])]
    result = ask(served, token, photo)
    assert "\ufffd[2J[bold]\ufffd\ufffd" in result.stdout
    assert printable("a\nb\rc\x9bd") == "a\nb\ufffdc\ufffdd"


def test_ctrl_c_says_that_the_job_goes_on(served: ScriptedSmartSip, photo: Path, token: Path) -> None:
    served.script.stays_open = True
    served.script.connections = [stream([STARTED, events.Text(text="Hmm")])]
    program = "import typer; from compose.analyze import analyze; typer.run(analyze)"
    command = [sys.executable, "-c", program, str(photo), "--url", served.url, "--token-file", str(token)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert served.script.is_watched.wait(20)
        assert process.stdout is not None
        assert process.stdout.read(3) == "Hmm"
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said == (
        f"\nStopped watching. These jobs go on at the server (GET /v2/jobs/<id> has their results):\n  {JOB}\n"
    )
