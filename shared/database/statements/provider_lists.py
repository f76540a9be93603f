"""Statements about the providers' lists of models: what workers last heard, and when."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Numeric, Select, cast, func, null, select
from sqlalchemy.dialects.postgresql import JSONPATH, insert
from sqlalchemy.sql.dml import ReturningInsert

from shared.database.tables import provider_list
from shared.domain.models import ListedModel

Lists: TypeAlias = Select[*tuple[Any, ...]]
Noted: TypeAlias = ReturningInsert[*tuple[Any, ...]]


def every_list() -> Lists:
    """All lists; `listed_s_ago` and `tried_s_ago` are by the database's clock, in seconds."""
    return select(
        provider_list.c.provider,
        provider_list.c.models,
        provider_list.c.listed_at,
        provider_list.c.tried_at,
        provider_list.c.error,
        _seconds_since(provider_list.c.listed_at).label("listed_s_ago"),
        _seconds_since(provider_list.c.tried_at).label("tried_s_ago"),
    )


def last_try(provider: str) -> Lists:
    """When a worker last asked this provider, whatever came of it."""
    return select(provider_list.c.tried_at).where(provider_list.c.provider == provider)


def said_of(provider: str, model_id: str) -> Lists:
    """What a provider's list says of one model, under that name or another it has; no row, or null: nothing."""
    path = cast("$[*] ? (@.id == $name || @.aliases[*] == $name).abilities", JSONPATH)
    found = func.jsonb_path_query_first(provider_list.c.models, path, func.jsonb_build_object("name", model_id))
    return select(found.label("abilities")).where(provider_list.c.provider == provider)


def heard(provider: str, models: Sequence[ListedModel]) -> Noted:
    """Note a provider's list."""
    return _noted(provider, models=msgspec.to_builtins(models), listed_at=func.now(), error=null())


def not_heard(provider: str, error: str) -> Noted:
    """Note why a provider's list could not be had; the last good one is kept."""
    return _noted(provider, error=error)


def _noted(provider: str, **values: Any) -> Noted:  # values of the table's columns
    values = {**values, "tried_at": func.clock_timestamp()}
    return (
        insert(provider_list)
        .values(provider=provider, **values)
        .on_conflict_do_update(index_elements=[provider_list.c.provider], set_=values)
        .returning(provider_list.c.tried_at)
    )


def _seconds_since(instant: Any) -> Any:  # a column, and an expression over it
    return cast(func.extract("epoch", func.now() - instant), Numeric)
