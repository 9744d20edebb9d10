"""How Alembic reaches the database: on the connection that `copilot.database` hands in.

Revisions are frozen in plain SQL types: our own column types differ only in what Python sees.
"""

from typing import Any, Literal

from alembic import context

from copilot.database import metadata
from engine.data.database import ExactDecimal, UtcTime


def _render_plain(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    if kind == "type" and isinstance(thing, ExactDecimal):
        return "sa.String(length=80)"
    if kind == "type" and isinstance(thing, UtcTime):
        return "sa.BigInteger()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render_plain,
)
with context.begin_transaction():
    context.run_migrations()
