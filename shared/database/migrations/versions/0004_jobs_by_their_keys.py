"""The index on idempotency keys begins with the key: a look-up of a key never reads all jobs of its owner."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index_by("idempotency_key", "owner_id")


def downgrade() -> None:
    _index_by("owner_id", "idempotency_key")


def _index_by(*columns: str) -> None:
    op.drop_index("job_idempotency", table_name="job")
    op.create_index(
        "job_idempotency",
        "job",
        list(columns),
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
