"""What the load generator is told, and what it tells back: the two files each of its runs reads and writes."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

WorkKind: TypeAlias = Literal["streams", "photos", "submissions", "touches", "device posts"]
Target: TypeAlias = Literal["direct", "system"]


class DeviceKeys(msgspec.Struct, frozen=True):
    """What is compiled into one registered device."""

    address: str
    """With `/d/` and the device's token at its end."""
    access_key: str
    secret_key: str

    @property
    def token(self) -> str:
        """What newer firmware shows as a Bearer token."""
        return self.address.rpartition("/")[2]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `in_flight` clients, each on its own connection, each doing one piece of work after the other.

    They stop when `count` pieces were begun, or when `warm_up_s + measured_s` are over: exactly one of the two is
    given. The first pieces are spread over `start_within_s`. With `every_s` a client begins a piece every so many
    seconds, whether or not the last was answered quickly (an open loop), and the pieces of all are spread evenly.
    """

    work: WorkKind
    target: Target
    port: int
    token: str
    model: str
    in_flight: int
    count: int | None = None
    start_within_s: float = 0.0
    warm_up_s: float = 0.0
    measured_s: float | None = None
    every_s: float | None = None
    devices: Sequence[DeviceKeys] = ()
    """One for each client, where the work is that of devices at the system."""
    give_up_s: float = 60.0


class Measured(msgspec.Struct, kw_only=True):
    """One run's outcome. Figures are named `what_unit.which`, as in `first_token_ms.p99`."""

    begun: int
    whole: int
    problems: dict[str, int]
    """What was wrong with those that are not whole, and how often."""
    figures: dict[str, float]
    samples: dict[str, list[float]]
    cpu_s: dict[str, float]
    """Processor time of each part while this ran."""
