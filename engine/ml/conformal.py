"""Keep quantiles covered while the market changes, from outcomes as they become known.

A forecast that was calibrated on the past drifts when the market does. Each quantile is therefore multiplied by a
factor that grows a little whenever the outcome lay above it and shrinks whenever it lay below, so that the share above
it comes out right over any long stretch, whatever the market does. An outcome counts only from the bar on at which it
was known. (Probabilities are not tracked so: chasing recent hits cost them more than drift does.)

Source:
    Gibbs and Candès (2021), Adaptive Conformal Inference Under Distribution Shift; in the quantile-tracking form of
    Angelopoulos, Candès and Tibshirani (2023), Conformal PID Control for Time Series Prediction.
"""

from __future__ import annotations

import numba
import numpy as np

from engine.domain.market import FloatArray

LEVELS = (0.1, 0.5, 0.9)
"""Levels of the quantiles, lowest first."""
_FASTEST = 0.003
_MOST = 1.5
"""A factor stays between exp(-1.5) and exp(1.5): beyond that the data is broken, not the calibration."""


def track_quantiles(raw: FloatArray, actual: FloatArray, horizon: int) -> FloatArray:
    """Return calibrated quantiles that do not cross and are never below 0.

    Args:
        raw: Shape (n, 3), forecasts at consecutive bars, each made without knowing its outcome.
        actual: Shape (n,), outcomes, known `horizon` bars later; NaN where still open.
        horizon: In bars.
    """
    step = _FASTEST / horizon**0.45
    tracked = np.column_stack(
        [_track(np.ascontiguousarray(raw[:, q]), actual, level, horizon, step) for q, level in enumerate(LEVELS)]
    )
    return np.asarray(np.maximum(np.sort(tracked, axis=1), 0.0))


@numba.njit(cache=True)
def _track(raw: FloatArray, actual: FloatArray, level: float, horizon: int, step: float) -> FloatArray:
    out = np.empty(len(raw))
    factor = 0.0
    for t in range(len(raw)):
        known = t - horizon
        if known >= 0 and not np.isnan(actual[known]):
            is_above = 1.0 if actual[known] > out[known] else 0.0
            factor = min(max(factor + step * (is_above - (1.0 - level)), -_MOST), _MOST)
        out[t] = raw[t] * np.exp(factor)
    return out
