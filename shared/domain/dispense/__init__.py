"""From a model's answer about a photo to a command that is safe to execute.

`parse_answer` reads whatever a model said and never fails; `enforce` applies a device's envelope and always returns a
command inside it; `frames` is what the fielded firmware makes of a command. All of it is pure.
"""

from shared.domain.dispense.answer import MAX_RAW_BYTES, Answer, Problem, parse_answer
from shared.domain.dispense.envelope import (
    SAFE,
    Dispense,
    Intervention,
    as_data,
    as_strings,
    enforce,
    pour_nothing,
)
from shared.domain.dispense.frames import frames, hex_frames
from shared.domain.dispense.profile import PROFILES, SMARTSIP_V01, DeviceProfile, TemperatureBand, profile
from shared.domain.dispense.prompt import PROMPT, PROMPT_VERSION, SCHEMA, SCHEMA_NAME

__all__ = [
    "MAX_RAW_BYTES",
    "PROFILES",
    "PROMPT",
    "PROMPT_VERSION",
    "SAFE",
    "SCHEMA",
    "SCHEMA_NAME",
    "SMARTSIP_V01",
    "Answer",
    "DeviceProfile",
    "Dispense",
    "Intervention",
    "Problem",
    "TemperatureBand",
    "as_data",
    "as_strings",
    "enforce",
    "frames",
    "hex_frames",
    "parse_answer",
    "pour_nothing",
    "profile",
]
