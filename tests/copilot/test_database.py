"""The schema: revisions give what the tables declare, on SQLite and on a real MariaDB; values come back exact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, insert, inspect, select

from copilot.database import metadata, migration_config, open_database
from engine.data.database import ExactDecimal, UtcTime, connect_database
from engine.domain.errors import ConfigError
from tools.tables import alerts

values = Table(
    "values",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("number", ExactDecimal),
    Column("moment", UtcTime),
)


def _differences(database: Engine) -> list[object]:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return compare_metadata(context, metadata)


def test_revisions_match_the_tables_on_sqlite(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'new' / 'a.db'}")
    assert _differences(database) == []
    assert set(metadata.tables) <= set(inspect(database).get_table_names())
    database.dispose()


@pytest.mark.mariadb
def test_revisions_match_the_tables_on_mariadb(mariadb_url: str) -> None:
    database = open_database(mariadb_url)
    assert _differences(database) == []
    database.dispose()


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    open_database(url).dispose()
    database = open_database(url)
    assert _differences(database) == []
    database.dispose()


def test_sqlite_is_in_wal_mode(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.dispose()


@settings(max_examples=200, deadline=None)
@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=18),
    st.integers(631_152_000_000_000, 4_102_444_800_000_000),
)
def test_decimals_and_times_come_back_exact(number: Decimal, microseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    _round_trip("sqlite://", number, moment)


@pytest.mark.mariadb
def test_decimals_and_times_come_back_exact_from_mariadb(mariadb_url: str) -> None:
    for number in ("0.000000000000000001", "-123456789012345678.123456789012345678", "0", "1E+10"):
        _round_trip(mariadb_url, Decimal(number), datetime(2026, 11, 25, 1, 2, 3, 456789, UTC))


def _round_trip(url: str, number: Decimal, moment: datetime) -> None:
    database = connect_database(url)
    with database.begin() as connection:
        values.create(connection)
        connection.execute(insert(values).values(id=1, number=number, moment=moment))
        row = connection.execute(select(values)).one()
        values.drop(connection)
    database.dispose()
    assert row.number == number
    assert row.moment == moment


def test_a_float_or_a_naive_time_is_refused() -> None:
    with pytest.raises(TypeError):
        ExactDecimal().process_bind_param(0.1, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        UtcTime().process_bind_param(datetime(2026, 1, 1), None)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x/y", "mysql+pymysql://root:secretword@127.0.0.1:1/none"])
def test_unusable_database_stops_with_a_clear_line_and_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_database(url)
    assert "COPILOT_DATABASE_URL" in str(caught.value)
    assert "secretword" not in str(caught.value)


def _upgrade_with_an_alert(url: str) -> None:
    database = connect_database(url)
    with database.begin() as connection:
        _migrate(connection, command.upgrade, "0001")
        connection.exec_driver_sql(
            "INSERT INTO alerts (owner, symbol, `condition`, value, state, created_at, checked_at)"
            " VALUES ('ana', 'BTC/USDT', 'price_above', '120', 'active', 1000, 2000)"
        )
    database.dispose()
    database = open_database(url)
    with database.connect() as connection:
        (row,) = connection.execute(select(alerts)).all()
    assert (row.owner, row.value, row.state, row.repeats, row.rest_s) == ("ana", Decimal(120), "active", False, 0)
    assert _differences(database) == []
    with database.begin() as connection:
        _migrate(connection, command.downgrade, "0001")
    database.dispose()


def _migrate(connection: Connection, way: Callable[[Config, str], None], revision: str) -> None:
    config = migration_config()
    config.attributes["connection"] = connection
    way(config, revision)


def test_alerts_of_the_first_version_go_on(tmp_path: Path) -> None:
    _upgrade_with_an_alert(f"sqlite:///{tmp_path / 'a.db'}")


@pytest.mark.mariadb
def test_alerts_of_the_first_version_go_on_in_mariadb(mariadb_url: str) -> None:
    _upgrade_with_an_alert(mariadb_url)
