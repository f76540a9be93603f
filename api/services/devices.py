"""Devices: registered, claimed, given new tokens, revoked; and looked up on every request of theirs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.services.device_credentials import (
    NewCredential,
    SigningPair,
    credential_row,
    new_credential,
    new_signing_pair,
    opened_pair,
)
from api.services.device_views import ClaimCode, Claimed, DeviceState, DeviceView, NewDevice, Registered, device_view
from shared.database.queries import Queries
from shared.database.statements import devices as statements
from shared.database.statements.keys import new_owner, owner_named
from shared.domain.errors import ClaimExpired, ClaimUsed, Conflict, IdempotencyKeyReused, NotFound
from shared.domain.ids import DeviceId, OwnerId, uuid7
from shared.encryption import Sealer
from shared.security import hash_of_key, new_claim_code
from shared.settings import Clocks

Signing: TypeAlias = SigningPair | Literal["new", "as_before"] | None
"""The pair of a new credential: a given one, one to be made, one if the credential before it has one, or none."""
AT_ONCE: Final = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class CallingDevice:
    """The device behind a request, as far as handling the request needs it. `number` is its jobs' `fair_key`."""

    id: DeviceId
    number: int
    owner_id: OwnerId
    owner_name: str
    name: str
    profile: str | None
    prompt: str | None
    model: str | None
    signing: SigningPair | None
    expires_at: datetime | None


class DeviceStore:
    """The devices of all owners. Nothing is remembered between requests, so that a revocation works at once.

    Wherever an `owner_id` is asked for, None means that any owner's device will do.
    """

    def __init__(self, queries: Queries, sealer: Sealer, clocks: Clocks) -> None:
        self._queries = queries
        self._sealer = sealer
        self._clocks = clocks

    async def calling(self, token: str, *, firmware: str | None = None) -> CallingDevice | None:
        """Return the device whose valid token this is, and note that it was seen; None if there is none.

        Raises:
            Unavailable: if its signing secret was sealed under another master key.
        """
        values = {"token_hash": hash_of_key(token), "told_firmware": firmware}
        rows = await self._queries.rows(statements.DEVICE_WITH_TOKEN, values)
        if not rows:
            return None
        row = rows[0]
        return CallingDevice(
            id=row.id,
            number=row.number,
            owner_id=row.owner_id,
            owner_name=row.owner_name,
            name=row.name,
            profile=row.profile,
            prompt=row.prompt,
            model=row.model,
            signing=opened_pair(row.credential_id, row.access_key, row.secret, self._sealer),
            expires_at=row.expires_at,
        )

    async def register(self, new: NewDevice) -> Registered:
        """Register a device, and its owner where there is none of that name.

        Raises:
            Conflict: if another device of the owner has its name.
            IdempotencyKeyReused: if the key was used for another request.
        """
        device_id = DeviceId(uuid7())
        digest = self._sealer.digest(new.request, purpose="device_request")
        async with self._queries.transaction() as connection:
            await connection.execute(new_owner(new.owner_name))
            owner_id = (await connection.execute(owner_named(new.owner_name))).scalar_one()
            row = {
                "id": device_id,
                "owner_id": owner_id,
                **{name: getattr(new, name) for name in ("name", "profile", "prompt", "model", "idempotency_key")},
                "request_hash": digest if new.idempotency_key else None,
            }
            if (await connection.execute(statements.new_device(row))).one_or_none() is None:
                return await _known(connection, new, owner_id, digest)
            if new.credential is None:
                claim = await self._new_claim(connection, device_id)
            else:
                claim = None
                await self._give(connection, device_id, new.credential)
            made = await _device(connection, device_id)
        return Registered(device=made, credential=new.credential, claim=claim)

    async def page(
        self,
        *,
        owner_id: OwnerId | None,
        owner_name: str | None,
        name: str | None,
        state: DeviceState | None,
        after: UUID | None,
        limit: int,
    ) -> list[DeviceView]:
        """Return devices, newest first."""
        statement = statements.devices_page(
            owner_id=owner_id, owner_name=owner_name, name=name, state=state, after=after, limit=limit
        )
        return [device_view(row) for row in await self._queries.rows(statement)]

    async def one(self, device_id: UUID, *, owner_id: OwnerId | None) -> DeviceView:
        """Return a device.

        Raises:
            NotFound: if there is no such device, or it is another owner's.
        """
        rows = await self._queries.rows(statements.device_with_id(device_id, owner_id=owner_id))
        if not rows:
            raise _not_found()
        return device_view(rows[0])

    async def change(self, device_id: UUID, values: dict[str, str | None], *, owner_id: OwnerId | None) -> DeviceView:
        """Change what a device is called, or what holds where a request does not say.

        Raises:
            NotFound: as `one`.
            Conflict: if it is revoked, or another device of the owner has the name.
        """
        try:
            async with self._queries.transaction() as connection:
                await _hold(connection, device_id, owner_id)
                await connection.execute(statements.change(device_id, values))
                return await _device(connection, device_id)
        except IntegrityError as error:
            raise _name_taken() from error

    async def rotate(
        self, device_id: UUID, *, owner_id: OwnerId | None, overlap: timedelta, signing: Signing
    ) -> NewCredential:
        """Give a device a new credential; those it has end after the overlap, or sooner if they would anyway.

        Raises:
            NotFound: as `one`.
            Conflict: if it is revoked.
        """
        async with self._queries.transaction() as connection:
            await _hold(connection, device_id, owner_id)
            return await self._replace(connection, device_id, overlap=overlap, signing=signing)

    async def new_claim(self, device_id: UUID, *, owner_id: OwnerId | None) -> ClaimCode:
        """Return a new code to claim a device with; the one before, if it was not used, is worth nothing any more.

        Raises:
            NotFound: as `one`.
            Conflict: if it is revoked.
        """
        async with self._queries.transaction() as connection:
            await _hold(connection, device_id, owner_id)
            return await self._new_claim(connection, device_id)

    async def claim(self, code: str, *, firmware: str | None) -> Claimed:
        """Let a device in that has a claim code, in its canonical form; what it was let in with before ends.

        Raises:
            NotFound: if there is no such code.
            ClaimUsed: if it was used before; of two at the same time one is told so.
            ClaimExpired: if it was not used in time.
        """
        hashed = hash_of_key(code)
        async with self._queries.transaction() as connection:
            row = (await connection.execute(statements.use_of_claim(hashed, firmware=firmware))).one_or_none()
            if row is None:
                known = (await connection.execute(statements.claim_with_hash(hashed))).one_or_none()
                raise _no_claim(is_used=None if known is None else known.is_used)
            credential = await self._replace(connection, row.id, overlap=AT_ONCE, signing="as_before")
        return Claimed(id=row.id, name=row.name, profile=row.profile, credential=credential)

    async def revoke(self, device_id: UUID, *, owner_id: OwnerId | None) -> None:
        """End a device and its unused claim code, at once in every process; doing it again is harmless.

        Raises:
            NotFound: as `one`.
        """
        if not await self._queries.rows(statements.revocation(device_id, owner_id=owner_id)):
            raise _not_found()

    async def _replace(
        self, connection: AsyncConnection, device_id: UUID, *, overlap: timedelta, signing: Signing
    ) -> NewCredential:
        if signing == "as_before":
            before = (await connection.execute(statements.newest_credential(device_id))).one_or_none()
            signing = "new" if before is not None and before.access_key is not None else None
        new = new_credential(new_signing_pair() if signing == "new" else signing)
        await connection.execute(statements.end_of_credentials(device_id, overlap=overlap))
        await self._give(connection, device_id, new)
        return new

    async def _give(self, connection: AsyncConnection, device_id: UUID, new: NewCredential) -> None:
        await connection.execute(statements.new_credential(credential_row(device_id, new, self._sealer)))

    async def _new_claim(self, connection: AsyncConnection, device_id: UUID) -> ClaimCode:
        code = new_claim_code()
        statement = statements.new_claim(device_id, hashed=hash_of_key(code), valid_for=self._clocks.claim_code)
        until = (await connection.execute(statement)).scalar_one()
        return ClaimCode(code=SecretStr(code), expires_at=until)


async def _device(connection: AsyncConnection, device_id: UUID) -> DeviceView:
    return device_view((await connection.execute(statements.device_with_id(device_id, owner_id=None))).one())


async def _known(connection: AsyncConnection, new: NewDevice, owner_id: int, digest: bytes) -> Registered:
    """Return the device that was registered under this key; without one, it is the name that is taken."""
    if new.idempotency_key is not None:
        statement = statements.device_with_key(owner_id, new.idempotency_key)
        known = (await connection.execute(statement)).one_or_none()
        if known is not None and known.request_hash != digest:
            raise IdempotencyKeyReused("give another Idempotency-Key, or repeat the first request exactly")
        if known is not None:
            return Registered(device=await _device(connection, known.id), is_replay=True)
    raise _name_taken()


async def _hold(connection: AsyncConnection, device_id: UUID, owner_id: OwnerId | None) -> None:
    """Lock a device that is not revoked."""
    row = (await connection.execute(statements.locked_device(device_id, owner_id=owner_id))).one_or_none()
    if row is None:
        raise _not_found()
    if row.revoked_at is not None:
        raise Conflict("This device is revoked, for good: register it anew.")


def _not_found() -> NotFound:
    return NotFound("There is no device with this id.")


def _name_taken() -> Conflict:
    return Conflict("Another device of this owner has this name.", field="name")


def _no_claim(*, is_used: bool | None) -> NotFound | Conflict:
    if is_used is None:
        return NotFound("There is no such claim code: it is mistyped, or a newer one was made.", field="code")
    if is_used:
        return ClaimUsed("A device was claimed with this code before: ask for a new one.", field="code")
    return ClaimExpired("This claim code was not used in time: ask for a new one.", field="code")
