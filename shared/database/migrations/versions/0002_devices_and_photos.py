"""Devices, their profiles and prompts; photos with tags and labels, and what was found in them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("volume", sa.Integer(), nullable=False),
        sa.Column("degree", sa.Integer(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("contents", sa.Text(), nullable=False),
        sa.Column("receivable", sa.Boolean(), nullable=True),
        sa.Column("child_present", sa.Boolean(), nullable=True),
        sa.Column("is_safe_default", sa.Boolean(), nullable=False),
        sa.Column("is_changed", sa.Boolean(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("finding_pkey")),
    )
    op.create_index(op.f("finding_image_id_ix"), "finding", ["image_id"], unique=False)
    op.create_table(
        "device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False, start=1), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_hash", sa.LargeBinary(), nullable=True),
        sa.Column("claim_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=op.f("device_owner_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("device_pkey")),
        sa.UniqueConstraint("claim_hash", name=op.f("device_claim_hash_key")),
        sa.UniqueConstraint("number", name=op.f("device_number_key")),
    )
    op.create_index("device_by_owner", "device", ["owner_id", "id"], unique=False)
    op.create_index(
        "device_idempotency",
        "device",
        ["owner_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.create_index(
        "device_name", "device", ["owner_id", "name"], unique=True, postgresql_where=sa.text("revoked_at is null")
    )
    op.create_table(
        "device_profile",
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["owner.id"], name=op.f("device_profile_owner_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "name", name=op.f("device_profile_pkey")),
    )
    op.create_table(
        "prompt",
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=op.f("prompt_owner_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner_id", "name", "version", name=op.f("prompt_pkey")),
    )
    op.create_table(
        "device_credential",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("access_key", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("device_credential_device_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("device_credential_pkey")),
        sa.UniqueConstraint("hash", name=op.f("device_credential_hash_key")),
    )
    op.create_index(op.f("device_credential_device_id_ix"), "device_credential", ["device_id"], unique=False)
    op.create_table(
        "touch",
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("device_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("touch_image_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=op.f("touch_owner_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner_id", "device_number", "image_id", name=op.f("touch_pkey")),
    )
    op.create_index(op.f("touch_image_id_ix"), "touch", ["image_id"], unique=False)
    op.add_column("image", sa.Column("device_id", sa.Uuid(), nullable=True))
    op.add_column("image", sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("image", sa.Column("content_sha256", sa.LargeBinary(), nullable=True))
    op.add_column("image", sa.Column("thumbnail_key", sa.Text(), nullable=True))
    op.add_column(
        "image", sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column(
        "image",
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.create_index(
        "image_by_device", "image", ["device_id", "id"], unique=False, postgresql_where=sa.text("device_id is not null")
    )
    op.create_index("image_by_owner", "image", ["owner_id", "id"], unique=False)
    op.create_index(
        "image_labels",
        "image",
        ["labels"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    )
    op.create_index("image_tags", "image", ["tags"], unique=False, postgresql_using="gin")
    op.create_foreign_key(op.f("image_device_id_fkey"), "image", "device", ["device_id"], ["id"], ondelete="SET NULL")
    op.add_column(
        "image_name",
        sa.Column("device_number", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
    )
    op.add_column("job_body", sa.Column("image_id", sa.Uuid(), nullable=True))
    op.create_index(
        "job_body_image_id_ix", "job_body", ["image_id"], unique=False, postgresql_where=sa.text("image_id is not null")
    )
    op.drop_constraint("image_name_pkey", "image_name", type_="primary")
    op.create_primary_key("image_name_pkey", "image_name", ["owner_id", "device_number", "bucket", "name"])
