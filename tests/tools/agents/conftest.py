"""A world of agents on SQLite, on paper and on a real venue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from engine.data.database import connect_database, metadata
from tests.tools.agents.world import World


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    """Return a SQLite database with all tables, without waiting for the disk."""
    opened = connect_database(f"sqlite:///{tmp_path}/agents.db")
    event.listen(opened, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    metadata.create_all(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def world(database: Engine) -> World:
    """Return agents on paper."""
    return World(database)


@pytest.fixture
def live(database: Engine) -> World:
    """Return agents on a real venue."""
    return World(database, "binance")
