"""Simulated devices against a scripted server: what they do, what is counted, and how it is shown."""

import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from compose.errors import CannotStart
from compose.firmware import Command, Device
from compose.simulate_photos import QUALITY, SIDE_PIXELS, camera
from compose.simulate_view import JsonView, LinesView, TableView, as_json, sentence
from compose.simulation import CLOCK, Dispenser, Pace, Photo, Tally, Touch, photo_name, play
from shared.domain.images import sniff
from tests import images
from tests.scripted_provider import Exchange, Reply, ScriptedProvider, answer

CUP = b'{"volume":"200","degree":"80","type":"cup"}'
NOTHING = b'{"volume":"0","degree":"0","type":"none"}'


@pytest.fixture
def server() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as server:
        yield server


async def played(server: ScriptedProvider, *answers: Reply, devices: int = 1, touches: int = 1) -> list[Touch]:
    """Touch devices whose photos are stored and whose questions are answered like this."""
    ahead = iter(answers[:-1])

    def reply(exchange: Exchange) -> Reply:
        return answer(b"") if exchange.method == "PUT" else next(ahead, answers[-1])

    server.play_with(reply)
    done: list[Touch] = []
    dispensers = [Dispenser(f"device {number}", Device(server.url, scale=0.04)) for number in range(devices)]
    await play(dispensers, Pace(0.02, touches), shoot=camera(None).shoot, on_touch=done.append)
    return done


async def test_a_touch_stores_a_photo_asks_and_tells_what_is_poured(server: ScriptedProvider):
    (touch,) = await played(server, Reply((b" ", b" ", CUP)))
    stored, asked = server.exchanges
    assert (stored.method, stored.body) == ("PUT", touch.photo.content)
    assert stored.path.removeprefix("/test/") in asked.path
    assert as_json(touch) == {
        "device": "device 0",
        "touch": 1,
        "photo": touch.photo.source,
        "ending": "poured",
        "volume": 200,
        "degree": 80,
        "type": "cup",
        "executed_c": 94,
        "frames": ["69 99 5e 13 0a"],
        "answer_s": round(touch.seconds or 0, 3),
        "spaces": 2,
        "problem": None,
    }


async def test_every_device_is_touched_as_often_as_it_should_be(server: ScriptedProvider):
    touches = await played(server, answer(CUP), devices=5, touches=4)
    assert sorted((touch.device, touch.number) for touch in touches) == [
        (f"device {device}", number) for device in range(5) for number in range(1, 5)
    ]


@pytest.mark.parametrize(
    ("reply", "ending", "problem"),
    [
        (answer(CUP), "poured", ""),
        (answer(NOTHING), "nothing", ""),
        (answer("error msg: no such device", status=401), "refused", "HTTP 401: error msg: no such device"),
        (answer(b"", status=204), "refused", "HTTP 204: no words"),
        (answer(CUP, status=500), "refused", f"HTTP 500: {CUP.decode()}"),
        (answer(b'{"volume":"5","degree":"80"}'), "poured", "unsafe: 5 ml"),
        (answer(b'{"volume":"510","degree":"80"}'), "poured", "unsafe: 510 ml"),
        (answer(b'{"volume":"200","degree":"95"}'), "poured", "unsafe: 95 °C"),
        (answer(CUP).delayed(5), "gave up", "gave up while asking: no line in time"),
        (answer(CUP).cut_after(4), "gave up", "gave up while asking: the connection broke"),
    ],
    ids=str,
)
async def test_anything_but_one_safe_command_is_a_problem(
    server: ScriptedProvider, reply: Reply, ending: str, problem: str
):
    (touch,) = await played(server, reply)
    assert (touch.ending, touch.problem) == (ending, problem)


async def test_a_photo_that_is_refused_is_a_problem_even_if_the_question_is_answered(server: ScriptedProvider):
    server.play(answer("the signature is wrong", status=403), answer(CUP))
    done: list[Touch] = []
    dispenser = Dispenser("kitchen", Device(server.url, scale=0.04))
    await play([dispenser], Pace(1, 1), shoot=camera(None).shoot, on_touch=done.append)
    assert [touch.problem for touch in done] == ["storing the photo: HTTP 403: the signature is wrong"]


async def test_without_a_server_each_touch_is_given_up():
    done: list[Touch] = []
    dispenser = Dispenser("kitchen", Device("http://127.0.0.1:1", scale=0.04))
    await play([dispenser], Pace(0.01, 2), shoot=camera(None).shoot, on_touch=done.append)
    assert [touch.ending for touch in done] == ["gave up", "gave up"]
    assert done[0].problem.startswith("gave up while storing the photo: the server cannot be reached")


async def test_a_pace_in_seconds_comes_to_an_end(server: ScriptedProvider):
    server.play(answer(CUP))
    done: list[Touch] = []
    dispensers = [Dispenser(str(number), Device(server.url, scale=0.04)) for number in range(2)]
    await play(dispensers, Pace(0.1, seconds=0.22), shoot=camera(None).shoot, on_touch=done.append)
    # Due at 0, 0.1 and 0.2 s, and at 0.05 and 0.15 s; where the machine is slow the later ones fall away.
    assert 2 <= len(done) <= 5


def test_drawn_photos_are_what_the_fielded_camera_sends_and_never_the_same():
    one, other = camera(None), camera(None)
    photos = [camera_.shoot().content for camera_ in (one, other) for _ in range(200)]
    assert len(set(photos)) == 400
    sniffed = sniff(photos[0])
    assert (sniffed.media_type, sniffed.width, sniffed.height) == ("image/jpeg", SIDE_PIXELS, SIDE_PIXELS)
    assert max(map(len, photos)) < 10_000


def test_the_pictures_of_a_folder_are_taken_in_turn(tmp_path: Path):
    (tmp_path / "b.png").write_bytes(images.png(800, 600))
    (tmp_path / "a.JPG").write_bytes(images.photo_with_exif())
    (tmp_path / "notes.txt").write_text("no picture")
    taken = camera(tmp_path)
    photos = [taken.shoot() for _ in range(4)]
    assert sorted(photo.source for photo in photos) == ["a.JPG", "a.JPG", "b.png", "b.png"]
    assert photos[0].source == photos[2].source
    with Image.open(io.BytesIO(photos[0].content)) as first, Image.open(io.BytesIO(photos[2].content)) as third:
        assert (first.size, first.tobytes()) == ((SIDE_PIXELS, SIDE_PIXELS), third.tobytes())
        assert not first.getexif()
    assert photos[0].content != photos[2].content
    assert QUALITY == 30


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (None, b"", "There is no folder {folder}/none with photos."),
        ("notes.txt", b"words", "The folder {folder} holds no JPEG, PNG or WebP pictures."),
        ("page.jpg", images.html_page(), "The picture {folder}/page.jpg cannot be opened: "),
        ("bomb.png", images.with_broken_pixels(images.png()), "The picture {folder}/bomb.png cannot be opened: "),
    ],
    ids=["no folder", "no pictures", "no picture", "a broken one"],
)
def test_a_folder_that_does_not_do_is_told_in_a_sentence(
    tmp_path: Path, name: str | None, content: bytes, sentence: str
):
    if name is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotStart) as refusal:
        camera(tmp_path if name is not None else tmp_path / "none")
    assert str(refusal.value).startswith(sentence.format(folder=tmp_path))


def touch(number: int = 1, *, device: str = "kitchen", **changes: Any) -> Touch:
    fields: dict[str, Any] = {
        "photo": Photo("cup.jpg", b""),
        "ending": "poured",
        "command": Command(200, 20, "cup"),
        "frames": ("69 66 2d 13 a6",),
        "seconds": 1.0,
    }
    return Touch(device=device, number=number, **(fields | changes))


REFUSED: dict[str, Any] = {"ending": "refused", "command": None, "frames": (), "problem": "HTTP 401: \x1b[2Jwho?"}


def test_the_summary_counts_endings_and_times():
    tally = Tally()
    assert sentence(tally) == "0 touches, 0 commands, 0 poured nothing, 0 gave up, 0 refused."
    for number in range(1, 21):
        tally.count(touch(number, seconds=number / 10))
    tally.count(touch(seconds=60.0, **REFUSED))
    assert sentence(tally) == (
        "21 touches, 20 commands, 0 poured nothing, 0 gave up, 1 refused;"
        " answers in 1.00 s (p50), 1.90 s (p95), 2.00 s (longest)."
    )
    assert tally.problems == 1


def test_a_pipe_gets_a_line_for_each_touch_and_the_summary(capsys: pytest.CaptureFixture[str]):
    tally, view = Tally(), LinesView()
    for one in (touch(spaces=2), touch(2, seconds=None, **REFUSED)):
        tally.count(one)
        view.touch(one)
    view.close(tally)
    assert capsys.readouterr().out.splitlines() == [
        "kitchen  #1  cup.jpg  200 ml, unheated, 69 66 2d 13 a6  1.00 s  2 spaces",
        "kitchen  #2  cup.jpg  refused  HTTP 401: \ufffd[2Jwho?",
        "2 touches, 1 command, 0 poured nothing, 0 gave up, 1 refused;"
        " answers in 1.00 s (p50), 1.00 s (p95), 1.00 s (longest).",
    ]


def test_a_script_gets_json(capsys: pytest.CaptureFixture[str]):
    tally, view = Tally(), JsonView()
    tally.count(touch())
    view.touch(touch())
    view.close(tally)
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == as_json(touch())
    assert last == {
        "summary": {
            "touches": 1,
            "poured": 1,
            "nothing": 0,
            "gave_up": 0,
            "refused": 0,
            "problems": 0,
            "answer_s": {"p50": 1.0, "p95": 1.0, "max": 1.0},
        }
    }


def test_a_terminal_gets_a_row_for_each_device_that_fits():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160, height=12, color_system=None)
    devices = [f"device {number}" for number in range(20)]
    view, tally = TableView(console, devices), Tally()
    for number, name in enumerate(devices):
        one = touch(device=name, number=number + 1)
        tally.count(one)
        view.touch(one)
    view.close(tally)
    shown = out.getvalue().rpartition("Device ")[2].splitlines()
    rows = [line for line in shown if line.startswith("device ")]
    assert [row.split("  ")[0].strip() for row in rows] == devices[-8:]
    assert " ".join(rows[-1].split()) == "device 19 20 cup.jpg 200 unheated 69 66 2d 13 a6 1.00 0"
    assert "12 more devices." in out.getvalue()
    assert out.getvalue().rstrip().endswith(sentence(tally))


def test_a_photo_is_named_after_the_moment():
    assert photo_name(datetime(2024, 11, 16, 14, 11, 7, tzinfo=CLOCK)) == "image_20241116_141107.jpg"
