"""A variant against its counterpart in an earlier batch, photo by photo.

Nothing of the earlier batch is kept here: whoever reads the photos hands in what became of each then beside what
became of it now.
"""

from collections.abc import Sequence
from typing import Final

from shared.domain.comparison.decisions import NEITHER, Stand
from shared.domain.comparison.disputes import Scale
from shared.domain.comparison.findings import Change, ChangedPhoto
from shared.domain.comparison.foremost import Foremost
from shared.domain.comparison.matched import Matched
from shared.domain.comparison.photos import Compared, Variant, Verdict

_BROKEN: Final = 3
_MENDED: Final = 2
_DECIDED_OTHERWISE: Final = 1


def counterpart(variant: Variant, earlier: Sequence[Variant]) -> int | None:
    """Return the place among the earlier variants of the one to compare with; None if there is none.

    That is the one of the same name; failing that, the only one with the same model and prompt.
    """
    for place, other in enumerate(earlier):
        if other.name == variant.name:
            return place
    alike = [
        place for place, other in enumerate(earlier) if (other.model, other.prompt) == (variant.model, variant.prompt)
    ]
    return alike[0] if len(alike) == 1 else None


class ChangeTally:
    """Keeps `examples` photos, and otherwise counts.

    Examples are what was broken first, then what was mended, then other decisions that changed, then other commands;
    among those the ones whose commands are furthest apart.
    """

    def __init__(self, variant: Variant, earlier: Variant, examples: int) -> None:
        self._variant, self._earlier = variant, earlier
        self._matched = Matched()
        self._decisions = self._commands = 0
        self._scale = Scale([variant, earlier])
        self._examples: Foremost[tuple[Compared, Verdict, Verdict]] = Foremost(examples)

    def add(self, photo: Compared, was: tuple[Stand, Verdict], now: tuple[Stand, Verdict], *, label: int) -> None:
        """Count a photo that both answered."""
        before, after = was[0], now[0]
        self._matched.add(after, before, label)
        if before == after:
            return
        self._decisions += before.decision != after.decision
        self._commands += (before.volume, before.degree) != (after.volume, after.degree)
        score = _weight(before.decision, after.decision, label) + self._scale.spread([before, after])
        self._examples.offer(score, photo.position, (photo, was[1], now[1]))

    def findings(self) -> Change:
        """Return the numbers so far."""
        contest = self._matched.contest()
        return Change(
            number=self._variant.number,
            name=self._variant.name,
            earlier=self._earlier.name,
            photos=sum(map(sum, self._matched.table())),
            decisions=self._decisions,
            commands=self._commands,
            mended=contest.first_better,
            broken=contest.second_better,
            difference=contest.difference,
            difference_low=contest.low,
            difference_high=contest.high,
            p_value=contest.p_value,
            examples=tuple(
                ChangedPhoto(image_id=photo.image_id, name=photo.name, truth=photo.truth, before=was, now=now)
                for _, (photo, was, now) in self._examples.ranked()
            ),
        )


def _weight(before: int, after: int, label: int) -> int:
    """Return how much a change of decisions matters as an example."""
    if before == after:
        return 0
    if label != NEITHER and label in (before, after):
        return _BROKEN if before == label else _MENDED
    return _DECIDED_OTHERWISE
