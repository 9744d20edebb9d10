"""Bars that features must bear: a calm walk, and a currency's history with everything that feeds do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from engine.domain.market import Bars
from tests.engine.ml.bars import random_walk

PRICES = ("open", "high", "low", "close")


@cache
def calm() -> Bars:
    """Return one-hour bars without holes."""
    return random_walk(2400, seed=5)


@cache
def rough() -> Bars:
    """Return bars with weekends, missing bars, a week away, jumps, bars that stand still, and no volume for a while."""
    whole = random_walk(4200, seed=6)
    rng = np.random.default_rng(7)
    hour_of_week = (whole.time // 3600 + 72) % 168
    is_kept = (hour_of_week < 118) | (hour_of_week >= 165)
    is_kept &= rng.random(len(whole)) > 0.02
    is_kept[3000:3170] = False
    rows = np.flatnonzero(is_kept)
    jumps = np.exp(np.cumsum(rng.standard_normal(len(rows)) * 0.004 * (rng.random(len(rows)) < 0.05)))
    open_, high, low, close = (getattr(whole, name)[rows] * jumps for name in PRICES)
    bars = Bars("XAUUSD", "1h", whole.time[rows], open_, high, low, close, whole.volume[rows])
    still = slice(2000, 2140)
    for name in PRICES:
        getattr(bars, name)[still] = bars.close[1999]
    bars.volume[2050:2500] = 0.0
    return bars


def scaled(bars: Bars, price: float, volume: float) -> Bars:
    """Return the bars in other units."""
    return replace(bars, volume=bars.volume * volume, **{name: getattr(bars, name) * price for name in PRICES})


def perturbed(bars: Bars, after: int) -> Bars:
    """Return the bars with everything from one on changed."""
    factor = np.ones(len(bars))
    factor[after:] = np.linspace(1.5, 3.0, len(bars) - after)
    return replace(bars, volume=bars.volume * factor**2, **{name: getattr(bars, name) * factor for name in PRICES})


def row(bars: Bars, at: int) -> tuple[float, float, float, float, float, float]:
    """Return one bar as the stream takes it."""
    columns = (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    time, open_, high, low, close, volume = (float(column[at]) for column in columns)
    return time, open_, high, low, close, volume
