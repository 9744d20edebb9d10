"""Which venue and which prices an account lives on: noted in its database once, and held to.

Money that was made on one market means nothing on another. Files keep the worlds apart by themselves; a database that
the owner names is checked.
"""

from __future__ import annotations

from sqlalchemy import Column, Engine, Integer, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from engine.data.database import metadata
from engine.domain.errors import ConfigError

account_world = Table(
    "account_world",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("world", String(80), nullable=False),
)
"""One row, id 1."""


def claim_world(database: Engine, world: str) -> None:
    """Note which world a database belongs to, or see that it is this one.

    Raises:
        ConfigError: It belongs to another.
    """
    with database.begin() as connection:
        kept = connection.scalar(select(account_world.c.world))
    if kept is None:
        try:
            with database.begin() as connection:
                connection.execute(insert(account_world).values(id=1, world=world))
        except IntegrityError:
            claim_world(database, world)
        return
    if kept != world:
        raise ConfigError(
            f"the database holds an account of {kept!r}, and the settings say {world!r}; name another database in "
            "COPILOT_DATABASE_URL, or set COPILOT_MARKET and COPILOT_VENUE back"
        )
