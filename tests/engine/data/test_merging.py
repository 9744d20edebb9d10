"""Parts merged window by window are what merging everything at once gives, whatever their order and overlaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data import merging
from engine.data.merging import MergeCounts, merge_parts, write_rows
from engine.data.store import BarStore
from engine.domain.market import Bars

rows = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=30)


def bars_of(table: list[tuple[int, int]]) -> Bars:
    time = np.array([60 * minute for minute, _ in table], dtype=np.int64)
    price = np.array([float(value) for _, value in table])
    return Bars("BTC/USDT", "1m", time, price, price + 1, price - 0.5, price, price)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=rows, parts=st.lists(rows, min_size=1, max_size=4), window=st.sampled_from([1, 7, 1000]))
def test_windows_of_any_size_give_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    stored: list[tuple[int, int]],
    parts: list[list[tuple[int, int]]],
    window: int,
) -> None:
    monkeypatch.setattr(merging, "_WINDOW_BARS", window)
    folder = tmp_path_factory.mktemp("merge")
    store = BarStore(folder / "bars")
    before = dict(stored)
    store.merge("files", bars_of(sorted(before.items())))
    paths = [folder / f"{number}.parquet" for number, part in enumerate(parts) if part]
    for path, part in zip(paths, [part for part in parts if part], strict=True):
        write_rows(path, bars_of(part))
    counts = store.merge_parts("files", "BTC/USDT", "1m", paths)
    every = [row for part in parts for row in part]
    new = dict(every)
    assert counts == MergeCounts(
        added=len(new.keys() - before.keys()),
        replaced=sum(before.get(minute, value) != value for minute, value in new.items()),
        unchanged=sum(before.get(minute) == value for minute, value in new.items()),
        duplicates=len(every) - len(new),
        conflicts=sum(new[minute] != value for minute, value in every),
    )
    expected = sorted({**before, **new}.items())
    if expected:
        merged = store.load("files", "BTC/USDT", "1m")
        assert merged.time.tolist() == [60 * minute for minute, _ in expected]
        assert merged.close.tolist() == [float(value) for _, value in expected]
    else:
        assert store.contents() == ()


def test_merging_what_is_stored_does_not_touch_the_file(tmp_path: Path) -> None:
    store, part = BarStore(tmp_path / "bars"), tmp_path / "part.parquet"
    table = [(minute, 1) for minute in range(50)]
    store.merge("files", bars_of(table))
    (path,) = (tmp_path / "bars").rglob("1m.parquet")
    written = path.stat().st_mtime_ns
    write_rows(part, bars_of(table[10:20]))
    assert merge_parts(path, [part], "BTC/USDT", "1m") == MergeCounts(unchanged=10)
    assert path.stat().st_mtime_ns == written


def test_times_centuries_apart_need_few_windows(tmp_path: Path) -> None:
    store, part = BarStore(tmp_path / "bars"), tmp_path / "part.parquet"
    far = bars_of([(0, 1), (1, 1)])
    late = Bars("BTC/USDT", "1m", far.time + 60 * 10**12, far.open, far.high, far.low, far.close, far.volume)
    write_rows(part, late)
    store.merge("files", far)
    assert store.merge_parts("files", "BTC/USDT", "1m", [part]) == MergeCounts(added=2)
    assert sum(len(block) for block in store.blocks("files", "BTC/USDT", "1m")) == 4


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    store = BarStore(tmp_path / "bars")
    store.merge("files", bars_of([(0, 1)]))
    (path,) = (tmp_path / "bars").rglob("1m.parquet")
    rubbish = path.with_name(".1m-abc.partial")
    rubbish.write_bytes(b"half a file")
    other = path.with_name(".1h-abc.partial")
    other.write_bytes(b"somebody writes this one now")
    store.merge("files", bars_of([(1, 1)]))
    assert not rubbish.exists()
    assert other.exists()
