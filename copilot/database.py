"""Open the database and bring its tables up to date.

Every room's tables are imported here, so that `metadata` is complete for whoever compares or creates it.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

import agents.execution.binance.tables as _binance_tables  # noqa: F401  # importing declares the tables
import agents.execution.book_tables as _book_tables  # noqa: F401
import agents.execution.tables as _execution_tables  # noqa: F401
import agents.fleet.tables as _fleet_tables  # noqa: F401
import agents.fund.tables as _fund_tables  # noqa: F401
import agents.journal.tables as _journal_tables  # noqa: F401
import agents.mandates.tables as _mandate_tables  # noqa: F401
import agents.supervisor.tables as _supervisor_tables  # noqa: F401
import copilot.rest.tables as _rest_tables  # noqa: F401
import copilot.telegram.tables as _telegram_tables  # noqa: F401
import copilot.web.tables as _web_tables  # noqa: F401
import copilot.worlds as _worlds  # noqa: F401
import tools.proposal_tables as _proposal_tables  # noqa: F401
import tools.tables as _tool_tables  # noqa: F401
from engine.data.database import connect_database, metadata
from engine.domain.errors import ConfigError

__all__ = ["metadata", "migration_config", "open_database"]


def migration_config() -> Config:
    """Return Alembic's configuration; no file is needed."""
    config = Config()
    config.set_main_option("script_location", "copilot:migrations")
    config.set_main_option("path_separator", "os")
    return config


def open_database(url: str) -> Engine:
    """Connect and upgrade to the newest revision.

    Raises:
        ConfigError: The URL is wrong or the server does not answer; the password is never shown.
    """
    database = connect_database(url)
    try:
        with database.connect() as connection:
            config = migration_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except SQLAlchemyError as error:
        where = database.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"the database {where} cannot be used ({type(error).__name__}: {error.__cause__ or error}); "
            "check COPILOT_DATABASE_URL, or leave it empty to use SQLite"
        ) from error
    return database
