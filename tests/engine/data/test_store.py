"""The store of bars: whole, idempotent, and quick to read a part of."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.files import write_atomically
from engine.data.merging import MergeCounts
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from tests.engine.market_check import assert_same_bars

START = 1_700_000_040 // 60 * 60


def make_bars(minutes: list[int], price: float = 100.0, symbol: str = "BTC/USDT") -> Bars:
    time = START + 60 * np.array(minutes, dtype=np.int64)
    close = price + np.arange(len(minutes), dtype=np.float64)
    return Bars(symbol, "1m", time, close, close + 1, close - 1, close, np.full(len(minutes), 2.5))


def test_what_is_stored_is_what_is_loaded(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path), make_bars([0, 1, 5])
    assert store.merge("files", bars) == MergeCounts(3, 0, 0)
    assert_same_bars(store.load("files", "BTC/USDT", "1m"), bars)
    assert_same_bars(BarStore(tmp_path).load("files", "BTC/USDT", "1m"), bars)


def test_merging_twice_changes_nothing_on_disk(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.merge("files", make_bars([0, 1, 2]))
    before = next(tmp_path.rglob("*.parquet")).stat().st_mtime_ns
    assert store.merge("files", make_bars([0, 1, 2])) == MergeCounts(0, 0, 3)
    assert next(tmp_path.rglob("*.parquet")).stat().st_mtime_ns == before


def test_new_bars_win_over_stored_ones(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.merge("files", make_bars([0, 2, 4]))
    assert store.merge("files", make_bars([1, 2], price=50.0)) == MergeCounts(1, 1, 0)
    loaded = store.load("files", "BTC/USDT", "1m")
    assert [*((loaded.time - START) // 60)] == [0, 1, 2, 4]
    assert [*loaded.close] == [100.0, 50.0, 51.0, 102.0]


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.sets(st.integers(0, 40), min_size=1), min_size=1, max_size=5))
def test_merging_parts_in_turn_is_the_union_with_the_last_word(
    tmp_path_factory: pytest.TempPathFactory, parts: list[set[int]]
) -> None:
    store = BarStore(tmp_path_factory.mktemp("store"))
    expected: dict[int, float] = {}
    for number, part in enumerate(parts):
        bars = make_bars(sorted(part), price=1000.0 * (number + 1))
        expected.update(zip((int(second) for second in bars.time), bars.close, strict=True))
        counts = store.merge("files", bars)
        assert counts.added + counts.replaced + counts.unchanged == len(part)
    loaded = store.load("files", "BTC/USDT", "1m")
    assert dict(zip((int(second) for second in loaded.time), loaded.close, strict=True)) == expected
    assert np.all(np.diff(loaded.time) > 0)


def test_a_range_of_time_is_half_open(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.merge("files", make_bars(list(range(10))))
    at = [datetime.fromtimestamp(START + 60 * minute, UTC) for minute in range(10)]
    loaded = store.load("files", "BTC/USDT", "1m", start=at[3], end=at[6])
    assert [*((loaded.time - START) // 60)] == [3, 4, 5]
    assert len(store.load("files", "BTC/USDT", "1m", start=at[9], end=at[9])) == 0


def test_a_month_of_millions_of_minutes_reads_as_the_whole_would(tmp_path: Path) -> None:
    store, count = BarStore(tmp_path), 700_000
    time = START + 60 * np.arange(count, dtype=np.int64)
    close = 100 + np.arange(count) % 977 / 8.0
    store.merge("files", Bars("EURUSD", "1m", time, close, close + 1, close - 1, close, close))
    start, end = (datetime.fromtimestamp(START + 60 * minute, UTC) for minute in (250_000, 290_000))
    assert_same_bars(
        store.load("files", "EURUSD", "1m", start, end), store.load("files", "EURUSD", "1m")[250_000:290_000]
    )


def test_contents_name_every_series(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.merge("b", make_bars([0, 1]))
    store.merge("a", make_bars([5], symbol="XAUUSD"))
    listed = [(one.source, one.symbol, one.timeframe, one.rows) for one in store.contents()]
    assert listed == [("a", "XAUUSD", "1m", 1), ("b", "BTC/USDT", "1m", 2)]
    assert store.contents("b")[0].last_at == datetime.fromtimestamp(START + 60, UTC)
    assert store.contents("none") == ()
    assert store.contents("../a") == ()


def test_what_is_not_there_or_damaged_is_said(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    with pytest.raises(DataUnavailable, match="no 1m bars of BTC/USDT from 'files'"):
        store.load("files", "BTC/USDT", "1m")
    store.merge("files", make_bars([0]))
    next(tmp_path.rglob("*.parquet")).write_bytes(b"rubbish")
    with pytest.raises(DataUnavailable, match="cannot be read"):
        store.load("files", "BTC/USDT", "1m")
    with pytest.raises(DataUnavailable, match="cannot be read"):
        store.contents()


@pytest.mark.parametrize("source", ["", "../up", "a/b", ".hidden"])
def test_a_source_cannot_leave_the_store(tmp_path: Path, source: str) -> None:
    with pytest.raises(ValueError, match="cannot name a source"):
        BarStore(tmp_path).merge(source, make_bars([0]))


def test_times_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="increasing"):
        BarStore(tmp_path).merge("files", make_bars([1, 0]))


def test_a_failed_write_leaves_the_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_program_killed_while_it_writes_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path), make_bars([0, 1])
    store.merge("files", bars)
    script = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "import engine.data.store as store\n"
        "from tests.engine.data.test_store import make_bars\n"
        "write = store.write_table\n"
        "def die(path, bars):\n"
        "    write(path, bars)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.write_table = die\n"
        "store.BarStore(Path(sys.argv[1])).merge('files', make_bars([2, 3]))\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert_same_bars(store.load("files", "BTC/USDT", "1m"), bars)
    assert [one.rows for one in store.contents()] == [2]
    assert store.merge("files", make_bars([2, 3])) == MergeCounts(2, 0, 0)


def test_two_writers_of_one_series_lose_nothing(tmp_path: Path) -> None:
    def write(offset: int) -> None:
        for minute in range(offset, 40, 2):
            BarStore(tmp_path).merge("files", make_bars([minute]))

    threads = [threading.Thread(target=write, args=(offset,)) for offset in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(BarStore(tmp_path).load("files", "BTC/USDT", "1m")) == 40
