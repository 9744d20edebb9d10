"""Alembic revisions of the database; append-only, one purpose each."""
