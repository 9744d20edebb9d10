"""Bars from a real MariaDB: any table, in ranges, resumed after a kill, only what is new, never twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.engine import make_url

from engine.data.ingest_table import ingest_table
from engine.data.quality import QualityReport
from engine.data.store import BarStore
from engine.data.tables import TableMapping
from engine.domain.errors import ConfigError, DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from tests.engine.data.databases import STANDARD, START, at, execute, fill, insert, prices, wire

pytestmark = pytest.mark.mariadb

KEYED, NUMBERED = ", KEY (time)", ", id INT AUTO_INCREMENT PRIMARY KEY"


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


def ingest(url: str, store: BarStore, which: Sequence[str] = ("BTC/USDT",), **mapping: Any) -> list[QualityReport]:
    wanted = TableMapping.model_validate(mapping)
    return list(ingest_table(url, store, wanted, which, "1m", rows_per_range=100, pause=lambda _: None))


def loaded(store: BarStore, symbol: str = "BTC/USDT") -> Bars:
    return store.load("mysql", symbol, "1m")


def assert_holds(bars: Bars, numbers: Sequence[int]) -> None:
    assert bars.time.tolist() == [int(START.timestamp()) + 60 * n for n in numbers]
    table = np.array([prices(n) for n in numbers]).T
    for name, column in zip(("open", "high", "low", "close", "volume"), table, strict=True):
        assert np.array_equal(getattr(bars, name), column), name


def test_a_table_named_like_its_symbol_is_found_and_read_exactly(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt_1m", range(950))
    fill(mariadb_url, "ethusdt_1m", range(30))
    told: list[tuple[float, str]] = []
    reports = list(
        ingest_table(
            mariadb_url, store, TableMapping(), (), "1m", rows_per_range=100, progress=lambda *one: told.append(one)
        )
    )
    assert [(one.symbol, one.file, one.rows_read, one.added) for one in reports] == [
        ("BTC/USDT", "btcusdt_1m", 950, 950),
        ("ETH/USDT", "ethusdt_1m", 30, 30),
    ]
    assert_holds(loaded(store), range(950))
    assert_holds(loaded(store, "ETH/USDT"), range(30))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 10


def test_one_table_with_a_symbol_column_gives_each_symbol_its_own(mariadb_url: str, store: BarStore) -> None:
    execute(
        mariadb_url,
        "CREATE TABLE history (ticker VARCHAR(20), tf VARCHAR(4), ts BIGINT, o DECIMAL(18,6), h DECIMAL(18,6), "
        "l DECIMAL(18,6), c DECIMAL(18,6), v DOUBLE, PRIMARY KEY (ticker, tf, ts))",
    )
    rows = [
        (ticker, tf, int((START + timedelta(minutes=n)).timestamp() * 1000), *prices(n))
        for ticker in ("BTCUSDT", "GOLD.a")
        for tf in ("M1", "H1")
        for n in range(250)
    ]
    execute(mariadb_url, "INSERT INTO history VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows)
    reports = ingest(mariadb_url, store, ("btcusdt", "XAUUSD"), symbols={"XAUUSD": "GOLD.a"})
    assert [(one.symbol, one.rows_read, one.added) for one in reports] == [("BTC/USDT", 250, 250), ("XAUUSD", 250, 250)]
    assert_holds(loaded(store), range(250))
    with pytest.raises(InvalidRequest, match="ingest_symbol_missing") as caught:
        ingest(mariadb_url, store, ("ETH/USDT",))
    assert caught.value.params["found"] == "BTCUSDT, GOLD.a"


def test_every_symbol_of_a_symbol_column_is_read_when_none_is_named(mariadb_url: str, store: BarStore) -> None:
    execute(mariadb_url, f"CREATE TABLE bars (symbol VARCHAR(9), time DATETIME, {STANDARD}, KEY (symbol, time))")
    rows = [(symbol, at(n), *prices(n)) for n in range(20) for symbol in ("ETHUSDT", "BTC/USDT")]
    execute(mariadb_url, "INSERT INTO bars VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)
    assert sorted(one.symbol for one in ingest(mariadb_url, store, ())) == ["BTC/USDT", "ETH/USDT"]


@pytest.mark.parametrize(
    ("column", "index", "value", "mapping"),
    [
        ("TIMESTAMP NULL", KEYED, lambda t: t.replace(tzinfo=None), {"time_zone": "Asia/Tokyo"}),
        ("BIGINT", KEYED, lambda t: int(t.timestamp()), {}),
        ("INT", "", lambda t: int(t.timestamp()), {}),
        ("DECIMAL(20,3)", KEYED, lambda t: t.timestamp() * 1000, {}),
        ("BIGINT", NUMBERED, lambda t: int(t.timestamp() * 1e6), {"time_unit": "us"}),
        ("VARCHAR(30)", KEYED, lambda t: t.isoformat(), {}),
        ("CHAR(16)", NUMBERED, lambda t: f"{t:%Y.%m.%d %H:%M}", {}),
        ("DATETIME(6)", "", lambda t: t.replace(tzinfo=None), {}),
        ("DATETIME", NUMBERED, lambda t: t.replace(tzinfo=None), {}),
    ],
)
def test_times_of_every_kind_mean_the_same(
    mariadb_url: str, store: BarStore, column: str, index: str, value: object, mapping: dict[str, str]
) -> None:
    assert callable(value)
    execute(mariadb_url, f"CREATE TABLE bars (time {column}, {STANDARD}{index})")
    rows = [(value(START + timedelta(minutes=n)), *prices(n)) for n in range(250)]
    statement = "INSERT INTO bars (time, open, high, low, close, volume) VALUES (%s, %s, %s, %s, %s, %s)"
    execute(mariadb_url, statement, rows)
    report = ingest(mariadb_url, store, **mapping)[0]
    assert (report.rows_read, report.bad_count) == (250, 0)
    assert_holds(loaded(store), range(250))
    again = ingest(mariadb_url, store, **mapping)[0]
    assert (again.added, again.replaced) == (0, 0)


def test_local_times_are_read_in_their_zone_and_the_doubtful_hour_is_left_out(
    mariadb_url: str, store: BarStore
) -> None:
    """On 31 March 2024 Madrid had no 02:30; the rest of the day lies two hours before UTC's."""
    execute(mariadb_url, f"CREATE TABLE bars (time DATETIME PRIMARY KEY, {STANDARD})")
    local = datetime(2024, 3, 31, 0, 0)  # noqa: DTZ001  # Madrid's clock
    rows = [(local + timedelta(minutes=n), *prices(n)) for n in range(300)]
    execute(mariadb_url, "INSERT INTO bars VALUES (%s, %s, %s, %s, %s, %s)", rows)
    report = ingest(mariadb_url, store, time_zone="Europe/Madrid")[0]
    assert {one.reason: one.count for one in report.bad} == {"unreadable_time": 60}
    assert report.first_at == datetime(2024, 3, 30, 23, 0, tzinfo=UTC)
    assert report.last_at == datetime(2024, 3, 31, 2, 59, tzinfo=UTC)
    assert report.gap_count == 0


@pytest.mark.parametrize("types", [("DATE", "TIME"), ("VARCHAR(10)", "VARCHAR(8)"), ("DATE", "VARCHAR(8)")])
def test_date_and_time_of_day_in_columns_of_their_own(
    mariadb_url: str, store: BarStore, types: tuple[str, str]
) -> None:
    execute(mariadb_url, f"CREATE TABLE bars (date {types[0]}, time {types[1]}, {STANDARD}, KEY (date, time))")
    rows = [(f"{at(n):%Y-%m-%d}", f"{at(n):%H:%M:%S}", *prices(n)) for n in range(3000)]
    execute(mariadb_url, "INSERT INTO bars VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)
    assert ingest(mariadb_url, store)[0].rows_read == 3000
    assert_holds(loaded(store), range(3000))
    again = ingest(mariadb_url, store)[0]
    assert (again.added, again.replaced) == (0, 0)


def test_single_precision_columns_keep_every_digit_that_they_have(mariadb_url: str, store: BarStore) -> None:
    execute(mariadb_url, "CREATE TABLE bars (time DATETIME PRIMARY KEY, o FLOAT, h FLOAT, l FLOAT, c FLOAT)")
    value = float(np.float32(60123.456))
    execute(mariadb_url, "INSERT INTO bars VALUES (%s, %s, %s, %s, %s)", [(at(0), value, value, value, value)])
    report = ingest(mariadb_url, store)[0]
    assert loaded(store).open[0] == value
    assert report.zero_volume == 1


def test_names_that_would_run_as_sql_are_only_names(mariadb_url: str, store: BarStore) -> None:
    table, column = "x`; DROP TABLE victim; -- %s", "o' OR 1=1 \"%(y)s"
    quoted = [name.replace("`", "``") for name in (table, column)]
    fill(mariadb_url, "victim", range(3))
    execute(
        mariadb_url,
        f"CREATE TABLE `{quoted[0]}` (time DATETIME PRIMARY KEY, `{quoted[1]}` DOUBLE, high DOUBLE, low DOUBLE, "
        "close DOUBLE, volume DOUBLE, symbol VARCHAR(60))",
    )
    name, held = f"`{quoted[0]}`".replace("%", "%%"), "'; DROP TABLE victim; -- "
    execute(mariadb_url, f"INSERT INTO {name} VALUES (%s, %s, %s, %s, %s, %s, %s)", [(at(0), *prices(0), held)])
    found = ingest(mariadb_url, store, table=table, columns={"open": column}, symbols={"BTC/USDT": held})
    assert found[0].added == 1
    assert execute(mariadb_url, "SELECT COUNT(*) FROM victim") == [(3,)]
    with pytest.raises(InvalidRequest, match="ingest_table_missing"):
        ingest(mariadb_url, store, table="victim; DROP TABLE victim")
    assert_holds(loaded(store), [0])


def test_the_next_run_reads_only_what_is_new(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(500))
    assert ingest(mariadb_url, store)[0].rows_read == 500
    same = ingest(mariadb_url, store)[0]
    assert (same.rows_read, same.added, same.replaced, same.unchanged) == (1, 0, 0, 1)
    # The last bar was not over when it was read first.
    execute(mariadb_url, f"UPDATE btcusdt SET volume = 99 WHERE time = '{at(499)}'")
    insert(mariadb_url, "btcusdt", range(500, 540))
    more = ingest(mariadb_url, store)[0]
    assert (more.rows_read, more.added, more.replaced, more.rows_kept) == (41, 40, 1, 540)
    assert loaded(store).volume[499] == 99


def test_rows_changed_long_ago_are_read_when_everything_is_read_again(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(10, 500))
    ingest(mariadb_url, store)
    insert(mariadb_url, "btcusdt", range(10))
    execute(mariadb_url, f"UPDATE btcusdt SET volume = 99 WHERE time = '{at(20)}'")
    assert ingest(mariadb_url, store)[0].rows_read == 1
    full = next(ingest_table(mariadb_url, store, TableMapping(), ("BTC/USDT",), "1m", from_start=True))
    assert (full.rows_read, full.added, full.replaced, full.unchanged) == (500, 10, 1, 489)


def test_a_changed_mapping_or_a_removed_series_is_read_from_the_start(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(50))
    ingest(mariadb_url, store)
    assert ingest(mariadb_url, store, time_zone="Etc/UCT")[0].rows_read == 50
    for path in store.staging_folder("mysql", "BTC/USDT", "1m").parent.glob("*.parquet"):
        path.unlink()
    assert ingest(mariadb_url, store, time_zone="Etc/UCT")[0].added == 50


def test_bad_and_repeated_rows_are_counted_over_all_ranges(mariadb_url: str, store: BarStore) -> None:
    execute(mariadb_url, f"CREATE TABLE bars (time DATETIME, {STANDARD}, KEY (time))")
    rows: list[tuple[object, ...]] = [(at(n), *prices(n)) for n in range(1000)]
    rows[150] = (at(150), 100, 99, 98, 99, 1)
    rows[450] = (at(450), None, 101, 99, 100, 1)
    rows[750] = (at(750), 0, 101, 0, 100, 1)
    rows += [(at(300), *prices(300)), (at(301), *prices(302))]
    execute(mariadb_url, "INSERT INTO bars VALUES (%s, %s, %s, %s, %s, %s)", rows)
    report = ingest(mariadb_url, store)[0]
    assert {one.reason: one.count for one in report.bad} == {
        "high_too_low": 1,
        "unreadable_number": 1,
        "not_positive": 1,
    }
    assert (report.rows_read, report.rows_kept, report.duplicates, report.conflicts) == (1002, 997, 2, 1)
    assert (report.gap_count, report.missing) == (3, 3)


def test_most_rows_bad_is_an_error_and_stores_nothing(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(50))
    with pytest.raises(DataUnavailable, match="only 0 of 50 rows are bars"):
        ingest(mariadb_url, store, columns={"high": "low", "low": "high"})
    assert store.contents() == ()


@pytest.mark.parametrize("cut_after", [20_000, 33_333])
def test_a_cut_wire_is_mended_and_nothing_is_lost_or_doubled(mariadb_url: str, store: BarStore, cut_after: int) -> None:
    fill(mariadb_url, "btcusdt", range(3000))
    pauses: list[float] = []
    with wire(mariadb_url, cut_after=cut_after, cuts=3) as (url, between):
        (report,) = ingest_table(url, store, TableMapping(), (), "1m", rows_per_range=1000, pause=pauses.append)
        assert between.cuts_left == 0
    assert pauses == [0.5, 1.0, 2.0]
    assert (report.rows_read, report.added, report.duplicates) == (3000, 3000, 0)
    assert_holds(loaded(store), range(3000))


def test_a_server_that_stays_away_is_named_and_what_was_read_is_kept(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(3000))
    port = make_url(mariadb_url).port
    with wire(mariadb_url, cut_after=10**9, cuts=0) as (url, between):

        def cut(_share: float, _symbol: str) -> None:
            between.cut_from_now()

        run = ingest_table(
            url, store, TableMapping(), (), "1m", rows_per_range=1000, progress=cut, pause=lambda _: None
        )
        with pytest.raises(DataUnavailable, match="no answer") as caught:
            list(run)
        assert caught.value.code == "ingest_no_answer"
        assert store.contents() == ()
        between.mend()
        (report,) = ingest_table(url, store, TableMapping(), (), "1m", rows_per_range=1000)
        # Nothing of the first range was read again, but the report counts it.
        assert (report.rows_read, report.added) == (3000, 3000)
        assert between.answered < 300_000
    assert port is not None
    assert_holds(loaded(store), range(3000))


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.data.ingest_table import ingest_table
from engine.data.store import BarStore
from engine.data.tables import TableMapping
import engine.data.staging as staging

left = int(sys.argv[3])

def count(frame, event, argument):
    global left
    if event == "call" and frame.f_code.co_filename.endswith(("staging.py", "merging.py", "files.py")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(count)
list(ingest_table(sys.argv[1], BarStore(Path(sys.argv[2])), TableMapping(), (), "1m", rows_per_range=100))
"""


@pytest.mark.parametrize("calls", [75, 150])
def test_a_killed_run_goes_on_and_gives_the_same_bars_and_counts(mariadb_url: str, tmp_path: Path, calls: int) -> None:
    execute(mariadb_url, f"CREATE TABLE btcusdt (time DATETIME, {STANDARD}, KEY (time))")
    rows = [(at(n), *prices(n)) for n in (*range(500), 77, 277)]
    execute(mariadb_url, "INSERT INTO btcusdt VALUES (%s, %s, %s, %s, %s, %s)", rows)
    root = tmp_path / "bars"
    done = subprocess.run([sys.executable, "-c", KILLED, mariadb_url, str(root), str(calls)], check=False)
    assert done.returncode == -signal.SIGKILL
    report = ingest(mariadb_url, BarStore(root))[0]
    assert report.rows_kept == 500
    assert_holds(loaded(BarStore(root)), range(500))
    assert (report.rows_read, report.duplicates) in ((502, 2), (1, 0))
    leftovers = [path.name for path in root.rglob("*part*")]
    assert leftovers == []


def test_an_interrupted_run_goes_on_where_it_was(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(1000))

    def stop(share: float, _symbol: str) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ingest_table(mariadb_url, store, TableMapping(), (), "1m", rows_per_range=100, progress=stop))
    assert store.contents() == ()
    shares: list[float] = []
    (report,) = ingest_table(
        mariadb_url, store, TableMapping(), (), "1m", rows_per_range=100, progress=lambda share, _: shares.append(share)
    )
    assert (report.rows_read, report.added) == (1000, 1000)
    assert len(shares) <= 6
    assert_holds(loaded(store), range(1000))


def test_two_runs_of_one_series_do_not_mix(mariadb_url: str, store: BarStore) -> None:
    fill(mariadb_url, "btcusdt", range(300))
    found: list[str] = []

    def second(_share: float, _symbol: str) -> None:
        if not found:
            with pytest.raises(DataUnavailable, match="another program") as caught:
                ingest(mariadb_url, store)
            found.append(caught.value.code)

    list(ingest_table(mariadb_url, store, TableMapping(), (), "1m", rows_per_range=100, progress=second))
    assert found == ["ingest_busy"]


def test_what_is_not_there_is_named_with_what_is(mariadb_url: str, store: BarStore) -> None:
    with pytest.raises(InvalidRequest, match="ingest_no_tables"):
        ingest(mariadb_url, store)
    fill(mariadb_url, "btcusdt", range(30))
    with pytest.raises(InvalidRequest, match=r"ingest_table_missing.*found='btcusdt'"):
        ingest(mariadb_url, store, table="nothing")
    with pytest.raises(InvalidRequest, match=r"ingest_column_missing.*found='time, open, high"):
        ingest(mariadb_url, store, columns={"close": "nothing"})
    with pytest.raises(InvalidRequest, match="ingest_symbol_unreadable"):
        ingest(mariadb_url, store, ["candles"])
    with pytest.raises(InvalidRequest, match="ingest_time_zone"):
        ingest(mariadb_url, store, time_zone="Mars/Olympus")
    execute(mariadb_url, "CREATE TABLE btcusdt_copy LIKE btcusdt")
    with pytest.raises(InvalidRequest, match=r"ingest_table_unclear.*found='btcusdt, btcusdt_copy'"):
        ingest(mariadb_url, store)
    execute(mariadb_url, "DELETE FROM btcusdt")
    with pytest.raises(DataUnavailable, match="btcusdt holds no 1m bars of BTC/USDT"):
        ingest(mariadb_url, store, table="btcusdt")


def test_refusals_tell_why_and_never_the_password(mariadb_url: str, store: BarStore) -> None:
    execute(mariadb_url, "CREATE USER IF NOT EXISTS clerk@'%' IDENTIFIED BY 'right'")
    denied = make_url(mariadb_url).set(username="clerk", password="wr0ng-secret")
    with pytest.raises(DataUnavailable, match="refuses access") as caught:
        ingest(denied.render_as_string(hide_password=False), store)
    assert caught.value.code == "ingest_access_denied"
    assert "wr0ng-secret" not in str(caught.value)
    missing = make_url(mariadb_url).set(database="nowhere")
    with pytest.raises(DataUnavailable) as caught:
        ingest(missing.render_as_string(hide_password=False), store)
    assert caught.value.code == "ingest_no_database"
    for url in ("sqlite:///x.db", "mysql+nodriver://me:wr0ng-secret@host/x", "wr0ng-secret://"):
        with pytest.raises(InvalidRequest, match="ingest_database_url") as refused:
            ingest(url, store)
        assert "wr0ng-secret@" not in str(refused.value)


def test_a_mapping_file_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text("table: history\ncolumns: {time: ts, open: o}\nsymbols: {xau_usd: GOLD}\ntime_unit: ms\n")
    mapping = TableMapping.read(path)
    assert (mapping.table, mapping.columns["time"], mapping.symbols) == ("history", "ts", {"XAUUSD": "GOLD"})
    for text, message in (
        ("tabel: history", "tabel: Extra inputs"),
        ("columns: {when: ts}", "columns: Value error, when cannot be named"),
        ("time_unit: hours", "time_unit: Input should be"),
        ("[", "cannot be read"),
        ("- a", "the file: Input should be"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            TableMapping.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        TableMapping.read(tmp_path / "nothing.yaml")
