"""Longer bars: only from bars that exist, only when they are over."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.market import Bars
from engine.domain.resampling import bucket_start_of, resample
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, Timeframe

MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())


def make_bars(times: list[int], timeframe: Timeframe = "1m") -> Bars:
    steps = np.arange(len(times), dtype=np.float64)
    close = 100 + steps % 7
    return Bars(
        "BTC/USDT",
        timeframe,
        np.array(times, dtype=np.int64),
        close - 0.5,
        close + 1,
        close - 1 - steps % 3,
        close,
        steps,
    )


def test_a_bar_under_way_is_left_out() -> None:
    bars = make_bars([MONDAY + 60 * minute for minute in range(14)])
    made = resample(bars, "5m")
    assert [*made.time] == [MONDAY, MONDAY + 300]
    assert (made.open[1], made.high[1], made.low[1], made.close[1]) == (104.5, 107.0, 98.0, 102.0)
    assert made.volume[1] == sum(range(5, 10))


def test_the_present_tells_that_a_bar_cut_short_is_over() -> None:
    bars = make_bars([MONDAY + 3600 * hour for hour in range(22)], "1h")
    assert len(resample(bars, "1d")) == 0
    assert len(resample(bars, "1d", now_s=MONDAY + 86_399)) == 0
    assert len(resample(bars, "1d", now_s=MONDAY + 86_400)) == 1


def test_a_bucket_without_bars_gives_none() -> None:
    made = resample(make_bars([MONDAY, MONDAY + 60, MONDAY + 3600]), "5m", now_s=MONDAY + 7200)
    assert [*made.time] == [MONDAY, MONDAY + 3600]


def test_weeks_begin_on_monday() -> None:
    assert bucket_start_of(MONDAY + 6 * 86_400 + 86_399, "1w") == MONDAY
    assert bucket_start_of(MONDAY - 1, "1w") == MONDAY - 7 * 86_400


def test_no_bars_make_no_bars() -> None:
    assert len(resample(make_bars([]), "1h")) == 0


def test_a_timeframe_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot make"):
        resample(make_bars([MONDAY], "1h"), "30m")


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.sets(st.integers(0, 3000), min_size=1, max_size=300),
    timeframe=st.sampled_from(TIMEFRAMES),
    now=st.integers(0, 3000),
)
def test_every_long_bar_holds_just_its_own_bars(minutes: set[int], timeframe: Timeframe, now: int) -> None:
    bars = make_bars([MONDAY + 60 * minute for minute in sorted(minutes)])
    now_s = MONDAY + 60 * now
    closed = bars[: int(np.searchsorted(bars.time, now_s - 60, side="right"))]
    made = resample(closed, timeframe, now_s=now_s)
    step = TIMEFRAME_S[timeframe]
    for row in range(len(made)):
        inside = (closed.time >= made.time[row]) & (closed.time < made.time[row] + step)
        assert made.time[row] == bucket_start_of(int(made.time[row]), timeframe)
        assert made.open[row] == closed.open[inside][0]
        assert made.close[row] == closed.close[inside][-1]
        assert made.high[row] == closed.high[inside].max()
        assert made.low[row] == closed.low[inside].min()
        assert made.volume[row] == pytest.approx(closed.volume[inside].sum())
        assert made.time[row] + step <= now_s
    due = {bucket_start_of(int(second), timeframe) for second in closed.time}
    assert {int(second) for second in made.time} == {start for start in due if start + step <= now_s}
