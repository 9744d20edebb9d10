"""Days and weeks of currencies: one bar a trading day, no stub on Sunday, nothing before its session is over."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.market import Bars, IntArray
from engine.domain.resampling import resample
from engine.domain.sessions import open_mask
from engine.domain.symbols import Timeframe
from engine.domain.trading_days import resample_by_session, trading_day

YORK = ZoneInfo("America/New_York")


def second(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())


def bars_at(times: IntArray, symbol: str = "EURUSD", timeframe: Timeframe = "1h") -> Bars:
    steps = np.arange(len(times), dtype=np.float64)
    close = 100 + steps % 7
    return Bars(symbol, timeframe, times, close - 0.5, close + 1, close - 1 - steps % 3, close, steps)


def york_week(start: int, end: int) -> IntArray:
    every = np.arange(start, end, 3600)
    kept = []
    for one in every:
        at = datetime.fromtimestamp(int(one), YORK)
        kept.append(at.weekday() < 4 or (at.weekday() == 4 and at.hour < 17) or (at.weekday() == 6 and at.hour >= 17))
    return every[kept]


def test_a_year_has_five_whole_days_a_week_and_no_stub() -> None:
    bars = bars_at(york_week(second(2024, 1, 7), second(2025, 1, 5)))
    days = resample_by_session(bars, "1d")
    opens = [datetime.fromtimestamp(int(one), YORK) for one in days.time]
    assert {(at.hour, at.minute) for at in opens} == {(17, 0)}
    assert {at.weekday() for at in opens} == {6, 0, 1, 2, 3}
    assert len(days) == 52 * 5 - 1  # the last Friday's hour of grace is not over
    assert len(resample_by_session(bars, "1d", now_s=int(bars.time[-1]) + 7200)) == 52 * 5
    hours = np.diff(np.searchsorted(bars.time, days.time))
    # Clocks change on Sundays before the open, so no trading day loses an hour.
    assert set(hours.tolist()) == {24}
    weeks = resample_by_session(bars, "1w", now_s=int(bars.time[-1]) + 7200)
    assert len(weeks) == 52
    assert np.array_equal(weeks.open, days.open[::5])
    assert weeks.volume.sum() == bars.volume.sum()


def test_days_cut_at_midnight_have_the_stubs_that_are_avoided_here() -> None:
    bars = bars_at(york_week(second(2024, 1, 7), second(2024, 2, 4)))
    weekdays = [datetime.fromtimestamp(int(one), UTC).weekday() for one in resample(bars, "1d").time]
    assert 6 in weekdays


def test_a_feed_without_summer_time_keeps_its_late_hour_in_friday() -> None:
    every = np.arange(second(2024, 6, 2), second(2024, 7, 1), 3600)
    bars = bars_at(every[open_mask("EURUSD", every)])
    days = resample_by_session(bars, "1d")
    assert {datetime.fromtimestamp(int(one), YORK).weekday() for one in days.time} == {6, 0, 1, 2, 3}
    friday = second(2024, 6, 7, 21)
    assert len(resample_by_session(bars[: int(np.searchsorted(bars.time, friday))], "1d")) == 4
    assert len(resample_by_session(bars[: int(np.searchsorted(bars.time, friday)) + 1], "1d")) == 5


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 700), timeframe=st.sampled_from(["1d", "1w"]))
def test_later_bars_change_no_bar_that_was_given(cut: int, timeframe: Timeframe) -> None:
    bars = bars_at(york_week(second(2024, 3, 3), second(2024, 4, 14)))
    early, all_of_it = resample_by_session(bars[:cut], timeframe), resample_by_session(bars, timeframe)
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(early, name), getattr(all_of_it, name)[: len(early)]), name


def test_coins_and_short_bars_are_cut_as_ever() -> None:
    times = np.arange(second(2024, 1, 1), second(2024, 1, 5), 3600)
    for symbol, timeframe in (("BTC/USDT", "1d"), ("EURUSD", "4h")):
        bars = bars_at(times, symbol)
        assert np.array_equal(resample_by_session(bars, timeframe).time, resample(bars, timeframe).time)  # type: ignore[arg-type]  # both are timeframes


def test_bars_too_long_to_be_cut_are_refused_and_none_stay_none() -> None:
    with pytest.raises(ValueError, match="cannot be cut at 17:00"):
        resample_by_session(bars_at(np.array([0]), timeframe="4h"), "1d")
    assert len(resample_by_session(bars_at(np.empty(0, dtype=np.int64)), "1d")) == 0
    assert len(trading_day(np.empty(0, dtype=np.int64))) == 0
