"""From a photo's labels to what people say of it. Total: a label that cannot be read is no label, never an error."""

import math
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from shared.domain.comparison.photos import Truth

LabelValue: TypeAlias = str | int | float | bool
_SPELLED: Final = {"yes": True, "true": True, "no": False, "false": False}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)


def truth_of(labels: Mapping[str, LabelValue]) -> Truth:
    """Return what the labels say.

    Texts that spell a truth (yes, no, true, false, in any case) or a plain number are read as such: labels given with
    an upload can only be texts. A range whose ends are the wrong way round could be met by nothing, and is left out.
    """
    volume_min, volume_max = _range(labels, "volume_min", "volume_max")
    temperature_min, temperature_max = _range(labels, "temperature_min", "temperature_max")
    return Truth(
        can_receive_water=_claim(labels.get("can_receive_water")),
        child_present=_claim(labels.get("child_present")),
        volume_min=volume_min,
        volume_max=volume_max,
        temperature_min=temperature_min,
        temperature_max=temperature_max,
    )


def _claim(value: LabelValue | None) -> bool | None:
    if isinstance(value, bool):
        return value
    return _SPELLED.get(value.strip().lower()) if isinstance(value, str) else None


def _range(labels: Mapping[str, LabelValue], lowest: str, highest: str) -> tuple[float | None, float | None]:
    low, high = _number(labels.get(lowest)), _number(labels.get(highest))
    return (None, None) if low is not None and high is not None and low > high else (low, high)


def _number(value: LabelValue | None) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value := value.strip()) else None
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return number if math.isfinite(number) else None
