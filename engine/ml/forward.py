"""Forecast a whole history walk-forward: every forecast from a fit on what had ended before it.

Folds are fitted side by side, each on one thread (more of them spin when the machine is busy). What a fold
gives is handed to a store under a name made of the data, the parameters and the fold, so that a run that was
interrupted goes on where it stopped and the same run again costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.sessions import DAY_S
from engine.features.definitions import FEATURE_VERSION
from engine.ml.barriers import (
    BARRIER_FEATURES,
    BARRIER_PARAMETERS,
    BARRIER_ROUNDS,
    STRIDE,
    BarrierInputs,
    barrier_inputs,
    forecast_barriers,
)
from engine.ml.baselines import BASELINES, har_inputs, har_scales, rolling_quantiles, scaled_quantiles
from engine.ml.dataset import SIDES, hash_bars
from engine.ml.excursions import (
    FAR_PARAMETERS,
    SCALE_PARAMETERS,
    SCALE_ROUNDS,
    SHAPE_PARAMETERS,
    SHAPE_ROUNDS,
    forecast_excursions,
)
from engine.ml.folds import Fold, plan_folds
from engine.ml.labels import HORIZON, REWARD_RISKS, BarrierLabels, RangeLabels, label_barriers, label_ranges
from engine.ml.spread import Spread, Threads
from engine.ml.volatility import Volatility, describe_volatility, realised_scale

Progress = Callable[[float, str], None]
Arrays = Mapping[str, FloatArray]
_Part = tuple[Fold, int | str]

HORIZONS = (1, 4, 12, 24)
CODE_VERSION = 4
"""Raised whenever the same data and parameters give other forecasts: folds of another version are not reused."""
_BARRIERS = "odds"
_PLACEBO = "shuffled"
_PLACEBO_BLOCK = HORIZON + 1
"""Outcomes are shuffled in blocks that are no whole number of days, so that no hour keeps its own."""
_PLACEBO_SEED = 11


class FoldStore(Protocol):
    """Keeps what folds gave, by name; `None` for what is not there or is damaged."""

    def load(self, name: str) -> Arrays | None:
        """Return the arrays stored under a name."""

    def save(self, name: str, arrays: Arrays) -> None:
        """Store arrays under a name, all or nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What followed each bar of a history.

    Attributes:
        ranges: By horizon, excursions of all bars.
        barriers: By side and reward:risk, over `HORIZON` bars.
    """

    ranges: Mapping[int, RangeLabels]
    barriers: Mapping[tuple[int, float], BarrierLabels]


@dataclass(frozen=True, slots=True, eq=False)
class Forward:
    """Raw forecasts of consecutive rows, none of which knew its outcome; not calibrated yet.

    Attributes:
        begin: First row forecast; the others follow to the end of the bars.
        folds: As they were fitted.
        ranges: By horizon and name (`up`, `down`, and `har_up` ... for each baseline), shape (m, 3).
        odds: By reward:risk, log-odds of shape (2, 2, m): by volatility alone and what trees add; long, then short.
        placebo: Likewise, for the last fold, learned from `shuffled_hits`.
        reused: How many parts came from the store.
    """

    begin: int
    folds: tuple[Fold, ...]
    ranges: Mapping[int, Arrays]
    odds: Mapping[float, FloatArray]
    placebo: Mapping[float, FloatArray]
    reused: int


def label_outcomes(bars: Bars) -> Outcomes:
    """Return what followed each bar."""
    return Outcomes(
        {horizon: label_ranges(bars, horizon=horizon) for horizon in HORIZONS},
        {(side, ratio): label_barriers(bars, side=side, reward_risk=ratio) for side in SIDES for ratio in REWARD_RISKS},
    )


def forecast_forward(
    bars: Bars,
    outcomes: Outcomes,
    *,
    test_from: int | None,
    store: FoldStore,
    progress: Progress,
    spread: Spread | None = None,
) -> Forward:
    """Forecast the calibration and the test part of a history.

    Args:
        bars: Closed, oldest first.
        outcomes: Of the same bars.
        test_from: Where the test part begins, in seconds; None for the last two fifths.
        store: Where finished parts are kept.
        progress: Told a fraction (0-1) and what is being done.
        spread: Where the fits are done; threads of this process by default.

    Raises:
        DataUnavailable: There are too few bars.
    """
    folds = plan_folds(bars.time, test_from)
    progress(0.0, "features")
    task = _Task(bars, outcomes, describe_volatility(bars))
    key = _key(bars)
    jobs: list[_Part] = [(fold, part) for fold in folds for part in (*HORIZONS, _BARRIERS)]
    jobs.append((folds[-1], _PLACEBO))
    found: dict[_Part, Arrays] = {}
    reused = 0
    for fold, part in jobs:
        kept = store.load(_name(key, fold, part))
        if kept is not None:
            found[fold, part] = kept
            reused += 1
    _run(task, [job for job in jobs if job not in found], found, key, store, progress, spread or Threads())
    ranges = {
        horizon: {name: np.concatenate([found[fold, horizon][name] for fold in folds]) for name in _range_names()}
        for horizon in HORIZONS
    }
    odds = {
        ratio: np.concatenate([found[fold, _BARRIERS][f"{ratio:g}"] for fold in folds], axis=2)
        for ratio in REWARD_RISKS
    }
    placebo = {ratio: np.asarray(found[folds[-1], _PLACEBO][f"{ratio:g}"]) for ratio in REWARD_RISKS}
    return Forward(folds[0].begin, folds, ranges, odds, placebo, reused)


def shuffled_hits(outcomes: Outcomes) -> dict[tuple[int, float], IntArray]:
    """Return the outcomes of all bars in another order, blocks of neighbours together: nothing can foretell them."""
    n = len(next(iter(outcomes.barriers.values())).hit)
    blocks = np.array_split(np.arange(n), max(n // _PLACEBO_BLOCK, 1))
    order = np.concatenate([blocks[k] for k in np.random.default_rng(_PLACEBO_SEED).permutation(len(blocks))])
    return {target: np.maximum(labels.hit, 0)[order] for target, labels in outcomes.barriers.items()}


class _Task:
    """What all folds share; the inputs of the barriers are made when they are first needed."""

    def __init__(self, bars: Bars, outcomes: Outcomes, volatility: Volatility) -> None:
        self.bars = bars
        self.outcomes = outcomes
        self.volatility = volatility
        is_weekend_traded = bool(np.any((bars.time // DAY_S + 3) % 7 == 5))
        self.har = har_inputs(volatility.true_range, bars.timeframe, 7 if is_weekend_traded else 5)
        self.barriers: BarrierInputs = barrier_inputs(bars, volatility)

    def fit(self, fold: Fold, part: int | str) -> Arrays:
        """Return one part of one fold."""
        if isinstance(part, int):
            return self._ranges(fold, part)
        if part == _PLACEBO:
            return self._odds(fold, shuffled_hits(self.outcomes))
        return self._odds(fold, {key: labels.hit for key, labels in self.outcomes.barriers.items()})

    def _ranges(self, fold: Fold, horizon: int) -> Arrays:
        rows, train = fold.rows, fold.train(horizon)
        labels = self.outcomes.ranges[horizon]
        sides = {"up": labels.up, "down": labels.down}
        ours = forecast_excursions(self.volatility, labels.up, labels.down, horizon=horizon, train=train, rows=rows)
        scale = realised_scale(self.volatility.true_range, horizon)
        out = {"up": ours.up, "down": ours.down}
        for name, expected in har_scales(self.har, self.bars.time, scale, train).items():
            out |= {f"{name}_{side}": scaled_quantiles(expected, actual, train, rows) for side, actual in sides.items()}
        for side, actual in sides.items():
            out[f"rolling_{side}"] = rolling_quantiles(actual, horizon, rows, self.bars.timeframe)
        return out

    def _odds(self, fold: Fold, hits: Mapping[tuple[int, float], IntArray]) -> Arrays:
        odds = forecast_barriers(self.barriers, hits, train=fold.train(HORIZON), rows=fold.rows)
        return {f"{ratio:g}": values for ratio, values in odds.items()}


def _run(
    task: _Task,
    jobs: Sequence[_Part],
    found: dict[_Part, Arrays],
    key: str,
    store: FoldStore,
    progress: Progress,
    spread: Spread,
) -> None:
    """Fit the missing parts; what is done when an error or an interruption comes is in the store."""
    lock = threading.Lock()
    done = 0

    def keep(place: int, arrays: Arrays) -> None:
        nonlocal done
        with lock:
            found[jobs[place]] = arrays
            store.save(_name(key, *jobs[place]), arrays)
            done += 1
            progress(0.05 + 0.9 * done / len(jobs), "models")

    spread.map(_fit_part, task, jobs, keep)


def _fit_part(task: _Task, part: _Part) -> Arrays:
    return task.fit(*part)


def _range_names() -> list[str]:
    return [side if name == "" else f"{name}_{side}" for name in ("", *BASELINES) for side in ("up", "down")]


def _key(bars: Bars) -> str:
    """Return the hash of everything that a fold's numbers depend on, its rows apart."""
    content = [
        hash_bars({bars.symbol: bars}), CODE_VERSION, BARRIER_FEATURES, FEATURE_VERSION, dict(SCALE_PARAMETERS),
        dict(FAR_PARAMETERS), SCALE_ROUNDS, dict(SHAPE_PARAMETERS), SHAPE_ROUNDS, dict(BARRIER_PARAMETERS),
        BARRIER_ROUNDS, STRIDE,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _name(key: str, fold: Fold, part: int | str) -> str:
    return f"{key}-{fold.learn_from}-{fold.begin}-{fold.end}-{part}"
