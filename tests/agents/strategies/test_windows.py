"""Windows against numpy's own sums over each window, and to the last bit wherever a window stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agents.strategies.calendar import bars_in_days, begins_week
from agents.strategies.windows import (
    average_true_range,
    rolling_deviation,
    rolling_max,
    rolling_mean,
    rolling_min,
    shifted,
)
from engine.domain.market import FloatArray
from tests.agents.strategies.markets import make_bars

Rolling = Callable[[FloatArray, int], FloatArray]
PAIRS: list[tuple[Rolling, Callable[[FloatArray], float]]] = [
    (rolling_mean, lambda window: float(np.mean(window))),
    (rolling_max, lambda window: float(np.max(window))),
    (rolling_min, lambda window: float(np.min(window))),
    (rolling_deviation, lambda window: float(np.std(window))),
]


@pytest.mark.parametrize("period", [1, 2, 3, 7, 8, 13, 64, 100, 120])
@pytest.mark.parametrize(("rolling", "plain"), PAIRS, ids=lambda each: getattr(each, "__name__", ""))
def test_windows_are_what_numpy_says_of_them(
    rolling: Rolling, plain: Callable[[FloatArray], float], period: int
) -> None:
    values = 1e5 + np.random.default_rng(period).standard_normal(120)
    found = rolling(values, period)
    assert np.isnan(found[: period - 1]).all()
    wanted = [plain(values[end - period : end]) for end in range(period, len(values) + 1)]
    np.testing.assert_allclose(found[period - 1 :], wanted, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("rolling", [pair[0] for pair in PAIRS], ids=lambda each: each.__name__)
def test_a_window_has_the_same_bits_wherever_it_stands(rolling: Rolling) -> None:
    values = np.random.default_rng(1).standard_normal(400) * 1e4
    for period in (3, 20, 77, 200):
        whole = rolling(values, period)
        for end in (period, 201, 333, 400):
            assert rolling(values[end - period : end], period)[-1] == whole[end - 1]


def test_windows_longer_than_the_values_are_never_full() -> None:
    assert np.isnan(rolling_mean(np.ones(5), 6)).all()
    assert np.isnan(shifted(np.ones(3), 5)).all()
    assert len(rolling_max(np.empty(0), 4)) == 0


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        rolling_mean(np.ones(5), 0)


def test_the_mean_true_range_begins_with_the_first_close_before() -> None:
    bars = make_bars("BTC/USDT", "1h", 50, seed=2)
    ranges = [
        max(high, before) - min(low, before)
        for high, low, before in zip(bars.high[1:], bars.low[1:], bars.close[:-1], strict=True)
    ]
    found = average_true_range(bars, 5)
    assert np.isnan(found[:5]).all()
    assert found[5] == pytest.approx(np.mean(ranges[:5]))


def test_a_week_begins_with_the_close_of_its_last_bar() -> None:
    monday = 1_599_436_800  # 2020-09-07 00:00 UTC
    hours = monday + 3600 * np.arange(-5, 5, dtype=np.int64)
    assert np.flatnonzero(begins_week(hours, "1h")).tolist() == [4]
    friday_then_sunday = np.array([monday - 50 * 3600, monday - 49 * 3600, monday + 3600], np.int64)
    assert begins_week(friday_then_sunday, "1h").tolist() == [False, False, True]


def test_days_are_counted_in_bars() -> None:
    assert [bars_in_days(7, timeframe) for timeframe in ("1h", "4h", "1d", "1w")] == [168, 42, 7, 1]
    assert bars_in_days(1, "1w") == 1
