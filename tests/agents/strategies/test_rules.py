"""Each strategy's rule on a few bars made by hand: what it says, and why not a bar before."""

from __future__ import annotations

import numpy as np
import pytest

from agents.strategies.altcoin_rotation import AltcoinRotation, AltcoinRotationParameters
from agents.strategies.breakout import Breakout, BreakoutParameters
from agents.strategies.grid import Grid, GridParameters, efficiency_ratio, line_prices, lines_below
from agents.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from agents.strategies.momentum import Momentum, MomentumParameters
from agents.strategies.scalping import Scalping, ScalpingParameters, plain_strength
from agents.strategies.trend_following import TrendFollowing, TrendFollowingParameters
from engine.domain.market import Bars, FloatArray
from engine.domain.orders import OrderType, Side
from engine.domain.strategies import Action, Enter
from engine.domain.symbols import TIMEFRAME_S, Timeframe

MONDAY = 1_599_436_800
BUY, SELL, OUT = int(Action.ENTER_MARKET), -int(Action.ENTER_MARKET), int(Action.EXIT)


def bars_of(closes: list[float], timeframe: Timeframe = "1h", symbol: str = "ETH/USDT", start: int = MONDAY) -> Bars:
    """Return bars that open where the last one closed and reach one unit beyond both ends."""
    close: FloatArray = np.array(closes, np.float64)
    opens = np.concatenate([close[:1], close[:-1]])
    time = start + TIMEFRAME_S[timeframe] * np.arange(len(close), dtype=np.int64)
    return Bars(
        symbol, timeframe, time, opens, np.maximum(opens, close) + 1, np.minimum(opens, close) - 1, close, opens * 0
    )


def said(action: np.ndarray) -> dict[int, int]:
    return {int(row): int(action[row]) for row in np.flatnonzero(action)}


@pytest.mark.parametrize(("shorts", "fall"), [(False, {12: OUT, 13: OUT}), (True, {12: OUT, 13: OUT, 14: SELL})])
def test_trend_following_buys_where_the_means_cross(shorts: bool, fall: dict[int, int]) -> None:
    parameters = TrendFollowingParameters(fast=2, slow=4, band_ratio=0.01, stop_ranges=2, range_bars=2, shorts=shorts)
    closes = [100.0] * 6 + [101, 104, 108, 112, 112, 112, 112, 110, 104, 98]
    decisions = TrendFollowing(("ETH/USDT",), "1h", parameters).decide_all(bars_of(closes))
    entries = said(decisions.action)
    # The means meet with bars 6, 12 and 13, and are apart by the band with bars 7 and 14.
    assert entries == {6: OUT, 7: BUY, **fall}
    assert decisions.stop is not None
    # True ranges of bars 6 and 7 are 3 and 5.
    assert decisions.stop[7] == pytest.approx(104 - 2 * 4)


def test_breakout_buys_the_first_close_above_the_highs_before_it() -> None:
    parameters = BreakoutParameters(entry_bars=4, exit_bars=2, stop_ranges=1, range_bars=2)
    closes = [100.0] * 7 + [100.9, 101.5, 104, 106, 104.0, 101.0, 90.0]
    strategy = Breakout(("ETH/USDT",), "1h", parameters)
    assert said(strategy.decide_all(bars_of(closes)).action) == {9: BUY, 12: OUT, 13: OUT}
    both = Breakout(("ETH/USDT",), "1h", BreakoutParameters(4, 2, 1, 2, shorts=True))
    assert said(both.decide_all(bars_of(closes)).action) == {9: BUY, 13: SELL}


def test_mean_reversion_buys_a_dip_in_a_rise_and_leaves_at_the_mean() -> None:
    parameters = MeanReversionParameters(band_bars=5, deviations=1.2, trend_bars=10, range_bars=2, max_bars=9)
    closes = [100.0 + row for row in range(20)] + [115.5, 116.0, 118.0, 119.0]
    decisions = MeanReversion(("ETH/USDT",), "1h", parameters).decide_all(bars_of(closes))
    assert said(decisions.action) == {20: BUY, 22: OUT}
    assert decisions.max_bars == 9
    assert decisions.stop is not None
    assert decisions.stop[20] == pytest.approx(115.5 - 3 * (3 + 5.5) / 2)
    falling = MeanReversion(("ETH/USDT",), "1h", parameters).decide_all(bars_of([200.0 - x for x in closes]))
    assert said(falling.action) == {20: OUT, 22: OUT}


def test_momentum_looks_once_a_week() -> None:
    rise = [100.0 + row for row in range(28)]
    strategy = Momentum(("ETH/USDT",), "1d", MomentumParameters(lookback_days=7))
    decisions = strategy.decide_all(bars_of(rise, "1d"))
    # Day 0 is a Monday, so weeks end with days 6, 13, 20 and 27; seven returns are known from day 7 on.
    assert said(decisions.action) == {13: BUY, 20: BUY, 27: BUY}
    fall = strategy.decide_all(bars_of(rise[::-1], "1d"))
    assert said(fall.action) == {13: OUT, 20: OUT, 27: OUT}
    short = Momentum(("ETH/USDT",), "1d", MomentumParameters(lookback_days=7, shorts=True))
    assert said(short.decide_all(bars_of(rise[::-1], "1d")).action) == {13: SELL, 20: SELL, 27: SELL}


def test_scalping_waits_under_a_dip_with_both_exits() -> None:
    parameters = ScalpingParameters(trend_bars=6, range_bars=2, entry_ranges=0.5, target_ranges=1, stop_ranges=2)
    bars = bars_of([100.0, 101, 102, 103, 104, 105, 106, 110, 109.5, 109.0, 111])
    strategy = Scalping(("ETH/USDT",), "1h", parameters)
    assert said(strategy.decide_all(bars).action) == {9: Action.ENTER_LIMIT}
    (intent,) = strategy.decide({"ETH/USDT": bars[3:10]}, ())
    # True ranges of bars 8 and 9 are 2.5 each.
    assert isinstance(intent, Enter)
    assert (intent.side, intent.order_type, intent.price) == (Side.BUY, OrderType.LIMIT, 109 - 1.25)
    assert (intent.stop, intent.target) == (107.75 - 5, 107.75 + 2.5)
    assert (intent.valid_bars, intent.max_bars) == (2, 8)


def test_plain_strength_runs_from_nothing_but_losses_to_nothing_but_gains() -> None:
    strength = plain_strength(np.array([10.0, 11, 12, 11, 10, 10, 10, 13]), 2)
    np.testing.assert_allclose(strength, [np.nan, np.nan, 100, 50, 0, 0, 50, 100])


def test_grid_lines_are_the_same_for_all_time() -> None:
    close = np.array([100.0, 99.99, 1.0, 1.01, 1.0201])
    lines = lines_below(close, 0.01)
    assert (line_prices(lines, 0.01) < close).all()
    assert (line_prices(lines + 1, 0.01) >= close).all()
    assert lines[2:].tolist() == [-1, 0, 1]


def test_a_grid_waits_at_the_lines_below_and_sells_one_line_higher() -> None:
    parameters = GridParameters(step_ratio=0.01, levels=3, efficiency_bars=4, most_efficiency=0.5, stop_steps=4)
    strategy = Grid(("ETH/USDT",), "1h", parameters)
    intents = strategy.decide({"ETH/USDT": bars_of([100.0, 101, 100, 101, 100])}, ())
    entries = [intent for intent in intents if isinstance(intent, Enter)]
    assert len(entries) == len(intents) == 3
    first = lines_below(np.array([100.0]), 0.01)[0]
    prices = sorted((float(entry.price or 0) for entry in entries), reverse=True)
    np.testing.assert_allclose(prices, 1.01 ** np.array([first, first - 1, first - 2]))
    for entry in entries:
        assert entry.price is not None
        assert entry.target == pytest.approx(entry.price * 1.01)
        assert entry.stop == pytest.approx(entry.price / 1.01**4)
        assert entry.valid_bars == 1
    assert {entry.tag for entry in entries} == {"0", "1", "2"}
    assert strategy.decide({"ETH/USDT": bars_of([100.0, 101, 102, 103, 104])}, ()) == ()


def test_efficiency_is_the_straightness_of_the_way() -> None:
    ratio = efficiency_ratio(np.array([1.0, 2, 3, 2, 1, 1, 1]), 2)
    np.testing.assert_allclose(ratio, [np.nan, np.nan, 1, 0, 1, 1, 0])


def test_rotation_holds_the_best_of_those_that_rose() -> None:
    parameters = AltcoinRotationParameters(lookback_days=7, held=2)
    names = ("ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
    strategy = AltcoinRotation(names, "1d", parameters)
    slopes = dict(zip(names, (1.0, 3.0, 2.0, -1.0), strict=True))
    bars = {name: bars_of([100 + slope * row for row in range(21)], "1d", name) for name, slope in slopes.items()}
    actions = {table.symbol: said(table.decisions.action) for table in strategy.decide_tables(bars)}
    assert actions == {
        "ETH/USDT": {13: OUT, 20: OUT},
        "SOL/USDT": {13: BUY, 20: BUY},
        "BNB/USDT": {13: BUY, 20: BUY},
        "XRP/USDT": {13: OUT, 20: OUT},
    }
    falling = {name: bars_of([200.0 - row for row in range(21)], "1d", name) for name in names}
    assert all(set(said(table.decisions.action).values()) == {OUT} for table in strategy.decide_tables(falling))
