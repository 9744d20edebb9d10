"""Barrier probabilities: a short position is a long one in the mirrored market, and belief is earned."""

from __future__ import annotations

import numpy as np
import pytest

from engine.ml.barriers import barrier_inputs, forecast_barriers, mirror
from engine.ml.evaluation import belief_line
from engine.ml.forward import label_outcomes
from engine.ml.volatility import describe_volatility, true_range
from tests.engine.ml.bars import random_walk


def test_mirror_of_the_mirror_is_the_market() -> None:
    bars = random_walk(500, seed=71)
    image = mirror(bars)
    assert (image.high >= np.maximum(image.open, image.close)).all()
    assert (image.low <= np.minimum(image.open, image.close)).all()
    assert true_range(image) == pytest.approx(true_range(bars))
    assert mirror(image).high == pytest.approx(bars.high)


def test_mirrored_market_swaps_the_sides() -> None:
    """What is said of long in the market is said of short in its image: no side is favoured by construction."""
    bars = random_walk(3000, seed=72)
    rows, train = np.arange(2700, 2900), np.arange(400, 2600)
    sides = []
    for market, hits in ((bars, (1, -1)), (mirror(bars), (-1, 1))):
        barriers = label_outcomes(bars).barriers
        swapped = {(side, r): barriers[hits[0] * side, r].hit for side in (1, -1) for r in (1.0, 2.0, 3.0)}
        inputs = barrier_inputs(market, describe_volatility(market))
        sides.append(forecast_barriers(inputs, swapped, train=train, rows=rows)[2.0].sum(axis=0))
    assert np.corrcoef(sides[0][0], sides[1][1])[0, 1] > 0.85


def test_too_few_outcomes_give_the_base_rate_alone() -> None:
    bars = random_walk(2500, seed=73)
    hits = {key: labels.hit for key, labels in label_outcomes(bars).barriers.items()}
    train = np.arange(1000, 2000)
    odds = forecast_barriers(
        barrier_inputs(bars, describe_volatility(bars)), hits, train=train, rows=np.arange(2100, 2200)
    )
    assert (odds[1.0][1] == 0).all()
    assert np.ptp(odds[1.0][0]) == 0
    base = np.mean([hits[side, 1.0][train[::2]].mean() for side in (1, -1)])
    assert 1 / (1 + np.exp(-odds[1.0][0, 0, 0])) == pytest.approx(base, abs=1e-3)


def test_margin_that_says_nothing_is_believed_less_than_one_that_does() -> None:
    rng = np.random.default_rng(74)
    margins = rng.normal(0, 0.5, (40_000, 2))
    hit = (rng.random(40_000) < 1 / (1 + np.exp(-(margins[:, 0] - 1)))).astype(np.int64)
    intercept, telling, noise = belief_line(margins, hit)
    assert telling == pytest.approx(1, abs=0.15)
    assert abs(noise) < 0.25
    assert intercept == pytest.approx(-1, abs=0.1)


def test_few_outcomes_leave_belief_as_it_was() -> None:
    rng = np.random.default_rng(75)
    margins = rng.normal(0, 0.1, (200, 2))
    _, *slopes = belief_line(margins, rng.integers(0, 2, 200))
    assert slopes == pytest.approx([0.7, 0.7], abs=0.1)
