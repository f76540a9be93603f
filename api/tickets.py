"""Tickets: what a browser's EventSource or WebSocket, which cannot send headers, puts into a URL instead of a key.

A ticket is signed and stored nowhere, ends within minutes, and opens one job's events or one chat session's socket, as
the owner who asked for it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from api.tokens import Signer
from shared.domain.ids import JobId, OwnerId
from shared.encryption import Sealer

TICKET: Final = "ticket"
"""The query parameter it comes in."""
AUDIENCE: Final = "smartsip/ticket"


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Whose a ticket is, and the one thing it opens. `credential_ends` is when what it was had for does."""

    owner_id: OwnerId
    owner_name: str
    job_id: JobId | None = None
    session_id: str | None = None
    credential_ends: datetime | None = None


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    sub: str
    name: str
    job_id: UUID | None = None
    session_id: str | None = None
    ends: float | None = None


class Tickets:
    """Makes and reads tickets."""

    def __init__(self, sealer: Sealer, *, lifetime: timedelta) -> None:
        self._signer = Signer(sealer.digest("", purpose="ticket"), audience=AUDIENCE)
        self._lifetime = lifetime

    def make(self, ticket: Ticket) -> tuple[str, datetime]:
        """Return a ticket's text, and when it ends: after its lifetime, or with the credential if that is sooner."""
        lifetime, ends = self._lifetime, ticket.credential_ends
        if ends is not None:
            lifetime = min(lifetime, ends - datetime.now(UTC))
        claims = _Claims(
            sub=str(ticket.owner_id),
            name=ticket.owner_name,
            job_id=ticket.job_id,
            session_id=ticket.session_id,
            ends=None if ends is None else ends.timestamp(),
        )
        said: dict[str, Any] = msgspec.to_builtins(claims)  # JSON
        return self._signer.sign(said, lifetime=lifetime)

    def read(self, text: str) -> Ticket | None:
        """Return a ticket; None if it is not valid, or not any more."""
        claims = self._signer.read(text)
        if claims is None:
            return None
        said = msgspec.convert(claims, _Claims)
        return Ticket(
            owner_id=OwnerId(int(said.sub)),
            owner_name=said.name,
            job_id=None if said.job_id is None else JobId(said.job_id),
            session_id=said.session_id,
            credential_ends=None if said.ends is None else datetime.fromtimestamp(said.ends, UTC),
        )
