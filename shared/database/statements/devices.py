"""Statements about devices and their credentials."""

from datetime import timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import LargeBinary, Select, Text, Update, and_, bindparam, case, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, Insert, aggregate_order_by, insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import device, device_credential, owner

Devices: TypeAlias = Select[*tuple[Any, ...]]

SIGHT_NOTED_EVERY: Final = timedelta(minutes=1)
"""`last_seen_at` is this coarse, so that a busy device costs one write a minute."""
ACTIVE: Final = "active"
UNCLAIMED: Final = "unclaimed"
REVOKED: Final = "revoked"

_is_known = device.c.revoked_at.is_(None)
_is_valid = (
    device_credential.c.revoked_at.is_(None),
    or_(device_credential.c.expires_at.is_(None), device_credential.c.expires_at > func.now()),
)
_state = case(
    (~_is_known, REVOKED),
    (exists().where(device_credential.c.device_id == device.c.id, *_is_valid), ACTIVE),
    else_=UNCLAIMED,
)
_credentials = (
    select(
        func.coalesce(
            func.jsonb_agg(
                aggregate_order_by(
                    func.jsonb_build_object(
                        *(text("'id'"), device_credential.c.id),
                        *(text("'hint'"), device_credential.c.hint),
                        *(text("'access_key'"), device_credential.c.access_key),
                        *(text("'created_at'"), device_credential.c.created_at),
                        *(text("'expires_at'"), device_credential.c.expires_at),
                    ),
                    device_credential.c.id.desc(),
                )
            ),
            text("'[]'::jsonb"),
            type_=JSONB,
        )
    )
    .where(device_credential.c.device_id == device.c.id, _is_known, *_is_valid)
    .scalar_subquery()
)


_hash = bindparam("token_hash", type_=LargeBinary)
_firmware = bindparam("told_firmware", type_=Text)
_note_of_sight = (
    update(device)
    .where(
        device.c.id == device_credential.c.device_id,
        *(device_credential.c.hash == _hash, _is_known, *_is_valid),
        or_(
            device.c.last_seen_at.is_(None),
            device.c.last_seen_at < func.now() - SIGHT_NOTED_EVERY,
            and_(_firmware.is_not(None), device.c.firmware.is_distinct_from(_firmware)),
        ),
    )
    .values(last_seen_at=func.now(), firmware=func.coalesce(_firmware, device.c.firmware))
    .returning(device.c.id)
    .cte("noted")
)
DEVICE_WITH_TOKEN: Final[Devices] = (
    select(
        device.c.id,
        device.c.number,
        device.c.owner_id,
        owner.c.name.label("owner_name"),
        *(device.c.name, device.c.profile, device.c.prompt, device.c.model),
        device_credential.c.id.label("credential_id"),
        *(device_credential.c.access_key, device_credential.c.secret, device_credential.c.expires_at),
    )
    .join(device_credential, device_credential.c.device_id == device.c.id)
    .join(owner, owner.c.id == device.c.owner_id)
    .where(device_credential.c.hash == _hash, _is_known, *_is_valid)
    .add_cte(_note_of_sight)
)
"""The device whose valid token has this `token_hash`; that it was seen is noted in the same round trip, and the
`told_firmware`, unless null. Built once: every request of a device begins with it."""


def new_device(row: dict[str, Any]) -> ReturningInsert[Any]:
    """Register a device, and return its id; nothing if its name or idempotency key is taken."""
    return insert(device).values(row).on_conflict_do_nothing().returning(device.c.id)


def device_with_key(owner_id: int, idempotency_key: str) -> Devices:
    """The device that was registered under an idempotency key, and the hash of that request."""
    return select(device.c.id, device.c.request_hash).where(
        device.c.owner_id == owner_id, device.c.idempotency_key == idempotency_key
    )


def new_credential(row: dict[str, Any]) -> Insert:
    """Give a device a credential."""
    return insert(device_credential).values(row)


def newest_credential(device_id: UUID) -> Devices:
    """What is valid of a device's credentials, the newest one only."""
    newest = select(device_credential.c.access_key).where(device_credential.c.device_id == device_id, *_is_valid)
    return newest.order_by(device_credential.c.id.desc()).limit(1)


def devices_page(
    *,
    owner_id: int | None,
    owner_name: str | None,
    name: str | None,
    state: str | None,
    after: UUID | None,
    limit: int,
) -> Devices:
    """Devices with their valid credentials, newest first, of one owner or of all."""
    statement = _devices().order_by(device.c.id.desc()).limit(limit)
    if owner_id is not None:
        statement = statement.where(device.c.owner_id == owner_id)
    if owner_name is not None:
        statement = statement.where(owner.c.name == owner_name)
    if name is not None:
        statement = statement.where(device.c.name == name)
    if state is not None:
        statement = statement.where(_state == state)
    if after is not None:
        statement = statement.where(device.c.id < after)
    return statement


def device_with_id(device_id: UUID, *, owner_id: int | None) -> Devices:
    """One device, of this owner unless None."""
    statement = _devices().where(device.c.id == device_id)
    return statement if owner_id is None else statement.where(device.c.owner_id == owner_id)


def locked_device(device_id: UUID, *, owner_id: int | None) -> Devices:
    """When a device was revoked, if it was; nobody else changes it or its credentials before the transaction ends."""
    statement = select(device.c.revoked_at).where(device.c.id == device_id).with_for_update()
    return statement if owner_id is None else statement.where(device.c.owner_id == owner_id)


def change(device_id: UUID, values: dict[str, Any]) -> Update:
    """Change columns of a device."""
    return update(device).where(device.c.id == device_id).values(values)


def end_of_credentials(device_id: UUID, *, overlap: timedelta) -> Update:
    """End a device's credentials after the overlap, or when they would have ended if that is sooner."""
    return (
        update(device_credential)
        .where(device_credential.c.device_id == device_id, device_credential.c.revoked_at.is_(None))
        .values(expires_at=func.least(device_credential.c.expires_at, func.now() + overlap))  # least() passes over null
    )


def new_claim(device_id: UUID, *, hashed: bytes, valid_for: timedelta) -> Update:
    """Let a code be claimed for a device, and no other; returns until when."""
    return (
        update(device)
        .where(device.c.id == device_id)
        .values(claim_hash=hashed, claim_expires_at=func.now() + valid_for)
        .returning(device.c.claim_expires_at)
    )


def use_of_claim(hashed: bytes, *, firmware: str | None) -> Update:
    """Use a claim code, once: of two at the same time the second finds nothing. Returns the device.

    `claim_hash` stays, without the time that made it good, to tell that the code was used.
    """
    return (
        update(device)
        .where(device.c.claim_hash == hashed, device.c.claim_expires_at > func.now(), _is_known)
        .values(
            claimed_at=func.now(),
            last_seen_at=func.now(),
            claim_expires_at=None,
            firmware=device.c.firmware if firmware is None else firmware,
        )
        .returning(device.c.id, device.c.name, device.c.profile)
    )


def claim_with_hash(hashed: bytes) -> Devices:
    """Whether a claim code that is known was used."""
    return select(device.c.claim_expires_at.is_(None).label("is_used")).where(device.c.claim_hash == hashed)


def revocation(device_id: UUID, *, owner_id: int | None) -> Update:
    """End a device, once, and the claim code that waits for it; returns its id, also if it was revoked before."""
    statement = (
        update(device)
        .where(device.c.id == device_id)
        .values(
            revoked_at=func.coalesce(device.c.revoked_at, func.now()),
            claim_hash=case((device.c.claim_expires_at.is_(None), device.c.claim_hash), else_=None),
            claim_expires_at=None,
        )
        .returning(device.c.id)
    )
    return statement if owner_id is None else statement.where(device.c.owner_id == owner_id)


def _devices() -> Devices:
    return select(
        *(device.c.id, device.c.owner_id, owner.c.name.label("owner_name"), device.c.name),
        *(device.c.profile, device.c.prompt, device.c.model, device.c.firmware),
        *(device.c.created_at, device.c.last_seen_at, device.c.claimed_at, device.c.revoked_at),
        _state.label("state"),
        _credentials.label("credentials"),
    ).join(owner, owner.c.id == device.c.owner_id)
