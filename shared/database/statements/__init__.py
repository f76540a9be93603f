"""Statements as text, where they are hot or more than a query builder can say; states by `tables.STATE_CODES`."""
