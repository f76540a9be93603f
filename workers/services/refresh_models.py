"""Asking one provider what it offers, and noting the answer for every api process to read."""

from collections.abc import Mapping
from datetime import timedelta

import structlog
from sqlalchemy import Executable

from shared.database.queries import Queries
from shared.database.statements.provider_lists import heard, not_heard
from shared.domain.errors import ProviderError, Unavailable
from shared.redaction import redact_text
from workers.providers.base import Provider

_log = structlog.get_logger(__name__)


async def refresh_models(name: str, *, providers: Mapping[str, Provider], queries: Queries, within: timedelta) -> None:
    """Fetch a provider's list of models; where it cannot be had, keep the last one and note why.

    Never raises for what a provider does; PostgreSQL being away is logged, for whoever asks next will ask again.
    """
    try:
        await queries.rows(await _answer(name, providers.get(name), within))
    except Unavailable as error:
        _log.warning("model_list_not_noted", provider=name, error=str(error))


async def _answer(name: str, provider: Provider | None, within: timedelta) -> Executable:
    if provider is None:
        return not_heard(name, f"The worker that was asked has no provider named {name}.")
    try:
        models = await provider.list_models(within.total_seconds())
    except ProviderError as error:
        why = redact_text(str(error))
        _log.info("models_not_listed", provider=name, error=why)
        return not_heard(name, why)
    return heard(name, models)
