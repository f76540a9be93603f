"""The labelled photos that variants get wrong: what a person looks at where nobody differs."""

from collections.abc import Sequence

from shared.domain.comparison.decisions import NEITHER, Stand
from shared.domain.comparison.findings import Mistaken
from shared.domain.comparison.foremost import Foremost
from shared.domain.comparison.photos import Compared, Variant


class Mistakes:
    """Keeps the `top` photos that most variants get wrong, and counts those that nobody who answered gets right."""

    def __init__(self, variants: Sequence[Variant], top: int) -> None:
        self._numbers = [variant.number for variant in variants]
        self._foremost: Foremost[Mistaken] = Foremost(top)
        self.never_right = 0

    def add(self, photo: Compared, stands: Sequence[Stand | None], label: int) -> None:
        """Look at a photo and the stands of all variants, None of those that did not answer."""
        if label == NEITHER:
            return
        wrong = tuple(
            number
            for number, stand in zip(self._numbers, stands, strict=True)
            if stand is not None and stand.decision != label
        )
        if not wrong:
            return
        self.never_right += len(wrong) == len(stands) - stands.count(None)
        mistaken = Mistaken(
            position=photo.position,
            image_id=photo.image_id,
            name=photo.name,
            truth=photo.truth,
            wrong=wrong,
            verdicts=photo.verdicts,
        )
        self._foremost.offer(len(wrong), photo.position, mistaken)

    def findings(self) -> tuple[Mistaken, ...]:
        """Return the photos that most variants get wrong, those first that more do."""
        return tuple(photo for _, photo in self._foremost.ranked())
