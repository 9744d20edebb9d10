"""Ingestion: what makers of files do to bars, and what the report says of it."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.ingest import ingest_file
from engine.data.quality import BadRow
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars

START = datetime(2024, 1, 2, tzinfo=UTC)  # a Tuesday
HEADER = "time,open,high,low,close,volume"


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def row(number: int, values: str = "100,102,99,101,5") -> str:
    return f"{hour(number):%Y-%m-%dT%H:%M:%SZ},{values}"


def write(folder: Path, lines: list[str], name: str = "BTCUSDT_1h.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def loaded(store: BarStore, symbol: str = "BTC/USDT") -> Bars:
    return store.load("files", symbol, "1h")


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


def test_a_clean_csv_is_stored_and_reported(tmp_path: Path, store: BarStore) -> None:
    shares: list[float] = []
    report = ingest_file(write(tmp_path, [HEADER, *map(row, range(24))]), store, progress=shares.append)
    assert (report.symbol, report.timeframe, report.rows_read, report.rows_kept) == ("BTC/USDT", "1h", 24, 24)
    assert (report.first_at, report.last_at) == (hour(0), hour(23))
    assert (report.added, report.replaced, report.unchanged, report.bad_count, report.gap_count) == (24, 0, 0, 0, 0)
    bars = loaded(store)
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]) == (100, 102, 99, 101, 5)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_second_ingestion_changes_nothing(tmp_path: Path, store: BarStore) -> None:
    path = write(tmp_path, [HEADER, *map(row, range(24))])
    ingest_file(path, store)
    again = ingest_file(path, store)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 24)


def test_every_fault_is_counted_with_its_row_and_left_out(tmp_path: Path, store: BarStore) -> None:
    faults = {
        10: row(10, "100,102,99,n/a?,5"),
        11: row(11, "100,102,99,,5"),
        12: row(12, "100,100.5,99,101,5"),
        13: row(13, "100,102,100.5,101,5"),
        14: row(14, "-1,102,-2,101,5"),
        15: row(15, "100,102,99,101,-5"),
        16: "yesterday,100,102,99,101,5",
        17: row(17, "100,102,99,101,5,6"),
        18: row(18, "100,inf,99,101,5"),
    }
    report = ingest_file(write(tmp_path, [HEADER, *(faults.get(n) or row(n) for n in range(40))]), store)
    assert {one.reason: one.count for one in report.bad} == {
        "unreadable_number": 3,
        "high_too_low": 1,
        "low_too_high": 1,
        "not_positive": 1,
        "negative_volume": 1,
        "unreadable_time": 1,
        "wrong_columns": 1,
    }
    examples = {one.reason: one.examples for one in report.bad}
    assert examples["unreadable_number"][0] == BadRow(11, "close", "n/a?")
    assert examples["unreadable_time"] == (BadRow(17, "time", "yesterday"),)
    assert examples["wrong_columns"][0].row == 18
    assert (report.rows_read, report.rows_kept, report.duplicates) == (40, 31, 0)
    assert (report.gap_count, report.missing) == (1, 9)
    assert len(loaded(store)) == 31


def test_duplicates_disorder_and_zero_volume_are_reported(tmp_path: Path, store: BarStore) -> None:
    lines = [row(n) for n in range(30)]
    lines[4:6] = [row(5), row(4, "100,102,99,101,0")]
    lines += [row(7), row(8, "100,105,99,104,5")]
    report = ingest_file(write(tmp_path, [HEADER, *lines]), store)
    assert (report.rows_read, report.rows_kept, report.duplicates, report.conflicts) == (32, 30, 2, 1)
    assert (report.unsorted, report.zero_volume) == (2, 1)
    assert loaded(store).close[8] == 104.0


def test_gaps_follow_the_calendar(tmp_path: Path, store: BarStore) -> None:
    """A weekend is no gap for a currency, and is one for a coin; a missing Tuesday is one for both."""
    numbers = [n for n in range(24 * 14) if hour(n).weekday() < 4 or (hour(n).weekday() == 4 and hour(n).hour < 21)]
    numbers = [n for n in numbers if not (24 * 7 + 2 <= n < 24 * 7 + 8)]
    lines = [HEADER, *map(row, numbers)]
    euro = ingest_file(write(tmp_path, lines, "EURUSD_1h.csv"), store)
    # Two Sunday evenings of two hours each are missing too.
    assert (euro.gap_count, euro.missing) == (3, 6 + 4)
    assert euro.gaps[0].after == hour(24 * 7 + 1)
    assert euro.gaps[0].missing == 6
    coin = ingest_file(write(tmp_path, lines), store)
    assert (coin.gap_count, coin.missing) == (3, 6 + 2 * 51)


def test_an_outlier_is_reported_and_kept(tmp_path: Path, store: BarStore) -> None:
    lines = [row(n) for n in range(300)]
    lines[200] = row(200, "100,300,99,101,5")
    report = ingest_file(write(tmp_path, [HEADER, *lines]), store)
    assert (report.outliers, report.first_outlier_at, report.rows_kept) == (1, hour(200), 300)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("EURUSD_1h.csv", [f"{hour(n):%Y-%m-%d %H:%M:%S},100,102,99,101,5" for n in range(12)]),
        ("EURUSD_H1.csv", ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
            + [f"{hour(n):%Y.%m.%d}\t{hour(n):%H:%M:%S}\t100\t102\t99\t101\t5\t0\t1" for n in range(12)]),
        ("DAT_ASCII_EURUSD_H1.csv", [f"{hour(n):%Y%m%d %H%M%S};100;102;99;101;5" for n in range(12)]),
        ("eur_usd-1h.csv", ["Open time,Open,High,Low,Close,Volume"]
            + [f"{hour(n).timestamp() * 1000:.0f},100,102,99,101,5" for n in range(12)]),
        ("EURUSD60min.csv", ["unix;o;h;l;c;v"]
            + [f"{hour(n).timestamp():.0f};100,0;102,0;99,0;101,0;5" for n in range(12)]),
        ("EURUSD-1h.csv", ["Gmt time,Open,High,Low,Close,Volume"]
            + [f"{hour(n):%Y-%m-%d %H:%M:%S}.000,100,102,99,101,5" for n in range(12)]),
        ("EURUSD.csv", ["date,open,high,low,close,volume"]
            + [f"{hour(n):%Y/%m/%d %H:%M},100,102,99,101,5" for n in range(12)]),
        ("EURUSD_1h.csv", ['"time","open","high","low","close","volume"']
            + [f'"{hour(n):%Y-%m-%dT%H:%M:%S}+00:00","100","102","99","101","5"' for n in range(12)]),
    ],
    ids=["headerless", "metatrader", "histdata", "milliseconds", "comma-decimals", "dukascopy", "slashes", "quoted"],
)  # fmt: skip
def test_the_writings_of_many_makers_give_the_same_bars(
    tmp_path: Path, store: BarStore, name: str, lines: list[str]
) -> None:
    report = ingest_file(write(tmp_path, lines, name), store)
    bars = loaded(store, "EURUSD")
    assert (report.rows_read, report.bad_count) == (12, 0)
    assert [*bars.time] == [int(hour(n).timestamp()) for n in range(12)]
    assert [bars.open[3], bars.high[3], bars.low[3], bars.close[3], bars.volume[3]] == [100, 102, 99, 101, 5]


def test_compressed_and_wide_encodings_are_read(tmp_path: Path, store: BarStore) -> None:
    text = "\n".join([HEADER, *map(row, range(12))]) + "\n"
    zipped, wide = tmp_path / "BTCUSDT_1h.csv.gz", tmp_path / "ETHUSDT_1h.csv"
    zipped.write_bytes(gzip.compress(text.encode()))
    wide.write_bytes(text.encode("utf-16"))
    assert ingest_file(zipped, store).rows_kept == 12
    assert ingest_file(wide, store).rows_kept == 12


def test_local_times_move_to_utc_and_the_repeated_hour_is_not_guessed(tmp_path: Path, store: BarStore) -> None:
    local = [datetime(2024, 11, 2, 20) + timedelta(hours=n) for n in range(12)]  # noqa: DTZ001  local on purpose
    lines = [HEADER, *(f"{at:%Y-%m-%d %H:%M},100,102,99,101,5" for at in local)]
    report = ingest_file(write(tmp_path, lines), store, time_zone="America/New_York")
    assert report.first_at == datetime(2024, 11, 3, 0, tzinfo=UTC)
    assert report.last_at == datetime(2024, 11, 3, 12, tzinfo=UTC)
    assert [(one.reason, one.count) for one in report.bad] == [("unreadable_time", 1)]


def test_parquet_with_timestamps_dates_or_numbers_is_read(tmp_path: Path, store: BarStore) -> None:
    prices = {"open": [100.0] * 12, "high": [102.0] * 12, "low": [99.0] * 12, "close": [101.0] * 12}
    times = {
        "BTCUSDT_1h": pa.array([hour(n) for n in range(12)], pa.timestamp("ns", tz="UTC")),
        "ETHUSDT_1h": pa.array([hour(n).replace(tzinfo=None) for n in range(12)], pa.timestamp("ms")),
        "SOLUSDT_1h": pa.array([int(hour(n).timestamp()) * 10**6 for n in range(12)]),
        "BNBUSDT_1d": pa.array([(START + timedelta(days=n)).date() for n in range(12)]),
    }
    for name, time in times.items():
        pq.write_table(pa.table({"timestamp": time, **prices}), tmp_path / f"{name}.parquet")
        report = ingest_file(tmp_path / f"{name}.parquet", store)
        assert (report.first_at, report.rows_kept, report.zero_volume) == (START, 12, 12), name


def test_a_mapping_of_columns_overrides_the_guess(tmp_path: Path, store: BarStore) -> None:
    lines = [
        "time,open,high,low,close,volume,mid,quote_volume",
        *(row(n, "100,102,99,101,5,100.5,7") for n in range(12)),
    ]
    report = ingest_file(write(tmp_path, lines), store, columns={"close": "mid", "volume": "quote_volume"})
    assert report.bad_count == 0
    assert (loaded(store).close[0], loaded(store).volume[0]) == (100.5, 7.0)


@pytest.mark.parametrize(
    ("lines", "name", "options", "code", "parts"),
    [
        (
            ["time,open,high,low", "2024-01-02,1,2,3"],
            "BTCUSDT_1h.csv",
            {},
            "ingest_column_missing",
            ("close", "BTCUSDT_1h"),
        ),
        ([HEADER, row(0)], "BTCUSDT_1h.csv", {"columns": {"close": "mid"}}, "ingest_column_missing", ("mid",)),
        ([HEADER, row(0)], "BTCUSDT_1h.csv", {"columns": {"price": "close"}}, "ingest_mapping", ("price",)),
        ([HEADER, row(0)], "candles_1h.csv", {}, "ingest_symbol_unknown", ("candles_1h.csv",)),
        ([HEADER, row(0)], "BTCUSDT.csv", {}, "ingest_timeframe_unknown", ("BTCUSDT.csv",)),
        ([HEADER, *map(row, range(20))], "BTCUSDT_5m.csv", {}, "ingest_timeframe_mismatch", ("5m", "1h")),
        ([HEADER, "13/01/2024,1,2,1,2,3"], "BTCUSDT_1h.csv", {}, "ingest_time_format", ("row", "time", "13/01/2024")),
        ([HEADER, row(0)], "BTCUSDT_1h.csv", {"time_zone": "Mars/Base"}, "ingest_time_zone", ("Mars/Base",)),
        ([HEADER, row(0)], "BTCUSDT_1h.csv", {"source": "../x"}, "ingest_source", ("../x",)),
        ([HEADER, row(0)], "BTCUSDT_1h.xlsx", {}, "ingest_file_kind", ("BTCUSDT_1h.xlsx",)),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tmp_path: Path,
    store: BarStore,
    lines: list[str],
    name: str,
    options: dict[str, object],
    code: str,
    parts: tuple[str, ...],
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ingest_file(write(tmp_path, lines, name), store, **options)  # type: ignore[arg-type]  # one option of several types
    assert caught.value.code == code
    for part in parts:
        assert part in str(caught.value)
    assert store.contents() == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"PAR1 nothing of the kind", "cannot be read"),
        (b"time,open,high,low,close,volume\n", "no rows"),
        ("\n".join([HEADER, *(row(n, "5,4,6,5,1") for n in range(9)), row(9)]).encode(), "row 1, column high: 4"),
    ],
)
def test_a_file_without_bars_is_refused_and_the_store_stays(
    tmp_path: Path, store: BarStore, content: bytes, message: str
) -> None:
    path = tmp_path / ("BTCUSDT_1h.parquet" if content.startswith(b"PAR1") else "BTCUSDT_1h.csv")
    path.write_bytes(content)
    with pytest.raises(DataUnavailable, match=message):
        ingest_file(path, store)
    assert store.contents() == ()


def test_a_missing_file_is_named(tmp_path: Path, store: BarStore) -> None:
    with pytest.raises(DataUnavailable, match="nowhere_1h"):
        ingest_file(tmp_path / "nowhere_1h.csv", store)


def test_an_interrupted_ingestion_leaves_the_store_as_it_was(tmp_path: Path, store: BarStore) -> None:
    ingest_file(write(tmp_path, [HEADER, *map(row, range(12))]), store)
    before = loaded(store)

    def interrupt(share: float) -> None:
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_file(write(tmp_path, [HEADER, *map(row, range(48))]), store, progress=interrupt)
    assert np.array_equal(loaded(store).time, before.time)


def test_the_report_reads_as_plain_lines(tmp_path: Path, store: BarStore) -> None:
    lines = [HEADER, *(row(n) for n in range(40) if n not in (5, 6)), row(41, "1,1,1,x,1")]
    text = "\n".join(ingest_file(write(tmp_path, lines), store).lines())
    assert "BTCUSDT_1h.csv: BTC/USDT 1h" in text
    assert "39 read, 38 kept" in text
    assert "unreadable number: 1 (row 39, close = x)" in text
    assert "1 gaps, 2 bars missing; longest 2 after 2024-01-02 04:00" in text


cells = st.one_of(st.sampled_from(["", "nan", "-1", "0", "x", "1e400"]), st.floats(0.5, 2).map(lambda v: f"{v:.4f}"))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 30), cells, cells, cells, cells, cells), min_size=1, max_size=30))
def test_no_row_is_lost_without_being_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, str, str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("ingest")
    good = [row(n) for n in range(100, 140)]
    path = write(folder, [HEADER, *good, *(row(number, ",".join(values)) for number, *values in rows)])
    store = BarStore(folder / "bars")
    report = ingest_file(path, store)
    assert report.rows_read == 40 + len(rows)
    assert report.rows_kept + report.duplicates + report.bad_count == report.rows_read
    assert len(loaded(store)) == report.rows_kept
