"""What a forecast of range must beat: HAR, HAR with the hour of the week, and the quantiles of the last months.

HAR is a straight line through the ranges of the last day, week and month. Its forecast of scale is turned into
quantiles by the quantiles of outcome over scale in the training rows, as ours is.

Source:
    Corsi (2009), A Simple Approximate Long-Memory Model of Realized Volatility; in logs, on ranges.
"""

from __future__ import annotations

import numpy as np

from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import DAY_S, week_hour
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.ml.conformal import LEVELS

BASELINES = ("har", "har_week", "rolling")
_ROLLING_DAYS = 60
_LEAST_PER_SLOT = 5
_MONTH_WEEKS = 4.3


def har_inputs(moved: FloatArray, timeframe: Timeframe, week_days: int) -> FloatArray:
    """Return log root mean square ranges of the last day, week and month; shape (n, 3).

    Args:
        moved: Shape (n,), log range of each bar.
        timeframe: Of the bars; a day has at least 1 of them.
        week_days: Days a week that the market trades, 5 or 7.
    """
    day = max(DAY_S // TIMEFRAME_S[timeframe], 1)
    week = max(day * week_days, 2)
    spans = (day, week, int(week * _MONTH_WEEKS))
    return np.column_stack([0.5 * np.log(_trailing_mean(moved**2, span) + 1e-12) for span in spans])


def fit_line(X: FloatArray, y: FloatArray, *, ridge: float = 0.0) -> FloatArray:
    """Return intercept and slopes of the least-squares line; shape (k + 1,).

    Args:
        X: Shape (n, k).
        y: Shape (n,).
        ridge: Rows that speak for slopes of 0, when each column has the same spread; 0 for none.
    """
    if not ridge:
        design = np.column_stack([np.ones(len(X)), X])
        return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0])
    spread = np.maximum(X.std(axis=0), 1e-9)
    standard = (X - X.mean(axis=0)) / spread
    slopes = np.linalg.solve(standard.T @ standard + ridge * np.eye(X.shape[1]), standard.T @ (y - y.mean())) / spread
    return np.concatenate([[y.mean() - X.mean(axis=0) @ slopes], slopes])


def on_line(line: FloatArray, X: FloatArray) -> FloatArray:
    """Return the line's values; shape (n,)."""
    return np.asarray(line[0] + X @ line[1:])


def har_scales(inputs: FloatArray, time: IntArray, scale: FloatArray, train: IntArray) -> dict[str, FloatArray]:
    """Return the log scale that HAR expects, without and with the hour of the week (UTC), for all rows."""
    plain = on_line(fit_line(inputs[train], scale[train]), inputs)
    slot = week_hour(time)
    rest, where = scale[train] - plain[train], slot[train]
    count = np.bincount(where, minlength=168)
    mean = np.bincount(where, weights=rest, minlength=168) / np.maximum(count, 1)
    return {"har": plain, "har_week": plain + np.where(count >= _LEAST_PER_SLOT, mean, 0.0)[slot]}


def scaled_quantiles(scale: FloatArray, actual: FloatArray, train: IntArray, rows: IntArray) -> FloatArray:
    """Return quantiles for rows: their scale times the training rows' quantiles of outcome over scale; (m, 3)."""
    ratio = np.quantile(actual[train] / np.exp(scale[train]), LEVELS)
    return np.exp(scale[rows])[:, None] * ratio


def rolling_quantiles(actual: FloatArray, horizon: int, rows: IntArray, timeframe: Timeframe) -> FloatArray:
    """Return the quantiles of the outcomes known in the last 60 days, renewed once a day; shape (m, 3)."""
    day = max(DAY_S // TIMEFRAME_S[timeframe], 1)
    out = np.empty((len(rows), len(LEVELS)))
    for first in range(0, len(rows), day):
        known = rows[first] - horizon + 1
        window = actual[max(known - _ROLLING_DAYS * day, 0) : max(known, 1)]
        window = window[~np.isnan(window)]
        out[first : first + day] = np.quantile(window, LEVELS) if len(window) else 0.0
    return out


def _trailing_mean(values: FloatArray, span: int) -> FloatArray:
    """Return the mean of the last `span` values, of fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - span, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))
