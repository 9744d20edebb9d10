"""`analyze_chart`: what is said of bars is true of them, and the picture fits them."""

from decimal import Decimal
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter

from agents.execution.values import SettledFill
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.orders import Fill, Side
from engine.domain.signals import Phase
from engine.ml.amd import detect_phases
from tests.tools.place import CONTEXT, Place
from tools.chart import BARS_NEEDED, BARS_SHOWN, describe, with_fills
from tools.results import ChartResult, ToolResult, Unavailable
from tools.schema import Indicator

HOUR_S = 3600
LEVELS = ("support", "resistance", "fibonacci")
RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)


def bars_of(prices: npt.ArrayLike, wick: float = 1.0) -> Bars:
    close = np.asarray(prices, dtype=np.float64)
    open_ = np.concatenate(([close[0]], close[:-1]))
    time = np.arange(len(close), dtype=np.int64) * HOUR_S
    high, low = np.maximum(open_, close) + wick, np.minimum(open_, close) - wick
    return Bars("BTC/USDT", "1h", time, open_, high, low, close, np.full(len(close), 5.0))


def waves(count: int = 400) -> Bars:
    steps = np.arange(count)
    return bars_of(1000 + 20 * np.sin(steps / 9) + 7 * np.sin(steps / 31))


def analyse(bars: Bars, *indicators: str) -> ChartResult:
    return describe(bars, indicators, market="fake", is_simulated=True)


@pytest.mark.parametrize(("step", "trend", "rsi"), [(2.0, "up", 100.0), (-2.0, "down", 0.0)], ids=["rising", "falling"])
def test_a_steady_move_is_a_trend(step: float, trend: str, rsi: float) -> None:
    result = analyse(bars_of(1000 + step * np.arange(300)))
    assert result.trend == trend
    assert result.trend_strength > 50
    assert result.rsi == pytest.approx(rsi)
    assert result.change_pct == pytest.approx(100 * step / (result.close - step))


def test_momentum_follows_the_waves() -> None:
    bars = waves()
    assert {analyse(bars[:end]).momentum for end in range(300, 400)} == {"rising", "falling", "flat"}


def test_noise_without_direction_is_sideways() -> None:
    noise = 1000 + np.random.default_rng(3).normal(0, 2, 400)
    trends = [analyse(bars_of(noise)[:end]).trend for end in range(200, 400)]
    assert trends.count("sideways") > len(trends) / 2


@pytest.mark.parametrize(("last_wick", "volatility"), [(1.0, "normal"), (20.0, "high"), (0.01, "low")])
def test_volatility_is_told_against_its_own_past(last_wick: float, volatility: str) -> None:
    steps = np.arange(300)
    bars = bars_of(np.full(300, 1000.0))
    wick = 1.0 + 0.3 * np.sin(steps / 7)
    wick[-20:] = np.where(last_wick == 1.0, wick[-20:].mean(), last_wick)
    shaped = Bars(
        bars.symbol, bars.timeframe, bars.time, bars.open, bars.close + wick, bars.close - wick, bars.close, bars.volume
    )
    assert analyse(shaped).volatility == volatility


def test_supports_lie_below_and_resistances_above_nearest_first() -> None:
    result = analyse(waves())
    assert result.supports
    assert result.resistances
    assert all(level < result.close for level in result.supports)
    assert all(level > result.close for level in result.resistances)
    assert list(result.supports) == sorted(result.supports, reverse=True)
    assert list(result.resistances) == sorted(result.resistances)


def test_a_known_pattern_is_named() -> None:
    close = np.concatenate((1000 - 3.0 * np.arange(100), [690.0]))
    bars = bars_of(close, 0.2)
    bars.open[-1], bars.close[-1] = 702.0, 706.0
    bars.open[-2], bars.close[-2] = 705.0, 703.0
    bars.high[-2:], bars.low[-2:] = (705.2, 706.2), (702.8, 701.8)
    assert "bullish_engulfing" in analyse(bars).patterns


def test_the_picture_shows_the_last_bars_with_lines_of_their_length() -> None:
    bars = waves()
    result = analyse(bars, *get_args(Indicator))
    chart = result.chart
    assert chart.time == tuple(bars.time[-BARS_SHOWN:].tolist())
    assert chart.close == tuple(bars.close[-BARS_SHOWN:].tolist())
    assert {len(series) for series in (chart.open, chart.high, chart.low, chart.volume)} == {BARS_SHOWN}
    for line in chart.lines:
        assert len(line.values) == BARS_SHOWN
        assert line.values[-1] == result.readings[line.name]
    assert {line.pane for line in chart.lines} == {"price", "rsi", "macd", "atr", "adx", "stochastic"}
    levels = {kind: tuple(level.price for level in chart.levels if level.kind == kind) for kind in LEVELS}
    assert (levels["support"], levels["resistance"]) == (result.supports, result.resistances)
    assert len(levels["fibonacci"]) == len(chart.levels) - len(result.supports) - len(result.resistances) == 7


def test_without_a_wish_the_two_averages_are_drawn() -> None:
    assert [line.name for line in analyse(waves()).chart.lines] == ["ema_20", "ema_50"]


@pytest.mark.parametrize("asked", get_args(Indicator))
def test_each_indicator_adds_only_what_it_is(asked: str) -> None:
    result = analyse(waves(), asked)
    names = {line.name for line in result.chart.lines}
    if asked in ("volume", "fibonacci", "support_resistance"):
        assert names == {"ema_20", "ema_50"}
    else:
        assert all(name.startswith(asked) for name in names)
    assert ("fibonacci" in {level.kind for level in result.chart.levels}) is (asked == "fibonacci")


def test_what_is_said_does_not_depend_on_bars_long_before_or_on_the_picture() -> None:
    bars = waves(800)
    short, long = analyse(bars[-400:]), analyse(bars)
    assert short.rsi == pytest.approx(long.rsi, abs=1e-6)
    assert short.supports == long.supports or set(short.supports) <= set(long.supports)
    assert analyse(bars).model_dump(exclude={"chart", "readings"}) == analyse(bars, "macd").model_dump(
        exclude={"chart", "readings"}
    )


@pytest.mark.parametrize("count", [BARS_NEEDED, 400])
def test_a_market_that_does_not_move_gives_a_result_that_survives_json(count: int) -> None:
    flat = bars_of(np.full(count, 50.0), 0.0)
    result = analyse(flat, *get_args(Indicator))
    assert (result.trend, result.momentum, result.change_pct, result.atr_pct) == ("sideways", "flat", 0.0, 0.0)
    assert RESULT.validate_json(RESULT.dump_json(result)) == result


async def test_the_tool_tells_when_its_last_bar_opened_and_closed(place: Place) -> None:
    for number in range(BARS_NEEDED):
        place.market.minute("100", str(101 + number % 3), "99", str(100 + number % 2), "5")
    arguments = {"symbol": "BTC/USDT", "timeframe": "1m"}
    result = await place.toolbox.run("analyze_chart", arguments, CONTEXT)
    assert isinstance(result, ChartResult)
    assert result.bar_at == utc_from_seconds(result.chart.time[-1])
    assert (result.price_at - result.bar_at).total_seconds() == 60
    assert result.price_at == place.market.now()


async def test_too_few_bars_are_told_instead_of_read(place: Place) -> None:
    for _ in range(BARS_NEEDED - 1):
        place.market.minute("100", "101", "99", "100")
    result = await place.toolbox.run("analyze_chart", {"symbol": "BTC/USDT", "timeframe": "1m"}, CONTEXT)
    assert isinstance(result, Unavailable)
    assert str(BARS_NEEDED - 1) in result.params["detail"]


def test_phases_are_those_of_each_bar() -> None:
    bars = bars_of(1000 + np.random.default_rng(5).normal(0, 2, 400).cumsum())
    phases = analyse(bars).chart.phases
    found = dict(zip(bars.time.tolist(), detect_phases(bars), strict=True))
    told = {time: run.phase for run in phases for time in range(run.start, run.end + 1, HOUR_S)}
    assert phases
    assert told == {time: phase for time, phase in [*found.items()][-BARS_SHOWN:] if phase != Phase.NEUTRAL}


def test_fills_stand_at_their_bars() -> None:
    chart = analyse(waves()).chart
    start, end = chart.time[0], chart.time[-1]
    moments = (start - 1, start, start + HOUR_S + 59, end + HOUR_S + 5, end + 2 * HOUR_S)
    marked = with_fills(chart, [settled(at) for at in reversed(moments)])
    assert [fill.time for fill in marked.fills] == [start, start + HOUR_S, end + HOUR_S]
    assert {(fill.side, fill.price, fill.book) for fill in marked.fills} == {("buy", Decimal(1000), "main")}


def settled(second: int) -> SettledFill:
    at = utc_from_seconds(second)
    fill = Fill("f", "o", "BTC/USDT", Side.BUY, Decimal("0.1"), Decimal(1000), Decimal(0), False, at)
    return SettledFill(1, fill, Decimal(0), "owner")
