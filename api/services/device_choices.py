"""What a device can be told to use: checked when it is chosen, so that no photo fails on a name that leads nowhere."""

from collections.abc import Mapping
from typing import Final

from api.front import Front
from api.services.submit import resolve_model
from shared.database.statements.keys import owner_named
from shared.domain.errors import InvalidRequest
from shared.domain.ids import OwnerId

NOBODY: Final = OwnerId(0)
"""An owner who is not there yet: has what everybody has."""


async def check_choices(front: Front, owner_id: OwnerId, chosen: Mapping[str, str | None]) -> None:
    """Refuse a profile, prompt or model that this owner does not have; what is not chosen is not looked at.

    Raises:
        InvalidRequest: with the field's name.
    """
    profile, prompt, model = (chosen.get(name) for name in ("profile", "prompt", "model"))
    if profile is not None and await front.profiles.find(owner_id, profile) is None:
        raise InvalidRequest(f"there is no profile {profile}: see GET /v2/profiles", field="profile")
    if prompt is not None and await front.prompts.find(owner_id, prompt) is None:
        raise InvalidRequest(f"there is no prompt {prompt}: see GET /v2/prompts", field="prompt")
    if model is not None:
        resolve_model(front, model)


async def owner_called(front: Front, name: str) -> OwnerId:
    """Return the owner of this name, or `NOBODY`."""
    rows = await front.queries.rows(owner_named(name))
    return OwnerId(rows[0].id) if rows else NOBODY
