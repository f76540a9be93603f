"""The fielded firmware as tests play it: its client, and a reading of its serial code that is independent of ours.

`frames_for` was written from the description of the firmware and not from `shared.domain.dispense.frames`, so that the
two can disagree.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from compose import firmware
from compose.firmware import ACCESS_KEY, BUCKET, SECRET_KEY, TIMEOUT_S, GaveUp, sign

__all__ = [
    "ACCESS_KEY",
    "BUCKET",
    "DATE",
    "SECRET_KEY",
    "TIMEOUT_S",
    "Answer",
    "Device",
    "GaveUp",
    "frames_for",
    "sign",
]

DATE = "Sat, 16 Nov 2024 06:11:07 GMT"


@dataclass
class Answer(firmware.Answer):
    """What the device read, and the frames an independent reading makes of it."""

    @property
    def frames(self) -> list[bytes]:
        return frames_for(self.body)


@dataclass
class Device(firmware.Device):
    """The device, with answers whose frames are read independently."""

    async def touch(self, name: str, photo: bytes, *, llm_type: str | None = None, model: str | None = None) -> Answer:
        return _read(await super().touch(name, photo, llm_type=llm_type, model=model))

    async def put(self, name: str, photo: bytes) -> Answer:
        return _read(await super().put(name, photo))

    async def ask(self, image_name: str, *, llm_type: str | None = None, model: str | None = None) -> Answer:
        return _read(await super().ask(image_name, llm_type=llm_type, model=model))

    async def send(self, request: bytes) -> Answer:
        return _read(await super().send(request))


def _read(answer: firmware.Answer) -> Answer:
    return Answer(answer.status, answer.headers, answer.body, answer.arrivals)


def frames_for(body: bytes) -> list[bytes]:
    """What goes to the dispenser's board for an answer's body, whatever its status was."""
    try:
        document: Any = json.loads(body)  # Any: whatever JSON it is
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    fields = cast("dict[str, Any]", document)  # JSON
    volume, degree = _integer(fields.get("volume")), _integer(fields.get("degree"))
    if volume <= 0:
        return []
    code = 0x0F if volume > 500 else (volume // 10 - 1) & 0xFF
    mode, setpoint = _mode(degree)
    pour = bytes([0x69, mode, setpoint, code, (mode + setpoint + code) & 0xFF])
    return [bytes.fromhex("69012d3260"), pour] if degree > 90 else [pour]


def _mode(degree: int) -> tuple[int, int]:
    if degree < 30:
        return 0x66, 0x2D
    if degree < 55:
        return 0x77, 0x32
    if degree < 80:
        return 0x88, 0x55
    return 0x99, 0x5E


def _integer(value: object) -> int:
    match = re.fullmatch(r"[+-]?\d+(\.\d*)?", str(value)) if isinstance(value, str | int | float) else None
    return int(float(match[0])) if match else 0
