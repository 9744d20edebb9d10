"""A desk, a database and the funds on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from agents.fund.funds import Funds
from tests.agents.fund.desk import FakeDesk, open_tables


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = open_tables(tmp_path)
    yield opened
    opened.dispose()


@pytest.fixture
def funds(database: Engine, desk: FakeDesk) -> Funds:
    return Funds(database, desk)
