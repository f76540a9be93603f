"""Variants, verdicts and photos for comparisons, with what a test does not care about filled in."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from shared.domain.comparison import Compared, Truth, Variant, Verdict
from shared.domain.dispense import SMARTSIP_V01, DeviceProfile

FAILED = Verdict(outcome="failed", error="provider_timeout")
OPEN = Verdict(outcome="open")
UNUSABLE = Verdict(outcome="succeeded", is_unusable=True, interventions=("volume",))
ABLE, UNABLE, UNLABELLED = Truth(can_receive_water=True), Truth(can_receive_water=False), Truth()


def variant(
    number: int, name: str = "", *, model: str = "", prompt: str = "p@1", profile: DeviceProfile = SMARTSIP_V01
) -> Variant:
    name = name or f"variant {number}"
    return Variant(number=number, name=name, model=model or name, prompt=prompt, profile=profile)


def pours(volume: int, degree: int = 20, **facts: Any) -> Verdict:
    """A model that saw something to pour into, and whose wish the envelope let through."""
    return _answer(volume, degree, {"receivable": True} | facts)


def refuses(**facts: Any) -> Verdict:
    return _answer(0, 0, {"receivable": False} | facts)


def compared(position: int, truth: Truth, *verdicts: Verdict) -> Compared:
    return Compared(
        position=position, image_id=image_id(position), name=f"{position}.jpg", truth=truth, verdicts=verdicts
    )


def image_id(position: int) -> UUID:
    return UUID(int=position + 1)


def profile(**facts: Any) -> DeviceProfile:
    """A device without bands or lock: it heats to what it is asked."""
    return DeviceProfile.model_validate(
        {"name": "plain", "min_volume_ml": 1, "max_volume_ml": 300, "volume_step_ml": 1, "child_cap_c": 35} | facts
    )


def rounded(value: object) -> Any:
    """Plain data with four decimals, to compare with numbers worked out by hand."""
    return _rounded(msgspec.to_builtins(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _answer(volume: int, degree: int, facts: Mapping[str, Any]) -> Verdict:
    wish: dict[str, Any] = {"asked_volume": float(volume), "asked_degree": float(degree)}
    return Verdict(outcome="succeeded", volume=volume, degree=degree, **{**wish, **facts})
