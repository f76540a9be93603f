"""Where workers count how long first tokens take, and the front reads it."""

from collections.abc import Mapping
from typing import Protocol

from shared.domain.first_tokens import Buckets, Noted


class FirstTokenCounts(Protocol):
    """Counts of the last hour; older ones vanish. They may be lost at any moment."""

    async def add(self, counts: Mapping[Noted, int]) -> None:
        """Count; raises `Unavailable` if the store is away."""
        ...

    async def of_last_hour(self) -> dict[str, Buckets]:
        """Return the counts of each model, by `provider/model`; raises `Unavailable` if the store is away."""
        ...
