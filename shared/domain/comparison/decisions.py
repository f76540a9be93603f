"""What an answer decides about the question that matters most: can this receive water?"""

import math
from typing import Final

import msgspec

from shared.domain.comparison.photos import Truth, Verdict

YES: Final = 0
NO: Final = 1
NEITHER: Final = 2
"""The rows and columns of tables of decisions; of labels too, where neither is not labelled."""
KINDS: Final = 3


class Stand(msgspec.Struct, frozen=True, gc=False):
    """An answer, reduced to what is compared of it: YES, NO or NEITHER, and the command in ml and °C."""

    decision: int
    volume: int
    degree: int


def decision_of(verdict: Verdict) -> bool | None:
    """Return whether the answer takes it that water can be received; None if it says neither, or is no answer.

    What the model says it saw comes first. A plain answer has no word for it: there, wanting to pour is a yes and
    wanting to pour nothing a no. An unusable answer says neither, whatever its parts look like.
    """
    if verdict.outcome != "succeeded" or verdict.is_unusable:
        return None
    if verdict.receivable is not None:
        return verdict.receivable
    asked = verdict.asked_volume
    return None if asked is None or math.isnan(asked) else asked > 0


def stand_of(verdict: Verdict) -> Stand | None:
    """Return where an answer stands; None of a job that has not ended, failed or was cancelled."""
    if verdict.outcome != "succeeded":
        return None
    return Stand(code_of(decision_of(verdict)), verdict.volume, verdict.degree)


def label_of(truth: Truth) -> int:
    """Return the label as YES, NO or NEITHER (not labelled)."""
    return code_of(truth.can_receive_water)


def code_of(claim: bool | None) -> int:
    """Return the row of a decision or a label."""
    return NEITHER if claim is None else NO - claim
