"""Statements about owners' own device profiles."""

from typing import Any, TypeAlias

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert

from shared.database.tables import device, device_profile

Profiles: TypeAlias = Select[*tuple[Any, ...]]

_columns = (device_profile.c.name, device_profile.c.document, device_profile.c.updated_at)


def own_profile(owner_id: int, name: str) -> Profiles:
    """The owner's profile of this name."""
    return own_profiles(owner_id).where(device_profile.c.name == name)


def own_profiles(owner_id: int) -> Profiles:
    """The owner's profiles, by name."""
    return select(*_columns).where(device_profile.c.owner_id == owner_id).order_by(device_profile.c.name)


def stored_profile(owner_id: int, name: str, document: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Store a profile, instead of the one of this name if there is one; says which it was."""
    statement = insert(device_profile).values(owner_id=owner_id, name=name, document=document)
    return statement.on_conflict_do_update(
        index_elements=[device_profile.c.owner_id, device_profile.c.name],
        set_={"document": statement.excluded.document, "updated_at": func.now()},
    ).returning(*_columns, (device_profile.c.created_at == device_profile.c.updated_at).label("is_new"))


def devices_with_profile(owner_id: int, name: str, *, limit: int) -> Select[str]:
    """The names of the owner's devices that name this profile; revoked ones do not count."""
    return (
        select(device.c.name)
        .where(device.c.owner_id == owner_id, device.c.profile == name, device.c.revoked_at.is_(None))
        .order_by(device.c.name)
        .limit(limit)
    )


def removed_profile(owner_id: int, name: str) -> ReturningDelete[str]:
    """Delete the owner's profile of this name; returns its name if there was one."""
    return (
        delete(device_profile)
        .where(device_profile.c.owner_id == owner_id, device_profile.c.name == name)
        .returning(device_profile.c.name)
    )
