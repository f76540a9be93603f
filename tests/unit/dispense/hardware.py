"""A dispenser to read frames with: what water really comes out, written from the frame's meaning and not from our code.

FengD/SmartSip 6c4a93b: `69 b1 b2 b3 sum`; b2 is the setpoint in °C (0x2D with b1 0x66 is the cool tap); b3 counts
10 ml steps from zero, except that 0x0F with a request over 500 was meant as "much" and pours 160 ml.
"""

from dataclasses import dataclass

ROOM_TEMPERATURE_C = 25


@dataclass(frozen=True)
class Poured:
    millilitres: int
    celsius: int
    is_unlocked: bool


NOTHING = Poured(0, 0, False)


def execute(frames: list[bytes]) -> Poured:
    """Return what the hardware does with the frames; refuses frames that it would not understand."""
    poured, is_unlocked = NOTHING, False
    for frame in frames:
        head, first, second, third, checksum = frame
        assert head == 0x69
        assert checksum == (first + second + third) % 256
        if (first, second, third) == (0x01, 0x2D, 0x32):
            is_unlocked = True
            continue
        assert poured == NOTHING, "one pour per command"
        assert (first, second) in {(0x66, 0x2D), (0x77, 0x32), (0x88, 0x55), (0x99, 0x5E)}
        celsius = ROOM_TEMPERATURE_C if first == 0x66 else second
        poured = Poured((third + 1) * 10, celsius, is_unlocked)
    return poured
