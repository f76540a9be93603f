"""How variants of asking compare over the same photos. Pure: photos go in one by one, findings come out."""

from shared.domain.comparison.compare import Comparison
from shared.domain.comparison.decisions import decision_of
from shared.domain.comparison.findings import (
    Change,
    ChangedPhoto,
    Confusion,
    Disputed,
    Findings,
    Mistaken,
    Pair,
    Share,
    Spread,
    VariantFindings,
    Violations,
)
from shared.domain.comparison.intervals import share_of
from shared.domain.comparison.photos import Compared, Outcome, Truth, Variant, Verdict
from shared.domain.comparison.truth import LabelValue, truth_of

__all__ = [
    "Change",
    "ChangedPhoto",
    "Compared",
    "Comparison",
    "Confusion",
    "Disputed",
    "Findings",
    "LabelValue",
    "Mistaken",
    "Outcome",
    "Pair",
    "Share",
    "Spread",
    "Truth",
    "Variant",
    "VariantFindings",
    "Verdict",
    "Violations",
    "decision_of",
    "share_of",
    "truth_of",
]
