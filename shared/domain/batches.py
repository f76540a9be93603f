"""The vocabulary of batches: their states, and a variant as it is frozen when it is added."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shared.domain.commands import Command, ModelRef, Parameters, PromptWords
from shared.domain.dispense import DEFAULT_PROFILE, DEFAULT_PROMPT, AnswerForm, DeviceProfile, ProfileName

MAX_PHOTOS: Final = 100_000
MAX_VARIANTS: Final = 20
MAX_IDS: Final = 10_000


class BatchState(StrEnum):
    """`completed` may run again: with another variant, or what failed once more."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """Of one photo with one variant. `running` has a job, which may still wait; `deleted` has no photo any more."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class VariantSpec(Command):
    """What each of a variant's jobs carries beside its photo; as in `VisionTask`, built-in texts are left out."""

    model: ModelRef
    parameters: Parameters = Parameters()
    prompt: str = DEFAULT_PROMPT
    prompt_text: PromptWords | None = None
    form: Annotated[AnswerForm, Field(strict=False)] = AnswerForm.FULL
    profile: ProfileName = DEFAULT_PROFILE
    envelope: DeviceProfile | None = None
