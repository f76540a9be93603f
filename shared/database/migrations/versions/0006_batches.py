"""Batches: stored photos asked about again, and what became a profile's default because of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False, start=1), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("selection", postgresql.JSONB(), nullable=False),
        sa.Column("budget_cost", sa.Numeric(precision=20, scale=9), nullable=True),
        sa.Column("budget_tokens", sa.BigInteger(), nullable=True),
        sa.Column("rate", sa.Float(precision=53), nullable=True),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=op.f("batch_owner_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("batch_pkey")),
        sa.UniqueConstraint("number", name=op.f("batch_number_key")),
    )
    op.create_index("batch_by_owner", "batch", ["owner_id", "id"], unique=False)
    op.create_index(
        "batch_idempotency",
        "batch",
        ["owner_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.create_index("batch_under_way", "batch", ["id"], unique=False, postgresql_where=sa.text("ended_at is null"))
    op.create_table(
        "promotion",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("bars", postgresql.JSONB(), nullable=False),
        sa.Column("measured", postgresql.JSONB(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reverted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=op.f("promotion_owner_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("promotion_pkey")),
    )
    op.create_index("promotion_by_owner", "promotion", ["owner_id", "id"], unique=False)
    op.create_table(
        "batch_item",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("receivable", sa.Boolean(), nullable=True),
        sa.Column("child_present", sa.Boolean(), nullable=True),
        sa.Column("container", sa.Text(), nullable=True),
        sa.Column("contents", sa.Text(), nullable=True),
        sa.Column("volume", sa.Integer(), nullable=True),
        sa.Column("degree", sa.Integer(), nullable=True),
        sa.Column("asked_volume", sa.Float(precision=53), nullable=True),
        sa.Column("asked_degree", sa.Float(precision=53), nullable=True),
        sa.Column("interventions", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("is_unusable", sa.Boolean(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.Numeric(precision=20, scale=9), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("batch_item_batch_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "variant", "position", name=op.f("batch_item_pkey")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "batch_item_open",
        "batch_item",
        ["batch_id", "dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index(
        "batch_item_pending",
        "batch_item",
        ["batch_id", "variant", "position"],
        unique=False,
        postgresql_where=sa.text("state = 0"),
    )
    op.create_table(
        "batch_photo",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("batch_photo_batch_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("batch_photo_pkey")),
    )
    op.create_index(op.f("batch_photo_image_id_ix"), "batch_photo", ["image_id"], unique=False)
    op.create_table(
        "batch_variant",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("next_position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unpriced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost", sa.Numeric(precision=20, scale=9), nullable=True),
        sa.Column("dearest_cost", sa.Numeric(precision=20, scale=9), nullable=True),
        sa.Column("dearest_tokens", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.id"], name=op.f("batch_variant_batch_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("batch_variant_pkey")),
    )


def downgrade() -> None:
    op.drop_table("batch_variant")
    op.drop_index(op.f("batch_photo_image_id_ix"), table_name="batch_photo")
    op.drop_table("batch_photo")
    op.drop_index("batch_item_pending", table_name="batch_item", postgresql_where=sa.text("state = 0"))
    op.drop_index("batch_item_open", table_name="batch_item", postgresql_where=sa.text("state = 1"))
    op.drop_table("batch_item")
    op.drop_index("promotion_by_owner", table_name="promotion")
    op.drop_table("promotion")
    op.drop_index("batch_under_way", table_name="batch", postgresql_where=sa.text("ended_at is null"))
    op.drop_index("batch_idempotency", table_name="batch", postgresql_where=sa.text("idempotency_key is not null"))
    op.drop_index("batch_by_owner", table_name="batch")
    op.drop_table("batch")
