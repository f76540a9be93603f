"""The profiles that every server has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.domain.dispense.profile import SERIAL_V01_BANDS, SERIAL_V01_UNLOCK_ABOVE_C, DeviceProfile

SMARTSIP_V01: Final = DeviceProfile(
    name="smartsip-v0.1",
    min_volume_ml=10,
    max_volume_ml=500,
    volume_step_ml=10,
    bands=SERIAL_V01_BANDS,
    max_degree_c=100,
    unlock_above_c=SERIAL_V01_UNLOCK_ABOVE_C,
    may_unlock=False,
    child_cap_c=29,
    min_confidence=0.5,
    full_from=0.95,
    serial="smartsip-v0.1",
    source="FengD/SmartSip 6c4a93b, smartsip.ino, transform_json2command; confidence and fill level are our choice",
)
"""The first SmartSip dispenser, as its sketch drives it (FengD/SmartSip 6c4a93b, `transform_json2command`).

Volume: one byte, `volume / 10 - 1`, so steps of 10 ml from 10; 1–9 ml underflow to 0xFF and anything over 500 is sent
as 0x0F, which pours less than 200, hence the range. Temperature: four commands only; the byte beside each reads as its
setpoint (0x32 = 50, 0x55 = 85, 0x5E = 94). The rule "at most 40 °C for a child" therefore cannot be met between 30 and
54, where the heater goes to 50: the cap is 29, which is poured unheated. Above 90 the sketch sends `unlock`, which
releases the child lock of the tap, before it pours. Confidence and fill level are our own choice, not the device's.
"""

PROFILES: Final[Mapping[str, DeviceProfile]] = MappingProxyType({SMARTSIP_V01.name: SMARTSIP_V01})
"""Every built-in profile by name; owners and the configuration add theirs."""
DEFAULT_PROFILE: Final = SMARTSIP_V01.name
