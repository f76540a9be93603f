"""Statements about owners' own prompts.

A deleted prompt leaves the row of its newest version behind, without a text: should the name be used again, its
versions go on from there, so that `name@version` never means two texts.
"""

from typing import Any, TypeAlias

from sqlalchemy import Delete, Select, Update, delete, func, insert, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.selectable import CompoundSelect

from shared.database.tables import device, device_profile, owner, prompt

Prompts: TypeAlias = Select[*tuple[Any, ...]]

_columns = (prompt.c.name, prompt.c.version, prompt.c.text, prompt.c.form, prompt.c.note, prompt.c.created_at)
_is_there = prompt.c.text != ""


def prompt_versions(owner_id: int, name: str) -> Prompts:
    """Every version of the owner's prompt, newest first."""
    return (
        select(*_columns)
        .where(prompt.c.owner_id == owner_id, prompt.c.name == name, _is_there)
        .order_by(prompt.c.version.desc())
    )


def prompt_version(owner_id: int, name: str, version: int | None) -> Prompts:
    """One version of the owner's prompt; None is the newest."""
    statement = prompt_versions(owner_id, name).limit(1)
    return statement if version is None else statement.where(prompt.c.version == version)


def newest_prompts(owner_id: int) -> Prompts:
    """The newest version of each of the owner's prompts, by name."""
    return (
        select(*_columns)
        .ext(distinct_on(prompt.c.name))
        .where(prompt.c.owner_id == owner_id, _is_there)
        .order_by(prompt.c.name, prompt.c.version.desc())
    )


def owner_in_turn(owner_id: int) -> Select[int]:
    """Let one transaction at a time change an owner's prompts; rows that only refer to the owner do not wait."""
    return select(owner.c.id).where(owner.c.id == owner_id).with_for_update(key_share=True)


def last_version(owner_id: int, name: str) -> Select[int]:
    """The highest version that this name ever had; 0 if none."""
    return select(func.coalesce(func.max(prompt.c.version), 0)).where(
        prompt.c.owner_id == owner_id, prompt.c.name == name
    )


def new_version(values: dict[str, Any]) -> ReturningInsert[*tuple[Any, ...]]:
    """Add a version; returns it."""
    return insert(prompt).values(values).returning(*_columns)


def users_of_prompt(owner_id: int, name: str, *, limit: int) -> CompoundSelect[str, str]:
    """What of the owner's names this prompt, in any version: `kind` (device or profile) and `name`."""
    devices = select(literal("device").label("kind"), device.c.name).where(
        device.c.owner_id == owner_id,
        func.split_part(device.c.prompt, "@", 1) == name,
        device.c.revoked_at.is_(None),
    )
    profiles = select(literal("profile"), device_profile.c.name).where(
        device_profile.c.owner_id == owner_id,
        func.split_part(device_profile.c.document["prompt"].astext, "@", 1) == name,
    )
    return union_all(devices, profiles).order_by("kind", "name").limit(limit)


def removed_versions(owner_id: int, name: str, *, before: int) -> Delete:
    """Delete the versions before one."""
    return delete(prompt).where(prompt.c.owner_id == owner_id, prompt.c.name == name, prompt.c.version < before)


def emptied_version(owner_id: int, name: str, version: int) -> Update:
    """Delete a version, but for its number."""
    return (
        update(prompt)
        .where(prompt.c.owner_id == owner_id, prompt.c.name == name, prompt.c.version == version)
        .values(text="", note="")
    )
