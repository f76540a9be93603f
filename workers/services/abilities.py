"""What a model can do, for services that must choose one: by its provider's list, and by what its name tells."""

import msgspec
import structlog

from shared.database.queries import Queries
from shared.database.statements.provider_lists import said_of
from shared.domain.errors import Unavailable
from shared.domain.models import NOTHING_KNOWN, Abilities
from shared.model_facts import sees_photos

_log = structlog.get_logger(__name__)


async def has_vision(queries: Queries, ref: str) -> bool | None:
    """Return whether a model, as `provider/model`, can be shown a photo and answers in words; None is not known.

    No provider is called. With PostgreSQL away, what its name tells must do.
    """
    provider, _, model_id = ref.partition("/")
    try:
        said = await _said(queries, provider, model_id)
    except Unavailable as error:
        _log.warning("model_list_not_read", provider=provider, error=str(error))
        said = NOTHING_KNOWN
    return sees_photos(provider, model_id, said)


async def _said(queries: Queries, provider: str, model_id: str) -> Abilities:
    rows = await queries.rows(said_of(provider, model_id))
    found = rows[0].abilities if rows else None
    return NOTHING_KNOWN if found is None else msgspec.convert(found, Abilities)
