"""How facts and prices become entries of the board: keys, and plain JSON values.

Money and quantities are told as decimal text, exactly; times as milliseconds since the epoch, which is what a browser
counts in; prices of charts as numbers, rounded to the instrument's tick.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from engine.dashboard.board import CHART
from engine.dashboard.view import Agent, CurvePoint, Facts
from engine.domain.market import Bars, FloatArray, Instrument, Quote

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FACT_KEYS = ("agent/", "position/", "order/", "fill/", "signal/", "alert/", "model/", "feed/", "account")
"""Beginnings of the keys that `tell_facts` fills: what it leaves out has gone away."""
CURVE = "curve/"
Entries = dict[str, JsonValue]


def tell_facts(facts: Facts) -> Entries:
    """Return the entries of everything but prices and curves."""
    entries: Entries = {"trading": _row(facts.trading)}
    if facts.account is not None:
        entries["account"] = _row(facts.account)
    for place, agent in enumerate(facts.agents):
        row = _row(agent, leave_out="curve")
        entries[f"agent/{agent.name}"] = {**row, "place": place}
    entries |= {f"position/{each.book}/{each.symbol}": _row(each) for each in facts.positions}
    entries |= {f"order/{each.order_id}": _row(each) for each in facts.orders}
    entries |= {f"fill/{each.fill_id}": _row(each) for each in facts.executions}
    entries |= {f"signal/{each.symbol}/{each.timeframe}/{_ms(each.bar_at)}": _row(each) for each in facts.signals}
    entries |= {f"alert/{each.alert_id}": _row(each) for each in facts.alerts}
    entries |= {f"model/{each.model}/{each.symbol}/{each.timeframe}": _row(each) for each in facts.models}
    entries |= {f"feed/{each.symbol}": _row(each) for each in facts.feeds}
    return entries


def tell_curves(agents: Iterable[Agent]) -> Entries:
    """Return the entries of the agents' curves."""
    return {f"{CURVE}{agent.name}": _curve(agent.curve) for agent in agents}


def tell_quote(quote: Quote, day_ago: float | None) -> JsonValue:
    """Return one symbol's price.

    Args:
        quote: The present prices.
        day_ago: What it cost a day ago; None when that is not known.
    """
    change = None if not day_ago or not math.isfinite(day_ago) else round((float(quote.mid) / day_ago - 1) * 100, 2)
    return {
        "bid": str(quote.bid),
        "ask": str(quote.ask),
        "at": _ms(quote.at),
        "is_open": quote.is_open,
        "change_pct": change,
    }


def tell_symbol(place: int, instrument: Instrument, closes: FloatArray) -> JsonValue:
    """Return what changes rarely about a symbol: its place in the list, its tick, its last day in hour closes."""
    decimals = decimals_of(instrument.tick_size)
    closes = closes[np.isfinite(closes)]
    return {
        "place": place,
        "quote": instrument.quote,
        "decimals": decimals,
        "closes": [round(float(close), decimals) for close in closes],
    }


def tell_chart(bars: Bars, forming: JsonValue, decimals: int) -> JsonValue:
    """Return a chart: columns of closed bars, and what the bar that is not closed yet looked like when it was read.

    Bars of which a number is none are left out: they could not be drawn.
    """
    bars = _finite(bars)
    columns = {
        name: [round(value, decimals) for value in column.tolist()]
        for name, column in (("open", bars.open), ("high", bars.high), ("low", bars.low), ("close", bars.close))
    }
    volume = [float(f"{value:.6g}") for value in bars.volume.tolist()]
    return {"decimals": decimals, "time": bars.time.tolist(), **columns, "volume": volume, "forming": forming}


def tell_forming(start_s: int, minutes: Bars, decimals: int) -> JsonValue:
    """Return the bar that is not closed yet, as far as closed minutes show it; None while there are none."""
    minutes = _finite(minutes)
    if not len(minutes):
        return None
    return {
        "time": start_s,
        "open": round(float(minutes.open[0]), decimals),
        "high": round(float(minutes.high.max()), decimals),
        "low": round(float(minutes.low.min()), decimals),
        "close": round(float(minutes.close[-1]), decimals),
        "volume": float(f"{float(minutes.volume.sum()):.6g}"),
    }


def chart_key(symbol: str, timeframe: str) -> str:
    """Return the key of a chart.

    >>> chart_key("BTC/USDT", "1h")
    'chart/1h/BTC/USDT'
    """
    return f"{CHART}{timeframe}/{symbol}"


def read_chart_key(key: str) -> tuple[str, str]:
    """Return symbol and timeframe of a chart's key.

    >>> read_chart_key("chart/1h/BTC/USDT")
    ('BTC/USDT', '1h')
    """
    timeframe, _, symbol = key.removeprefix(CHART).partition("/")
    return symbol, timeframe


def decimals_of(tick: Decimal) -> int:
    """Return how many decimals a price on this tick has.

    >>> decimals_of(Decimal("0.010")), decimals_of(Decimal("5"))
    (2, 0)
    """
    exponent = tick.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _finite(bars: Bars) -> Bars:
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    kept = np.logical_and.reduce([np.isfinite(column) for column in columns])
    if kept.all():
        return bars
    return Bars(bars.symbol, bars.timeframe, bars.time[kept], *(column[kept] for column in columns))


def _curve(points: Iterable[CurvePoint]) -> JsonValue:
    return [[_ms(point.at), str(point.equity), str(point.drawdown_pct)] for point in points]


def _row(value: DataclassInstance, *, leave_out: str = "") -> Entries:
    return {each.name: _plain(getattr(value, each.name)) for each in fields(value) if each.name != leave_out}


def _plain(value: object) -> JsonValue:
    match value:
        case datetime():
            return _ms(value)
        case Decimal():
            return f"{value:f}"
        case tuple():
            return [_plain(each) for each in value]
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case _:
            return str(value)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
