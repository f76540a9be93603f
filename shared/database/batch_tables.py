"""The tables of batches: photos asked about with several variants, one row per photo and variant once it was begun."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.database.tables import metadata, owner
from shared.domain.batches import BatchState, ItemState

BATCH_CODES: Final = {
    BatchState.RUNNING: 0,
    BatchState.PAUSED: 1,
    BatchState.COMPLETED: 2,
    BatchState.CANCELLED: 3,
}
"""How `batch.state` stores a state. Codes are never reused."""
BATCH_STATE_OF: Final = {code: state for state, code in BATCH_CODES.items()}
ITEM_CODES: Final = {
    ItemState.PENDING: 0,
    ItemState.RUNNING: 1,
    ItemState.SUCCEEDED: 2,
    ItemState.FAILED: 3,
    ItemState.CANCELLED: 4,
    ItemState.DELETED: 5,
}
"""How `batch_item.state` stores a state. Codes are never reused."""
ITEM_STATE_OF: Final = {code: state for state, code in ITEM_CODES.items()}

_instant = DateTime(timezone=True)
_now = func.now()
_none = text("0")

batch = Table(
    "batch",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(start=1), nullable=False, unique=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("state", SmallInteger, nullable=False, server_default=_none),
    Column("reason", Text),
    Column("photos", Integer, nullable=False),
    Column("selection", JSONB, nullable=False),
    Column("budget_cost", Numeric(20, 9)),
    Column("budget_tokens", BigInteger),
    Column("rate", Float(53)),
    Column("rated_at", _instant),
    Column("key_id", Uuid),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("ended_at", _instant),
    Column("idempotency_key", Text),
    Column("request_hash", Text),
    Index("batch_by_owner", "owner_id", "id"),
    Index("batch_under_way", "id", postgresql_where=text("ended_at is null")),
    Index(
        "batch_idempotency",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
    ),
)
"""A batch. `number` is its jobs' `fair_key`; `ended_at` is set once no job of it is left. `reason` says to people why
it is paused. `rate` is how many items ended per second of late; `key_id` whom the ledger names."""

batch_photo = Table(
    "batch_photo",
    metadata,
    Column("batch_id", Uuid, ForeignKey(batch.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("image_id", Uuid, nullable=False, index=True),
)
"""The selection, as it was when the batch began; positions count from 0. A photo may have been deleted since."""

batch_variant = Table(
    "batch_variant",
    metadata,
    Column("batch_id", Uuid, ForeignKey(batch.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("next_position", Integer, nullable=False, server_default=_none),
    Column("succeeded", Integer, nullable=False, server_default=_none),
    Column("failed", Integer, nullable=False, server_default=_none),
    Column("cancelled", Integer, nullable=False, server_default=_none),
    Column("deleted", Integer, nullable=False, server_default=_none),
    Column("unpriced", Integer, nullable=False, server_default=_none),
    Column("input_tokens", BigInteger, nullable=False, server_default=_none),
    Column("output_tokens", BigInteger, nullable=False, server_default=_none),
    Column("cost", Numeric(20, 9)),
    Column("dearest_cost", Numeric(20, 9)),
    Column("dearest_tokens", BigInteger),
    Column("created_at", _instant, nullable=False, server_default=_now),
)
"""A way of asking; numbers count from 1. `spec` is a `VariantSpec` as JSON: prompt and profile as they were when it was
added. Photos before `next_position` have an item. Counters are of ended items and change with them; tokens and costs
are of everything that was paid, retries included. `dearest_…` is what the dearest item took, for keeping a budget."""

batch_item = Table(
    "batch_item",
    metadata,
    Column("batch_id", Uuid, ForeignKey(batch.c.id, ondelete="CASCADE"), primary_key=True),
    Column("variant", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("state", SmallInteger, nullable=False),
    Column("job_id", Uuid),
    Column("tries", SmallInteger, nullable=False, server_default=_none),
    Column("dispatched_at", _instant),
    Column("ended_at", _instant),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("receivable", Boolean),
    Column("child_present", Boolean),
    Column("container", Text),
    Column("contents", Text),
    Column("volume", Integer),
    Column("degree", Integer),
    Column("asked_volume", Float(53)),
    Column("asked_degree", Float(53)),
    Column("interventions", ARRAY(Text)),
    Column("is_unusable", Boolean),
    Column("latency_ms", Integer),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost", Numeric(20, 9)),
    Index("batch_item_pending", "batch_id", "variant", "position", postgresql_where=text("state = 0")),
    Index("batch_item_open", "batch_id", "dispatched_at", postgresql_where=text("state = 1")),
    postgresql_with={"fillfactor": "80"},
)
"""One photo with one variant, from when it was begun: its one result. `job_id` is written before the job exists, so
that whoever finds it without one may submit it again under the same id. `cost` and tokens are of the last try."""

promotion = Table(
    "promotion",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", BigInteger, ForeignKey(owner.c.id, ondelete="CASCADE"), nullable=False),
    Column("batch_id", Uuid, nullable=False),
    Column("variant", SmallInteger, nullable=False),
    Column("profile", Text, nullable=False),
    Column("bars", JSONB, nullable=False),
    Column("measured", JSONB, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("created_at", _instant, nullable=False, server_default=_now),
    Column("reverted_at", _instant),
    Index("promotion_by_owner", "owner_id", "id"),
)
"""A wish to make a variant a profile's default: which bars it had to pass, what was measured, and, where it passed, the
profile's model and prompt `before` and `after`. Outlives its batch."""
