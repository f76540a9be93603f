"""What a kind of dispenser can do and may do: the numbers the envelope is made of.

A profile is refused unless the envelope can keep its promises with it: what a request would really pour, as the
hardware executes it, decides. A refusal names the field and says what the hardware would do.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.domain.dispense.prompt import PromptRef
from shared.domain.models import ModelRef

CHILD_LIMIT_C: Final = 40
"""Water for a child is never hotter than this, as executed."""
ProfileName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Fault: TypeAlias = tuple[tuple[str | int, ...], str]
"""The path of a field that is not safe, and why."""
_MILLILITRES: Final = Field(ge=1, le=10_000)
_DEGREES: Final = Field(ge=0, le=100)
_SHARE: Final = Field(ge=0, le=1)


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TemperatureBand(_Facts):
    """Requests below `below_c` (and at or above the band before) are all executed alike.

    `setpoint_c` is the temperature the heater is set to; None means that it stays off.
    """

    below_c: Annotated[int, Field(ge=1, le=1000)]
    setpoint_c: Annotated[int, _DEGREES] | None


SERIAL_V01_BANDS: Final = (
    TemperatureBand(below_c=30, setpoint_c=None),
    TemperatureBand(below_c=55, setpoint_c=50),
    TemperatureBand(below_c=80, setpoint_c=85),
    TemperatureBand(below_c=1000, setpoint_c=94),
)
SERIAL_V01_UNLOCK_ABOVE_C: Final = 90
"""What the boards of the first SmartSip make of a degree, whatever a profile may say: see `frames`."""


class DeviceProfile(_Facts):
    """The envelope of one kind of device, in terms of what its hardware does rather than what it is asked."""

    name: ProfileName
    min_volume_ml: Annotated[int, _MILLILITRES]
    max_volume_ml: Annotated[int, _MILLILITRES]
    volume_step_ml: Annotated[int, _MILLILITRES]
    bands: Annotated[tuple[TemperatureBand, ...], Field(max_length=100, strict=False)] = ()
    """In rising order, the last one beyond `max_degree_c`. None at all: the device heats to what it is asked."""
    max_degree_c: Annotated[int, _DEGREES] = 100
    """The highest request; what it is executed at, its band says."""
    unlock_above_c: Annotated[int, _DEGREES] | None = None
    """A request above this makes the device release its child lock first; None where it has no such habit."""
    may_unlock: bool = False
    child_cap_c: Annotated[int, _DEGREES]
    """The highest request that is still harmless to a child *as executed*."""
    min_confidence: Annotated[float, _SHARE] = 0.5
    """Below this the model's answer is not acted on."""
    full_from: Annotated[float, _SHARE] = 0.95
    """From this fill level (0 to 1) on a container is full and nothing is poured."""
    serial: Literal["smartsip-v0.1"] | None = None
    """The protocol between the device's two boards, where its frames are to be shown with a command."""
    prompt: PromptRef | None = None
    """What its photos are asked, where neither the request nor the device says."""
    model: ModelRef | None = None
    """Who is asked about them, likewise."""
    source: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    """Where these facts are from."""

    @model_validator(mode="after")
    def _is_safe(self) -> "DeviceProfile":
        faults = [
            *_volume_faults(self),
            *_band_faults(self),
            *_lock_faults(self),
            *_child_faults(self),
            *_serial_faults(self),
        ]
        if faults:
            raise ValidationError.from_exception_data("DeviceProfile", [_as_error(fault) for fault in faults])
        return self

    @property
    def degree_cap_c(self) -> int:
        """The highest degree a command may name when no child is about."""
        if self.may_unlock or self.unlock_above_c is None:
            return self.max_degree_c
        return min(self.max_degree_c, self.unlock_above_c)

    def setpoint_c(self, degree: int) -> int | None:
        """Return the temperature the hardware heats to for a requested degree; None if it pours unheated."""
        for band in self.bands:
            if degree < band.below_c:
                return band.setpoint_c
        return self.bands[-1].setpoint_c if self.bands else degree


def _volume_faults(profile: DeviceProfile) -> Iterator[Fault]:
    smallest, largest, step = profile.min_volume_ml, profile.max_volume_ml, profile.volume_step_ml
    if smallest > largest:
        yield ("max_volume_ml",), f"must not be less than min_volume_ml ({smallest}): this device could pour nothing"
    for name, volume in (("min_volume_ml", smallest), ("max_volume_ml", largest)):
        if volume % step:
            yield (name,), f"must be a multiple of volume_step_ml: this device pours {volume // step * step} ml instead"


def _band_faults(profile: DeviceProfile) -> Iterator[Fault]:
    for number, (before, band) in enumerate(pairwise(profile.bands), start=1):
        if band.below_c <= before.below_c:
            yield (
                ("bands", number, "below_c"),
                f"must be higher than {before.below_c}, where the band before ends: no request would come here",
            )
        if _celsius(band.setpoint_c) < _celsius(before.setpoint_c):
            yield (
                ("bands", number, "setpoint_c"),
                f"must not be colder than the band before ({before.setpoint_c} °C): this device executes a lower"
                " request hotter, so that cutting a request would heat the water",
            )
    if profile.bands and profile.bands[-1].below_c <= profile.max_degree_c:
        yield (
            ("bands", len(profile.bands) - 1, "below_c"),
            f"must be above max_degree_c ({profile.max_degree_c}): nothing says how this device executes what is not"
            " below it",
        )


def _lock_faults(profile: DeviceProfile) -> Iterator[Fault]:
    if profile.may_unlock and profile.unlock_above_c is None:
        yield ("unlock_above_c",), "is needed with may_unlock: above which request does this device release its lock?"
    if profile.unlock_above_c is not None and profile.child_cap_c > profile.unlock_above_c:
        yield (
            ("child_cap_c",),
            f"must not be more than unlock_above_c: above {profile.unlock_above_c} °C this device releases its child"
            " lock",
        )


def _child_faults(profile: DeviceProfile) -> Iterator[Fault]:
    if profile.child_cap_c > profile.max_degree_c:
        yield ("child_cap_c",), f"must not be more than max_degree_c ({profile.max_degree_c})"
    executed = [_celsius(profile.setpoint_c(degree)) for degree in range(profile.child_cap_c + 1)]
    hottest = max(executed)
    if hottest <= CHILD_LIMIT_C:
        return
    harmless = next(degree for degree, celsius in enumerate(executed) if celsius > CHILD_LIMIT_C) - 1
    advice = f"give at most {harmless}" if harmless >= 0 else "this device has no request that is harmless to a child"
    yield (
        ("child_cap_c",),
        f"is too high: this device executes it at up to {hottest} °C, and {CHILD_LIMIT_C} °C is the most for a child;"
        f" {advice}",
    )


def _serial_faults(profile: DeviceProfile) -> Iterator[Fault]:
    """Refuse what the two boards cannot say to each other: then the frames would pour something else."""
    if profile.serial is None:
        return
    line = f"on the serial line {profile.serial}"
    if profile.min_volume_ml < 10:
        yield ("min_volume_ml",), f"must be 10 or more: {line} 1 to 9 ml underflow to 0xFF, which pours 2560 ml"
    if profile.max_volume_ml > 500:
        yield ("max_volume_ml",), f"must be 500 or less: {line} more is sent as 0x0F, which pours 160 ml"
    if profile.volume_step_ml % 10:
        yield ("volume_step_ml",), f"must be a multiple of 10: {line} the last digit of a volume is lost"
    if profile.bands != SERIAL_V01_BANDS:
        executed = ", ".join(
            f"below {band.below_c}: {'unheated' if band.setpoint_c is None else f'{band.setpoint_c} °C'}"
            for band in SERIAL_V01_BANDS
        )
        yield ("bands",), f"must be what this device executes: {line} that is {executed}"
    if profile.unlock_above_c != SERIAL_V01_UNLOCK_ABOVE_C:
        yield (
            ("unlock_above_c",),
            f"must be {SERIAL_V01_UNLOCK_ABOVE_C}: {line} this device releases its child lock above it",
        )


def _celsius(setpoint_c: int | None) -> int:
    """Return a setpoint as a number to compare by: unheated is colder than anything heated."""
    return -1 if setpoint_c is None else setpoint_c


def _as_error(fault: Fault) -> InitErrorDetails:
    path, reason = fault
    return InitErrorDetails(type=PydanticCustomError("unsafe", "{reason}", {"reason": reason}), loc=path, input=None)
