"""What the load generator is told, and what it tells back: the two files each of its runs reads and writes."""

from typing import Literal, TypeAlias

import msgspec

WorkKind: TypeAlias = Literal["streams", "photos", "submissions"]
Target: TypeAlias = Literal["direct", "system"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `in_flight` clients, each on its own connection, each doing one piece of work after the other.

    They stop when `count` pieces were begun, or when `warm_up_s + measured_s` are over: exactly one of the two is
    given. The first pieces are spread over `start_within_s`.
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
