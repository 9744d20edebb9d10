"""`analyze_chart`: what the bars say, in codes and numbers, and everything that a picture of them needs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol, cast

import numpy as np

from agents.execution.values import SettledFill
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.orders import Side
from engine.domain.protocols import MarketData
from engine.domain.signals import Phase
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features.indicators import (
    adx,
    average_true_range,
    bollinger,
    candlestick_patterns,
    ema,
    fibonacci_levels,
    macd,
    rsi,
    sma,
    stochastic,
    swing_levels,
)
from engine.ml.amd import detect_phases
from tools.instruments import check_symbol
from tools.registry import ToolContext
from tools.results import ChartData, ChartFill, ChartLevel, ChartLine, ChartPhase, ChartResult, DrawnPhase
from tools.schema import AnalyzeChart

BARS_READ = 400
BARS_SHOWN = 150
BARS_NEEDED = 60
_TREND_ADX = 20.0
_FLAT_RSI = 2.0
_FAST, _SLOW = 20, 50
_FILLS_SHOWN = 200

Lines = dict[str, FloatArray]


class FillSource(Protocol):
    """What was filled on the account; the desk is one."""

    async def trades(self, *, symbol: str | None = None, limit: int = 100) -> tuple[SettledFill, ...]:
        """Return settled fills, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ChartTool:
    """Reads closed bars and describes them; marks what was filled meanwhile where it is told."""

    market: MarketData
    fills: FillSource | None = None

    async def __call__(self, arguments: AnalyzeChart, context: ToolContext) -> ChartResult:
        """Return the analysis of one symbol and timeframe.

        Raises:
            DataUnavailable: There are fewer than `BARS_NEEDED` closed bars.
        """
        check_symbol(self.market, arguments.symbol)
        bars = self.market.bars(arguments.symbol, arguments.timeframe, BARS_READ)
        if len(bars) < BARS_NEEDED:
            raise DataUnavailable(
                f"{arguments.symbol} has {len(bars)} closed {arguments.timeframe} bars; {BARS_NEEDED} are needed",
                code="too_few_bars",
                symbol=arguments.symbol,
                timeframe=arguments.timeframe,
                count=len(bars),
                needed=BARS_NEEDED,
            )
        last_at = int(bars.time[-1])
        result = describe(bars, arguments.indicators, market=self.market.name, is_simulated=self.market.is_simulated)
        return result.model_copy(
            update={
                "chart": await mark_fills(result.chart, self.fills),
                "bar_at": utc_from_seconds(last_at),
                "price_at": utc_from_seconds(last_at + TIMEFRAME_S[arguments.timeframe]),
            }
        )


def describe(bars: Bars, indicators: tuple[str, ...], *, market: str, is_simulated: bool) -> ChartResult:
    """Return the analysis of some closed bars; pure."""
    fast, slow = ema(bars.close, _FAST), ema(bars.close, _SLOW)
    strength, momentum, atr = adx(bars), rsi(bars.close), average_true_range(bars)
    supports, resistances = swing_levels(bars)
    lines = _lines(bars, indicators)
    close = float(bars.close[-1])
    last_at = utc_from_seconds(int(bars.time[-1]))
    return ChartResult(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        close=close,
        change_pct=100 * (close / float(bars.close[-2]) - 1),
        trend=_trend(close, float(fast[-1]), float(slow[-1]), float(strength[-1])),
        trend_strength=float(strength[-1]),
        momentum=_momentum(momentum),
        rsi=float(momentum[-1]),
        volatility=_volatility(atr / bars.close),
        atr_pct=100 * float(atr[-1]) / close,
        supports=supports,
        resistances=resistances,
        patterns=tuple(dict.fromkeys(pattern.code for pattern in candlestick_patterns(bars))),
        readings={
            name: float(values[-1])
            for pane in lines.values()
            for name, values in pane.items()
            if values[-1] == values[-1]
        },
        chart=_chart(bars, lines, supports, resistances, indicators),
        bar_at=last_at,
        price_at=last_at,
        market=market,
        is_simulated=is_simulated,
    )


def draw(bars: Bars, indicators: tuple[str, ...] = ()) -> ChartData:
    """Return the picture of some closed bars; pure."""
    return _chart(bars, _lines(bars, indicators), (), (), indicators)


async def mark_fills(chart: ChartData, source: FillSource | None) -> ChartData:
    """Return the picture with what was filled from its first bar on."""
    if source is None:
        return chart
    return with_fills(chart, await source.trades(symbol=chart.symbol, limit=_FILLS_SHOWN))


def with_fills(chart: ChartData, settled: Sequence[SettledFill]) -> ChartData:
    """Return the picture with those fills, of any order, that fall on it; pure."""
    if not chart.time:
        return chart
    step = TIMEFRAME_S[_timeframe(chart)]
    first, last = chart.time[0], chart.time[-1] + step
    marks = [
        ChartFill(
            time=_bar_of(int(each.fill.at.timestamp()), chart.time, step),
            side="buy" if each.fill.side is Side.BUY else "sell",
            quantity=each.fill.quantity,
            price=each.fill.price,
            book=each.book,
        )
        for each in sorted(settled, key=lambda each: each.fill.at)
        if first <= each.fill.at.timestamp() < last + step
    ]
    return chart.model_copy(update={"fills": tuple(marks)})


def _bar_of(second: int, time: Sequence[int], step: int) -> int:
    """Return the open time of the bar that a moment falls in; the last that was open, where it falls in a gap."""
    if second >= time[-1] + step:
        return time[-1] + step
    return time[bisect_right(time, second) - 1]


def _timeframe(chart: ChartData) -> Timeframe:
    return cast(Timeframe, chart.timeframe)


def _phases(bars: Bars, shown: int) -> tuple[ChartPhase, ...]:
    """Return runs of one phase among the last `shown` bars; neutral ones are left out."""
    found: list[ChartPhase] = []
    seen = zip(bars.time[-shown:].tolist(), detect_phases(bars)[-shown:], strict=True)
    for name, run in groupby(seen, key=lambda bar: bar[1]):
        phase, times = Phase(name), [time for time, _ in run]
        if phase is not Phase.NEUTRAL:
            found.append(ChartPhase(phase=cast(DrawnPhase, phase.value), start=times[0], end=times[-1]))
    return tuple(found)


def _trend(close: float, fast: float, slow: float, strength: float) -> Literal["up", "down", "sideways"]:
    if strength < _TREND_ADX:
        return "sideways"
    if close > slow and fast > slow:
        return "up"
    return "down" if close < slow and fast < slow else "sideways"


def _momentum(values: FloatArray) -> Literal["rising", "falling", "flat"]:
    change = float(values[-1] - values[-4])
    if abs(change) < _FLAT_RSI:
        return "flat"
    return "rising" if change > 0 else "falling"


def _volatility(ratio: FloatArray) -> Literal["low", "normal", "high"]:
    past = ratio[~np.isnan(ratio)]
    rank = float((past < past[-1]).mean())
    return "high" if rank > 0.8 else "low" if rank < 0.2 else "normal"


def _lines(bars: Bars, indicators: tuple[str, ...]) -> dict[str, Lines]:
    """Return the asked lines by pane; without any, the two averages that the trend is read from."""
    chosen = [name for name in indicators if name in _BUILDERS] or ["ema"]
    panes: dict[str, Lines] = {}
    for name in chosen:
        pane, lines = _BUILDERS[name](bars)
        panes.setdefault(pane, {}).update(lines)
    return panes


def _macd_lines(bars: Bars) -> tuple[str, Lines]:
    line, signal, histogram = macd(bars.close)
    return "macd", {"macd": line, "macd_signal": signal, "macd_histogram": histogram}


def _bollinger_lines(bars: Bars) -> tuple[str, Lines]:
    upper, middle, lower = bollinger(bars.close)
    return "price", {"bollinger_upper": upper, "bollinger_middle": middle, "bollinger_lower": lower}


def _stochastic_lines(bars: Bars) -> tuple[str, Lines]:
    k, d = stochastic(bars)
    return "stochastic", {"stochastic_k": k, "stochastic_d": d}


_BUILDERS: dict[str, Callable[[Bars], tuple[str, Lines]]] = {
    "rsi": lambda bars: ("rsi", {"rsi": rsi(bars.close)}),
    "macd": _macd_lines,
    "bollinger": _bollinger_lines,
    "ema": lambda bars: ("price", {"ema_20": ema(bars.close, _FAST), "ema_50": ema(bars.close, _SLOW)}),
    "sma": lambda bars: ("price", {"sma_20": sma(bars.close, _FAST), "sma_50": sma(bars.close, _SLOW)}),
    "atr": lambda bars: ("atr", {"atr": average_true_range(bars)}),
    "adx": lambda bars: ("adx", {"adx": adx(bars)}),
    "stochastic": _stochastic_lines,
}


def _chart(
    bars: Bars,
    panes: dict[str, Lines],
    supports: tuple[float, ...],
    resistances: tuple[float, ...],
    indicators: tuple[str, ...],
) -> ChartData:
    shown = bars[-BARS_SHOWN:]
    levels = [ChartLevel(kind="support", price=price) for price in supports]
    levels += [ChartLevel(kind="resistance", price=price) for price in resistances]
    if "fibonacci" in indicators:
        levels += [
            ChartLevel(kind="fibonacci", price=price, label=f"{ratio * 100:g} %")
            for ratio, price in fibonacci_levels(bars)
        ]
    return ChartData(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        time=tuple(shown.time.tolist()),
        open=tuple(shown.open.tolist()),
        high=tuple(shown.high.tolist()),
        low=tuple(shown.low.tolist()),
        close=tuple(shown.close.tolist()),
        volume=tuple(shown.volume.tolist()),
        lines=tuple(
            ChartLine(name=name, pane=pane, values=_drawable(values[-BARS_SHOWN:]))
            for pane, lines in panes.items()
            for name, values in lines.items()
        ),
        levels=tuple(levels),
        phases=_phases(bars, len(shown)),
    )


def _drawable(values: FloatArray) -> tuple[float | None, ...]:
    return tuple(None if value != value else value for value in values.tolist())
