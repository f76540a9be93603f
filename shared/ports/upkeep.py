"""Work that keeps the system tidy and belongs to no job: asked of whichever worker hears it first."""

from typing import Protocol


class Upkeep(Protocol):
    """Where such work is asked for. A wish, not a promise: it may be lost, done twice, or done too late to matter."""

    async def refresh_models(self, provider: str) -> None:
        """Ask that a provider's list of models be fetched; raises `Unavailable` if the broker cannot be reached."""
        ...
