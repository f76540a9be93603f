"""Statements about the jobs that a stored photo or media file is the subject of, and about removing what came of it."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Delete, Select, any_, delete, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from shared.database.tables import STATE_CODES, finding, image, job, job_body, job_done, job_setback
from shared.domain.jobs import ACTIVE, Kind

Rows: TypeAlias = Select[*tuple[Any, ...]]

ACTIVE_CODES = [STATE_CODES[state] for state in ACTIVE]


def opening_job(owner_id: int, image_id: UUID) -> Rows:
    """The job that is opening a photo, unless it was told to stop or comes too late."""
    return (
        _about(owner_id, image_id)
        .where(
            job.c.kind == Kind.UPLOAD.value,
            job.c.state.in_(ACTIVE_CODES),
            job.c.cancel_requested_at.is_(None),
            job.c.deadline > func.now(),
        )
        .limit(1)
    )


def active_jobs_about(owner_id: int, image_id: UUID) -> Rows:
    """The jobs about a photo that have not ended."""
    return _about(owner_id, image_id).where(job.c.state.in_(ACTIVE_CODES))


def lock_image(owner_id: int, image_id: UUID) -> Rows:
    """The owner's photo, locked until the transaction ends."""
    return select(image.c.id).where(image.c.owner_id == owner_id, image.c.id == image_id).with_for_update()


def lock_jobs_about(owner_id: int, image_id: UUID) -> Rows:
    """Every job about a photo, locked until the transaction ends."""
    return _about(owner_id, image_id).order_by(job.c.id).with_for_update(of=job)


def removal(owner_id: int, image_id: UUID, job_ids: Sequence[UUID]) -> Iterator[Delete]:
    """Remove the jobs, then what they found, then the photo; its names and touches go with it."""
    yield from removal_of_jobs(job_ids)
    yield delete(finding).where(finding.c.owner_id == owner_id, finding.c.image_id == image_id)
    yield delete(image).where(image.c.owner_id == owner_id, image.c.id == image_id)


def removal_of_jobs(job_ids: Sequence[UUID]) -> Iterator[Delete]:
    """Remove jobs with everything that is kept under their ids."""
    ids = any_(sql_cast(list(job_ids), ARRAY(Uuid)))
    yield delete(job_setback).where(job_setback.c.job_id == ids)
    yield delete(job_done).where(job_done.c.id == ids)
    yield delete(job_body).where(job_body.c.id == ids)
    yield delete(job).where(job.c.id == ids)


def _about(owner_id: int, image_id: UUID) -> Rows:
    return (
        select(job.c.id, job.c.state, job.c.fence)
        .join_from(job_body, job, job.c.id == job_body.c.id)
        .where(job_body.c.image_id == image_id, job.c.owner_id == owner_id)
    )
