"""How much the market moves: close-to-close and range-based estimators, their ratios, and realised range by scale."""

from __future__ import annotations

from math import log as ln

from engine.features.catalogue.feature import (
    LOG_CLOSE,
    LOG_HIGH,
    LOG_LOW,
    LOG_OPEN,
    LOG_RANGE,
    OWN,
    RETURN,
    SCALE,
    WILDER,
    Feature,
    Group,
    log_of,
)
from engine.features.expressions import Expression, absolute, clip, deviation, lag, log, mean, ratio, root, variance

_PARKINSON = "Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of Return"
_GARMAN_KLASS = "Garman and Klass (1980), On the Estimation of Security Price Volatilities from Historical Data"
_ROGERS_SATCHELL = "Rogers and Satchell (1991), Estimating Variance from High, Low and Closing Prices"
_YANG_ZHANG = "Yang and Zhang (2000), Drift-Independent Volatility Estimation Based on High, Low, Open and Close Prices"
_BIPOWER = "Barndorff-Nielsen and Shephard (2004), Power and Bipower Variation with Stochastic Volatility and Jumps"
_HAR = (
    "Corsi (2009), A Simple Approximate Long-Memory Model of Realized Volatility; range as in Christensen and "
    "Podolskij (2007), Realized Range-Based Estimation of Integrated Variance"
)
_LOG = "log of a fraction"
_SQUARED_RANGE = LOG_RANGE * LOG_RANGE
_BODY = LOG_CLOSE - LOG_OPEN
_ROGERS = (LOG_HIGH - LOG_CLOSE) * (LOG_HIGH - LOG_OPEN) + (LOG_LOW - LOG_CLOSE) * (LOG_LOW - LOG_OPEN)
_BIPOWER_UNIT = 1.5707963267948966
"""π/2: the inverse square of the mean of a standard normal's distance from 0."""


def parkinson(span: int) -> Expression:
    """Return the log of Parkinson's volatility."""
    return log_of(root(mean(_SQUARED_RANGE, span) * (1 / (4 * ln(2)))))


def _garman_klass(span: int) -> Expression:
    bodies = _BODY * _BODY * (2 * ln(2) - 1)
    return log_of(root(clip(mean(_SQUARED_RANGE * 0.5 - bodies, span), 0, 1e9)))


def _rogers_satchell(span: int) -> Expression:
    return log_of(root(clip(mean(_ROGERS, span), 0, 1e9)))


def _yang_zhang(span: int) -> Expression:
    weight = 0.34 / (1.34 + (span + 1) / (span - 1))
    night = variance(LOG_OPEN - lag(LOG_CLOSE, 1), span)
    day = variance(_BODY, span)
    return log_of(root(clip(night + day * weight + mean(_ROGERS, span) * (1 - weight), 0, 1e9)))


def _realised(span: int) -> Expression:
    return log_of(root(mean(RETURN * RETURN, span)))


def _named(name: str, expression: Expression, words: str, source: str = OWN, unit: str = _LOG) -> Feature:
    return Feature(name, Group.VOLATILITY, expression, unit, words, source)


def _ratio(fast: int, slow: int) -> Feature:
    words = f"Log of Parkinson's volatility of {fast} bars over that of {slow}."
    return _named(f"volatility_ratio_{fast}_{slow}", parkinson(fast) - parkinson(slow), words, _PARKINSON, "log ratio")


def _jumps(span: int) -> Expression:
    smooth_part = mean(absolute(RETURN) * absolute(lag(RETURN, 1)), span) * _BIPOWER_UNIT
    return clip(ratio(mean(RETURN * RETURN, span) - smooth_part, mean(RETURN * RETURN, span)), -1, 1)


def _unsteadiness(span: int) -> Expression:
    return ratio(deviation(LOG_RANGE, span), mean(LOG_RANGE, span))


VOLATILITY: tuple[Feature, ...] = (
    *(
        _named(f"realised_volatility_{n}", _realised(n), f"Log of the root mean square of the last {n} log returns.")
        for n in (12, 24, 120)
    ),
    *(
        _named(f"parkinson_{n}", parkinson(n), f"Log of the volatility told by highs and lows, {n} bars.", _PARKINSON)
        for n in (12, 24, 120)
    ),
    *(
        _named(
            f"garman_klass_{n}", _garman_klass(n), f"Log of the volatility by range and body, {n} bars.", _GARMAN_KLASS
        )
        for n in (24, 120)
    ),
    *(
        _named(
            f"rogers_satchell_{n}",
            _rogers_satchell(n),
            f"Log of the volatility free of drift, {n} bars.",
            _ROGERS_SATCHELL,
        )
        for n in (24, 120)
    ),
    *(
        _named(f"yang_zhang_{n}", _yang_zhang(n), f"Log of the volatility with opening gaps, {n} bars.", _YANG_ZHANG)
        for n in (24, 120)
    ),
    _ratio(6, 48),
    _ratio(24, 240),
    _named("atr_ratio", log(SCALE), "Log of ATR(14) over the close.", WILDER),
    _named("jump_share_72", _jumps(72), "Share of the squared returns that came in jumps, 72 bars.", _BIPOWER, "share"),
    _named("range_unsteadiness_72", _unsteadiness(72), "Deviation of log ranges over their mean, 72 bars.", unit="1"),
)

RANGES: tuple[Feature, ...] = tuple(
    Feature(
        f"har_range_{n}",
        Group.RANGE,
        log_of(root(mean(_SQUARED_RANGE, n))),
        _LOG,
        f"Log of the root mean squared log range of the last {n} bars.",
        _HAR,
    )
    for n in (1, 4, 12, 24, 72, 168, 504)
)
