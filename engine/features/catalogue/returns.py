"""Returns over several scales, told in the volatility of the moment, and the shape of their distribution."""

from __future__ import annotations

from math import sqrt

from engine.features.catalogue.feature import ATR_UNIT, LOG_CLOSE, RETURN, SCALE, Feature, Group
from engine.features.expressions import change, lag, mean, minimum, ratio, root

_VOLATILITY = "Barndorff-Nielsen, Kinnebrock and Shephard (2010), Measuring Downside Risk: Realised Semivariance"
_MOMENTS = "Amaya, Christoffersen, Jacobs and Vasquez (2015), Does Realized Skewness Predict Equity Returns?"
_RATIO = "Lo and MacKinlay (1988), Stock Market Prices Do Not Follow Random Walks"
_SQUARE = RETURN * RETURN


def _return(span: int) -> Feature:
    expression = change(LOG_CLOSE, span) / (SCALE * sqrt(span))
    words = f"Log return of {span} bars over ATR times the root of {span}."
    return Feature(f"return_{span}", Group.RETURNS, expression, ATR_UNIT, words)


def _skewness(span: int) -> Feature:
    second = mean(_SQUARE, span)
    expression = ratio(mean(_SQUARE * RETURN, span), second * root(second))
    words = f"Mean cubed return over the 3/2 power of the mean squared one, {span} bars."
    return Feature(f"skewness_{span}", Group.RETURNS, expression, "1", words, _MOMENTS)


def _tails(span: int) -> Feature:
    second = mean(_SQUARE, span)
    expression = ratio(mean(_SQUARE * _SQUARE, span), second * second)
    words = f"Mean fourth power of returns over the squared mean square, {span} bars."
    return Feature(f"kurtosis_{span}", Group.RETURNS, expression, "1", words, _MOMENTS)


def _downside(span: int) -> Feature:
    falls = minimum(RETURN, RETURN * 0.0)
    expression = ratio(mean(falls * falls, span), mean(_SQUARE, span), neutral=0.5) - 0.5
    words = f"Share of the squared returns of {span} bars that fell, less one half."
    return Feature(f"downside_share_{span}", Group.RETURNS, expression, "share", words, _VOLATILITY)


def _autocorrelation(span: int) -> Feature:
    expression = ratio(mean(RETURN * lag(RETURN, 1), span), mean(_SQUARE, span))
    words = f"Mean product of neighbouring returns over the mean square, {span} bars."
    return Feature(f"autocorrelation_{span}", Group.RETURNS, expression, "1", words)


def _variance_ratio(long: int, span: int) -> Feature:
    leap = change(LOG_CLOSE, long)
    expression = ratio(mean(leap * leap, span), mean(_SQUARE, span) * float(long), neutral=1.0)
    words = f"Mean square of {long}-bar returns over {long} times that of one-bar returns, {span} bars."
    return Feature(f"variance_ratio_{long}_{span}", Group.RETURNS, expression, "1", words, _RATIO)


RETURNS: tuple[Feature, ...] = (
    *(_return(span) for span in (1, 2, 4, 8, 24, 72)),
    _skewness(120),
    _tails(120),
    _downside(24),
    _downside(120),
    _autocorrelation(24),
    _autocorrelation(120),
    _variance_ratio(4, 120),
    _variance_ratio(12, 240),
)
