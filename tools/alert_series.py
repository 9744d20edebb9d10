"""What alerts are watched on: the price, its move over a window, or the RSI, each as ticks since the last look.

A tick knows when it happened (`at`) and from when on it was being made (`known_at`): the high of a bar counts for an
alert only if the bar opened after the alert was set, because nobody knows at which moment of it the high was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from sqlalchemy import Row

from engine.domain.market import Bars, FloatArray
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features.indicators import rsi

RSI_PERIOD = 14
DEFAULT_TIMEFRAME: Timeframe = "1h"
_RSI_BARS = 300
_REACH = timedelta(hours=1)
"""How far before the last look bars are read: one that was still open then is seen whole only now."""
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of values.

    Attributes:
        kind: `price`; `move`, the percent between the price now and one `timeframe` ago; or `rsi`.
    """

    kind: Literal["price", "move", "rsi"]
    symbol: str
    timeframe: Timeframe | None = None

    @property
    def key(self) -> str:
        """Return the name under which the database keeps how far it was watched."""
        return f"{self.kind}:{self.symbol}:{self.timeframe or ''}"


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """Values in order of time.

    Attributes:
        values, at, known_at: Shape (n,); times in seconds since 1970, `known_at` never falls.
    """

    values: FloatArray
    at: FloatArray
    known_at: FloatArray

    def __len__(self) -> int:
        return len(self.values)


def series_of(row: Row[Any]) -> Series | None:
    """Return what an alert is watched on; None for a change of the signal, which has no level."""
    match row.condition:
        case "price_above" | "price_below":
            return Series("price", row.symbol)
        case "change_up" | "change_down":
            return Series("move", row.symbol, row.timeframe) if row.timeframe else Series("price", row.symbol)
        case "rsi_above" | "rsi_below":
            return Series("rsi", row.symbol, row.timeframe or DEFAULT_TIMEFRAME)
        case _:
            return None


def level_of(row: Row[Any]) -> tuple[float, bool]:
    """Return the level of an alert in the unit of its series, and whether it is told when the value rises to it."""
    is_rising = row.condition in ("price_above", "change_up", "rsi_above")
    if not row.condition.startswith("change"):
        return float(row.value), is_rising
    signed = row.value if is_rising else -row.value
    if row.timeframe:
        return float(signed), is_rising
    return float(Decimal(row.baseline) * (1 + signed / _HUNDRED)), is_rising


def ticks_since(market: MarketData, series: Series, since: datetime) -> Ticks:
    """Return what a series did after a look, up to now.

    Raises:
        DataUnavailable: The market does not know now; the next look reaches back to the same moment.
    """
    now = market.now()
    if series.kind == "rsi":
        return _rsi_ticks(market, series, since, now)
    price = float(market.quote(series.symbol).mid)
    if series.kind == "price":
        bars = _bars_closed_after(market, series.symbol, since, now)
        return _extremes(bars, bars.low, bars.high, price, now)
    assert series.timeframe is not None, "a move has a window"
    return _move_ticks(market, series.symbol, TIMEFRAME_S[series.timeframe], since, now, price)


def _bars_closed_after(market: MarketData, symbol: str, since: datetime, now: datetime) -> Bars:
    bars = market.bars_between(symbol, since - _REACH, now)
    step = timedelta(seconds=TIMEFRAME_S[bars.timeframe])
    if step > _REACH:
        bars = market.bars_between(symbol, since - step, now)
    return bars[int(np.searchsorted(bars.time + TIMEFRAME_S[bars.timeframe], since.timestamp(), side="right")) :]


def _extremes(bars: Bars, low: FloatArray, high: FloatArray, present: float, now: datetime) -> Ticks:
    """Return the low, then the high of each bar, and the present value."""
    opened = np.repeat(bars.time.astype(np.float64), 2)
    closed = opened + TIMEFRAME_S[bars.timeframe]
    values = np.column_stack([low, high]).ravel()
    moment = now.timestamp()
    return Ticks(np.append(values, present), np.append(closed, moment), np.append(opened, moment))


def _move_ticks(market: MarketData, symbol: str, window_s: int, since: datetime, now: datetime, price: float) -> Ticks:
    """Return percent moves against the price one window earlier; without one, no value."""
    bars = _bars_closed_after(market, symbol, since - timedelta(seconds=window_s), now)
    closed = bars.time + TIMEFRAME_S[bars.timeframe]
    fresh = int(np.searchsorted(closed, since.timestamp(), side="right"))
    moments = np.append(closed[fresh:], now.timestamp())
    index = np.searchsorted(closed, moments - window_s, side="right") - 1
    earlier = np.where(index >= 0, bars.close[np.maximum(index, 0)], np.nan) if len(bars) else np.full(1, np.nan)
    low, high = ((part[fresh:] / earlier[:-1] - 1) * 100 for part in (bars.low, bars.high))
    return _extremes(bars[fresh:], low, high, float((price / earlier[-1] - 1) * 100), now)


def _rsi_ticks(market: MarketData, series: Series, since: datetime, now: datetime) -> Ticks:
    """Return the reading of every bar that closed since, and the last one again as the present."""
    timeframe = series.timeframe or DEFAULT_TIMEFRAME
    bars = market.bars(series.symbol, timeframe, _RSI_BARS)
    if len(bars) <= RSI_PERIOD:
        return Ticks(np.empty(0), np.empty(0), np.empty(0))
    closed = (bars.time + TIMEFRAME_S[timeframe]).astype(np.float64)
    readings, fresh = rsi(bars.close, RSI_PERIOD), closed > since.timestamp()
    moment = now.timestamp()
    at = np.append(closed[fresh], moment)
    return Ticks(np.append(readings[fresh], readings[-1]), at, at)
