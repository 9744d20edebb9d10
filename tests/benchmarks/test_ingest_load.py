"""What loading and reading bars costs: ten years of minutes from the store, beside the same numbers as raw bytes; a
table of a real MariaDB, beside a plain `SELECT` of the same rows.

Printed by the clock and as ratios; judged by processor time, which other programs on the machine do not stretch.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymysql
import pytest
from pymysql.cursors import SSCursor
from sqlalchemy.engine import make_url

from engine.data.ingest_table import ingest_table
from engine.data.store import BarStore
from engine.data.tables import TableMapping
from engine.domain.market import Bars
from tests.engine.data.databases import STANDARD, at, execute, prices

pytestmark = pytest.mark.benchmark

YEARS_ROWS = 3_756_960
"""Minutes of ten years of the currency week."""
MOST_LOAD_S = 0.5
TABLE_ROWS = 200_000
LEAST_ROWS_A_SECOND = 50_000

LOAD = """
import sys, time
from pathlib import Path
from engine.data.store import BarStore
began, used = time.perf_counter(), time.process_time()
bars = BarStore(Path(sys.argv[1])).load("files", "EURUSD", "1m")
print(time.perf_counter() - began, time.process_time() - used, len(bars))
"""
RAW = """
import sys, time
import numpy as np
began, used = time.perf_counter(), time.process_time()
bars = np.fromfile(sys.argv[1])
print(time.perf_counter() - began, time.process_time() - used, len(bars) // 6)
"""


def decade() -> Bars:
    rng = np.random.default_rng(3)
    close = np.exp(np.cumsum(rng.normal(0, 1e-4, YEARS_ROWS)))
    open_ = np.concatenate((close[:1], close[:-1]))
    columns = (open_, np.maximum(open_, close) * 1.0001, np.minimum(open_, close) * 0.9999, close)
    time_s = 1_420_070_400 + 60 * np.arange(YEARS_ROWS, dtype=np.int64)
    volume = rng.integers(1, 500, YEARS_ROWS).astype(np.float64)
    return Bars("EURUSD", "1m", time_s, *(np.round(column, 5) for column in columns), volume)


def fresh(code: str, argument: Path) -> tuple[float, float]:
    """Return the best seconds by the clock and of the processor of a few fresh programs."""
    runs = []
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", code, str(argument)], check=True, capture_output=True, text=True)
        wall, used, rows = done.stdout.split()
        assert int(rows) == YEARS_ROWS
        runs.append((float(wall), float(used)))
    return min(run[0] for run in runs), min(run[1] for run in runs)


def test_ten_years_of_minutes_are_loaded_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars, raw = decade(), tmp_path / "raw"
    BarStore(tmp_path / "bars").merge("files", bars)
    columns = (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    np.concatenate([column.astype(np.float64) for column in columns]).tofile(raw)
    wall, used = fresh(LOAD, tmp_path / "bars")
    raw_wall, raw_used = fresh(RAW, raw)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nten years of minutes in a fresh program: {wall:.2f} s by the clock, {used:.2f} s of the processor; "
            f"raw bytes {raw_wall:.2f} s, {raw_used:.2f} s; ratio {wall / raw_wall:.1f}"
        )
    assert used < MOST_LOAD_S


@pytest.mark.mariadb
def test_a_table_is_read_as_fast_as_its_driver(
    mariadb_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(mariadb_url, f"CREATE TABLE btcusdt (time DATETIME PRIMARY KEY, {STANDARD})")
    for first in range(0, TABLE_ROWS, 20_000):
        rows = [(at(n), *prices(n)) for n in range(first, first + 20_000)]
        execute(mariadb_url, "INSERT INTO btcusdt VALUES (%s, %s, %s, %s, %s, %s)", rows)
    runs: list[tuple[float, float, float]] = []
    for number in range(3):
        plain, _ = timed(lambda: select_all(mariadb_url))
        ours, used = timed(lambda number=number: ingest_all(mariadb_url, tmp_path / str(number)))  # type: ignore[misc]  # its own number
        runs.append((plain / ours, TABLE_ROWS / ours, TABLE_ROWS / used))
    ratio, rate, rate_of_processor = (max(column) for column in zip(*runs, strict=True))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{rate:,.0f} rows a second by the clock into the store, {rate_of_processor:,.0f} of our processor time; "
            f"{ratio:.1f} times the driver's plain SELECT"
        )
    assert rate_of_processor > LEAST_ROWS_A_SECOND


def timed(work: Callable[[], None]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def select_all(url: str) -> None:
    parsed = make_url(url)
    connection = pymysql.connect(
        host=str(parsed.host), port=int(parsed.port or 0), user="root", database=parsed.database, cursorclass=SSCursor
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM btcusdt ORDER BY time")
        assert sum(1 for _ in cursor) == TABLE_ROWS


def ingest_all(url: str, root: Path) -> None:
    (report,) = ingest_table(url, BarStore(root), TableMapping(), (), "1m")
    assert report.added == TABLE_ROWS
