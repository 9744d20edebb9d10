"""Keep quantiles covered and sides level while the market changes, from outcomes as they become known.

A forecast that was calibrated on the past drifts when the market does. Each quantile is therefore multiplied by a
factor that grows a little whenever the outcome lay above it and shrinks whenever it lay below, so that the share above
it comes out right over any long stretch, whatever the market does. An outcome counts only from the bar on at which it
was known. The log-odds of a side follow its hits too, far more slowly: a market's drift lasts years, and chasing the
hits of weeks costs more than it gives.

Source:
    Gibbs and Candès (2021), Adaptive Conformal Inference Under Distribution Shift; in the quantile-tracking form of
    Angelopoulos, Candès and Tibshirani (2023), Conformal PID Control for Time Series Prediction.
"""

from __future__ import annotations

import numba
import numpy as np

from engine.domain.market import FloatArray, IntArray

LEVELS = (0.1, 0.5, 0.9)
"""Levels of the quantiles, lowest first."""
_FASTEST = 0.003
_DRIFT_STEP = 0.0002
"""A side's log-odds forget their hits within some 25,000 bars, three years of hours."""
_MOST = 1.5
"""A factor stays between exp(-1.5) and exp(1.5): beyond that the data is broken, not the calibration."""


def track_quantiles(raw: FloatArray, actual: FloatArray, horizon: int) -> FloatArray:
    """Return calibrated quantiles that do not cross and are never below 0.

    Args:
        raw: Shape (n, 3), forecasts at consecutive bars, each made without knowing its outcome.
        actual: Shape (n,), outcomes, known `horizon` bars later; NaN where still open.
        horizon: In bars.
    """
    step = _FASTEST / horizon**0.4
    tracked = np.column_stack(
        [_track(np.ascontiguousarray(raw[:, q]), actual, level, horizon, step) for q, level in enumerate(LEVELS)]
    )
    return np.asarray(np.maximum(np.sort(tracked, axis=1), 0.0))


def track_drift(log_odds: FloatArray, hit: IntArray, horizon: int) -> FloatArray:
    """Return probabilities whose log-odds follow, slowly, the hits and misses that were known before.

    Args:
        log_odds: Shape (n,), at consecutive bars.
        hit: Shape (n,), 1 or 0, known `horizon` bars later; below 0 where still open.
        horizon: In bars.

    Source:
        Moskowitz, Ooi and Pedersen (2012), Time Series Momentum, for drifts that last.
    """
    return np.asarray(_track_odds(log_odds, hit, horizon, _DRIFT_STEP))


@numba.njit(cache=True)
def _track_odds(log_odds: FloatArray, hit: IntArray, horizon: int, step: float) -> FloatArray:
    out = np.empty(len(log_odds))
    shift = 0.0
    for t in range(len(log_odds)):
        known = t - horizon
        if known >= 0 and hit[known] >= 0:
            shift = min(max(shift + step * (hit[known] - out[known]), -_MOST), _MOST)
        out[t] = 1.0 / (1.0 + np.exp(-(log_odds[t] + shift)))
    return out


@numba.njit(cache=True)
def _track(raw: FloatArray, actual: FloatArray, level: float, horizon: int, least_step: float) -> FloatArray:
    """Track one quantile; steps begin long, so that few outcomes suffice, and shorten to the least."""
    out = np.empty(len(raw))
    factor, seen = 0.0, 0
    for t in range(len(raw)):
        known = t - horizon
        if known >= 0 and not np.isnan(actual[known]):
            is_above = 1.0 if actual[known] > out[known] else 0.0
            step = max(least_step, 1.0 / (50 * horizon + seen))
            factor = min(max(factor + step * (is_above - (1.0 - level)), -_MOST), _MOST)
            seen += 1
        out[t] = raw[t] * np.exp(factor)
    return out
