"""The few of many with the highest scores, in memory for those few."""

import heapq
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Foremost(Generic[Item]):
    """Keeps the `size` highest; of equal scores those of the lower positions. Positions are all different."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Item]] = []

    def offer(self, score: float, position: int, item: Item) -> None:
        """Keep the item if it is among the foremost so far."""
        entry = (score, -position, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._heap and self._heap[0] < entry:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[tuple[float, Item]]:
        """Return scores and items, the foremost first."""
        return [(score, item) for score, _, item in sorted(self._heap, reverse=True)]
