"""The same questions on longer timeframes: closed bars of 4 and 24 times the length of the bars at hand.

Of one-hour bars these are the four-hour and the daily ones (UTC). A longer bar counts when it has closed, never before.
"""

from __future__ import annotations

from math import inf, sqrt

from engine.features.catalogue.feature import ATR_UNIT, OWN, WILDER, Feature, Group, log_of
from engine.features.catalogue.momentum import rsi
from engine.features.expressions import (
    CLOSE,
    TINY,
    Expression,
    Period,
    change,
    clip,
    column,
    ema,
    highest,
    hold,
    lag,
    log,
    lowest,
    maximum,
    mean,
    minimum,
    ratio,
    root,
    wilder,
)

MULTIPLES = (4, 24)


def _features(multiple: int) -> tuple[Feature, ...]:
    opened, high, low, close = (column(number, Period(multiple, is_bars=True)) for number in (1, 2, 3, 4))
    log_close, log_range = log(close), log(high) - log(low)
    atr = wilder(maximum(high, lag(close, 1)) - minimum(low, lag(close, 1)), 7)
    unit = maximum(atr, close * TINY)
    scale = clip(atr / close, TINY, inf)
    ceiling, floor = highest(high, 20), lowest(low, 20)
    bars = f"bars {multiple} times as long"

    def told(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
        return Feature(f"{name}_x{multiple}", Group.TIMEFRAMES, expression, unit, f"{words}, {bars}.", source)

    of_atr = f"{ATR_UNIT.replace('14', '7')} of the longer bars"
    return (
        told("return_1", hold(change(log_close) / scale), of_atr, "Log return of the last closed one"),
        told("return_6", hold(change(log_close, 6) / (scale * sqrt(6))), of_atr, "Log return of 6, over the root of 6"),
        told("ema_distance_10", hold((close - ema(close, 10)) / unit), of_atr, "Close less its EMA(10)"),
        told("rsi_7", hold(rsi(close, 7)) - 0.5, "share", "Relative strength index of 7, less one half", WILDER),
        told("body", hold((close - opened) / unit), of_atr, "Close less open of the last closed one"),
        told("atr_ratio", hold(log(scale)), "log of a fraction", "Log of ATR(7) over the close", WILDER),
        told(
            "range_ratio",
            hold(log_of(root(mean(log_range * log_range, 3))) - log_of(root(mean(log_range * log_range, 20)))),
            "log ratio",
            "Log of the realised range of 3 over that of 20",
        ),
        told(
            "range_position_20",
            ratio(CLOSE - hold(floor), hold(ceiling) - hold(floor), neutral=0.5) - 0.5,
            "share",
            "Place of the newest close in the range of the last 20 closed ones, less one half",
        ),
    )


TIMEFRAMES: tuple[Feature, ...] = tuple(feature for multiple in MULTIPLES for feature in _features(multiple))
