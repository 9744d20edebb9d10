"""Direction and its strength: averages, directional movement, efficiency."""

from __future__ import annotations

from math import inf

from engine.features.catalogue.feature import (
    ATR_UNIT,
    LOG_CLOSE,
    OWN,
    RETURN,
    SCALE,
    TRUE_RANGE,
    WILDER,
    Feature,
    Group,
    in_atr,
)
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    STILL,
    TINY,
    Expression,
    absolute,
    change,
    clip,
    deviation,
    ema,
    greater,
    highest,
    lag,
    log,
    lowest,
    maximum,
    mean,
    ratio,
    since,
    smooth,
    total,
    wilder,
)

_EMA = "TA-Lib EMA"
_AROON = "after Chande (1995), the Aroon indicator: age of the last extreme of the window"
_KAUFMAN = "Kaufman (1995), Smarter Trading"


def _named(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
    return Feature(name, Group.TREND, expression, unit, words, source)


def directional_indicators(period: int) -> tuple[Expression, Expression]:
    """Return Wilder's positive and negative directional indicators, 0–1.

    Source:
        Wilder (1978); TA-Lib's seeding, sums of the first period - 1 values.
    """
    up, down = change(HIGH), -change(LOW)
    plus = clip(up, 0, inf) * greater(up, down)
    minus = clip(down, 0, inf) * greater(down, up)
    plus, minus, true_range = (
        smooth(each, 1 / period, seeds=period - 1, first=period, mean_of=period) for each in (plus, minus, TRUE_RANGE)
    )
    return ratio(plus, true_range), ratio(minus, true_range)


def directional_index(period: int) -> tuple[Expression, Expression]:
    """Return the difference of both indicators and Wilder's average directional index, 0–1."""
    plus, minus = directional_indicators(period)
    return plus - minus, wilder(ratio(absolute(plus - minus), plus + minus), period)


def _distance(period: int) -> Feature:
    expression = (CLOSE / ema(CLOSE, period) - 1) / SCALE
    return _named(f"ema_distance_{period}", expression, ATR_UNIT, f"Close over its EMA({period}), less 1.", _EMA)


def _slope(period: int, span: int) -> Feature:
    line = ema(CLOSE, period)
    expression = (line / lag(line, span) - 1) / SCALE
    return _named(
        f"ema_slope_{period}_{span}", expression, ATR_UNIT, f"Change of the EMA({period}) in {span} bars.", _EMA
    )


def _efficiency(span: int) -> Feature:
    expression = ratio(change(LOG_CLOSE, span), total(absolute(RETURN), span))
    words = f"Net log return of {span} bars over the way that it took, signed."
    return _named(f"efficiency_{span}", expression, "1", words, _KAUFMAN)


def _age(span: int, *, is_high: bool) -> Feature:
    edge = highest(HIGH, span) if is_high else lowest(LOW, span)
    event = greater(HIGH + TINY * HIGH, edge) if is_high else greater(edge, LOW - TINY * LOW)
    side = "high" if is_high else "low"
    words = f"Bars since the last {span}-bar {side}, at most {span}, over {span}."
    return _named(f"age_of_{side}_{span}", since(event, span) / float(span), "share", words, _AROON)


_MIDDLE, _SPREAD = mean(CLOSE, 20), deviation(CLOSE, 20)
_LINE = ema(CLOSE, 12) - ema(CLOSE, 26)
_DIRECTIONAL, _ADX = directional_index(14)

TREND: tuple[Feature, ...] = (
    *(_distance(period) for period in (10, 20, 50, 100)),
    _slope(20, 5),
    _slope(100, 24),
    _named("macd_ratio", in_atr(_LINE - ema(_LINE, 9)), ATR_UNIT, "MACD(12, 26) less its EMA(9).", "TA-Lib MACD"),
    _named(
        "bollinger_position",
        (CLOSE - _MIDDLE) / maximum(_SPREAD * 4, CLOSE * STILL),
        "band widths",
        "Distance from the middle of the 20-bar band of two deviations on each side.",
        "TA-Lib BBANDS",
    ),
    _named(
        "bollinger_width",
        log(clip(_SPREAD * 4 / _MIDDLE, STILL, inf)),
        "log of a fraction",
        "Log of the width of that band over its middle.",
        "TA-Lib BBANDS",
    ),
    _named("adx", _ADX, "share", "Average directional index of 14 bars.", WILDER),
    _named("directional", _DIRECTIONAL, "share", "Positive less negative directional indicator of 14 bars.", WILDER),
    _efficiency(24),
    _efficiency(120),
    _age(24, is_high=True),
    _age(24, is_high=False),
    _age(120, is_high=True),
    _age(120, is_high=False),
)
