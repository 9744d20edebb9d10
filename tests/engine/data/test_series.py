"""Every fault that is put into a series is found, at its place; a series without faults is clean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.data.clocks import ClockFinding
from engine.data.series import SeriesCheck, SeriesFindings, examine, least_stale_run
from engine.domain.market import Bars, IntArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe

START = datetime(2022, 1, 3, tzinfo=UTC)  # a Monday


def second(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())


def walk(symbol: str, timeframe: Timeframe, times: IntArray, seed: int = 5) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(times))))
    open_ = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 5e-4, len(times))))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 5e-4, len(times))))
    return Bars(symbol, timeframe, times, open_, high, low, close, rng.uniform(1, 9, len(times)))


def coin(days: int = 60, timeframe: Timeframe = "5m") -> Bars:
    step = TIMEFRAME_S[timeframe]
    return walk("BTC/USDT", timeframe, np.arange(second(2022, 1, 3), second(2022, 1, 3) + days * 86400, step))


def currency(symbol: str = "EURUSD", years: int = 2) -> Bars:
    """Return hours of the currency week as New York keeps it, in UTC."""
    every = np.arange(second(2022, 1, 3), second(2022 + years, 1, 3), 3600)
    return walk(symbol, "1h", every[[_is_open(int(one), 18 if symbol.startswith("XAU") else 17) for one in every]])


def _is_open(one: int, opens: int) -> bool:
    at = datetime.fromtimestamp(one, ZoneInfo("America/New_York"))
    if opens == 18 and at.hour == 17:
        return False
    return at.weekday() < 4 or (at.weekday() == 4 and at.hour < 17) or (at.weekday() == 6 and at.hour >= opens)


def without(bars: Bars, rows: IntArray | slice) -> Bars:
    kept = np.ones(len(bars), dtype=np.bool_)
    kept[rows] = False
    columns = ("time", "open", "high", "low", "close", "volume")
    return Bars(bars.symbol, bars.timeframe, *(getattr(bars, name)[kept] for name in columns))


def changed(bars: Bars, rows: IntArray | slice, **columns: object) -> Bars:
    fresh = {}
    for name, value in columns.items():
        fresh[name] = getattr(bars, name).copy()
        fresh[name][rows] = value
    return replace(bars, **fresh)


def found(bars: Bars) -> SeriesFindings:
    findings = examine(bars)
    assert findings is not None
    return findings


@pytest.mark.parametrize("bars", [coin(), currency(), currency("XAUUSD")], ids=["coin", "currency", "gold"])
def test_a_series_without_faults_is_clean(bars: Bars) -> None:
    clean = found(bars)
    assert (clean.gap_count, clean.missing, clean.misaligned, clean.zero_volume) == (0, 0, 0, 0)
    assert (clean.outliers, clean.spikes, clean.stale_count) == (0, 0, 0)
    assert clean.clock.kind == ("unknown" if bars.symbol == "BTC/USDT" else "right")
    assert sum(count for _, count in clean.months) == len(bars) == clean.rows


def test_every_hole_is_counted_at_its_place() -> None:
    bars = coin()
    holes = {100: 1, 2000: 37, 9000: 288}
    rows = np.concatenate([np.arange(first, first + size) for first, size in holes.items()])
    report = found(without(bars, rows))
    assert (report.gap_count, report.missing) == (3, 326)
    assert [(int(gap.after.timestamp()), gap.missing) for gap in report.gaps] == [
        (int(bars.time[first - 1]), size) for first, size in sorted(holes.items(), key=lambda one: -one[1])
    ]


def test_bad_ticks_are_found_and_wild_hours_are_not() -> None:
    bars = coin()
    ticks = np.array([500, 3000, 8000, 12000])
    spiked = changed(bars, ticks[:2], high=bars.high[ticks[:2]] * 1.04)
    spiked = changed(spiked, ticks[2:], low=spiked.low[ticks[2:]] * 0.96)
    report = found(spiked)
    assert report.spikes == 4
    assert report.first_spike_at == datetime.fromtimestamp(int(bars.time[500]), UTC)
    # A storm of a whole day is no bad tick: what is usual rises with it.
    rng = np.random.default_rng(9)
    storm = bars.close * np.exp(np.where(np.arange(len(bars)) // 288 == 30, rng.normal(0, 0.004, len(bars)), 0))
    stormy = replace(bars, close=storm, high=np.maximum(bars.high, storm), low=np.minimum(bars.low, storm))
    assert found(stormy).outliers == 0


def test_a_jump_of_the_whole_price_is_an_outlier() -> None:
    bars = coin()
    scale = np.where(np.arange(len(bars)) >= 7000, 2.0, 1.0)
    prices = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    report = found(replace(bars, **prices))
    assert report.outliers == 1
    assert report.first_outlier_at == datetime.fromtimestamp(int(bars.time[7000]), UTC)


def test_a_feed_that_hangs_is_found_also_over_a_block_border() -> None:
    bars = coin()
    least = least_stale_run("5m")
    for first, length in ((1000, least), (4000, 60), (9000, least - 2)):
        rows = slice(first, first + length)
        price = bars.close[first - 1]
        bars = changed(bars, rows, open=price, high=price, low=price, close=price)
    whole = found(bars)
    assert [(run.bars, int(run.first_at.timestamp())) for run in whole.stale_runs] == [
        (60, int(bars.time[4000])),
        (least, int(bars.time[1000])),
    ]
    assert (whole.stale_count, whole.stale_bars) == (2, 60 + least)


@pytest.mark.parametrize("size", [1, 7, 1000, 4030])
def test_blocks_of_any_size_find_the_same(size: int) -> None:
    bars = coin(20)
    bars = changed(bars, slice(4000, 4060), open=bars.close[3999], high=bars.close[3999], low=bars.close[3999],
                   close=bars.close[3999])  # fmt: skip
    bars = without(changed(bars, slice(100, 103), volume=0.0), slice(2000, 2030))
    check = SeriesCheck(bars.symbol, bars.timeframe)
    for first in range(0, len(bars), size):
        check.update(bars[first : first + size])
    pieces, whole = check.finish(), found(bars)
    assert pieces is not None
    # What is usual is measured inside a block, so bad ticks alone may be judged a little differently.
    assert replace(pieces, spikes=0, outliers=0, first_spike_at=None, first_outlier_at=None) == replace(
        whole, spikes=0, outliers=0, first_spike_at=None, first_outlier_at=None
    )


def test_bars_off_the_grid_and_without_volume_are_counted() -> None:
    bars = coin(10)
    moved = changed(bars, slice(50, 53), time=bars.time[50:53] + 7)
    report = found(changed(moved, slice(100, 104), volume=0.0))
    assert (report.misaligned, report.zero_volume) == (3, 4)


@pytest.mark.parametrize("hours", [-5, 1, 2, 3])
@pytest.mark.parametrize("symbol", ["EURUSD", "XAUUSD"])
def test_a_series_in_another_zone_is_found(symbol: str, hours: int) -> None:
    bars = currency(symbol)
    clock = found(replace(bars, time=bars.time + 3600 * hours)).clock
    assert (clock.kind, clock.shift_h, clock.off) == ("shifted", hours, 0)
    assert clock.weeks > 95


def test_a_clock_without_summer_time_is_found() -> None:
    bars = currency()
    is_summer = np.array(
        [bool(datetime.fromtimestamp(int(one), ZoneInfo("America/New_York")).dst()) for one in bars.time]
    )
    clock = found(replace(bars, time=bars.time + 3600 * is_summer)).clock
    assert (clock.kind, clock.shift_h) == ("fixed", 0)


def test_weeks_between_the_changes_of_europe_and_america_are_found() -> None:
    """A clock that follows Athens, read as seven hours from New York, is off for two weeks in spring, one in autumn."""
    bars = currency()
    athens, york = ZoneInfo("Europe/Athens"), ZoneInfo("America/New_York")
    off = np.zeros(len(bars), dtype=np.int64)
    for row, one in enumerate(bars.time.tolist()):
        apart = datetime.fromtimestamp(one, athens).utcoffset() - datetime.fromtimestamp(one, york).utcoffset()  # type: ignore[operator]  # both are aware
        off[row] = apart.total_seconds() // 3600 - 7
    clock = found(replace(bars, time=bars.time + 3600 * off)).clock
    assert (clock.kind, clock.off) == ("moved", 6)
    assert clock.first_off_at is not None
    assert f"{clock.first_off_at:%Y-%m-%d}" == "2022-03-13"


def test_a_part_that_was_shifted_by_an_hour_is_found() -> None:
    bars = currency()
    is_late = (bars.time >= second(2023, 3, 26)) & (bars.time < second(2023, 4, 23))
    clock = found(replace(bars, time=bars.time + 3600 * is_late)).clock
    assert (clock.kind, clock.off) == ("moved", 4)


def test_missing_first_hours_of_weeks_are_gaps_and_no_shift() -> None:
    bars = currency()
    opens = np.flatnonzero(np.diff(bars.time) > 86400)[:30] + 1
    report = found(without(bars, np.concatenate((opens, opens + 1))))
    assert report.clock.kind == "right"
    assert report.gap_count > 0


@pytest.mark.parametrize(("zone", "day"), [("Europe/Madrid", (2022, 3, 27)), ("America/New_York", (2022, 3, 13))])
def test_the_hour_that_a_local_clock_skips_tells_of_a_coin(zone: str, day: tuple[int, int, int]) -> None:
    utc = np.arange(second(2022, 1, 3), second(2023, 1, 3), 300)
    offsets = np.array([datetime.fromtimestamp(int(one), ZoneInfo(zone)).utcoffset().total_seconds() for one in utc])  # type: ignore[union-attr]  # it is aware
    local = np.unique(utc + offsets.astype(np.int64))
    clock = found(walk("BTC/USDT", "5m", local)).clock
    assert clock == ClockFinding("skips_hours", 0, 1, 1, datetime(*day, 2, tzinfo=UTC))


def test_nothing_is_told_of_long_bars() -> None:
    assert found(walk("EURUSD", "4h", np.arange(0, 40) * 14400)).clock.kind == "unknown"
    assert examine(coin()[:0]) is None


def test_a_time_far_away_costs_no_memory() -> None:
    bars = coin(2, "1m")
    far = Bars(
        bars.symbol, "1m", np.concatenate(([0], bars.time)),
        *(np.concatenate((column[:1], column)) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)),
    )  # fmt: skip
    report = found(far)
    assert report.gap_count == 1
    assert report.missing == int(bars.time[0]) // 60 - 1
