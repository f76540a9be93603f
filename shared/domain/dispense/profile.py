"""What a kind of dispenser can do and may do: the numbers the envelope is made of."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from shared.domain.errors import InvalidRequest


class TemperatureBand(msgspec.Struct, frozen=True):
    """Requests below `below_c` (and at or above the band before) are all executed alike.

    `setpoint_c` is the temperature the heater is set to; None means that it stays off.
    """

    below_c: int
    setpoint_c: int | None


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of one kind of device, in terms of what its hardware does rather than what it is asked."""

    name: str
    min_volume_ml: int
    max_volume_ml: int
    volume_step_ml: int
    bands: tuple[TemperatureBand, ...]
    """In rising order; the last one has no upper end that matters."""
    max_degree_c: int
    unlock_above_c: int
    """A request above this makes the device release its child lock first."""
    may_unlock: bool
    child_cap_c: int
    """The highest request that is still harmless to a child *as executed*."""
    min_confidence: float
    """Below this the model's answer is not acted on."""
    full_from: float
    """From this fill level (0 to 1) on a container is full and nothing is poured."""

    @property
    def degree_cap_c(self) -> int:
        """The highest degree a command may name when no child is about."""
        return self.max_degree_c if self.may_unlock else min(self.max_degree_c, self.unlock_above_c)

    def setpoint_c(self, degree: int) -> int | None:
        """Return the temperature the hardware heats to for a requested degree; None if it pours unheated."""
        for band in self.bands:
            if degree < band.below_c:
                return band.setpoint_c
        return self.bands[-1].setpoint_c


SMARTSIP_V01: Final = DeviceProfile(
    name="smartsip-v0.1",
    min_volume_ml=10,
    max_volume_ml=500,
    volume_step_ml=10,
    bands=(
        TemperatureBand(below_c=30, setpoint_c=None),
        TemperatureBand(below_c=55, setpoint_c=50),
        TemperatureBand(below_c=80, setpoint_c=85),
        TemperatureBand(below_c=1000, setpoint_c=94),
    ),
    max_degree_c=100,
    unlock_above_c=90,
    may_unlock=False,
    child_cap_c=29,
    min_confidence=0.5,
    full_from=0.95,
)
"""The first SmartSip dispenser, as its sketch drives it (FengD/SmartSip 6c4a93b, `transform_json2command`).

Volume: one byte, `volume / 10 - 1`, so steps of 10 ml from 10; 1–9 ml underflow to 0xFF and anything over 500 is sent
as 0x0F, which pours less than 200, hence the range. Temperature: four commands only; the byte beside each reads as its
setpoint (0x32 = 50, 0x55 = 85, 0x5E = 94). The rule "at most 40 °C for a child" therefore cannot be met between 30 and
54, where the heater goes to 50: the cap is 29, which is poured unheated. Above 90 the sketch sends `unlock`, which
releases the child lock of the tap, before it pours. Confidence and fill level are our own choice, not the device's.
"""

PROFILES: Final[Mapping[str, DeviceProfile]] = MappingProxyType({SMARTSIP_V01.name: SMARTSIP_V01})
"""Every profile by name."""


def profile(name: str) -> DeviceProfile:
    """Return the profile of that name.

    Raises:
        InvalidRequest: if there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        known = ", ".join(sorted(PROFILES))
        raise InvalidRequest(
            f"There is no device profile of this name; known: {known}.", field="input.profile"
        ) from None
