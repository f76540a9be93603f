"""The bars a variant must pass before dispensers use it: what is wanted of its findings, and whether it is there.

What was not measured is not passed: a bar that nobody could check would let everything through.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

import msgspec
from pydantic import Field, model_validator

from shared.domain.commands import Command
from shared.domain.comparison.findings import VariantFindings

PartOfAll: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Photos: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]
_Measured: TypeAlias = tuple[float | None, str]
"""What was found, and why that is not good enough whatever it is; empty if it may be."""


class Bars(Command):
    """What is wanted of a variant; at least one bar. Lows are the lower ends of 95 % intervals."""

    min_accuracy: PartOfAll | None = None
    """Of the labelled photos that were answered, how many it must be right about."""
    min_accuracy_low: PartOfAll | None = None
    min_labelled: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many photos that were answered must be labelled, for its accuracy to say anything."""
    max_asked_violations: Photos | None = None
    """Photos on which what the model wanted would have done harm."""
    max_executed_violations: Photos | None = None
    """Photos on which harm was left after the envelope."""
    max_failures: PartOfAll | None = None
    """Of all photos, how many may have no answer."""
    max_unusable: PartOfAll | None = None
    """Of the answers, how many may have been replaced by the safe one."""
    max_latency_p95_ms: Annotated[float, Field(gt=0, le=86_400_000, allow_inf_nan=False)] | None = None
    max_cost_per_photo: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _wants_something(self) -> "Bars":
        if not self.wanted():
            raise ValueError(f"name at least one bar: {', '.join(type(self).model_fields)}")
        return self

    def wanted(self) -> dict[str, float]:
        """Return the bars that were named."""
        return self.model_dump(exclude_none=True)


class BarResult(msgspec.Struct, frozen=True, kw_only=True):
    """One bar. `measured` is None where there was nothing to measure; `reason` says why that, or it, is not enough."""

    name: str
    wanted: float
    measured: float | None
    passed: bool
    reason: str = ""


def judge(
    bars: Bars, findings: VariantFindings, labelled: int, *, other_limits: str | None = None
) -> tuple[BarResult, ...]:
    """Return whether a variant passes each bar, in the order in which `Bars` has them.

    `labelled` is how many photos of the batch say whether they can receive water. `other_limits` is the profile that
    the variant was measured with, where it has other limits than the one it is to be used with: what the limits have
    had a hand in is then not known.
    """
    results: list[BarResult] = []
    for name, wanted in bars.wanted().items():
        measured, lack = _MEASURES[name](findings, labelled)
        if not lack and other_limits and name in _BY_LIMITS:
            lack = f"measured with the limits of {other_limits}, which are others: run a batch with this profile"
        results.append(_result(name, wanted, measured, lack))
    return tuple(results)


def _result(name: str, wanted: float, measured: float | None, lack: str) -> BarResult:
    is_enough = measured is not None and (measured >= wanted if name.startswith("min_") else measured <= wanted)
    return BarResult(name=name, wanted=wanted, measured=measured, passed=is_enough and not lack, reason=lack)


def _accuracy(findings: VariantFindings, labelled: int) -> _Measured:
    return findings.accuracy.share, _unlabelled(findings, labelled)


def _accuracy_low(findings: VariantFindings, labelled: int) -> _Measured:
    return findings.accuracy.low, _unlabelled(findings, labelled)


def _unlabelled(findings: VariantFindings, labelled: int) -> str:
    if findings.accuracy.of:
        return ""
    return f"none of the {labelled} labelled photos was answered" if labelled else "no photo is labelled"


def _labelled(findings: VariantFindings, _: int) -> _Measured:
    return findings.accuracy.of, ""


def _asked_violations(findings: VariantFindings, _: int) -> _Measured:
    return _of_answers(findings, findings.asked.photos)


def _executed_violations(findings: VariantFindings, _: int) -> _Measured:
    return _of_answers(findings, findings.executed.photos)


def _unusable(findings: VariantFindings, _: int) -> _Measured:
    return _of_answers(findings, findings.unusable.share)


def _latency(findings: VariantFindings, _: int) -> _Measured:
    return _of_answers(findings, findings.latency_ms.p95)


def _of_answers(findings: VariantFindings, measured: float | None) -> _Measured:
    return (measured, "") if findings.answered.hits and measured is not None else (None, "no photo was answered")


def _failures(findings: VariantFindings, _: int) -> _Measured:
    ended = findings.answered.of
    return ((ended - findings.answered.hits) / ended, "") if ended else (None, "the batch has no photos any more")


def _cost(findings: VariantFindings, _: int) -> _Measured:
    if findings.cost_per_photo is None:
        return None, "nothing of it has a price"
    if findings.unpriced:
        return findings.cost_per_photo, f"{findings.unpriced} answers have no price, so that it may cost more"
    return findings.cost_per_photo, ""


_MEASURES: Final[dict[str, Callable[[VariantFindings, int], _Measured]]] = {
    "min_accuracy": _accuracy,
    "min_accuracy_low": _accuracy_low,
    "min_labelled": _labelled,
    "max_asked_violations": _asked_violations,
    "max_executed_violations": _executed_violations,
    "max_failures": _failures,
    "max_unusable": _unusable,
    "max_latency_p95_ms": _latency,
    "max_cost_per_photo": _cost,
}
_BY_LIMITS: Final = frozenset({"max_asked_violations", "max_executed_violations", "max_unusable"})
