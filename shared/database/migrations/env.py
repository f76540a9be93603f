"""Alembic's entry: runs migrations on the connection that `shared.database.migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from shared.database.schema import metadata

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise SystemExit("migrations are run by `smartsip migrate`")

context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
