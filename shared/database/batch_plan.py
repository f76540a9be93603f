"""How many of a batch's items are handed out, and which: enough that no slot waits, few enough that a pause is soon."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

SHARE: Final = 1.2
"""Items per live slot, as bells are rung (`ringer.SHARE`)."""
AHEAD_S: Final = 3.0
"""How long slots are to be fed by what was handed out, at the rate of late: several ticks."""
LEAST: Final = 16
MOST: Final = 2000
"""At one time: however many slots there are, a transaction stays short."""
FIRST_LOOK: Final = 4
"""Under a budget, so many items are out until one has shown what an item takes."""
STEP: Final = 8
"""Positions by which one variant may be ahead of another."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a batch may take at most, what it took, and what its dearest item took; None is unlimited or unknown."""

    cost: Decimal | None = None
    tokens: int | None = None
    spent_cost: Decimal = Decimal(0)
    spent_tokens: int = 0
    dearest_cost: Decimal | None = None
    dearest_tokens: int | None = None

    def room(self, running: int) -> int | None:
        """Return how many more items may be handed out while so many are; None if any number.

        Each is taken for as dear as the dearest, so that what is out cannot overspend; 0 with nothing out is the end.
        """
        rooms = [
            _room(limit, spent, dearest, running)
            for limit, spent, dearest in (
                (self.cost, self.spent_cost, self.dearest_cost),
                (self.tokens, self.spent_tokens, self.dearest_tokens),
            )
            if limit is not None
        ]
        return min(rooms, default=None)

    @property
    def verdict(self) -> str:
        """Why nothing more is handed out, for people."""
        parts: list[str] = []
        if self.cost is not None:
            parts.append(f"{_plain(self.spent_cost)} of {_plain(self.cost)}")
        if self.tokens is not None:
            parts.append(f"{self.spent_tokens:,} of {self.tokens:,} tokens")
        return f"The budget is spent ({' and '.join(parts)}): raise it and resume."


def _room(limit: Decimal | int, spent: Decimal | int, dearest: Decimal | int | None, running: int) -> int:
    left = Decimal(limit) - Decimal(spent)
    if left <= 0:
        return 0
    if dearest is None:
        return max(0, FIRST_LOOK - running)
    if dearest == 0:
        return MOST
    return max(0, math.floor(left / Decimal(dearest)) - running)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def wanted(*, slots: int, running: int, rate: float | None) -> int:
    """Return how many items to hand out beside those that are, whatever is left of the batch."""
    target = math.ceil(SHARE * slots + AHEAD_S * (rate or 0.0))
    return min(MOST, max(0, max(LEAST, target) - running))


def next_photos(positions: Mapping[int, int], photos: int, count: int) -> list[tuple[int, int]]:
    """Return up to `count` pairs of variant and position, the variants side by side.

    `positions` maps each variant to the first photo it was not asked about. Who is behind goes first.
    """
    at = dict(positions)
    handed: list[tuple[int, int]] = []
    while len(handed) < count:
        behind = [(position, number) for number, position in at.items() if position < photos]
        if not behind:
            break
        position, number = min(behind)
        until = min(position + STEP, photos, position + count - len(handed))
        handed += [(number, place) for place in range(position, until)]
        at[number] = until
    return handed


def new_rate(before: float | None, *, ended: int, within_s: float, over_s: float = 10.0) -> float:
    """Return items per second of late, given how many ended within the last `within_s`; old news fade over `over_s`."""
    now = ended / within_s
    if before is None:
        return now
    return before + (1 - math.exp(-within_s / over_s)) * (now - before)


def summed(amounts: Sequence[Decimal | None]) -> Decimal:
    """Return a sum where unknown is nothing."""
    return sum((amount for amount in amounts if amount is not None), Decimal(0))
