"""`analyze_chart`: what the bars say, in codes and numbers, and everything that a picture of them needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S
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
from tools.instruments import check_symbol
from tools.registry import ToolContext
from tools.results import ChartData, ChartLevel, ChartLine, ChartResult
from tools.schema import AnalyzeChart

BARS_READ = 400
BARS_SHOWN = 150
BARS_NEEDED = 60
_TREND_ADX = 20.0
_FLAT_RSI = 2.0
_FAST, _SLOW = 20, 50

Lines = dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class ChartTool:
    """Reads closed bars and describes them."""

    market: MarketData

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
        return describe(
            bars, arguments.indicators, market=self.market.name, is_simulated=self.market.is_simulated
        ).model_copy(
            update={
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
    )


def _drawable(values: FloatArray) -> tuple[float | None, ...]:
    return tuple(None if value != value else value for value in values.tolist())
