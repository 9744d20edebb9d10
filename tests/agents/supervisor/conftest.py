"""Databases that processes share: SQLite always, MariaDB where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import agents.supervisor.tables
from engine.data.database import connect_database, metadata

TABLES = [table for name, table in metadata.tables.items() if name.startswith("supervisor_")]
assert agents.supervisor.tables.supervisor_leases in TABLES


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database with the supervisor's tables."""
    url = f"sqlite:///{tmp_path}/shared.db"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb_url")
    database = connect_database(url)
    metadata.create_all(database, TABLES)
    database.dispose()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """Return that database, open."""
    opened = connect_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """Return a SQLite database with the supervisor's tables."""
    opened = connect_database(f"sqlite:///{tmp_path}/one.db")
    metadata.create_all(opened, TABLES)
    yield opened
    opened.dispose()
