"""Promotion: a new model is used only if it was better, can be taken back, and falls silent in a strange market."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, utc_from_seconds
from engine.features.definitions import WARMUP, feature_matrix
from engine.ml.dataset import TARGETS
from engine.ml.drift import WINDOW, DriftReference, describe_training, stability_index
from engine.ml.registry import ModelRegistry, TrainedModel, skill_score
from engine.ml.signal import SignalGenerator
from engine.ml.training import train
from tests.engine.ml.bars import random_walk

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return random_walk(6000, seed=61)


@pytest.fixture(scope="module")
def model(bars: Bars) -> TrainedModel:
    return train({bars.symbol: bars}, "1h", created_at=CREATED_AT, progress=lambda _done, _what: None)


def better_by(model: TrainedModel, gain: float, days: int) -> TrainedModel:
    """Return the model as if trained some days later, with that much more pinball gain."""
    metrics = dict(model.manifest.metrics)
    metrics["pinball_gain_up"] += gain
    at = CREATED_AT + timedelta(days=days)
    return replace(model, manifest=replace(model.manifest, id=f"{at:%Y%m%d}", created_at=at, metrics=metrics))


def test_better_model_is_promoted_and_a_worse_one_is_held(model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    first = registry.offer(model)
    worse, better = registry.offer(better_by(model, -0.01, 1)), registry.offer(better_by(model, 0.01, 2))
    assert (first.is_promoted, worse.is_promoted, better.is_promoted) == (True, False, True)
    assert f"of {first.manifest.id}" in worse.reason
    assert registry.is_held(worse.manifest.id)
    assert registry.latest("1h", "BTC/USDT").manifest.id == better.manifest.id  # type: ignore[union-attr]
    assert len(registry.manifests()) == 3


def test_equal_model_does_not_replace_the_current_one(model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    current = registry.offer(model).manifest
    assert not registry.offer(better_by(model, 0.0, 1)).is_promoted
    assert registry.latest("1h", "BTC/USDT").manifest.id == current.id  # type: ignore[union-attr]


def test_model_of_other_symbols_is_no_rival(model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    registry.offer(model)
    other = better_by(model, -0.5, 1)
    assert registry.offer(replace(other, manifest=replace(other.manifest, symbols=("EURUSD",)))).is_promoted


def test_damaged_model_does_not_stand_in_the_way(model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    current = registry.offer(model).manifest
    (tmp_path / current.id / "long_1.ubj").unlink()
    assert registry.offer(better_by(model, -0.01, 1)).is_promoted


def test_rollback_returns_to_the_model_before(model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    first = registry.offer(model).manifest
    registry.offer(better_by(model, 0.01, 1))
    assert registry.roll_back("1h", "BTC/USDT") == first
    assert registry.roll_back("1h", "BTC/USDT") is None
    assert registry.latest("1h", "BTC/USDT") is None
    with pytest.raises(DataUnavailable, match="no 1h model to roll back"):
        registry.roll_back("1h", "BTC/USDT")
    with pytest.raises(DataUnavailable, match="no model 'none'"):
        registry.hold("none", "?")


def test_skill_counts_probabilities_and_ranges(model: TrainedModel) -> None:
    metrics = dict.fromkeys(model.manifest.metrics, 0.0) | {f"brier_skill_{name}": 0.02 for name in TARGETS}
    metrics |= {"pinball_gain_up": 0.1, "pinball_gain_down": 0.2}
    assert skill_score(replace(model.manifest, metrics=metrics)) == pytest.approx(0.17)


def test_index_is_small_for_the_same_market_and_large_for_another() -> None:
    rng = np.random.default_rng(1)
    edges = np.quantile(rng.normal(0, 1, (5000, 3)), np.linspace(0.1, 0.9, 9), axis=0).T
    assert stability_index(rng.normal(0, 1, (2000, 3)), edges) < 0.02
    assert stability_index(rng.normal(1, 1, (2000, 3)), edges) > 0.5


def test_windows_of_training_are_not_strange_but_a_market_gone_wild_is(bars: Bars) -> None:
    reference = describe_training({"X": bars})
    values = feature_matrix(bars).values[WARMUP:]
    windows = [values[k : k + WINDOW] for k in range(0, len(values) - WINDOW, WINDOW)]
    assert np.mean([reference.is_strange(window) for window in windows]) <= 0.05
    assert reference.is_strange(feature_matrix(gone_wild(bars)).values[-WINDOW:])
    assert not reference.is_strange(values[:10])


def test_too_few_windows_make_no_judge(bars: Bars) -> None:
    assert describe_training({"X": bars[: WARMUP + 3 * WINDOW]}).limit == 0
    assert not DriftReference(((0.0,) * 9,), 0.0).is_strange(np.full((WINDOW, 1), 9.0))


def test_signal_falls_silent_in_a_strange_market(bars: Bars, model: TrainedModel) -> None:
    """The same model, made to see an edge everywhere, speaks in its own market and not in one it never saw."""
    metrics = dict(model.manifest.metrics)
    for name in TARGETS:
        metrics |= {f"brier_skill_{name}": 0.1, f"acted_z_{name}": 9.0}
    sure = {name: replace(c, slope=1.0, intercept=3.0) for name, c in model.tpsl.calibrations.items()}
    eager = replace(
        model,
        manifest=replace(model.manifest, metrics=metrics),
        tpsl=replace(model.tpsl, calibrations=sure),
    )
    reasons = []
    for market in (bars, gone_wild(bars)):
        now = utc_from_seconds(int(market.time[-1]) + 3600)
        signal = SignalGenerator(eager).signal(market[-WARMUP - 200 :], cost_ratio=0.0, now=now, is_simulated=True)
        reasons.append(signal.reason)
    assert reasons[0] not in ("no_edge", "drift")
    assert reasons[1] == "drift"


def gone_wild(bars: Bars) -> Bars:
    """Return bars whose last thousand move six times as far, in one direction."""
    n = 1000
    factor = np.concatenate([np.ones(len(bars) - n), np.exp(0.02 * np.arange(1, n + 1))])
    wild = {name: getattr(bars, name) * factor for name in ("open", "close")}
    high = np.maximum(bars.high * factor, np.maximum(*wild.values())) * 1.02
    low = np.minimum(bars.low * factor, np.minimum(*wild.values())) / 1.02
    return replace(bars, high=high, low=low, **wild)
