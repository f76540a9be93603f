"""What can be concluded from findings, in sentences: never more than the numbers allow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from api.reports.words import UNIT, enumeration, interval, listed, named, percent, plural
from shared.domain.comparison import Findings, Pair, VariantFindings

LEVEL: Final = 0.05
"""A difference counts as real if chance makes one like it less often; shared among the comparisons of the leader with
each other variant (Bonferroni), because of twenty comparisons one is below it by chance."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The variant with most right answers, which are certainly worse than it, and which cannot be told apart."""

    leader: VariantFindings
    worse: Sequence[VariantFindings]
    alike: Sequence[VariantFindings]

    @property
    def is_clear(self) -> bool:
        """Whether it is better than every other one."""
        return bool(self.worse) and not self.alike


def ranking(findings: Findings) -> Ranking | None:
    """Return who is best; None where no answer can be checked."""
    judged = [variant for variant in findings.variants if variant.accuracy.share is not None]
    if not judged:
        return None
    leader = max(judged, key=lambda variant: (variant.accuracy.share or 0, -variant.number))
    others = [variant for variant in judged if variant is not leader]
    worse = [variant for variant in others if _beats(findings, leader, variant, LEVEL / len(others))]
    return Ranking(leader=leader, worse=worse, alike=[variant for variant in others if variant not in worse])


def conclusions(findings: Findings) -> list[str]:
    """Return what one should know first."""
    return [
        *_unfinished(findings),
        *_best(findings),
        *_dangerous(findings),
        *_failed(findings),
    ]


def is_significant(pair: Pair) -> bool:
    """Whether chance alone makes such a difference seldom."""
    return pair.p_value is not None and pair.p_value < LEVEL


def _unfinished(findings: Findings) -> Iterator[str]:
    still_open = sum(variant.open for variant in findings.variants)
    if still_open:
        yield f"Not finished: {plural(still_open, 'answer')} still to come. Every number here may change."


def _best(findings: Findings) -> Iterator[str]:
    ranked = ranking(findings)
    if not findings.labelled:
        yield (
            "None of these photos is labelled with whether it can receive water, so nothing here says which answers "
            "are right."
        )
    if ranked is None:
        return
    leader = ranked.leader
    right = (
        f"right on {leader.accuracy.hits:,} of {plural(leader.accuracy.of, 'labelled photo')}"
        f" ({percent(leader.accuracy.share)}; 95{UNIT}% interval {interval(leader.accuracy)})"
    )
    if not (ranked.worse or ranked.alike):
        yield f"{named(leader.name)} is {right}."
        return
    if ranked.is_clear:
        yield f"{named(leader.name)} is best: {right}. Its lead over every other variant is more than chance."
        return
    yield f"No variant is clearly best. {named(leader.name)} has most right answers: {right}."
    alike = [variant.name for variant in (leader, *ranked.alike)]
    yield f"{listed(alike)} cannot be told apart on these {plural(findings.labelled, 'labelled photo')}."
    if ranked.worse:
        worse = listed([variant.name for variant in ranked.worse])
        yield f"Worse than {named(leader.name)} by more than chance: {worse}."


def _dangerous(findings: Findings) -> Iterator[str]:
    executed = [
        f"{named(variant.name)} on {variant.executed.photos:,} of {plural(variant.executed.of, 'answered photo')}"
        for variant in findings.variants
        if variant.executed.photos
    ]
    tamed = [variant.name for variant in findings.variants if variant.asked.photos and not variant.executed.photos]
    if executed:
        yield f"Dangerous even behind the envelope: {enumeration(executed)}."
    if tamed:
        yield f"Only the envelope keeps these from doing harm: {listed(tamed)}."
    if not executed and any(variant.executed.of for variant in findings.variants):
        yield "No command that would be executed does harm, as far as the labels tell."


def _failed(findings: Findings) -> Iterator[str]:
    failed = [
        f"{named(variant.name)} for {variant.answered.of - variant.answered.hits:,} of"
        f" {plural(variant.answered.of, 'photo')}"
        for variant in findings.variants
        if variant.answered.hits < variant.answered.of
    ]
    if failed:
        yield f"Without an answer: {enumeration(failed)}."


def _beats(findings: Findings, better: VariantFindings, worse: VariantFindings, level: float) -> bool:
    for pair in findings.pairs:
        if {pair.first, pair.second} == {better.number, worse.number} and pair.difference is not None:
            lead = pair.difference if pair.first == better.number else -pair.difference
            return lead > 0 and pair.p_value is not None and pair.p_value < level
    return False
