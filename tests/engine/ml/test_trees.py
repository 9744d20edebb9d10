"""Trees laid flat say what XGBoost says, row by row, missing values included."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb

from engine.ml.trees import flatten_trees

KINDS: dict[str, dict[str, object]] = {
    "probability": {"objective": "binary:logistic"},
    "probability with a given start": {"objective": "binary:logistic", "base_score": 0.2},
    "value": {"objective": "reg:squarederror"},
    "quantiles": {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_flat_trees_agree_with_xgboost(kind: str) -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(800, 12))
    X[rng.random(X.shape) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0]) + rng.normal(size=800) > 0).astype(np.float64)
    matrix = xgb.QuantileDMatrix(X, y, max_bin=32, nthread=1)
    booster = xgb.train({**KINDS[kind], "max_depth": 5, "nthread": 1, "max_bin": 32}, matrix, 25)
    flat = flatten_trees(booster)
    expected = booster.inplace_predict(X, predict_type="margin").reshape(len(X), -1)
    np.testing.assert_allclose(np.array([flat.margins(row) for row in X]), expected, rtol=0, atol=1e-5)


def test_booster_without_a_split_says_its_base() -> None:
    X, y = np.zeros((50, 3)), np.array([0.0, 1.0] * 25)
    matrix = xgb.QuantileDMatrix(X, y, max_bin=8, nthread=1)
    booster = xgb.train({"objective": "binary:logistic", "nthread": 1, "max_bin": 8}, matrix, 3)
    assert flatten_trees(booster).margins(X[0])[0] == pytest.approx(0.0, abs=1e-6)
