"""Registered devices for tests: rows and a token, whatever the routes that make them do."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from shared.database.statements.keys import new_owner
from shared.database.tables import device, device_credential, owner
from shared.domain.ids import DeviceId, uuid7
from shared.encryption import Sealer
from shared.security import hash_of_key, hint_of_key, new_device_token
from tests.served import Served


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A device, with what is compiled into it."""

    id: DeviceId
    number: int
    owner_id: int
    credential_id: UUID
    token: str = field(repr=False)
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    @property
    def prefix(self) -> str:
        """What stands before every path of a device that sends its token there."""
        return f"/d/{self.token}"


async def new_device(
    api: Served,
    *,
    owner_name: str = "local",
    name: str | None = None,
    profile: str | None = None,
    prompt: str | None = None,
    model: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    expires_at: datetime | None = None,
) -> Registered:
    """Register a device of an owner, who is made if there is none of this name."""
    device_id, credential_id, token = DeviceId(uuid7()), uuid7(), new_device_token()
    sealer = Sealer(api.front.settings.master_key)
    secret = secret_key and sealer.seal(secret_key, purpose=f"device_credential:{credential_id}")
    async with api.front.queries.transaction() as connection:
        await connection.execute(new_owner(owner_name))
        owner_id = (await connection.execute(select(owner.c.id).where(owner.c.name == owner_name))).scalar_one()
        facts = {"name": name or f"device {device_id.hex[-6:]}", "profile": profile, "prompt": prompt, "model": model}
        adding = insert(device).values(id=device_id, owner_id=owner_id, **facts).returning(device.c.number)
        number = (await connection.execute(adding)).scalar_one()
        credential = {
            "id": credential_id,
            "device_id": device_id,
            "hash": hash_of_key(token),
            "hint": hint_of_key(token),
            "access_key": access_key,
            "secret": secret,
            "expires_at": expires_at,
        }
        await connection.execute(insert(device_credential).values(credential))
    return Registered(
        id=device_id,
        number=number,
        owner_id=owner_id,
        credential_id=credential_id,
        token=token,
        access_key=access_key,
        secret_key=secret_key,
    )
