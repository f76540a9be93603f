"""Two variants of one batch against each other."""

from shared.domain.comparison.decisions import KINDS, Stand
from shared.domain.comparison.findings import Pair
from shared.domain.comparison.intervals import cohens_kappa, share_of
from shared.domain.comparison.matched import Matched
from shared.domain.comparison.photos import Variant


class PairTally:
    """Grows with nothing; what its numbers are over is said in `findings.Pair`."""

    def __init__(self, first: Variant, second: Variant) -> None:
        self._first, self._second = first, second
        self._matched = Matched()
        self._volume_gap = self._degree_gap = self._both_pour = 0

    def add(self, first: Stand, second: Stand, label: int) -> None:
        """Count a photo that both answered."""
        self._matched.add(first, second, label)
        self._volume_gap += abs(first.volume - second.volume)
        if first.volume > 0 and second.volume > 0:
            self._both_pour += 1
            self._degree_gap += abs(first.degree - second.degree)

    def findings(self) -> Pair:
        """Return the numbers so far."""
        table = self._matched.table()
        photos = sum(map(sum, table))
        contest = self._matched.contest()
        return Pair(
            first=self._first.number,
            second=self._second.number,
            photos=photos,
            agreement=share_of(sum(table[kind][kind] for kind in range(KINDS)), photos),
            kappa=cohens_kappa(table),
            first_better=contest.first_better,
            second_better=contest.second_better,
            difference=contest.difference,
            difference_low=contest.low,
            difference_high=contest.high,
            p_value=contest.p_value,
            volume_gap_ml=self._volume_gap / photos if photos else None,
            degree_gap_c=self._degree_gap / self._both_pour if self._both_pour else None,
        )
