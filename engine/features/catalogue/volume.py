"""Traded volume beside price; neutral, never missing, where a feed has no volume."""

from __future__ import annotations

from engine.features.catalogue.feature import ATR_UNIT, OWN, RETURN, SCALE, Feature, Group
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    TINY,
    VOLUME,
    Expression,
    absolute,
    change,
    clip,
    deviation,
    greater,
    log,
    mean,
    ratio,
    sign,
    total,
    where,
)

_MONEY_FLOW = "Quong and Soudack (1989), the Money Flow Index"
_CHAIKIN = "Chaikin Money Flow"
_AMIHUD = "after Amihud (2002), Illiquidity and Stock Returns"
_TYPICAL = (HIGH + LOW + CLOSE) / 3.0
_NOTHING = VOLUME * 0.0


def log_ratio(left: Expression, right: Expression) -> Expression:
    """Return the log of left over right, within ±5; 0 where either is 0."""
    both = greater(left, _NOTHING) * greater(right, _NOTHING)
    return where(both, clip(log(where(both, left / right, _NOTHING + 1.0)), -5, 5), _NOTHING)


def _named(name: str, expression: Expression, unit: str, words: str, source: str = OWN) -> Feature:
    return Feature(name, Group.VOLUME, expression, unit, words, source)


def _score(span: int) -> Expression:
    usual = mean(VOLUME, span)
    return where(greater(usual, _NOTHING), clip(log(ratio(VOLUME, usual) + TINY), -5, 5), _NOTHING)


def _trend(span: int) -> Expression:
    return ratio(mean(VOLUME * sign(change(CLOSE)), span), mean(VOLUME, span))


def _money_flow(span: int) -> Expression:
    flow, move = _TYPICAL * VOLUME, change(_TYPICAL)
    rising = total(flow * greater(move, move * 0.0), span)
    falling = total(flow * greater(-move, move * 0.0), span)
    return ratio(rising, rising + falling, neutral=0.5) - 0.5


def _accumulation(span: int) -> Expression:
    place = ratio(CLOSE + CLOSE - HIGH - LOW, HIGH - LOW)
    return ratio(total(place * VOLUME, span), total(VOLUME, span))


def _from_average_price(span: int) -> Expression:
    paid = ratio(total(_TYPICAL * VOLUME, span), total(VOLUME, span))
    return where(greater(paid, _NOTHING), (CLOSE / where(greater(paid, _NOTHING), paid, CLOSE) - 1.0) / SCALE, _NOTHING)


def _illiquidity(fast: int, slow: int) -> Expression:
    cost = ratio(absolute(RETURN), VOLUME)
    return log_ratio(mean(cost, fast), mean(cost, slow))


VOLUMES: tuple[Feature, ...] = (
    _named("volume_score_24", _score(24), "log ratio", "Log of volume over its mean of 24 bars, within ±5."),
    _named("volume_score_168", _score(168), "log ratio", "Log of volume over its mean of 168 bars, within ±5."),
    _named("volume_trend_24", _trend(24), "share", "Volume of bars that rose less that of those that fell, of 24."),
    _named(
        "volume_ratio_12_120",
        log_ratio(mean(VOLUME, 12), mean(VOLUME, 120)),
        "log ratio",
        "Log of the mean volume of 12 bars over that of 120.",
    ),
    _named(
        "volume_unsteadiness_72",
        ratio(deviation(VOLUME, 72), mean(VOLUME, 72)),
        "1",
        "Deviation of volume over its mean, 72 bars.",
    ),
    _named("money_flow_14", _money_flow(14), "share", "Money flow index of 14 bars, less one half.", _MONEY_FLOW),
    _named("accumulation_20", _accumulation(20), "share", "Volume weighted by the close's place in the bar.", _CHAIKIN),
    _named(
        "vwap_distance_24", _from_average_price(24), ATR_UNIT, "Close over the average price paid in 24 bars, less 1."
    ),
    _named(
        "illiquidity_24_240",
        _illiquidity(24, 240),
        "log ratio",
        "Log of price moved per volume in 24 bars over that in 240.",
        _AMIHUD,
    ),
)
