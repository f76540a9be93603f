"""What jobs bought at providers, so that nothing is bought twice."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_order",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column(
            "dispatched_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="dispatched", nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("provider_order_pkey")),
    )
    op.create_index(
        "provider_order_open",
        "provider_order",
        ["dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state in ('ordered', 'queued', 'running')"),
    )


def downgrade() -> None:
    op.drop_index(
        "provider_order_open",
        table_name="provider_order",
        postgresql_where=sa.text("state in ('ordered', 'queued', 'running')"),
    )
    op.drop_table("provider_order")
