"""Placebos for the whole evaluation: on what nobody can know, no direction is found and nothing is signalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from engine.domain.market import Bars, FloatArray
from engine.ml.dataset import SIDES
from engine.ml.evaluation import Evaluation, evaluate
from engine.ml.labels import HORIZON
from engine.ml.scores import auc, auc_within, measure, strata_of
from tests.engine.ml.bars import random_walk

CHEAP = 0.00005
"""A round trip far below any venue's: costs must not hide a false edge."""


class Nowhere:
    """A store that keeps nothing."""

    def load(self, _name: str) -> Mapping[str, FloatArray] | None:
        return None

    def save(self, _name: str, _arrays: Mapping[str, FloatArray]) -> None: ...


def run(bars: Bars) -> Evaluation:
    return evaluate(bars, test_from=None, cost_ratio=CHEAP, store=Nowhere(), progress=lambda _done, _what: None)


def shuffled(bars: Bars, seed: int) -> Bars:
    """Return bars with the same shapes in another order, so that returns and ranges follow nothing."""
    order = np.random.default_rng(seed).permutation(len(bars))
    ratio = {name: (getattr(bars, name) / bars.open)[order] for name in ("high", "low", "close")}
    open_ = bars.open[0] * np.concatenate([[1.0], np.cumprod(ratio["close"])[:-1]])
    columns = {name: open_ * values for name, values in ratio.items()}
    return replace(bars, open=open_, volume=bars.volume[order], **columns)


def assert_nothing_is_known(result: Evaluation) -> None:
    """Assert no signal, and AUCs of 0.5 within 0.02 or 2.5 standard errors (within strata of volatility beyond 1:1)."""
    assert np.mean(result.decisions.side != 0) <= 0.001
    for ratio in (1.0, 2.0, 3.0):
        hit = np.concatenate([result.outcomes.barriers[side, ratio].hit[result.rows] for side in SIDES])
        known = hit >= 0
        probability = np.concatenate([result.probability[side, ratio] for side in SIDES])[known]
        stratum = strata_of(np.tile(result.stop, 2)[known])
        hit = hit[known]
        seen = auc(hit, probability) if ratio == 1 else auc_within(hit, probability, stratum)
        independent = min(hit.sum(), len(hit) - hit.sum()) / HORIZON * 2
        error = np.sqrt(1 / (6 * independent))
        assert abs(seen - 0.5) <= max(0.02, 2.5 * error), f"AUC {seen:.3f} at {ratio:g}:1"


def test_random_walk_shows_no_direction_and_no_signal() -> None:
    result = run(random_walk(5000, seed=31))
    assert_nothing_is_known(result)
    figures = measure(result)
    assert str(figures["verdict"]).startswith("no edge")


def test_edge_that_is_really_there_is_found_and_signalled() -> None:
    """Returns that follow the last move by far more than costs: what is silent on noise must speak here."""
    rng = np.random.default_rng(40)
    n, steps = 9000, 20
    drift = np.zeros(n)
    for t in range(1, n):
        drift[t] = 0.97 * drift[t - 1] + 0.25 * rng.standard_normal()
    moves = 0.004 / np.sqrt(steps) * (rng.standard_normal((n, steps)) + 0.2 * drift[:, None])
    path = 100 * np.exp(np.cumsum(moves.ravel())).reshape(n, steps)
    open_ = np.concatenate([[100.0], path[:-1, -1]])
    time = 1_600_000_000 // 3600 * 3600 + np.arange(n, dtype=np.int64) * 3600
    high, low = np.maximum(path.max(axis=1), open_), np.minimum(path.min(axis=1), open_)
    result = run(Bars("X", "1h", time, open_, high, low, path[:, -1].copy(), np.ones(n)))
    figures = measure(result)
    signals, honesty = figures["signals"], figures["honesty"]
    assert isinstance(signals, dict)
    assert isinstance(honesty, dict)
    assert 0.001 < signals["share_of_bars"] <= 0.05
    assert signals["mean"] > 0.1
    assert honesty["deflated_sharpe"] > 0.95


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(50, 55))
def test_long_random_walks_and_shuffled_returns_show_nothing(seed: int) -> None:
    walk = random_walk(40_000, seed)
    assert_nothing_is_known(run(walk))
    assert_nothing_is_known(run(shuffled(walk, seed)))
