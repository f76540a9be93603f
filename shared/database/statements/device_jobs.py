"""Statements about devices' jobs that are not hot."""

from uuid import UUID

from sqlalchemy import Select, select

from shared.database.tables import job


def job_with_key(owner_id: int, idempotency_key: str) -> Select[tuple[UUID]]:
    """The id of the owner's job that was accepted under a key."""
    return select(job.c.id).where(job.c.owner_id == owner_id, job.c.idempotency_key == idempotency_key)
