"""Whose things a caller asks about: the caller's own or, for an administrator, another owner's by name."""

from api.auth import Caller
from api.front import Front
from shared.database.statements.keys import owner_named
from shared.domain.errors import Forbidden, NotFound
from shared.domain.ids import OwnerId


async def owner_asked_about(front: Front, caller: Caller, name: str | None) -> OwnerId:
    """Return the owner of a name; without one, the caller.

    Raises:
        Forbidden: if it is somebody else, and the caller no administrator.
        NotFound: if there is no such owner.
    """
    if name is None or name == caller.owner_name:
        return caller.owner_id
    if not caller.is_admin:
        raise Forbidden("Only an administrator asks about another owner.", field="owner")
    rows = await front.queries.rows(owner_named(name))
    if not rows:
        raise NotFound("There is no owner of this name.", field="owner")
    return OwnerId(rows[0].id)
