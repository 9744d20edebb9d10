"""Baselines: known numbers by hand, and nothing of the future."""

from __future__ import annotations

import numpy as np
import pytest

from engine.ml.baselines import fit_line, har_inputs, har_scales, on_line, rolling_quantiles, scaled_quantiles
from engine.ml.conformal import LEVELS


def test_har_reads_the_last_day_week_and_month() -> None:
    moved = np.full(2000, 0.01)
    moved[-24:] = 0.02
    day, week, month = np.exp(har_inputs(moved, "1h", 7)[-1])
    assert day == pytest.approx(0.02)
    assert week == pytest.approx(np.sqrt((24 * 0.02**2 + 144 * 0.01**2) / 168), rel=1e-6)
    assert day > week > month


def test_hour_of_the_week_is_added_where_it_matters() -> None:
    time = np.arange(24 * 7 * 20, dtype=np.int64) * 3600
    scale = np.where(time // 3600 % 24 == 14, 1.0, 0.0)
    rows = np.arange(len(time))
    scales = har_scales(np.random.default_rng(1).normal(size=(len(time), 3)), time, scale, rows)
    assert np.abs(scales["har_week"] - scale).mean() < 0.02
    assert np.abs(scales["har"] - scale).mean() > 0.05


def test_quantiles_scale_with_the_forecast() -> None:
    rng = np.random.default_rng(2)
    scale = rng.normal(size=20_000)
    actual = np.abs(rng.standard_normal(20_000)) * np.exp(scale)
    rows = np.arange(20_000)
    quantiles = scaled_quantiles(scale, actual, rows, rows)
    assert [np.mean(actual < quantiles[:, q]) for q in range(3)] == pytest.approx(LEVELS, abs=0.01)


def test_rolling_quantiles_know_only_outcomes_that_are_over() -> None:
    actual = np.random.default_rng(3).random(5000)
    rows = np.arange(2000, 4000)
    changed = actual.copy()
    changed[3000 - 24 + 1 :] += 9
    whole, other = (rolling_quantiles(values, 24, rows, "1h") for values in (actual, changed))
    assert (whole[:1001] == other[:1001]).all()
    assert (whole != other).any()


def test_line_is_least_squares_and_a_ridge_holds_it_back() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(500, 2))
    y = 1 + X @ np.array([2.0, -1.0])
    assert fit_line(X, y) == pytest.approx([1, 2, -1])
    held = fit_line(X, y, ridge=500)
    assert on_line(held, X).mean() == pytest.approx(y.mean())
    assert held[1] == pytest.approx(1.0, abs=0.1)
