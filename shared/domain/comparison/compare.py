"""The whole comparison: photos go in one by one, findings come out.

Memory does not grow with the photos beyond one latency per answer. It is plain computing: feed it in a thread.
"""

from collections.abc import Sequence
from itertools import combinations

from shared.domain.comparison.changes import ChangeTally, counterpart
from shared.domain.comparison.decisions import NEITHER, label_of, stand_of
from shared.domain.comparison.disputes import Disputes
from shared.domain.comparison.findings import Findings
from shared.domain.comparison.mistakes import Mistakes
from shared.domain.comparison.pairs import PairTally
from shared.domain.comparison.photos import Compared, Variant, Verdict
from shared.domain.comparison.tally import Tally


class Comparison:
    """Compares variants over photos, and each with its counterpart among the `earlier` ones of another batch.

    `disputed` (of the mistaken ones, too) and `examples` (per variant) are how many photos the findings show at most.
    """

    def __init__(
        self, variants: Sequence[Variant], *, earlier: Sequence[Variant] = (), disputed: int = 30, examples: int = 20
    ) -> None:
        self._photos = self._labelled = 0
        self._tallies = [Tally(variant) for variant in variants]
        self._pairs = [
            (first, second, PairTally(variants[first], variants[second]))
            for first, second in combinations(range(len(variants)), 2)
        ]
        self._disputes = Disputes(variants, disputed)
        self._mistakes = Mistakes(variants, disputed)
        places = [counterpart(variant, earlier) for variant in variants]
        self._changes = [
            (number, place, ChangeTally(variants[number], earlier[place], examples))
            for number, place in enumerate(places)
            if place is not None
        ]
        self._unmatched = tuple(
            variant.name for variant, place in zip(variants, places, strict=True) if earlier and place is None
        )

    def add(self, photo: Compared, before: Sequence[Verdict | None] = ()) -> None:
        """Count a photo; each has a position of its own, the order they come in does not matter.

        `before` has what the earlier variants made of the same photo, in their order (None: nothing), or is empty if
        the photo was not in the earlier batch.

        Raises:
            ValueError: if there are not as many verdicts as variants.
        """
        label = label_of(photo.truth)
        stands = [stand_of(verdict) for verdict in photo.verdicts]
        for tally, verdict, stand in zip(self._tallies, photo.verdicts, stands, strict=True):
            tally.add(verdict, stand, truth=photo.truth, label=label)
        self._photos += 1
        self._labelled += label != NEITHER
        for first, second, pair in self._pairs:
            one, other = stands[first], stands[second]
            if one is not None and other is not None:
                pair.add(one, other, label)
        self._disputes.add(photo, [stand for stand in stands if stand is not None])
        self._mistakes.add(photo, stands, label)
        if not before:
            return
        for number, place, change in self._changes:
            verdict, now = before[place], stands[number]
            was = stand_of(verdict) if verdict is not None else None
            if verdict is not None and was is not None and now is not None:
                change.add(photo, (was, verdict), (now, photo.verdicts[number]), label=label)

    def findings(self) -> Findings:
        """Return what was found so far."""
        return Findings(
            photos=self._photos,
            labelled=self._labelled,
            variants=tuple(tally.findings() for tally in self._tallies),
            pairs=tuple(pair.findings() for _, _, pair in self._pairs),
            disputed=self._disputes.findings(),
            never_right=self._mistakes.never_right,
            mistaken=self._mistakes.findings(),
            changes=tuple(change.findings() for _, _, change in self._changes),
            unmatched=self._unmatched,
        )
