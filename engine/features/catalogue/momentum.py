"""Oscillators: how far recent moves went to one side."""

from __future__ import annotations

from math import inf

from engine.features.catalogue.feature import ATR_UNIT, OWN, RETURN, SCALE, WILDER, Feature, Group
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    STILL,
    Expression,
    absolute,
    change,
    clip,
    deviation,
    ema,
    highest,
    lowest,
    maximum,
    mean,
    ratio,
    sign,
    total,
    wilder,
)

_CCI = "after Lambert (1980), the Commodity Channel Index, with the standard deviation"
_TSI = "Blau (1991), True Strength Index"
_CHANDE = "Chande and Kroll (1994), The New Technical Trader"


def rsi(close: Expression, period: int) -> Expression:
    """Return Wilder's relative strength index, 0–1; one half where nothing moved."""
    move = change(close)
    up, down = wilder(clip(move, 0, inf), period), wilder(clip(-move, 0, inf), period)
    return ratio(up, up + down, neutral=0.5)


def stochastic(span: int, smoothing: int) -> Expression:
    """Return the slow stochastic's %K, 0–1; one half where nothing moved."""
    low, high = lowest(LOW, span), highest(HIGH, span)
    return mean(ratio(CLOSE - low, high - low, neutral=0.5), smoothing)


def _named(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
    return Feature(name, Group.MOMENTUM, expression, unit, words, source)


def _channel(span: int) -> Expression:
    typical = (HIGH + LOW + CLOSE) / 3.0
    return clip((typical - mean(typical, span)) / maximum(deviation(typical, span), CLOSE * STILL), -10, 10)


def _strength() -> Expression:
    move = change(CLOSE)
    return ratio(ema(ema(move, 25), 13), ema(ema(absolute(move), 25), 13))


def _balance(span: int) -> Expression:
    return ratio(total(RETURN, span), total(absolute(RETURN), span))


MOMENTUM: tuple[Feature, ...] = (
    *(
        _named(f"rsi_{n}", rsi(CLOSE, n) - 0.5, "share", f"Relative strength index of {n} bars, less one half.", WILDER)
        for n in (6, 14)
    ),
    _named(
        "stochastic_k", stochastic(14, 3) - 0.5, "share", "Slow %K of 14 bars over 3, less one half.", "TA-Lib STOCH"
    ),
    _named("channel_20", _channel(20), "deviations", "Typical price from its 20-bar mean, over its deviation.", _CCI),
    _named("true_strength", _strength(), "share", "Twice smoothed change over twice smoothed distance (25, 13).", _TSI),
    _named("momentum_balance_9", _balance(9), "share", "Sum of 9 returns over the sum of their distances.", _CHANDE),
    _named("rising_share_24", mean(sign(RETURN), 24), "share", "Bars that rose less those that fell, of 24."),
    _named(
        "acceleration_8",
        change(mean(RETURN, 8), 8) / SCALE,
        ATR_UNIT,
        "Mean return of 8 bars less that of the 8 before them.",
    ),
)
