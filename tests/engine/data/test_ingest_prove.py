"""Ten years of one-minute bars of three symbols, from a real MariaDB: killed half way, resumed, in bounded memory.

Prints rows a second by the clock; judged is the processor time of our side, which other programs do not stretch, and
the peak memory.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pymysql
import pytest
from sqlalchemy.engine import make_url

from engine.data.ingest_table import ROWS_PER_RANGE
from engine.data.store import BarStore
from engine.domain.sessions import open_mask
from tests.engine.data.databases import execute

pytestmark = [pytest.mark.prove, pytest.mark.mariadb]

SYMBOLS = ("XAUUSD", "EURUSD", "GBPUSD")
FIRST = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
LEAST_ROWS_A_SECOND = 50_000
MOST_MEMORY_MIB = 450

CHILD = """
import json, sys, time
from pathlib import Path
from engine.data.ingest_table import ingest_table
from engine.data.ingest_table import ROWS_PER_RANGE
from engine.data.store import BarStore
from engine.data.tables import TableMapping

def tell(share, symbol):
    print(json.dumps({"share": share, "symbol": symbol}), flush=True)

began = time.perf_counter()
rows = 0
for report in ingest_table(sys.argv[1], BarStore(Path(sys.argv[2])), TableMapping(), (), "1m", progress=tell):
    rows += report.rows_read
    print(json.dumps({"report": report.lines()}), flush=True)
# The peak of this program alone: the one that getrusage tells counts the program that started it.
status = Path("/proc/self/status").read_text()
peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({
    "rows": rows, "wall_s": time.perf_counter() - began, "cpu_s": time.process_time(), "memory_mib": peak_kib / 1024,
}), flush=True)
"""


@dataclass(frozen=True)
class Years:
    """The columns of ten years of minutes, the same for every symbol but for its scale."""

    time: np.ndarray[Any, np.dtype[np.int64]]
    prices: np.ndarray[Any, np.dtype[np.float64]]


def ten_years() -> Years:
    every = np.arange(FIRST, LAST, 60, dtype=np.int64)
    times = every[open_mask("EURUSD", every)]
    rng = np.random.default_rng(11)
    middle = np.exp(np.cumsum(rng.normal(0, 1e-4, len(times))))
    spread = np.abs(rng.normal(0, 1e-4, (2, len(times))))
    close = middle * (1 + rng.normal(0, 5e-5, len(times)))
    high, low = np.maximum(middle, close) * (1 + spread[0]), np.minimum(middle, close) * (1 - spread[1])
    volume = rng.integers(1, 500, len(times)).astype(np.float64)
    return Years(times, np.column_stack((middle, high, low, close, volume)))


def scaled(years: Years, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return one symbol's prices, rounded as a feed does."""
    prices = years.prices * (1 + number)
    return np.column_stack((np.round(prices[:, :4], 5), years.prices[:, 4]))


def load_into(url: str, folder: Path, years: Years) -> None:
    """Put three symbols into one table, as one import after the other leaves it."""
    execute(
        url,
        "CREATE TABLE history (symbol VARCHAR(12) NOT NULL, open_time DATETIME NOT NULL, open DOUBLE, high DOUBLE, "
        "low DOUBLE, close DOUBLE, volume DOUBLE, PRIMARY KEY (symbol, open_time))",
    )
    parsed = make_url(url)
    connection = pymysql.connect(
        host=str(parsed.host), port=int(parsed.port or 0), user="root", database=parsed.database, local_infile=True
    )
    path = folder / "history.csv"
    with connection, connection.cursor() as cursor:
        for number, symbol in enumerate(SYMBOLS):
            table = pa.table(
                {
                    "symbol": pa.repeat(symbol, len(years.time)),
                    "time": pa.array(years.time.astype("datetime64[s]")),
                    **{str(n): column for n, column in enumerate(scaled(years, number).T)},
                }
            )
            pa.csv.write_csv(table, path, pa.csv.WriteOptions(include_header=False))
            cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE history FIELDS TERMINATED BY ','")
            connection.commit()
    path.unlink()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def told(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


@contextmanager
def started(url: str, root: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", CHILD, url, str(root)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(url: str, root: Path) -> list[dict[str, Any]]:
    """Ingest everything there is to ingest and return what the program told."""
    with started(url, root) as process:
        lines = list(told(process))
        assert process.wait() == 0
    return lines


def test_ten_years_of_three_symbols(mariadb_url: str, tmp_path: Path) -> None:
    years, root = ten_years(), tmp_path / "bars"
    began = time.perf_counter()
    load_into(mariadb_url, tmp_path, years)
    total = 3 * len(years.time)
    say(f"\n{total:,} rows put into MariaDB in {time.perf_counter() - began:.0f} s")

    began = time.perf_counter()
    with started(mariadb_url, root) as killed:
        for line in told(killed):
            if line.get("share", 0) > 0.5:
                killed.send_signal(signal.SIGKILL)
                break
    first_s = time.perf_counter() - began

    lines = run(mariadb_url, root)
    figures = lines[-1]
    shares = [line["share"] for line in lines if "share" in line]
    # The first symbol was stored, the second half read: what is left is half of the ranges, and no more.
    ranges = 3 * -(-(LAST - FIRST) // (60 * ROWS_PER_RANGE))
    assert len(shares) < 0.5 * ranges + 2 + len(SYMBOLS)
    for number, symbol in enumerate(SYMBOLS):
        bars = BarStore(root).load("mysql", symbol, "1m")
        assert np.array_equal(bars.time, years.time)
        expected = scaled(years, number)
        for column, name in enumerate(("open", "high", "low", "close", "volume")):
            assert np.array_equal(getattr(bars, name), expected[:, column]), (symbol, name)
    say(f"killed at half after {first_s:.0f} s; then {figures}")
    say(f"together {total / (first_s + figures['wall_s']):,.0f} rows a second by the clock")

    figures = run(mariadb_url, tmp_path / "again")[-1]
    say(
        f"without a kill {figures['rows'] / figures['wall_s']:,.0f} rows a second by the clock, "
        f"{figures['rows'] / figures['cpu_s']:,.0f} by our processor time; {figures['memory_mib']:.0f} MiB at most"
    )
    assert figures["rows"] == total
    assert figures["rows"] / figures["cpu_s"] > LEAST_ROWS_A_SECOND
    assert figures["memory_mib"] < MOST_MEMORY_MIB

    lines = run(mariadb_url, root)
    say(f"run again: {lines[-1]}")
    assert lines[-1]["rows"] == 3
    for line in lines:
        if "report" in line:
            assert line["report"][-1].strip() == "stored      0 new, 0 replaced, 1 already there"
