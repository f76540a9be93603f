"""Playing fielded dispensers against a server: touch after touch, and what each would have poured."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, NamedTuple, TypeAlias

from compose.firmware import Answer, Command, Device, GaveUp
from shared.domain.dispense import SMARTSIP_V01

HANG_S: Final = 60.0
"""Inside a body the firmware waits for ever; a simulated device is told to give up then."""
CLOCK: Final = timezone(timedelta(hours=8))
"""The firmware names its photos by this clock (`configTzTime("CST-8")`), wherever it stands."""

Ending: TypeAlias = Literal["poured", "nothing", "gave up", "refused"]


class Photo(NamedTuple):
    """What a device's camera sees: where the picture is from, for people to read, and its JPEG bytes."""

    source: str
    content: bytes


class Dispenser(NamedTuple):
    """One simulated device, and what it is called."""

    name: str
    device: Device


class Pace(NamedTuple):
    """How often each device is touched, and until when; None is without end."""

    every_s: float
    touches: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Touch:
    """One touch of one screen, and what came of it. `problem` is empty if it got exactly one safe command."""

    device: str
    number: int
    photo: Photo = field(repr=False)
    ending: Ending
    command: Command | None = None
    frames: tuple[str, ...] = ()
    seconds: float | None = None
    """From the question to the whole answer, without storing the photo."""
    spaces: int = 0
    problem: str = ""

    @property
    def executed_c(self) -> int | None:
        """The temperature the hardware heats to for this command; None if it does not heat."""
        return SMARTSIP_V01.setpoint_c(self.command.degree) if self.command and self.command.volume > 0 else None


class Tally:
    """What came of all touches so far."""

    def __init__(self) -> None:
        self.endings: dict[Ending, int] = {"poured": 0, "nothing": 0, "gave up": 0, "refused": 0}
        self.problems = 0
        self._answers_s: list[float] = []

    def count(self, touch: Touch) -> None:
        """Add one touch."""
        self.endings[touch.ending] += 1
        self.problems += bool(touch.problem)
        if touch.ending in ("poured", "nothing") and touch.seconds is not None:
            self._answers_s.append(touch.seconds)

    @property
    def touches(self) -> int:
        """How many touches there were."""
        return sum(self.endings.values())

    def answer_s(self, percent: float) -> float | None:
        """Return a nearest-rank percentile of the answers' times; None if there was no answer."""
        ordered = sorted(self._answers_s)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


async def play(
    dispensers: Sequence[Dispenser],
    pace: Pace,
    *,
    shoot: Callable[[], Photo],
    on_touch: Callable[[Touch], None],
) -> None:
    """Touch every device at its pace, evenly spread over it, and tell of each touch when it is over.

    A device that still waits for an answer is not touched: its next touch comes late. `shoot` gives each touch its
    photo. Ends with the pace.
    """
    start = time.monotonic()

    async def one(place: int, dispenser: Dispenser) -> None:
        due = start + pace.every_s * place / len(dispensers)
        number = 0
        while pace.touches is None or number < pace.touches:
            if pace.seconds is not None and due - start >= pace.seconds:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            on_touch(await _touch(dispenser, number, shoot()))
            due = max(due + pace.every_s, time.monotonic())

    async with asyncio.TaskGroup() as group:
        for place, dispenser in enumerate(dispensers):
            group.create_task(one(place, dispenser))


def photo_name(moment: datetime) -> str:
    """Return how the firmware names a photo of a moment by its own clock; two of one second share a name."""
    return f"image_{moment:%Y%m%d_%H%M%S}.jpg"


async def _touch(dispenser: Dispenser, number: int, photo: Photo) -> Touch:
    """Do what `Device.touch` does, with a clock in between."""
    name = photo_name(datetime.now(CLOCK))
    asked: float | None = None
    try:
        async with asyncio.timeout(HANG_S):
            stored = await dispenser.device.put(name, photo.content)
            asked = time.monotonic()
            answer = await dispenser.device.ask(f"/{name}")
    except (GaveUp, TimeoutError) as error:
        doing = "storing the photo" if asked is None else "asking"
        why = str(error) or f"no end after {HANG_S:g} s: the device would hang"
        return Touch(
            device=dispenser.name, number=number, photo=photo, ending="gave up", problem=f"gave up while {doing}: {why}"
        )
    return _answered(dispenser, number, photo, stored, answer, time.monotonic() - asked)


def _answered(dispenser: Dispenser, number: int, photo: Photo, stored: Answer, answer: Answer, seconds: float) -> Touch:
    command = answer.command if answer.status == 200 else None
    ending: Ending = "refused" if command is None else "poured" if command.volume > 0 else "nothing"
    problems = [
        f"storing the photo: {_refusal(stored)}" if stored.status >= 300 else "",
        _refusal(answer) if command is None else _danger(command),
    ]
    return Touch(
        device=dispenser.name,
        number=number,
        photo=photo,
        ending=ending,
        command=command,
        frames=tuple(frame.hex(" ") for frame in answer.frames) if command else (),
        seconds=seconds,
        spaces=answer.spaces,
        problem="; ".join(filter(None, problems)),
    )


def _refusal(answer: Answer) -> str:
    return f"HTTP {answer.status}: {answer.body[:200].decode(errors='replace').strip() or 'no words'}"


def _danger(command: Command) -> str:
    """Say what the hardware would do wrong with a command; empty if nothing."""
    profile = SMARTSIP_V01
    if command.volume and not profile.min_volume_ml <= command.volume <= profile.max_volume_ml:
        return f"unsafe: {command.volume} ml"
    return f"unsafe: {command.degree} °C" if not 0 <= command.degree <= profile.degree_cap_c else ""
