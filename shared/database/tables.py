"""The tables, as SQLAlchemy knows them: the one source for migrations and for every statement that is not hot.

A job is three rows, so that what changes stays small: `job` (updated three times in its life), `job_body` (written
once, when accepted) and `job_done` (written once, when ended). Every owned table carries `owner_id`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
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
    Column("chat_id", Uuid),
    Column("turn", BigInteger),
    Index("job_of_chat", "chat_id", postgresql_where=text("chat_id is not null")),
    Index("job_turns", "chat_id", "turn", "id", postgresql_where=text("chat_id is not null and state in (0, 1, 2)")),
    Index(
        "job_idempotency",
        "idempotency_key",
        "owner_id",
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

A job with a `chat_id` answers that chat's `turn`; while an earlier turn is not over, its `run_after` is infinity.

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
    Column("image_id", Uuid),
    Column("client", Text),
    Column("key_id", Uuid),
    Index("job_body_image_id_ix", "image_id", postgresql_where=text("image_id is not null")),
)
"""Written with the job, never updated. `payload` is a `JobSpec` as JSON, `model` what it names, so that a list need not
read payloads; `request_hash` guards idempotency keys. `image_id` is the stored photo that a vision or upload job is
about, or an upload job's media file: what is derived from it is found by it. `client` and `key_id` say who asked, for
the ledger: whom the caller named, and with which API key."""

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
    Column("device_id", Uuid, ForeignKey("device.id", ondelete="SET NULL")),
    Column("ready_at", _instant),
    Column("content_sha256", LargeBinary),
    Column("thumbnail_key", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'")),
    UniqueConstraint("owner_id", "sha256"),
    Index("image_by_owner", "owner_id", "id"),
    Index("image_by_device", "device_id", "id", postgresql_where=text("device_id is not null")),
    Index("image_tags", "tags", postgresql_using="gin"),
    Index("image_labels", "labels", postgresql_using="gin", postgresql_ops={"labels": "jsonb_path_ops"}),
)
"""A stored photo, once per owner and content: `sha256` is of what was sent, and `device_id` who sent it first.

From `ready_at` on it was opened and holds no metadata; only then is it shown. `object_key`, `media_type`, `size_bytes`,
`width`, `height` and `content_sha256` are then of the clean content, and without a `thumbnail_key` it is small enough
to be its own thumbnail. `labels` is what people say of it (JSON object), for comparing models with.
"""

image_name = Table(
    "image_name",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True),
    Column("device_number", BigInteger, primary_key=True, autoincrement=False, server_default=text("0")),
    Column("bucket", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("image_id", Uuid, ForeignKey(image.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("stored_at", _instant, nullable=False, server_default=_now),
)
"""The names the old firmware gives its photos; a name it uses again means the newer photo.

Each device has names of its own; `device_number` 0 is no device: this machine, in the access mode `open`.
"""

touch = Table(
    "touch",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True),
    Column("device_number", BigInteger, primary_key=True, autoincrement=False),
    Column("image_id", Uuid, ForeignKey(image.c.id, ondelete="CASCADE"), primary_key=True, index=True),
    Column("began_at", _instant, nullable=False, server_default=_now),
)
"""When somebody last touched a dispenser's screen for this photo: asking again within a minute is the same touch."""

finding = Table(
    "finding",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, nullable=False),
    Column("image_id", Uuid, nullable=False, index=True),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("volume", Integer, nullable=False),
    Column("degree", Integer, nullable=False),
    Column("container", Text, nullable=False),
    Column("contents", Text, nullable=False),
    Column("receivable", Boolean),
    Column("child_present", Boolean),
    Column("is_safe_default", Boolean, nullable=False),
    Column("is_changed", Boolean, nullable=False),
    Column("found_at", _instant, nullable=False, server_default=func.clock_timestamp()),
)
"""What a job found in a stored photo, after the envelope (`volume`, `degree`) and as the model saw it (the rest).

Written by the statement that ends the job, so that it is the fence's like the end itself. No foreign key to `image`: a
photo that is deleted in that moment must not fail the end; whoever deletes a photo deletes its jobs first, then these.
"""

device = Table(
    "device",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(start=1), nullable=False, unique=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("profile", Text),
    Column("prompt", Text),
    Column("model", Text),
    Column("firmware", Text),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("last_seen_at", _instant),
    Column("revoked_at", _instant),
    Column("claim_hash", LargeBinary, unique=True),
    Column("claim_expires_at", _instant),
    Column("claimed_at", _instant),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    Index("device_by_owner", "owner_id", "id"),
    Index("device_name", "owner_id", "name", unique=True, postgresql_where=text("revoked_at is null")),
    Index(
        "device_idempotency",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
    ),
)
"""A dispenser. `number` is its jobs' `fair_key`; `profile`, `prompt` and `model` hold where a request does not say.
Its name is free again once it is revoked. A claim code is kept (hashed) after its use, to tell that it was used."""

device_credential = Table(
    "device_credential",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("device_id", Uuid, ForeignKey(device.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("access_key", Text),
    Column("secret", LargeBinary),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("expires_at", _instant),
    Column("revoked_at", _instant),
)
"""What is compiled into a device: its token (hashed), and where it signs its uploads the pair it signs them with, the
secret half encrypted (`shared.encryption`). Two are valid at once while a device is given a new one."""

device_profile = Table(
    "device_profile",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("updated_at", _instant, nullable=False, server_default=_now),
)
"""An owner's own profiles; `document` is a `DeviceProfile`. Accepted jobs carry a copy."""

prompt = Table(
    "prompt",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", _instant, nullable=False, server_default=_now),
)
"""An owner's own prompts. Versions are added and never changed; a row without a text is the last version of a prompt
that was deleted, so that its number is not used again."""

account = Table(
    "account",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="user"),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("disabled_at", _instant),
    Column("last_login_at", _instant),
)
"""An owner who can log in, by the owner's name. Tokens carry the `epoch` and end when it is raised: that is how one
logs out everywhere."""

login_failure = Table(
    "login_failure",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("began_at", _instant, nullable=False, server_default=_now),
    Index("login_failure_began_at_ix", "began_at"),
)
"""Failed logins within a window that began at `began_at`, per address, and per account and address."""

turn_number = Sequence("turn_number", metadata=metadata)
"""Numbers turns: within a chat they rise in the order in which its turns were accepted."""

chat = Table(
    "chat",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(start=1), nullable=False, unique=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("origin", Text, nullable=False),
    Column("external_id", Text),
    Column("title", Text, nullable=False),
    Column("model", Text),
    Column("system_prompt", Text),
    Column("parameters", JSONB, nullable=False, server_default=text("'{}'")),
    Column("provider_key", LargeBinary),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("updated_at", _instant, nullable=False, server_default=_now),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    Index("chat_by_owner", "owner_id", "updated_at", "id"),
    Index(
        "chat_external",
        "owner_id",
        "origin",
        "external_id",
        unique=True,
        postgresql_where=text("external_id is not null"),
    ),
    Index(
        "chat_idempotency",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
    ),
)
"""A conversation. `number` is its id for older systems whose ids are integers, `external_id` for one that lets clients
choose them; `origin` says through which surface it was made (older systems see only their own). `provider_key` is
encrypted (`shared.encryption`) and used for this chat only. `updated_at` is when its last turn was accepted."""

message = Table(
    "message",
    metadata,
    Column("id", BigInteger, Identity(start=1), primary_key=True),
    Column("chat_id", Uuid, nullable=False),
    Column("owner_id", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("media", JSONB, nullable=False, server_default=text("'[]'")),
    Column("reasoning", Text),
    Column("search_results", JSONB),
    Column("signatures", JSONB),
    Column("tool_calls", JSONB),
    Column("provider", Text),
    Column("model", Text),
    Column("usage", JSONB),
    Column("finish_reason", Text),
    Column("job_id", Uuid),
    Column("created_at", _instant, nullable=False, server_default=func.clock_timestamp()),
    Index("message_of_chat", "chat_id", "turn", "id"),
)
"""What was said, in the order (`turn`, `id`): a turn is what the user said and, once there is one, the answer to it.

Answers are written by the statement that ends their job, so that they are the fence's like the end itself. No foreign
key to `chat`, for the same reason as in `finding`: whoever deletes a chat deletes its jobs first, then these.
"""

media = Table(
    "media",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("ready_at", _instant),
    UniqueConstraint("owner_id", "sha256"),
    Index("media_by_owner", "owner_id", "id"),
)
"""A stored video or audio file, once per owner and content. Shown from `ready_at` on: then it was checked."""

quota = Table(
    "quota",
    metadata,
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("subject", Text, primary_key=True),
    Column("limit_tokens", BigInteger, nullable=False),
    Column("used_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("reserved_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("updated_at", _instant, nullable=False, server_default=_now),
)
"""What may be used at most: by an owner as a whole (`subject` is `owner`), through one API key (`key:<id>`), or by one
client of the owner (`client:<id>`). A job is accepted if what is used, reserved and asked for stays within."""

reservation = Table(
    "reservation",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, nullable=False),
    Column("subjects", ARRAY(Text), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
)
"""What a job that has not been settled holds of each of these quotas."""

charge = Table(
    "charge",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, nullable=False),
    Column("client", Text),
    Column("key_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("lost_tokens", BigInteger, nullable=False),
    Column("is_estimated", Boolean, nullable=False),
    Column("cost", Numeric(20, 9)),
    Column("charged_at", _instant, nullable=False, server_default=func.clock_timestamp()),
    Index("charge_by_owner", "owner_id", "charged_at"),
)
"""The ledger: what a job used, written by the statement that ends it. `output_tokens` include the reasoning;
`lost_tokens` are the estimated input of attempts whose process died. Without a price there is no `cost`."""

provider_list = Table(
    "provider_list",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("models", JSONB, nullable=False, server_default=text("'[]'")),
    Column("listed_at", _instant),
    Column("tried_at", _instant),
    Column("error", Text),
)
"""The models each provider lists, as a worker last heard: `listed_at` is of the last good answer, which is kept."""

provider_order = Table(
    "provider_order",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("dispatched_at", _instant, nullable=False, server_default=func.clock_timestamp()),
    Column("order_id", Text),
    Column("state", Text, nullable=False, server_default="dispatched"),
    Index("provider_order_open", "dispatched_at", postgresql_where=text("state in ('ordered', 'queued', 'running')")),
)
"""What a job bought, or may have bought: written before a provider is asked for pictures or a film, so that nothing is
bought twice. `order_id` is the provider's name for it, once it gave one; `state` is `dispatched`, then `ordered`, then
what was last heard: `queued`, `running`, `succeeded`, `failed`, `cancelled`, or `given_up` (it cannot be cancelled).

No foreign key to `job`: an order whose job was deleted must still be found, to be cancelled.
"""
