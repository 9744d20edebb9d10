"""How Alembic reaches the database: on the connection that `copilot.database` hands in."""

from alembic import context

from copilot.database import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
