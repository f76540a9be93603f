"""Prompts: the built-in ones and each owner's own, in versions that never change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.engine import Row

from api.services.profiles import MAX_NAMED, Origin
from shared.database.queries import Queries
from shared.database.statements import prompts as statements
from shared.domain.dispense import BUILT_IN_PROMPTS, INLINE, AnswerForm, StoredPrompt, split_ref
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import OwnerId

MAX_VERSION: Final = 999_999
"""A reference has six digits at most."""


@dataclass(frozen=True, kw_only=True)
class KnownPrompt:
    """A version of a prompt with where it is from; `created_at` of owners' own only."""

    prompt: StoredPrompt
    origin: Origin
    note: str = ""
    created_at: datetime | None = None


def _built_in() -> dict[str, list[KnownPrompt]]:
    versions: dict[str, list[KnownPrompt]] = {}
    for prompt in sorted(BUILT_IN_PROMPTS.values(), key=lambda prompt: -prompt.version):
        versions.setdefault(prompt.name, []).append(KnownPrompt(prompt=prompt, origin=Origin.BUILT_IN))
    return versions


BUILT_IN_VERSIONS: Final = _built_in()
"""Every built-in prompt by name, newest version first."""


class PromptStore:
    """Every prompt an owner may use."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def find(self, owner_id: OwnerId, ref: str) -> StoredPrompt | None:
        """Return the version a reference means to an owner, or None; built-in ones cost no query."""
        name, version = split_ref(ref)
        known = await self.version(owner_id, name, version)
        return None if known is None else known.prompt

    async def version(self, owner_id: OwnerId, name: str, version: int | None = None) -> KnownPrompt | None:
        """Return one version with where it is from; None is the newest."""
        if name in BUILT_IN_VERSIONS:
            known = BUILT_IN_VERSIONS[name]
            return next((one for one in known if version in (None, one.prompt.version)), None)
        rows = await self._queries.rows(statements.prompt_version(owner_id, name, version))
        return _own(rows[0]) if rows else None

    async def versions(self, owner_id: OwnerId, name: str) -> list[KnownPrompt]:
        """Return every version, newest first; none at all if there is no such prompt."""
        if name in BUILT_IN_VERSIONS:
            return BUILT_IN_VERSIONS[name]
        return [_own(row) for row in await self._queries.rows(statements.prompt_versions(owner_id, name))]

    async def newest(self, owner_id: OwnerId) -> list[KnownPrompt]:
        """Return the newest version of every prompt, the owner's own first."""
        own = [_own(row) for row in await self._queries.rows(statements.newest_prompts(owner_id))]
        return own + [versions[0] for _, versions in sorted(BUILT_IN_VERSIONS.items())]

    async def add(
        self, owner_id: OwnerId, name: str, *, text: str, form: AnswerForm, note: str
    ) -> tuple[KnownPrompt, bool]:
        """Add the next version of an owner's prompt; what is the newest version already is not added again.

        Returns the version, and whether it is new.

        Raises:
            Conflict: if the name is a built-in prompt's.
        """
        if name in BUILT_IN_VERSIONS or name == INLINE:
            raise Conflict(f"{name} is a name of this server's own: choose another", field="name")
        async with self._queries.transaction() as connection:
            await connection.execute(statements.owner_in_turn(owner_id))
            newest = (await connection.execute(statements.prompt_version(owner_id, name, None))).first()
            if newest is not None and (newest.text, newest.form) == (text, form):
                return _own(newest), False
            version = (await connection.execute(statements.last_version(owner_id, name))).scalar_one() + 1
            if version > MAX_VERSION:
                raise Conflict(f"{name} has {MAX_VERSION} versions: choose another name", field="name")
            values = {"owner_id": owner_id, "name": name, "version": version, "text": text, "form": form, "note": note}
            return _own((await connection.execute(statements.new_version(values))).one()), True

    async def remove(self, owner_id: OwnerId, name: str) -> None:
        """Delete an owner's prompt with all its versions; their numbers are not used again.

        Raises:
            Conflict: if a device or a profile names it, or if it is not the owner's.
            NotFound: if there is none.
        """
        if name in BUILT_IN_VERSIONS:
            raise Conflict(f"{name} is a built-in prompt: it cannot be deleted", field="name")
        async with self._queries.transaction() as connection:
            await connection.execute(statements.owner_in_turn(owner_id))
            newest = (await connection.execute(statements.prompt_version(owner_id, name, None))).first()
            if newest is None:
                raise NotFound("You have no prompt of this name.")
            users = (await connection.execute(statements.users_of_prompt(owner_id, name, limit=MAX_NAMED))).all()
            if users:
                named = ", ".join(f"the {kind} {user}" for kind, user in users)
                raise Conflict(f"This prompt is asked by {named}. Give them another one first.")
            await connection.execute(statements.removed_versions(owner_id, name, before=newest.version))
            await connection.execute(statements.emptied_version(owner_id, name, newest.version))


def _own(row: Row[Any]) -> KnownPrompt:  # Any: the columns of statements.prompts
    prompt = StoredPrompt(name=row.name, version=row.version, text=row.text, form=AnswerForm(row.form))
    return KnownPrompt(prompt=prompt, origin=Origin.OWN, note=row.note, created_at=row.created_at)
