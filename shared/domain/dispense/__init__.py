"""From a model's answer about a photo to a command that is safe to execute.

`parse_answer` reads whatever a model said and never fails; `enforce` applies a device's envelope and always returns a
command inside it; `frames` is what the fielded firmware makes of a command. All of it is pure.
"""

from shared.domain.dispense.answer import MAX_RAW_BYTES, Answer, Problem, parse_answer
from shared.domain.dispense.built_in import DEFAULT_PROFILE, PROFILES, SMARTSIP_V01
from shared.domain.dispense.envelope import (
    SAFE,
    Dispense,
    Intervention,
    Observation,
    as_data,
    as_strings,
    enforce,
    pour_nothing,
)
from shared.domain.dispense.frames import frames, hex_frames
from shared.domain.dispense.profile import DeviceProfile, ProfileName, TemperatureBand
from shared.domain.dispense.prompt import (
    BUILT_IN_PROMPTS,
    BUILT_IN_REFERENCES,
    DEFAULT_PROMPT,
    INLINE,
    SCHEMA,
    SCHEMAS,
    AnswerForm,
    PromptName,
    PromptRef,
    PromptText,
    StoredPrompt,
    split_ref,
)

__all__ = [
    "BUILT_IN_PROMPTS",
    "BUILT_IN_REFERENCES",
    "DEFAULT_PROFILE",
    "DEFAULT_PROMPT",
    "INLINE",
    "MAX_RAW_BYTES",
    "PROFILES",
    "SAFE",
    "SCHEMA",
    "SCHEMAS",
    "SMARTSIP_V01",
    "Answer",
    "AnswerForm",
    "DeviceProfile",
    "Dispense",
    "Intervention",
    "Observation",
    "Problem",
    "ProfileName",
    "PromptName",
    "PromptRef",
    "PromptText",
    "StoredPrompt",
    "TemperatureBand",
    "as_data",
    "as_strings",
    "enforce",
    "frames",
    "hex_frames",
    "parse_answer",
    "pour_nothing",
    "split_ref",
]
