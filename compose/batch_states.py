"""What the server says of a batch, as far as commands need it; what only a newer server says is passed over."""

from typing import Any, Final

import msgspec

from compose.errors import CannotStart

ENDED: Final = frozenset({"completed", "cancelled"})


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How many items (a photo with a variant) are where, and what those that ended used."""

    photos: int
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    deleted: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    unpriced: int = 0
    rate_per_s: float | None = None
    seconds_left: float | None = None

    @property
    def done(self) -> int:
        """How many have ended, however."""
        return self.succeeded + self.failed + self.cancelled + self.deleted

    @property
    def tokens(self) -> int:
        """Tokens of both directions."""
        return self.input_tokens + self.output_tokens


class VariantState(msgspec.Struct, frozen=True, kw_only=True):
    """One way of asking, and how far it is."""

    number: int
    name: str
    model: str
    prompt: str
    profile: str
    progress: Progress


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it was when the server said so."""

    id: str
    number: int
    name: str
    state: str
    photos: int
    progress: Progress
    variants: tuple[VariantState, ...]
    created_at: str
    ended_at: str | None = None
    note: str = ""
    reason: str | None = None
    budget: dict[str, float | None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it, unless somebody reopens it."""
        return self.state in ENDED

    @property
    def is_whole(self) -> bool:
        """Whether it completed with nothing failed or cancelled."""
        return self.state == "completed" and not self.progress.failed and not self.progress.cancelled


def batch_state(document: Any) -> BatchState:  # JSON
    """Return what a document of the server says.

    Raises:
        CannotStart: if it is no batch that this version understands.
    """
    try:
        return msgspec.convert(document, BatchState)
    except msgspec.ValidationError as error:
        raise CannotStart(f"The server told of a batch in a way this version does not understand ({error}).") from error
