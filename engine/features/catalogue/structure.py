"""Levels and what price does at them: ranges, swings, sweeps, gaps, the shape of the bar."""

from __future__ import annotations

from math import sqrt

from engine.features.catalogue.feature import ATR, ATR_UNIT, OWN, Feature, Group, in_atr
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    TINY,
    Expression,
    change,
    greater,
    highest,
    lag,
    latch,
    lowest,
    maximum,
    minimum,
    ratio,
    since,
    where,
)

_FRACTAL = "after Williams (1995), Trading Chaos: the fractal, known as many bars late as it is wide"
_SWING_SPAN, _SWING_SETTLING = 5, 60
_AGE_CAP = 72
_NOTHING = CLOSE * 0.0


def _named(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
    return Feature(name, Group.STRUCTURE, expression, unit, words, source)


def _range_position(span: int) -> Feature:
    low, high = lowest(LOW, span), highest(HIGH, span)
    expression = (CLOSE - low) / maximum(high - low, CLOSE * TINY) - 0.5
    return _named(f"range_position_{span}", expression, "share", f"Place in the range of {span} bars, less one half.")


def _range_width(span: int) -> Feature:
    expression = in_atr(highest(HIGH, span) - lowest(LOW, span)) / sqrt(span)
    words = f"Range of {span} bars over the root of {span}."
    return _named(f"range_width_{span}", expression, ATR_UNIT, words)


def _swept(level: Expression, *, is_high: bool) -> Expression:
    """Return how far the bar went beyond a level and came back; 0 without a sweep."""
    beyond = HIGH - level if is_high else level - LOW
    is_back = greater(level, CLOSE) if is_high else greater(CLOSE, level)
    return where(is_back, maximum(beyond, _NOTHING), _NOTHING)


def _edge(span: int, *, is_high: bool) -> Expression:
    return lag(highest(HIGH, span), 1) if is_high else lag(lowest(LOW, span), 1)


def _sweep(span: int, *, is_high: bool) -> Feature:
    side = "high" if is_high else "low"
    words = f"How far the bar went beyond the {side} of the {span} bars before it, and closed back; else 0."
    return _named(
        f"sweep_{side}_{span}", in_atr(_swept(_edge(span, is_high=is_high), is_high=is_high)), ATR_UNIT, words
    )


def _since_sweep(*, is_high: bool) -> Feature:
    side = "high" if is_high else "low"
    event = _swept(_edge(24, is_high=is_high), is_high=is_high)
    words = f"Bars since the last sweep of a 24-bar {side}, at most {_AGE_CAP}, over {_AGE_CAP}."
    return _named(f"sweep_age_{side}", since(event, _AGE_CAP) / float(_AGE_CAP), "share", words)


def swing(*, is_high: bool) -> tuple[Expression, Expression]:
    """Return when a swing becomes known (1, else 0), and its price.

    A swing high is higher than the highs around it, as many bars on either side as its span (equal ones count).
    """
    prices = HIGH if is_high else LOW
    middle = lag(prices, _SWING_SPAN)
    around = 2 * _SWING_SPAN + 1
    edge = highest(prices, around) if is_high else lowest(prices, around)
    is_inside = greater(edge, middle) if is_high else greater(middle, edge)
    return 1.0 - is_inside, middle


def _swings(*, is_high: bool) -> tuple[Feature, ...]:
    side = "high" if is_high else "low"
    event, price = swing(is_high=is_high)
    level = latch(event, price, settling=_SWING_SETTLING)
    older = latch(event, lag(level, 1), settling=_SWING_SETTLING)
    wide = f"(highest of {_SWING_SPAN} bars on both sides)" if is_high else f"(lowest of {_SWING_SPAN} on both sides)"
    age = since(event, _AGE_CAP) / float(_AGE_CAP)
    swept = in_atr(_swept(lag(level, 1), is_high=is_high))
    return (
        _named(f"swing_{side}", in_atr(CLOSE - level), ATR_UNIT, f"Close less the last swing {side} {wide}.", _FRACTAL),
        _named(
            f"swing_{side}_step", in_atr(level - older), ATR_UNIT, f"Last swing {side} less the one before.", _FRACTAL
        ),
        _named(f"swing_{side}_age", age, "share", f"Bars since it was known, at most {_AGE_CAP}, over it.", _FRACTAL),
        _named(f"swing_{side}_sweep", swept, ATR_UNIT, "How far the bar swept it and closed back; else 0.", _FRACTAL),
    )


_BULLISH_GAP, _BEARISH_GAP = LOW - lag(HIGH, 2), lag(LOW, 2) - HIGH
_IMBALANCE = maximum(_BULLISH_GAP, _NOTHING) - maximum(_BEARISH_GAP, _NOTHING)
_GAP_MIDDLE = latch(
    maximum(_BULLISH_GAP, _BEARISH_GAP),
    where(_BULLISH_GAP, LOW + lag(HIGH, 2), HIGH + lag(LOW, 2)) * 0.5,
    settling=_SWING_SETTLING,
)
_INSIDE = greater(lag(HIGH, 1), HIGH) * greater(LOW, lag(LOW, 1))

STRUCTURE: tuple[Feature, ...] = (
    *(_range_position(span) for span in (24, 72, 240)),
    *(_range_width(span) for span in (24, 120)),
    _sweep(24, is_high=True),
    _sweep(24, is_high=False),
    _sweep(120, is_high=True),
    _sweep(120, is_high=False),
    _since_sweep(is_high=True),
    _since_sweep(is_high=False),
    *_swings(is_high=True),
    *_swings(is_high=False),
    _named("body", in_atr(CLOSE - OPEN), ATR_UNIT, "Close less open."),
    _named("upper_wick", in_atr(HIGH - maximum(OPEN, CLOSE)), ATR_UNIT, "High less the higher of open and close."),
    _named("lower_wick", in_atr(minimum(OPEN, CLOSE) - LOW), ATR_UNIT, "Lower of open and close, less low."),
    _named(
        "close_position", ratio(CLOSE - LOW, HIGH - LOW, neutral=0.5) - 0.5, "share", "Place of the close in the bar."
    ),
    _named("displacement_3", change(CLOSE, 3) / maximum(ATR, CLOSE * TINY), ATR_UNIT, "Change of the close in 3 bars."),
    _named("gap", in_atr(OPEN - lag(CLOSE, 1)), ATR_UNIT, "Open less the close before."),
    _named(
        "imbalance",
        in_atr(_IMBALANCE),
        ATR_UNIT,
        "Prices that three bars left out, between the first and the last: up above 0, down below.",
    ),
    _named("imbalance_distance", in_atr(CLOSE - _GAP_MIDDLE), ATR_UNIT, "Close less the middle of the last such gap."),
    _named(
        "inside_age", since(_INSIDE, 24) / 24.0, "share", "Bars since one within the bar before, at most 24, over 24."
    ),
)
