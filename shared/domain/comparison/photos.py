"""What a comparison reads: a photo, what people say of it, and what each variant made of it."""

from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from shared.domain.dispense import DeviceProfile

Outcome: TypeAlias = Literal["open", "succeeded", "failed", "cancelled"]
"""What became of one photo with one variant; `open` has not ended."""


class Truth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people say of a photo, in its labels of these names; None is not labelled.

    Volumes are in millilitres, temperatures in °C; a range may have one end.
    """

    can_receive_water: bool | None = None
    child_present: bool | None = None
    volume_min: float | None = None
    volume_max: float | None = None
    temperature_min: float | None = None
    temperature_max: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one variant made of one photo.

    `volume` (ml) and `degree` (°C, as requested of the device) are the command after the envelope, `asked_volume` and
    `asked_degree` what the model itself wanted (None: it named none that can be read). `receivable` and `child_present`
    are what it says it saw (None: it did not say). `interventions` are the fields the envelope changed; `is_unusable`
    says that the answer was replaced by the safe one. `error` is the code of what failed.
    """

    outcome: Outcome
    error: str | None = None
    receivable: bool | None = None
    child_present: bool | None = None
    container: str = ""
    contents: str = ""
    volume: int = 0
    degree: int = 0
    asked_volume: float | None = None
    asked_degree: float | None = None
    interventions: tuple[str, ...] = ()
    is_unusable: bool = False
    latency_ms: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One photo of a batch, with a verdict per variant in the variants' order; `name` is for people."""

    position: int
    image_id: UUID
    name: str
    truth: Truth
    verdicts: tuple[Verdict, ...]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way of asking: a model, a prompt and a device's profile, under a name that is its own within a batch."""

    number: int
    name: str
    model: str
    prompt: str
    profile: DeviceProfile
