"""The safety envelope: the last word on every command, after the model and before anything leaves.

`enforce` is total: for every answer and every profile it returns a command that the hardware executes safely. Its
rules, in order: an answer that cannot be trusted pours nothing; a container that cannot take water gets none; the
volume is cut to the profile's range and steps, downwards; the degree is cut to what this hardware may execute, lower
if a child is or may be about; and what pours nothing heats nothing.
"""

import math
import re
from typing import Any, Final

import msgspec

from shared.domain.dispense.answer import Answer, Given
from shared.domain.dispense.built_in import SMARTSIP_V01
from shared.domain.dispense.frames import hex_frames
from shared.domain.dispense.profile import CHILD_LIMIT_C, DeviceProfile
from shared.domain.dispense.quantities import read_words

NO_CONTAINER: Final = "none"
_FOR_CHILDREN: Final = re.compile(
    r"\b(?:child(?:ren)?s?|kids?|bab(?:y|ies)|infants?|toddlers?|nursing|feeding|sippy|pacifier)\b", re.IGNORECASE
)
"""Words that name a child's thing. Only ever used to lower a temperature: plain answers have no field for it."""


class Intervention(msgspec.Struct, frozen=True):
    """One thing the envelope changed, and why, for people to read."""

    field: str
    was: Given
    now: int
    reason: str


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says it saw; None is unknown or was not asked."""

    contents: str = ""
    receivable: bool | None = None
    child_present: bool | None = None
    fill_level: float | None = None
    confidence: float | None = None


class Dispense(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is safe to execute, and how it came about.

    `is_safe_default` says that the answer could not be trusted, as opposed to a model that decided to pour nothing.
    `raw` is the beginning of the model's own words, `frames` what the fielded firmware sends for this command (none
    where the profile names no serial protocol), `prompt` which version of which prompt was asked.
    """

    volume: int
    degree: int
    type: str
    profile: str
    is_safe_default: bool
    interventions: list[Intervention] = []
    frames: list[str] = []
    raw: str = ""
    observed: Observation | None = None
    prompt: str = ""


SAFE: Final = Dispense(
    volume=0, degree=0, type=NO_CONTAINER, profile=SMARTSIP_V01.name, is_safe_default=True, interventions=[]
)
"""The command that does nothing."""


def pour_nothing(reason: str, profile: DeviceProfile = SMARTSIP_V01, *, raw: str = "") -> Dispense:
    """Return the command that does nothing, for an answer that failed or came too late."""
    return Dispense(
        volume=0,
        degree=0,
        type=NO_CONTAINER,
        profile=profile.name,
        is_safe_default=True,
        interventions=[Intervention("volume", None, 0, reason)],
        raw=raw,
    )


def enforce(answer: Answer, profile: DeviceProfile, *, prompt: str = "") -> Dispense:
    """Return the command this profile allows for an answer; total, and never outside the envelope.

    A full answer that leaves out whether a child is present is treated as if one were. A plain answer, whose model was
    never asked, is taken as it is unless its words name a child's thing.
    """
    distrust = _distrust(answer, profile)
    refusal = distrust or _refusal(answer, profile)
    volume, cut = (0, refusal) if refusal else _fit_volume(answer.volume_ml or 0.0, profile)
    degree, cap = (0, "nothing is poured, so nothing is heated") if volume == 0 else _fit_degree(answer, profile)
    given = answer.given
    was_volume, was_degree = given.get("volume"), given.get("degree")
    interventions: list[Intervention] = []
    if distrust or not _says(was_volume, answer.volume_ml, volume):
        interventions.append(Intervention("volume", was_volume, volume, cut))
    if not _says(was_degree, answer.degree_c, degree):
        interventions.append(Intervention("degree", was_degree, degree, cap))
    return Dispense(
        volume=volume,
        degree=degree,
        type=read_words(answer.container) or NO_CONTAINER,
        profile=profile.name,
        is_safe_default=bool(distrust),
        interventions=interventions,
        frames=hex_frames(volume, degree) if profile.serial else [],
        raw=answer.raw,
        observed=_observation(answer),
        prompt=prompt,
    )


def as_strings(dispense: Dispense) -> dict[str, str]:
    """Return the three fields of the fielded firmware, as strings: its web page ignores numbers."""
    return {"volume": str(dispense.volume), "degree": str(dispense.degree), "type": dispense.type}


def as_data(dispense: Dispense) -> dict[str, Any]:
    """Return the command as plain JSON data, as `events.Result` carries it."""
    return msgspec.to_builtins(dispense)


def _observation(answer: Answer) -> Observation:
    return Observation(
        contents=read_words(answer.contents),
        receivable=answer.receivable,
        child_present=answer.child_present,
        fill_level=answer.fill_level,
        confidence=answer.confidence,
    )


def _distrust(answer: Answer, profile: DeviceProfile) -> str:
    """Say why the answer cannot be acted on at all; empty if it can.

    An unknown `child_present` is left to `_fit_degree`, which assumes a child; everything else that is unknown stops
    the water. An answer of 0 ml needs nothing else to be believed.
    """
    if answer.volume_ml == 0:
        return ""
    problems = [problem.reason for problem in answer.problems if problem.field != "child_present"]
    if problems:
        return "the answer is not usable: " + ", ".join(problems)
    needed = [answer.volume_ml, answer.degree_c]
    if not answer.is_plain:
        needed += [answer.receivable, answer.fill_level, answer.confidence]
    if any(value is None or not math.isfinite(value) for value in needed):
        return "the answer is not usable: a value is missing"
    if not answer.is_plain and (answer.confidence or 0.0) < profile.min_confidence:
        return f"the model is not sure enough (confidence {answer.confidence}, needed {profile.min_confidence})"
    return ""


def _refusal(answer: Answer, profile: DeviceProfile) -> str:
    """Say why this container gets no water; empty if it does."""
    if answer.is_plain:
        return ""
    if not answer.receivable:
        return "nothing here can receive water"
    if (answer.fill_level or 0.0) >= profile.full_from:
        return "the container is full, or it cannot be seen how full it is"
    return ""


def _fit_volume(wished_ml: float, profile: DeviceProfile) -> tuple[int, str]:
    if wished_ml > profile.max_volume_ml:
        return profile.max_volume_ml, f"this device pours at most {profile.max_volume_ml} ml"
    step = profile.volume_step_ml
    volume = math.floor(wished_ml / step) * step
    if volume < profile.min_volume_ml:
        return 0, f"this device cannot pour less than {profile.min_volume_ml} ml"
    return volume, f"this device pours in steps of {step} ml"


def _fit_degree(answer: Answer, profile: DeviceProfile) -> tuple[int, str]:
    wished = max(math.floor(answer.degree_c or 0.0), 0)
    if wished > profile.child_cap_c and (child := _child(answer)):
        return profile.child_cap_c, f"{child}: at most {profile.child_cap_c} °C, {_why_not_hotter(profile)}"
    if wished > profile.degree_cap_c:
        why = "more would release its child lock" if profile.degree_cap_c < profile.max_degree_c else "its highest"
        return profile.degree_cap_c, f"at most {profile.degree_cap_c} °C on this device: {why}"
    return wished, "whole degrees from 0, rounded down"


def _why_not_hotter(profile: DeviceProfile) -> str:
    executed = profile.setpoint_c(profile.child_cap_c + 1)
    if executed is None or executed <= CHILD_LIMIT_C:
        return "as its profile says"
    return f"because this device executes more as {executed} °C or hotter"


def _child(answer: Answer) -> str:
    """Say why a child must be assumed; empty if none must."""
    if answer.child_present:
        return "a child or a child's thing is in the picture"
    if answer.child_present is None and not answer.is_plain:
        return "the answer does not say whether a child is present"
    named = _FOR_CHILDREN.search(f"{answer.container} {answer.contents}")
    return f"the container is called {named.group().lower()!r}" if named else ""


def _says(given: Given, read: float | None, now: int) -> bool:
    """Whether the model's own value and the command's agree, so that nobody needs to be told of a change."""
    return read == now or (given is None and now == 0)
