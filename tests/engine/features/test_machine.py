"""The machine's operations against plain loops, and the streams' manners."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import talib

from engine.domain.market import Bars, FloatArray
from engine.features.catalogue.trend import directional_index, directional_indicators
from engine.features.definitions import FEATURE_NAMES, WARMUP, FeatureStream, FeatureStreams
from engine.features.drivers import ColumnStream, compute_columns
from engine.features.expressions import (
    CLOSE,
    DAY,
    HIGH,
    LOW,
    OPEN,
    TIME,
    VOLUME,
    Expression,
    Period,
    accumulate,
    change,
    column,
    cycle,
    greater,
    highest,
    hold,
    latch,
    local_time,
    lowest,
    mean,
    since,
    variance,
    within,
)
from engine.features.opcodes import HIGHEST, LONDON, NEW_YORK, TOTAL
from tests.engine.features.bars import calm, rough, row

SPANS = (1, 2, 3, 7, 511, 512, 513, 1200)


def values(expression: Expression, bars: Bars) -> FloatArray:
    return compute_columns(bars, [expression])[0][:, 0]


def windows(x: FloatArray, span: int) -> FloatArray:
    return np.lib.stride_tricks.sliding_window_view(x, span)


@pytest.mark.parametrize("span", SPANS)
def test_windows_equal_plain_ones(span: int) -> None:
    bars = rough()
    close = windows(bars.close, span)
    np.testing.assert_allclose(values(mean(CLOSE, span), bars)[span - 1 :], close.mean(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(values(highest(CLOSE, span), bars)[span - 1 :], close.max(axis=1))
    np.testing.assert_array_equal(values(lowest(CLOSE, span), bars)[span - 1 :], close.min(axis=1))
    expected = close.var(axis=1)
    np.testing.assert_allclose(values(variance(CLOSE, span), bars)[span - 1 :], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(values(change(CLOSE, span), bars)[span:], bars.close[span:] - bars.close[:-span])


def test_sums_lose_nothing_after_a_huge_value() -> None:
    """A running sum that subtracts would keep the rounding of the huge volume for ever."""
    volume = calm().volume.copy()
    volume[100] = 1e18
    got = values(mean(VOLUME, 24), replace(calm(), volume=volume))[200:]
    np.testing.assert_allclose(got, windows(volume, 24).mean(axis=1)[177:], rtol=1e-14)


def test_variance_keeps_its_digits_far_from_zero() -> None:
    bars = calm()
    np.testing.assert_allclose(
        values(variance(CLOSE + 1e6, 20), bars)[19:], windows(bars.close, 20).var(axis=1), rtol=1e-5
    )


@pytest.mark.parametrize(("city", "zone"), [(NEW_YORK, "America/New_York"), (LONDON, "Europe/London")])
def test_local_time_is_that_of_the_time_zone_database(city: int, zone: str) -> None:
    time = np.arange(1_180_000_000, 1_900_000_000, 5 * 3600 + 1800, dtype=np.int64)
    ones = np.ones(len(time))
    offset = values(local_time(city) - TIME, Bars("X", "1h", time, ones, ones, ones, ones, ones))
    place = ZoneInfo(zone)
    clocks = [datetime.fromtimestamp(int(t), UTC).astimezone(place) for t in time]
    expected = [clock.replace(tzinfo=UTC).timestamp() - t for clock, t in zip(clocks, time, strict=True)]
    np.testing.assert_array_equal(offset, expected)


def test_longer_bars_are_known_when_they_close_and_not_before() -> None:
    time = np.array([8, 9, 10, 11, 12, 13, 15, 16, 20, 23, 24], np.int64) * 3600
    close = np.arange(1.0, 12.0)
    bars = Bars("X", "1h", time, close, close + 0.5, close - 0.5, close, np.ones(11))
    longer = Period(4, is_bars=True)
    shown = compute_columns(bars, [hold(column(number, longer)) for number in (1, 2, 3, 4, 5)])[0]
    assert np.isnan(shown[:6]).all()  # silent until every history of this length would have shown one
    # 12:00 to 16:00 lacks 14:00 and closes with 15:00; 16:00 alone is known at 20:00; 20:00 to 24:00 closes with 23:00.
    assert shown[6].tolist() == [5.0, 7.5, 4.5, 7.0, 3.0]
    assert shown[7].tolist() == [5.0, 7.5, 4.5, 7.0, 3.0]
    assert shown[8].tolist() == [8.0, 8.5, 7.5, 8.0, 1.0]
    assert shown[9].tolist() == [9.0, 10.5, 8.5, 10.0, 2.0]


def test_history_that_begins_inside_a_longer_bar_does_not_count_it() -> None:
    bars = calm()
    longer = hold(mean(column(4, Period(4, is_bars=True)), 3))
    for skipped in range(5):
        late = values(longer, bars[skipped:])
        np.testing.assert_allclose(late[20:], values(longer, bars)[skipped + 20 :], rtol=1e-14)


def test_day_so_far_begins_again_at_midnight() -> None:
    bars = rough()
    day = bars.time // 86400
    got = compute_columns(bars, [within(HIGH, DAY, HIGHEST), within(VOLUME, DAY, TOTAL)])[0]
    for at in range(60, 200):
        today = (day == day[at]) & (np.arange(len(bars)) <= at)
        assert got[at, 0] == bars.high[today].max()
        assert got[at, 1] == pytest.approx(bars.volume[today].sum())


def test_events_are_kept_and_aged() -> None:
    bars = calm()[:200]
    rises = bars.close > bars.open
    event = greater(CLOSE, OPEN)
    age, kept = compute_columns(bars, [since(event, 5), latch(event, LOW, settling=0)])[0].T
    for at in range(20, 200):
        last = int(np.flatnonzero(rises[: at + 1])[-1])
        assert age[at] == min(at - last, 5)
        assert kept[at] == bars.low[last]


def test_sum_of_everything_and_cycles() -> None:
    bars = calm()
    np.testing.assert_allclose(values(accumulate(VOLUME), bars), np.cumsum(bars.volume), rtol=1e-12)
    np.testing.assert_allclose(
        values(cycle(TIME, DAY, is_sine=True), bars), np.sin(2 * math.pi * (bars.time % 86400) / 86400), atol=1e-12
    )


def test_mixed_timeframes_are_refused() -> None:
    with pytest.raises(ValueError, match="two timeframes cannot be mixed"):
        _ = CLOSE - column(4, Period(4, is_bars=True))
    with pytest.raises(ValueError, match="hold its values first"):
        compute_columns(calm(), [column(4, Period(4, is_bars=True))])


def test_stream_is_ready_after_its_warmup_and_forgets_when_reset() -> None:
    bars, stream = calm(), FeatureStream("1h")
    assert stream.warmup == WARMUP
    assert stream.names == FEATURE_NAMES
    runs = []
    for _ in range(2):
        stream.reset()
        ready = [bool(len(stream.update(row(bars, at))) and stream.ready) for at in range(WARMUP + 1)]
        assert ready == [False] * WARMUP + [True]
        assert np.isfinite(stream.value).all()
        runs.append(stream.value.copy())
    np.testing.assert_array_equal(runs[0], runs[1])


def test_stream_keeps_no_history() -> None:
    stream = ColumnStream([mean(CLOSE, 50)], "1h")
    before = stream._memory.nbytes
    for at in range(500):
        stream.update(row(calm(), at))
    assert stream._memory.nbytes == before < 2000


@pytest.mark.parametrize("symbols", [1, 63, 64, 65, 200])
def test_any_number_of_symbols(symbols: int) -> None:
    bars, names = calm(), ("return_24", "rsi_14", "range_ratio_x4", "london_session")
    streams, one = FeatureStreams("1h", symbols, names), FeatureStream("1h", names)
    for at in range(260):
        rows = np.repeat(np.array(row(bars, at))[:, None], symbols, axis=1)
        got = streams.update(Bars("*", "1h", rows[0].astype(np.int64), *rows[1:]))
        np.testing.assert_allclose(got, np.repeat(one.update(row(bars, at))[None], symbols, axis=0), rtol=1e-9)
    assert got.shape == (symbols, 4)
    assert streams.ready.all()
    streams.reset()
    assert not streams.ready.any()


def test_directional_movement_is_talibs() -> None:
    bars = calm()
    plus, minus = directional_indicators(14)
    got = compute_columns(bars, [plus, minus, directional_index(14)[1]])[0]
    for number, function in enumerate((talib.PLUS_DI, talib.MINUS_DI, talib.ADX)):
        expected = function(bars.high, bars.low, bars.close, 14) / 100
        np.testing.assert_allclose(got[300:, number], expected[300:], rtol=1e-9)
