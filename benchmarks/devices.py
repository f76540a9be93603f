"""Devices: the fielded firmware's two requests, and the one of newer firmware; every command is checked."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from benchmarks.connection import Response
from benchmarks.photos import photo
from benchmarks.plan import Plan
from benchmarks.script import PHOTO_DEGREE, PHOTO_VOLUME
from benchmarks.work import Outcome, refusal
from compose.firmware import Device
from compose.simulate_photos import NUMBERS, numbered
from compose.simulation import CLOCK, photo_name

WAIT_S: Final = 4
"""What the design promises an answer within."""


class _Strings(msgspec.Struct):
    """What the fielded firmware is answered: its page ignores numbers."""

    volume: str
    degree: str


class _Command(msgspec.Struct):
    """What newer firmware is answered."""

    state: str
    volume: int
    degree: int


_decode_strings = msgspec.json.Decoder(_Strings).decode
_decode_command = msgspec.json.Decoder(_Command).decode


class _Photos:
    """Photos with other bytes each time, also in the next run: the same bytes again would be the same touch."""

    def __init__(self) -> None:
        self._photo = photo()
        self._first = secrets.randbelow(NUMBERS)

    def numbered(self, number: int) -> bytes:
        return numbered(self._photo, self._first + number)


class Touches:
    """The fielded firmware: one request stores the photo, signed, and another asks about it."""

    def __init__(self, plan: Plan) -> None:
        self._devices = [
            Device(keys.address, access_key=keys.access_key, secret_key=keys.secret_key) for keys in plan.devices
        ]
        self._photos = _Photos()

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        device, name = self._devices[client], photo_name(datetime.now(CLOCK))
        return device.put_request(name, self._photos.numbered(number)), device.ask_request(f"/{name}")

    def judge(self, responses: Sequence[Response]) -> Outcome:
        stored, answer = responses
        if problem := refusal(stored, expected=200):
            return Outcome(f"the photo was not stored: {problem}")
        if problem := refusal(answer, expected=200):
            return Outcome(problem)
        command = _decode_strings(answer.body)
        return _judged(command.volume, command.degree, expected=(str(PHOTO_VOLUME), str(PHOTO_DEGREE)))


class DevicePosts:
    """Newer firmware: one request with the photo in it, answered with the command."""

    def __init__(self, plan: Plan) -> None:
        self._photos = _Photos()
        head = (
            f"POST /v2/devices/me/jobs?wait={WAIT_S} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(self._photos.numbered(0))}\r\n"
        )
        self._heads = [f"{head}Authorization: Bearer {keys.token}\r\n\r\n".encode() for keys in plan.devices]

    def requests(self, number: int, client: int) -> Sequence[bytes]:
        return (self._heads[client] + self._photos.numbered(number),)

    def judge(self, responses: Sequence[Response]) -> Outcome:
        (answer,) = responses
        if answer.status == 202:
            return Outcome(f"no answer within {WAIT_S} s")
        if problem := refusal(answer, expected=200):
            return Outcome(problem)
        command = _decode_command(answer.body)
        if command.state != "succeeded":
            return Outcome(f"the job {command.state}: {answer.body.decode(errors='replace')}")
        return _judged(command.volume, command.degree, expected=(PHOTO_VOLUME, PHOTO_DEGREE))


def _judged(volume: object, degree: object, *, expected: tuple[object, object]) -> Outcome:
    if (volume, degree) != expected:
        return Outcome(f"the wrong command: {volume} ml, {degree} °C")
    return Outcome(None)
