"""The frames of the fielded firmware, faults included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.dispense import frames, hex_frames
from tests.unit.dispense.hardware import NOTHING, Poured, execute

UNLOCK = "69 01 2d 32 60"


@pytest.mark.parametrize(
    ("volume", "degree", "sent"),
    [
        (200, 80, ["69 99 5e 13 0a"]),
        (300, 85, ["69 99 5e 1d 14"]),
        (150, 25, ["69 66 2d 0e a1"]),
        (200, 95, [UNLOCK, "69 99 5e 13 0a"]),
        (200, 91, [UNLOCK, "69 99 5e 13 0a"]),
        (200, 90, ["69 99 5e 13 0a"]),
        (0, 80, []),
        (-10, 80, []),
        (500, 29, ["69 66 2d 31 c4"]),
        (500, 30, ["69 77 32 31 da"]),
        (500, 54, ["69 77 32 31 da"]),
        (500, 55, ["69 88 55 31 0e"]),
        (500, 79, ["69 88 55 31 0e"]),
        (19, 0, ["69 66 2d 00 93"]),
        (9, 0, ["69 66 2d ff 92"]),
        (501, 0, ["69 66 2d 0f a2"]),
    ],
)
def test_the_firmware_sends_these_bytes(volume: int, degree: int, sent: list[str]) -> None:
    assert hex_frames(volume, degree) == sent


@pytest.mark.parametrize(
    ("volume", "degree", "poured"),
    [
        (5, 20, Poured(2560, 25, False)),
        (1000, 20, Poured(160, 25, False)),
        (200, 40, Poured(200, 50, False)),
        (200, 60, Poured(200, 85, False)),
        (200, 100, Poured(200, 94, True)),
    ],
)
def test_these_are_the_faults_the_envelope_is_there_for(volume: int, degree: int, poured: Poured) -> None:
    assert execute(frames(volume, degree)) == poured


@given(st.integers(), st.integers())
def test_every_integer_gives_frames_the_hardware_understands(volume: int, degree: int) -> None:
    assert (execute(frames(volume, degree)) == NOTHING) == (volume <= 0)
