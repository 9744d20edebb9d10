"""Databases with the tables of mandates: SQLite always, MariaDB where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from engine.data.database import connect_database, metadata
from tests.agents.mandates.world import TABLES, World


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database with the tables."""
    url = f"sqlite:///{tmp_path}/mandates.db"
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
def world(database: Engine) -> World:
    """Return mandates and permissions on it."""
    return World(database)
