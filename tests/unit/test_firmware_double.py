"""The double itself, against the vectors that the firmware's description gives."""

import pytest

from tests.firmware import frames_for, sign


def test_a_signature_is_that_of_the_test_vector():
    resource = "/test/image_20241116_141107.jpg"
    signature = sign("minioadmin", "PUT", "image/jpeg", "Sat, 16 Nov 2024 06:11:07 GMT", resource)
    assert signature == "VkbBNpCcma4/n9FuMav/2k3K240="


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
