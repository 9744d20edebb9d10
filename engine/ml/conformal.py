"""Keep quantiles covered and sides level while the market changes, from outcomes as they become known.

A forecast that was calibrated on the past drifts when the market does. Each quantile is therefore multiplied by a
factor that grows a little whenever the outcome lay above it and shrinks whenever it lay below, so that the share above
it comes out right over any long stretch, whatever the market does. An outcome counts only from the bar on at which it
was known. The two sides' log-odds may lean apart in the same way, but only by what luck does not explain: a drift that
lasts is worth following, and chasing the hits of a few weeks costs more than it gives.

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
_DRIFT_STEP = 0.001
"""A side's log-odds forget their hits within some 5,000 bars, seven months of hours."""
_DRIFT_NOISE = 0.08
"""Log-odds by which the sides lean apart by luck alone; only what goes beyond is believed."""
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
    """Return probabilities of both sides, leaning to the one that has been hit more than its log-odds said.

    Args:
        log_odds: Shape (2, n), long and short, at consecutive bars.
        hit: Shape (2, n), 1 or 0, known `horizon` bars later; below 0 where still open.
        horizon: In bars.

    Source:
        Moskowitz, Ooi and Pedersen (2012), Time Series Momentum, for drifts that last.
    """
    return np.asarray(_track_drift(log_odds, hit, horizon, _DRIFT_STEP, _DRIFT_NOISE))


@numba.njit(cache=True)
def _track_drift(log_odds: FloatArray, hit: IntArray, horizon: int, step: float, noise: float) -> FloatArray:
    out = np.empty(log_odds.shape)
    shift = np.zeros(2)
    for t in range(log_odds.shape[1]):
        known = t - horizon
        if known >= 0 and hit[0, known] >= 0 and hit[1, known] >= 0:
            for side in range(2):
                said = 1.0 / (1.0 + np.exp(-(log_odds[side, known] + shift[side])))
                shift[side] += step * (hit[side, known] - said)
        lean = (shift[0] - shift[1]) / 2
        lean = np.sign(lean) * min(max(abs(lean) - noise, 0.0), _MOST)
        out[0, t] = 1.0 / (1.0 + np.exp(-(log_odds[0, t] + lean)))
        out[1, t] = 1.0 / (1.0 + np.exp(-(log_odds[1, t] - lean)))
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
