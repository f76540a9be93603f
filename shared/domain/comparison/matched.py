"""Two ways of asking over the same photos: what both decided, beside the label."""

from typing import NamedTuple

from shared.domain.comparison.decisions import KINDS, NEITHER, NO, YES, Stand
from shared.domain.comparison.intervals import mcnemar_p, paired_difference


class Contest(NamedTuple):
    """Who got right what the other did not, and how sure that is; None without labelled photos."""

    first_better: int
    second_better: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


class Matched:
    """Counts photos that both answered, by label and the two decisions."""

    def __init__(self) -> None:
        self._counts = [0] * (KINDS * KINDS * KINDS)

    def add(self, first: Stand, second: Stand, label: int) -> None:
        """Count a photo that both answered; `label` as `decisions.label_of` reads it."""
        self._counts[(label * KINDS + first.decision) * KINDS + second.decision] += 1

    def table(self) -> list[list[int]]:
        """Return the photos by the first's decision (rows) and the second's (columns)."""
        kinds = range(KINDS)
        return [[sum(self._count(label, row, column) for label in kinds) for column in kinds] for row in kinds]

    def contest(self) -> Contest:
        """Return how the two compare on the labelled photos."""
        first_better = self._only_right(0)
        second_better = self._only_right(1)
        labelled = sum(self._counts[: NEITHER * KINDS * KINDS])
        if labelled == 0:
            return Contest(0, 0, None, None, None, None)
        return Contest(
            first_better,
            second_better,
            *paired_difference(first_better, second_better, labelled),
            mcnemar_p(first_better, second_better),
        )

    def _only_right(self, place: int) -> int:
        """Count the labelled photos that only the first (0) or only the second (1) got right."""
        wrong = [(label, other) for label in (YES, NO) for other in range(KINDS) if other != label]
        return sum(
            self._count(label, label, other) if place == 0 else self._count(label, other, label)
            for label, other in wrong
        )

    def _count(self, label: int, first: int, second: int) -> int:
        return self._counts[(label * KINDS + first) * KINDS + second]
