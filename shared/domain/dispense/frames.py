"""The serial bytes the fielded firmware makes of a command, bit for bit, its faults included.

Source: FengD/SmartSip 6c4a93b, `smartsip.ino`, `transform_json2command`; UART 9600 8N1 to the heater's controller.
"""

from typing import Final

_HEAD: Final = 0x69
_UNLOCK: Final = (0x01, 0x2D, 0x32)
_COOL: Final = (0x66, 0x2D)
_WARM: Final = (0x77, 0x32)
_HOT: Final = (0x88, 0x55)
_BOILING: Final = (0x99, 0x5E)
_OVER_500_ML: Final = 0x0F


def frames(volume: int, degree: int) -> list[bytes]:
    """Return the frames, in order, that the firmware sends for a command; none if it pours nothing.

    Defined for all integers, since it shows what the firmware would do and not what it should do: 1–9 ml give the
    volume byte 0xFF, more than 500 ml give 0x0F. Commands from `enforce` never come near either.
    """
    if volume <= 0:
        return []
    unlock = [_frame(*_UNLOCK)] if degree > 90 else []
    amount = _OVER_500_ML if volume > 500 else (volume // 10 - 1) & 0xFF
    return [*unlock, _frame(*_temperature(degree), amount)]


def hex_frames(volume: int, degree: int) -> list[str]:
    """Return `frames` as people read them, as in `69 99 5e 13 0a`."""
    return [frame.hex(" ") for frame in frames(volume, degree)]


def _temperature(degree: int) -> tuple[int, int]:
    if degree < 30:
        return _COOL
    if degree < 55:
        return _WARM
    if degree < 80:
        return _HOT
    return _BOILING


def _frame(first: int, second: int, third: int) -> bytes:
    return bytes((_HEAD, first, second, third, (first + second + third) & 0xFF))
