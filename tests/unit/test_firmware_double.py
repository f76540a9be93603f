"""The double itself, against the vectors that the firmware's description gives and against a scripted server."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose import firmware
from compose.firmware import Command, read_command
from tests.firmware import DATE, Device, GaveUp, frames_for, sign
from tests.scripted_provider import Reply, ScriptedProvider, answer

QUICK = 0.04  # of the real timers: 0.2 s
CUP = b'{"volume":"200","degree":"80","type":"cup"}'
NAME = "image_20241116_141107.jpg"


@pytest.fixture
def server() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as server:
        yield server


@pytest.fixture
def device(server: ScriptedProvider) -> Device:
    return Device(f"{server.url}/d/ssd_token", scale=QUICK)


def test_a_signature_is_that_of_the_test_vector():
    resource = "/test/image_20241116_141107.jpg"
    signature = sign("minioadmin", "PUT", "image/jpeg", "Sat, 16 Nov 2024 06:11:07 GMT", resource)
    assert signature == "VkbBNpCcma4/n9FuMav/2k3K240="


@pytest.mark.parametrize("address", ["http://192.168.1.20:8888", "http://192.168.1.20:8888/d/ssd_token"])
def test_storing_a_photo_is_these_bytes(address: str):
    prefix = address.removeprefix("http://192.168.1.20:8888")
    assert (
        firmware.Device(address, date=DATE).put_request(NAME, b"\xff\xd8photo")
        == (
            f"PUT {prefix}/test/image_20241116_141107.jpg HTTP/1.1\r\n"
            "Host: 192.168.1.20:8888\r\n"
            "User-Agent: ESP32HTTPClient\r\n"
            "Connection: keep-alive\r\n"
            "Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\n"
            "Authorization: AWS minioadmin:VkbBNpCcma4/n9FuMav/2k3K240=\r\n"
            "Date: Sat, 16 Nov 2024 06:11:07 GMT\r\n"
            "Content-Type: image/jpeg\r\n"
            "Content-Length: 7\r\n"
            "\r\n"
        ).encode()
        + b"\xff\xd8photo"
    )


def test_asking_is_these_bytes():
    device = firmware.Device("http://water.lan/d/ssd_token", llm_type="ollama", model="llama3.2-vision:90b")
    assert device.ask_request(f"/{NAME}") == (
        b"POST /d/ssd_token/smartsip/upload?llm_type=ollama&image_name=/image_20241116_141107.jpg"
        b"&model=llama3.2-vision:90b HTTP/1.1\r\n"
        b"Host: water.lan\r\n"
        b"User-Agent: ESP32HTTPClient\r\n"
        b"Connection: keep-alive\r\n"
        b"Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\n"
        b"\r\n"
    )


def test_a_devices_keys_and_token_are_in_no_repr():
    said = repr(firmware.Device("http://water.lan/d/ssd_token", access_key="AKEY", secret_key="a secret"))
    assert "ssd_token" not in said
    assert "a secret" not in said


async def test_a_photo_nobody_takes_is_asked_about_all_the_same(server: ScriptedProvider, device: Device):
    server.play(answer("no such bucket", status=404), answer(CUP))
    assert (await device.touch(NAME, b"photo")).body == CUP
    assert [(exchange.method, exchange.path.partition("?")[0]) for exchange in server.exchanges] == [
        ("PUT", f"/d/ssd_token/test/{NAME}"),
        ("POST", "/d/ssd_token/smartsip/upload"),
    ]


async def test_whatever_its_status_an_answer_is_read(server: ScriptedProvider, device: Device):
    server.play(answer(CUP, status=500))
    read = await device.ask(f"/{NAME}")
    assert (read.status, read.command) == (500, Command(200, 80, "cup"))


async def test_no_line_in_time_is_no_answer(server: ScriptedProvider, device: Device):
    server.play(answer(CUP).delayed(5))
    with pytest.raises(GaveUp, match="no line in time"):
        await device.ask(f"/{NAME}")


async def test_spaces_keep_it_waiting_for_longer_than_its_timer(server: ScriptedProvider, device: Device):
    server.play(Reply((b" ",) * 5 + (CUP,)).paced(10))
    read = await device.ask(f"/{NAME}")
    assert (read.spaces, read.arrivals[-1], read.command) == (5, CUP, Command(200, 80, "cup"))
    assert read.frames == [bytes.fromhex("69995e130a")]


async def test_no_chunk_in_time_is_no_answer(server: ScriptedProvider, device: Device):
    server.play(Reply((b" ",) * 2).stalled_after(2))
    with pytest.raises(GaveUp, match="no line in time"):
        await device.ask(f"/{NAME}")


@pytest.mark.parametrize(
    "reply",
    [answer(CUP).cut_after(9), answer(CUP).reset_after(9), Reply((b" ", CUP)).cut_after(9)],
    ids=["cut", "reset", "cut between chunks"],
)
async def test_a_connection_that_breaks_is_no_answer(server: ScriptedProvider, device: Device, reply: Reply):
    server.play(reply)
    with pytest.raises(GaveUp, match="the connection broke"):
        await device.ask(f"/{NAME}")


async def test_an_answer_without_a_length_ends_with_the_connection(server: ScriptedProvider, device: Device):
    server.play(Reply((CUP,), framing="close"))
    assert (await device.ask(f"/{NAME}")).body == CUP


async def test_without_a_server_it_gives_up():
    with pytest.raises(GaveUp, match="cannot be reached"):
        await Device("http://127.0.0.1:1").ask(f"/{NAME}")


@pytest.mark.parametrize(
    ("volume", "degree", "frames"),
    [
        (200, 80, ["69995e130a"]),
        (300, 85, ["69995e1d14"]),
        (150, 25, ["69662d0ea1"]),
        (200, 95, ["69012d3260", "69995e130a"]),
        (0, 80, []),
    ],
)
def test_commands_become_the_frames_of_the_test_vectors(volume: int, degree: int, frames: list[str]):
    body = f'{{"volume":"{volume}","degree":"{degree}","type":"cup"}}'.encode()
    assert [frame.hex() for frame in frames_for(body)] == frames


@pytest.mark.parametrize(
    "body", [b"", b"error msg: 5", b"[200]", b'"200"', b'{"volume":"200ml"}', b'{"error":{"volume":"9"}}']
)
def test_what_is_no_command_moves_nothing(body: bytes):
    assert frames_for(body) == []
    command = read_command(body)
    assert command is None or command.volume == 0


VALUES = st.one_of(
    st.integers(-2_000, 70_000),
    st.floats(-2_000, 2_000, allow_nan=False).map(lambda number: round(number, 2)),
    st.integers(-2_000, 70_000).map(str),
    st.sampled_from(["", "200ml", "80°C", "85.5", "+20", "1e2", None, True, [200], {"volume": 200}]),
)


@given(volume=VALUES, degree=VALUES)
def test_the_commands_way_to_the_board_is_the_same_in_two_readings(volume: object, degree: object):
    body = json.dumps({"volume": volume, "degree": degree}).encode()
    assert firmware.Answer(200, {}, body).frames == frames_for(body)
