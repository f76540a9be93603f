"""Device profiles: built in, from the configuration, and each owner's own.

What a name means never changes under a device: the built-in names cannot be taken, and an owner's own profile stays
what it is when the configuration takes its name later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy.engine import Row

from shared.database.queries import Queries
from shared.database.statements import profiles as statements
from shared.domain.dispense import PROFILES, DeviceProfile
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import OwnerId

MAX_NAMED: Final = 20
"""Names listed at most in a refusal."""


class Origin(StrEnum):
    """Where a profile or prompt is from."""

    BUILT_IN = "built_in"
    CONFIGURED = "configured"
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class KnownProfile:
    """A profile with where it is from; `updated_at` of owners' own only."""

    profile: DeviceProfile
    origin: Origin
    updated_at: datetime | None = None


class ProfileStore:
    """Every profile an owner may use."""

    def __init__(self, queries: Queries, configured: Mapping[str, DeviceProfile]) -> None:
        self._queries = queries
        self._configured = configured

    async def find(self, owner_id: OwnerId, name: str) -> DeviceProfile | None:
        """Return the profile that a name means to an owner, or None; built-in ones cost no query.

        Raises:
            Conflict: if the owner's own, as stored, is refused by the rules of today.
        """
        known = await self.known(owner_id, name)
        return None if known is None else known.profile

    async def known(self, owner_id: OwnerId, name: str) -> KnownProfile | None:
        """Return what `find` does, with where it is from."""
        if name in PROFILES:
            return KnownProfile(profile=PROFILES[name], origin=Origin.BUILT_IN)
        for row in await self._queries.rows(statements.own_profile(owner_id, name)):
            return own_profile(row)
        if name in self._configured:
            return KnownProfile(profile=self._configured[name], origin=Origin.CONFIGURED)
        return None

    async def every(self, owner_id: OwnerId) -> list[KnownProfile]:
        """Return all that an owner may use: their own, the configured, the built-in ones. Raises as `find`."""
        known = [own_profile(row) for row in await self._queries.rows(statements.own_profiles(owner_id))]
        taken = {own.profile.name for own in known}
        for profiles, origin in ((self._configured, Origin.CONFIGURED), (PROFILES, Origin.BUILT_IN)):
            known += [
                KnownProfile(profile=profile, origin=origin)
                for name, profile in sorted(profiles.items())
                if name not in taken
            ]
        return known

    async def put(self, owner_id: OwnerId, profile: DeviceProfile) -> tuple[KnownProfile, bool]:
        """Store an owner's own profile, instead of the one of its name if there is one; return whether it is new.

        Raises:
            Conflict: if the name is that of a profile for everybody.
        """
        name = profile.name
        if name in PROFILES:
            raise Conflict(f"{name} is a built-in profile: choose another name", field="name")
        if name in self._configured and not await self._queries.rows(statements.own_profile(owner_id, name)):
            raise Conflict(f"{name} is in this server's configuration: choose another name", field="name")
        document = profile.model_dump(mode="json")
        [row] = await self._queries.rows(statements.stored_profile(owner_id, name, document))
        return own_profile(row), row.is_new

    async def remove(self, owner_id: OwnerId, name: str) -> None:
        """Delete an owner's own profile.

        Raises:
            Conflict: if a device names it, or if it is not the owner's.
            NotFound: if there is none.
        """
        if name in PROFILES:
            raise Conflict(f"{name} is a built-in profile: it cannot be deleted", field="name")
        async with self._queries.transaction() as connection:
            users = statements.devices_with_profile(owner_id, name, limit=MAX_NAMED)
            devices = (await connection.execute(users)).scalars().all()
            if devices:
                raise Conflict(f"These devices have this profile: {', '.join(devices)}. Give them another one first.")
            if (await connection.execute(statements.removed_profile(owner_id, name))).first() is not None:
                return
        if name in self._configured:
            raise Conflict(f"{name} is in this server's configuration: it cannot be deleted here", field="name")
        raise NotFound("You have no profile of this name.")


def own_profile(row: Row[Any]) -> KnownProfile:  # Any: the columns of statements.profiles
    """Return an owner's own profile as its row has it.

    Raises:
        Conflict: if it is refused by the rules of today.
    """
    try:
        profile = DeviceProfile.model_validate(row.document)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, fault["loc"]))
        raise Conflict(
            f"The profile {row.name}, as it is stored, is not safe by the rules of this server, so nothing is poured"
            f" by it: {field} {fault['msg']}. Store it anew.",
            field="profile",
        ) from error
    return KnownProfile(profile=profile, origin=Origin.OWN, updated_at=row.updated_at)
