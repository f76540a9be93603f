"""The photos on which variants differ most: those a person looks at first."""

from collections.abc import Sequence

from shared.domain.comparison.decisions import KINDS, Stand
from shared.domain.comparison.findings import Disputed
from shared.domain.comparison.foremost import Foremost
from shared.domain.comparison.photos import Compared, Variant


class Scale:
    """What a difference between commands is measured by: the widest range of the devices concerned."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._volume_ml = max((variant.profile.max_volume_ml for variant in variants), default=1)
        self._degree_c = max((variant.profile.degree_cap_c for variant in variants), default=0) or 1

    def spread(self, stands: Sequence[Stand]) -> float:
        """Return how far apart the commands are: 0 where they are equal, up to 0.5.

        Volumes and temperatures count the same, each as a share of the range and at most all of it; temperatures
        only between those that pour.
        """
        volumes = [stand.volume for stand in stands]
        degrees = [stand.degree for stand in stands if stand.volume > 0] or [0]
        volume = min(1.0, (max(volumes) - min(volumes)) / self._volume_ml)
        degree = min(1.0, (max(degrees) - min(degrees)) / self._degree_c)
        return (volume + degree) / 4


class Disputes:
    """Keeps the `top` most disputed photos.

    The whole part of a score counts the pairs of variants that decide otherwise whether water can be received (saying
    neither is a decision of its own); the fraction is the spread of their commands (`Scale.spread`). So disagreement
    on the decision always comes first, and commands far apart tell equal disagreements from each other. Variants that
    did not answer do not count; a photo with score 0 is not disputed.
    """

    def __init__(self, variants: Sequence[Variant], top: int) -> None:
        self._scale = Scale(variants)
        self._foremost: Foremost[Compared] = Foremost(top)

    def add(self, photo: Compared, stands: Sequence[Stand]) -> None:
        """Look at a photo and the stands of those who answered."""
        if not stands or stands.count(stands[0]) == len(stands):
            return
        score = _pairs_apart(stands) + self._scale.spread(stands)
        if score > 0:
            self._foremost.offer(score, photo.position, photo)

    def findings(self) -> tuple[Disputed, ...]:
        """Return the most disputed photos, the worst first."""
        return tuple(
            Disputed(
                position=photo.position,
                image_id=photo.image_id,
                name=photo.name,
                truth=photo.truth,
                score=score,
                verdicts=photo.verdicts,
            )
            for score, photo in self._foremost.ranked()
        )


def _pairs_apart(stands: Sequence[Stand]) -> int:
    sides = [0] * KINDS
    for stand in stands:
        sides[stand.decision] += 1
    return (len(stands) ** 2 - sum(side * side for side in sides)) // 2
