"""The whole schema, every table of it: what migrations and tests compare a database with."""

from shared.database.batch_tables import batch

metadata = batch.metadata
