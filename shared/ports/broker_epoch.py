"""Whether the broker still holds what it was given: a flushed or restarted one has forgotten doorbells."""

from typing import Protocol


class BrokerEpoch(Protocol):
    """A mark that is lost together with the doorbells."""

    async def has_forgotten(self) -> bool:
        """Say whether doorbells may have been lost since the last `begin`; raises `Unavailable` if it is away."""
        ...

    async def begin(self) -> None:
        """Leave the mark; called before the doorbells are rung anew."""
        ...
