"""The tables, as SQLAlchemy knows them: the one source for migrations and for every statement that is not hot.

A job is three rows, so that what changes stays small: `job` (updated three times in its life), `job_body` (written
once, when accepted) and `job_done` (written once, when ended). Every owned table carries `owner_id`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.domain.jobs import State

STATE_CODES: Final = {
    State.QUEUED: 0,
    State.RUNNING: 1,
    State.WAITING: 2,
    State.SUCCEEDED: 3,
    State.FAILED: 4,
    State.CANCELLED: 5,
    State.EXPIRED: 6,
}
"""How `job.state` stores a state: numbers keep the partial indexes small. Codes are never reused."""
STATE_OF: Final = {code: state for state, code in STATE_CODES.items()}

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)
_now = func.now()
_instant = DateTime(timezone=True)

owner = Table(
    "owner",
    metadata,
    Column("id", BigInteger, Identity(start=1), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", _instant, nullable=False, server_default=_now),
)
"""Who things belong to. Row 1 is the built-in local owner."""

api_key = Table(
    "api_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("expires_at", _instant),
    Column("revoked_at", _instant),
    Column("last_used_at", _instant),
)
"""`hash` is SHA-256 of a key of full entropy; `hint` its first characters, to tell keys apart."""

worker = Table(
    "worker",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("is_draining", SmallInteger, nullable=False, server_default=text("0")),
    Column("started_at", _instant, nullable=False, server_default=func.clock_timestamp()),
    Column("lease_until", _instant, nullable=False),
    postgresql_with={"fillfactor": "50"},
)
"""One row per worker process. No index on `lease_until`: its renewals stay heap-only updates."""

job = Table(
    "job",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, nullable=False),
    Column("fair_key", BigInteger, nullable=False),
    Column("queue", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("worker_id", BigInteger),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("losses", SmallInteger, nullable=False, server_default=text("0")),
    Column("on_disconnect", Text, nullable=False),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("deadline", _instant, nullable=False),
    Column("run_after", _instant),
    Column("rung_at", _instant),
    Column("cancel_requested_at", _instant),
    Column("started_at", _instant),
    Column("ended_at", _instant),
    Column("idempotency_key", Text),
    Index(
        "job_idempotency",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
    ),
    Index("job_by_owner", "owner_id", "id"),
    Index("job_ready", "queue", "owner_id", "fair_key", "id", postgresql_where=text("state = 0 and run_after is null")),
    Index("job_after", "run_after", postgresql_where=text("state in (0, 2) and run_after is not null")),
    Index("job_deadline", "deadline", postgresql_where=text("state in (0, 2)")),
    Index("job_running", "worker_id", postgresql_where=text("state = 1")),
    postgresql_with={
        "fillfactor": "70",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_analyze_scale_factor": "0.05",
    },
)
"""The hot row. `fair_key` is what fair ringing goes round-robin by: a device's id, or the negated owner's id.

`fence` counts claims (and ends without a runner); it is the attempt's number in the event log. `attempts` counts the
job's own failures, `losses` the deaths of processes under it.
"""

job_body = Table(
    "job_body",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("model", Text, nullable=False),
    Column("labels", JSONB),
)
"""Written with the job, never updated. `payload` is a `JobSpec` as JSON, `model` what it names, so that a list need not
read payloads; `request_hash` guards idempotency keys."""

job_done = Table(
    "job_done",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("archive", LargeBinary),
)
"""Written when the job ends, once. `reply` is a folded `Reply` as JSON; `archive` the last attempt's log, zlib over
a JSON array of entries, or null where the job ended without a runner: then the end is told from these rows."""

job_setback = Table(
    "job_setback",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("job_id", Uuid, nullable=False, index=True),
    Column("fence", Integer, nullable=False),
    Column("worker_id", BigInteger),
    Column("what", Text, nullable=False),
    Column("error", JSONB),
    Column("at", _instant, nullable=False, server_default=func.clock_timestamp()),
)
"""Attempts that did not end the job (`failed`, `worker_lost`, `released`, `replayed`): a dead letter's history."""

image = Table(
    "image",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("created_at", _instant, nullable=False, server_default=_now),
    UniqueConstraint("owner_id", "sha256"),
)
"""A stored photo, once per owner and content."""

image_name = Table(
    "image_name",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("image_id", Uuid, ForeignKey(image.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("stored_at", _instant, nullable=False, server_default=_now),
)
"""The names the old firmware gives its photos; a name it uses again means the newer photo."""
