"""Devices as their owners may see them, and what is shown once when something was made."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from api.services.device_credentials import NewCredential
from shared.database.queries import AnyRow
from shared.database.statements import devices as statements
from shared.domain.ids import DeviceId, OwnerId


class DeviceState(StrEnum):
    """`unclaimed` has no valid credential yet: a claim code waits for it, or has expired."""

    ACTIVE = statements.ACTIVE
    UNCLAIMED = statements.UNCLAIMED
    REVOKED = statements.REVOKED


@dataclass(frozen=True, kw_only=True)
class DeviceView:
    """A device; `credentials` are the valid ones, newest first, without their secrets."""

    id: DeviceId
    owner_id: OwnerId
    owner_name: str
    name: str
    profile: str | None
    prompt: str | None
    model: str | None
    firmware: str | None
    created_at: datetime
    last_seen_at: datetime | None
    claimed_at: datetime | None
    revoked_at: datetime | None
    state: DeviceState
    credentials: list[dict[str, Any]]  # objects made by PostgreSQL: id, hint, access_key, created_at, expires_at


@dataclass(frozen=True, kw_only=True)
class NewDevice:
    """A device to be registered: with a first credential, or with a claim code to get it by.

    `request` is what two uses of one idempotency key must share; it may hold a secret.
    """

    owner_name: str
    name: str
    profile: str | None = None
    prompt: str | None = None
    model: str | None = None
    credential: NewCredential | None
    idempotency_key: str | None = None
    request: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ClaimCode:
    """A code that a device gets its credential with, once."""

    code: SecretStr
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A device that has just claimed itself."""

    id: UUID
    name: str
    profile: str | None
    credential: NewCredential


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered device; a replay, which was registered before, is shown without secrets."""

    device: DeviceView
    credential: NewCredential | None = None
    claim: ClaimCode | None = None
    is_replay: bool = False


def device_view(row: AnyRow) -> DeviceView:
    """Return a row of `statements.devices` as what it says."""
    return DeviceView(
        id=row.id,
        owner_id=row.owner_id,
        owner_name=row.owner_name,
        name=row.name,
        profile=row.profile,
        prompt=row.prompt,
        model=row.model,
        firmware=row.firmware,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        claimed_at=row.claimed_at,
        revoked_at=row.revoked_at,
        state=DeviceState(row.state),
        credentials=row.credentials,
    )
