"""What was used: sums over the ledger (`charge`), which is written by the statements that end jobs."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy.engine import Row

from shared.database.queries import Queries
from shared.database.statements import usage as statements
from shared.domain.ids import OwnerId

Group: TypeAlias = Literal["model", "kind", "client", "key", "day"]
"""What usage can be summed by: `key` is an API key's id, `day` is in UTC."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What some jobs used. `cost` is of those whose model has a price, None if none has; `unpriced_jobs` have none.

    `lost_tokens` are the estimated input of attempts whose process died; `estimated_jobs` are those of which not
    everything was counted by a provider.
    """

    jobs: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    lost_tokens: int
    estimated_jobs: int
    cost: Decimal | None
    unpriced_jobs: int


async def used_by(
    queries: Queries, group: Group, *, owner_id: OwnerId, begin: datetime, end: datetime, after: str | None, limit: int
) -> list[tuple[str, Used]]:
    """Return what was used from an instant on, before another, by group; the name is empty where jobs have none."""
    statement = statements.usage_by(group, owner_id=owner_id, begin=begin, end=end, after=after, limit=limit)
    return [(row.name, _used(row)) for row in await queries.rows(statement)]


async def used_in_all(queries: Queries, *, owner_id: OwnerId, begin: datetime, end: datetime) -> Used:
    """Return what was used from an instant on, before another."""
    return _used((await queries.rows(statements.usage(owner_id=owner_id, begin=begin, end=end)))[0])


def _used(row: Row[Any]) -> Used:  # Any: the columns of statements.usage
    return Used(
        jobs=row.jobs,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        cached_tokens=row.cached_tokens,
        lost_tokens=row.lost_tokens,
        estimated_jobs=row.estimated_jobs,
        cost=row.cost,
        unpriced_jobs=row.unpriced_jobs,
    )
