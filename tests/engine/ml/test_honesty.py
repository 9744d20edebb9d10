"""Placebos: where there is nothing to know, the engine must claim nothing, however cheap trading is."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.features.definitions import FEATURE_NAMES, WARMUP, feature_matrix
from engine.ml.dataset import TARGETS, reward_risk_of
from engine.ml.economics import MIN_EDGE, breakeven_probability, expected_value, payoff_z
from engine.ml.labels import label_barriers
from engine.ml.registry import TrainedModel
from engine.ml.training import train
from tests.engine.ml.bars import random_walk

CHEAP = 0.02
"""A round trip's cost in multiples of the risk, below what any venue offers: costs must not hide a false edge."""


def _train(seed: int) -> TrainedModel:
    bars_by_symbol = {symbol: random_walk(6000, seed * 10 + i, symbol=symbol) for i, symbol in enumerate("ABC")}
    return train(bars_by_symbol, "1h", created_at=datetime(2026, 1, 1, tzinfo=UTC), progress=lambda _done, _what: None)


def _share_of_edges(model: TrainedModel, bars: Bars, cost: float) -> float:
    """Return the share of bars with a claimed edge, by the same rule as the signal's."""
    X = feature_matrix(bars).values[WARMUP:]
    probabilities = model.tpsl.predict_proba(X)
    values = np.stack([expected_value(probabilities[name], reward_risk_of(name), cost) for name in TARGETS])
    best = values.argmax(axis=0)
    is_proven = np.array([model.is_proven(name) for name in TARGETS])
    return float(np.mean((values.max(axis=0) >= MIN_EDGE) & is_proven[best]))


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.prove) for seed in (5, 6, 7, 8))])
def test_cheap_trading_on_a_random_walk_shows_no_edge(seed: int) -> None:
    """Volatility can be known where direction cannot; a target that is likelier then is no edge."""
    assert _share_of_edges(_train(seed), random_walk(20_000, seed=1000 + seed), CHEAP) <= 0.001


@pytest.mark.parametrize("reward_risk", [1.0, 2.0, 3.0])
def test_no_group_of_bars_earned_less_than_its_claimed_value(reward_risk: float) -> None:
    """With one mean loss for all groups, the most volatile would promise more than they gave."""
    bars = random_walk(20_000, seed=4)
    labels = label_barriers(bars, side=1, reward_risk=reward_risk)
    heat = feature_matrix(bars).values[:, FEATURE_NAMES.index("volatility_ratio_6_48")]
    usable = np.flatnonzero((labels.hit >= 0) & ~np.isnan(heat))
    for group in np.array_split(usable[np.argsort(heat[usable])], 10):
        claimed = expected_value(np.array([labels.hit[group].mean()]), reward_risk, 0.0)[0]
        assert claimed <= labels.payoff[group].mean() + 1e-9


def test_value_and_breakeven_agree() -> None:
    assert expected_value(np.array([0.5]), 1.0, 0.1)[0] == pytest.approx(-0.1)
    for reward_risk, cost in ((1.0, 0.0), (2.0, 0.3), (3.0, 1.0)):
        breakeven = breakeven_probability(reward_risk, cost)
        assert expected_value(np.array([breakeven]), reward_risk, cost)[0] == pytest.approx(0)
    assert breakeven_probability(1.0, 5.0) == 1.0


def test_record_of_acting_is_not_proven_by_one_lucky_stretch() -> None:
    """A hundred winning trades in one week are one piece of luck, not a hundred."""
    time = np.arange(2000)
    everywhere, one_week = time % 10 == 0, (time >= 500) & (time < 600)
    won = np.where(time % 3 == 0, 2.0, 0.5)
    assert payoff_z(won, time, everywhere) > 10
    assert payoff_z(won, time, one_week) < 1.5
    assert payoff_z(-won, time, everywhere) < -10
    assert payoff_z(won, time, np.zeros(2000, dtype=np.bool_)) == 0
