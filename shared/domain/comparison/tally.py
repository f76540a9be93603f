"""One variant's numbers, from its verdicts one by one; what they are over is said in `findings`."""

from array import array
from collections import Counter
from typing import Final

from shared.domain.comparison.decisions import KINDS, NEITHER, NO, YES, Stand
from shared.domain.comparison.findings import Confusion, Share, Spread, VariantFindings
from shared.domain.comparison.intervals import nearest_rank, share_of
from shared.domain.comparison.photos import Truth, Variant, Verdict
from shared.domain.comparison.violations import Harm, is_child_about

_PER_UNIT: Final = 1_000_000_000  # costs are kept to nine places; whole numbers add up alike in any order


class Tally:
    """Grows by one latency per answer, and by nothing else."""

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._open = self._answered = self._intervened = self._unusable = 0
        self._failures: Counter[str] = Counter()
        self._decisions = [0] * (KINDS * KINDS)
        self._volume, self._temperature = _Within(), _Within()
        self._asked, self._executed = Harm(variant.profile), Harm(variant.profile)
        self._latencies = array("i")
        self._input_tokens = self._output_tokens = 0
        self._cost, self._answers_cost = _Cost(), _Cost()

    def add(self, verdict: Verdict, stand: Stand | None, *, truth: Truth, label: int) -> None:
        """Count a photo's verdict; `stand` and `label` are its own as `decisions` reads them."""
        if verdict.outcome == "open":
            self._open += 1
            return
        self._input_tokens += verdict.input_tokens
        self._output_tokens += verdict.output_tokens
        self._cost.add(verdict.cost)
        if stand is None:
            self._failures[verdict.error or verdict.outcome] += 1
            return
        self._decisions[label * KINDS + stand.decision] += 1
        self._add_answer(verdict, truth)

    def findings(self) -> VariantFindings:
        """Return the numbers so far."""
        variant, answered = self._variant, self._answered
        confusion = self._confusion()
        right = confusion.yes_yes + confusion.no_no
        priced = self._answers_cost
        return VariantFindings(
            number=variant.number,
            name=variant.name,
            model=variant.model,
            prompt=variant.prompt,
            profile=variant.profile.name,
            open=self._open,
            answered=share_of(answered, answered + self._failures.total()),
            accuracy=share_of(right, sum(self._decisions[: NEITHER * KINDS])),
            confusion=confusion,
            volume_in_range=self._volume.share(),
            temperature_in_range=self._temperature.share(),
            asked=self._asked.violations(),
            executed=self._executed.violations(),
            intervened=share_of(self._intervened, answered),
            unusable=share_of(self._unusable, answered),
            failures=dict(sorted(self._failures.items(), key=lambda failure: (-failure[1], failure[0]))),
            latency_ms=self._spread(),
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            cost=self._cost.total(),
            cost_per_photo=priced.mean(),
            unpriced=answered - priced.count,
        )

    def _add_answer(self, verdict: Verdict, truth: Truth) -> None:
        self._answered += 1
        self._intervened += bool(verdict.interventions)
        self._unusable += verdict.is_unusable
        self._answers_cost.add(verdict.cost)
        if verdict.latency_ms is not None:
            self._latencies.append(verdict.latency_ms)
        self._volume.add(verdict.volume, truth.volume_min, truth.volume_max)
        if verdict.volume > 0:
            self._temperature.add(verdict.degree, truth.temperature_min, truth.temperature_max)
        child = is_child_about(verdict, truth)
        self._asked.add(verdict.asked_volume, verdict.asked_degree, truth=truth, is_child_about=child)
        self._executed.add(verdict.volume, verdict.degree, truth=truth, is_child_about=child)

    def _confusion(self) -> Confusion:
        yes, no = self._decisions[YES * KINDS :], self._decisions[NO * KINDS :]
        return Confusion(
            yes_yes=yes[YES],
            yes_no=yes[NO],
            yes_none=yes[NEITHER],
            no_yes=no[YES],
            no_no=no[NO],
            no_none=no[NEITHER],
        )

    def _spread(self) -> Spread:
        ordered = sorted(self._latencies)
        return Spread(p50=nearest_rank(ordered, 50), p95=nearest_rank(ordered, 95))


class _Within:
    """How many of the values that have a range are in it, ends included."""

    def __init__(self) -> None:
        self._hits = self._of = 0

    def add(self, value: int, low: float | None, high: float | None) -> None:
        if low is None and high is None:
            return
        self._of += 1
        self._hits += (low is None or value >= low) and (high is None or value <= high)

    def share(self) -> Share:
        return share_of(self._hits, self._of)


class _Cost:
    """What was paid where a price is known."""

    def __init__(self) -> None:
        self.count = self._sum = 0

    def add(self, cost: float | None) -> None:
        if cost is not None:
            self.count += 1
            self._sum += round(cost * _PER_UNIT)

    def total(self) -> float | None:
        return self._sum / _PER_UNIT if self.count else None

    def mean(self) -> float | None:
        return self._sum / (_PER_UNIT * self.count) if self.count else None
