"""Measure an evaluation: ranges against baselines, probabilities against the base rate, decisions against luck.

Every figure is of the test part alone, out of sample. Where there is no edge the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypedDict

import numpy as np
from sklearn.metrics import roc_auc_score

from engine.domain.luck import sharpe
from engine.domain.market import FloatArray, IntArray, utc_from_seconds
from engine.domain.sessions import DAY_S, BoolArray
from engine.ml.baselines import BASELINES
from engine.ml.conformal import LEVELS
from engine.ml.dataset import SIDES, target_name
from engine.ml.evaluation import Evaluation
from engine.ml.forward import HORIZONS
from engine.ml.honesty import backtest_overfitting, deflated_sharpe, expected_best_sharpe, random_entries
from engine.ml.labels import HORIZON, REWARD_RISKS
from engine.ml.range import coverage
from engine.ml.tpsl import brier_skill, calibration_error

Tree = Mapping[str, object]
STRATA = 10
"""Equally filled groups of bars by the ATR's share of the close, within which an AUC says nothing of volatility."""
SHARES = (0.01, 0.02, 0.05)
"""Parts of the bars that the candidate strategies trade."""
_BINS = 10


class Trading(TypedDict):
    """Results of some trades in multiples of the risk, costs included."""

    trades: int
    mean: float
    mean_costs_doubled: float
    total: float


def measure(result: Evaluation, *, seed: int = 7) -> dict[str, object]:
    """Return all figures of an evaluation as plain numbers, ready for JSON; NaN is None."""
    signals = _signals(result, seed)
    figures: dict[str, object] = {
        "ranges": {str(h): _ranges(result, h, np.ones(len(result.rows), np.bool_)) for h in HORIZONS},
        "targets": {f"{ratio:g}": _targets(result, ratio) for ratio in REWARD_RISKS},
        "signals": signals,
        "honesty": _honesty(result),
        "by_year": {name: _part(result, mask) for name, mask in _years(result)},
        "by_volatility": {name: _part(result, mask) for name, mask in _regimes(result)},
        "phases": _phases(result),
        "verdict": _verdict(signals),
    }
    return {key: _plain(value) for key, value in figures.items()}


def pinball(predicted: FloatArray, actual: FloatArray) -> float:
    """Return the mean pinball loss over the quantiles."""
    gap = actual[:, None] - predicted
    levels = np.asarray(LEVELS)
    return float(np.mean(np.maximum(levels * gap, (levels - 1) * gap)))


def auc(hit: IntArray, probability: FloatArray) -> float:
    """Return the area under the ROC curve; NaN where all outcomes are the same."""
    return float(roc_auc_score(hit, probability)) if 0 < hit.sum() < len(hit) else float("nan")


def auc_within(hit: IntArray, probability: FloatArray, stratum: IntArray) -> float:
    """Return the mean AUC within strata, weighted by their rows; NaN where no stratum has both outcomes."""
    parts = [(auc(hit[rows], probability[rows]), int(rows.sum())) for rows in (stratum == s for s in set(stratum))]
    usable = [(value, weight) for value, weight in parts if not np.isnan(value)]
    total = sum(weight for _, weight in usable)
    return sum(value * weight for value, weight in usable) / total if total else float("nan")


def strata_of(values: FloatArray) -> IntArray:
    """Return the number of each value's equally filled group."""
    return np.searchsorted(np.quantile(values, np.linspace(0, 1, STRATA + 1)[1:-1]), values)


def calibration_noise(probability: FloatArray) -> float:
    """Return the calibration error that perfect probabilities show by chance, labels sharing their horizon's bars."""
    independent = max(len(probability) / HORIZON / _BINS, 1.0)
    spread = np.sqrt(probability * (1 - probability) / independent)
    return float(np.mean(spread) * np.sqrt(2 / np.pi))


def _ranges(result: Evaluation, horizon: int, mask: BoolArray) -> Tree:
    labels = result.outcomes.ranges[horizon]
    out: dict[str, object] = {}
    losses: dict[str, float] = dict.fromkeys(("ours", *BASELINES), 0.0)
    for side, actual, ours in (("up", labels.up, result.up), ("down", labels.down, result.down)):
        seen = actual[result.rows]
        rows = mask & ~np.isnan(seen)
        if not rows.any():
            return {"rows": 0}
        out[f"coverage_{side}"] = coverage(ours[horizon][rows], seen[rows])
        losses["ours"] += pinball(ours[horizon][rows], seen[rows])
        for name in BASELINES:
            losses[name] += pinball(result.baselines[name, horizon][side == "down"][rows], seen[rows])
        out["rows"] = int(rows.sum())
    out["pinball"] = losses["ours"] / 2
    crossing = sum(np.sum(np.diff(ours[horizon], axis=1) < 0) for ours in (result.up, result.down))
    return {
        **out,
        "crossing": int(crossing),
        **{f"gain_over_{name}": 1 - losses["ours"] / losses[name] for name in BASELINES if losses[name] > 0},
    }


def _pooled(result: Evaluation, ratio: float, mask: BoolArray | None = None) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return hits, probabilities and stops of both sides together, where the outcome is known."""
    hits, probabilities, stops = [], [], []
    for side in SIDES:
        hit = result.outcomes.barriers[side, ratio].hit[result.rows]
        rows = hit >= 0 if mask is None else (hit >= 0) & mask
        hits.append(hit[rows])
        probabilities.append(result.probability[side, ratio][rows])
        stops.append(result.stop[rows])
    return np.concatenate(hits), np.concatenate(probabilities), np.concatenate(stops)


def _targets(result: Evaluation, ratio: float) -> Tree:
    hit, probability, stop = _pooled(result, ratio)
    if not len(hit):
        return {"rows": 0}
    return {
        "rows": len(hit),
        "base_rate": float(hit.mean()),
        "auc": auc(hit, probability),
        "auc_within_volatility": auc_within(hit, probability, strata_of(stop)),
        "brier_skill": brier_skill(probability, hit, float(hit.mean())),
        "calibration_error": calibration_error(probability, hit),
        "calibration_noise": calibration_noise(probability),
        "reliability": _reliability(hit, probability),
    }


def _reliability(hit: IntArray, probability: FloatArray) -> list[Tree]:
    parts = np.array_split(np.argsort(probability, kind="stable"), _BINS)
    return [
        {"said": float(probability[p].mean()), "seen": float(hit[p].mean()), "rows": len(p)} for p in parts if len(p)
    ]


def _net(result: Evaluation, side: IntArray, ratio: FloatArray, cost_factor: float = 1.0) -> FloatArray:
    """Return what each row's trade gave after costs, in multiples of the risk; NaN without a trade or an outcome."""
    out = np.full(len(result.rows), np.nan)
    for (s, r), labels in result.outcomes.barriers.items():
        rows = (side == s) & (ratio == r)
        out[rows] = labels.payoff[result.rows][rows] - cost_factor * result.cost[rows]
    return out


def _trading(result: Evaluation, side: IntArray, ratio: FloatArray) -> Trading:
    net = _net(result, side, ratio)
    doubled = _net(result, side, ratio, 2.0)
    known = ~np.isnan(net)
    count = int(known.sum())
    return Trading(
        trades=count,
        mean=float(net[known].mean()) if count else 0.0,
        mean_costs_doubled=float(doubled[known].mean()) if count else 0.0,
        total=float(net[known].sum()),
    )


def _signals(result: Evaluation, seed: int) -> Tree:
    side, ratio = result.decisions.side, result.decisions.reward_risk
    trading = _trading(result, side, ratio)
    everywhere = np.concatenate(
        [_net(result, np.full(len(side), s), np.full(len(side), r)) for s, r in result.probability]
    )
    everywhere = everywhere[np.isfinite(everywhere)]
    close = result.bars.close[result.rows]
    return {
        **trading,
        "share_of_bars": float(np.mean(side != 0)),
        "cost_ratio": result.cost_ratio,
        "random_entry_mean_5_50_95": random_entries(everywhere, max(trading["trades"], 1), seed=seed),
        "random_entry_mean": float(everywhere.mean()) if len(everywhere) else None,
        "buy_and_hold_return": float(close[-1] / close[0] - 1 - result.cost_ratio),
        "proven": {
            f"{utc_from_seconds(int(result.bars.time[begin])):%Y-%m-%d}": [target_name(*target) for target in targets]
            for begin, targets in result.decisions.proven.items()
        },
    }


def _honesty(result: Evaluation) -> Tree:
    """Return what the candidate strategies show: each target, traded on the part of bars with the best value."""
    names, daily = _candidates(result)
    ratios = np.array([sharpe(column) for column in daily.T])
    best = int(ratios.argmax())
    benchmark = expected_best_sharpe(ratios, len(names))
    return {
        "trials": len(names),
        "trials_are": "6 targets, each on the most valued 1, 2 and 5 % of the test part's bars, after costs",
        "best": names[best],
        "best_sharpe_per_year": float(ratios[best] * 365**0.5),
        "expected_best_of_worthless_per_year": float(benchmark * 365**0.5),
        "deflated_sharpe": deflated_sharpe(daily[:, best], benchmark),
        "backtest_overfitting": backtest_overfitting(daily),
        "placebo_auc": {f"{ratio:g}": _placebo(result, ratio) for ratio in REWARD_RISKS},
    }


def _placebo(result: Evaluation, ratio: float) -> float:
    """Return the AUC of a fit on shuffled outcomes: 0.5 but for luck, or something leaks."""
    said, seen = zip(*(result.placebo[side, ratio] for side in SIDES), strict=True)
    return auc(np.concatenate(seen), np.concatenate(said))


def _candidates(result: Evaluation) -> tuple[list[str], FloatArray]:
    day = (result.bars.time[result.rows] // DAY_S).astype(np.int64)
    day -= day[0]
    names, columns = [], []
    for (side, ratio), probability in result.probability.items():
        value = probability * (1 + ratio) - 1 - result.cost
        net = np.nan_to_num(_net(result, np.full(len(day), side), np.full(len(day), ratio)), posinf=0.0, neginf=0.0)
        for share in SHARES:
            acted = np.where(value >= np.quantile(value, 1 - share), net, 0.0)
            names.append(f"{target_name(side, ratio)} on {100 * share:g} %")
            columns.append(np.bincount(day, weights=acted))
    return names, np.column_stack(columns)


def _years(result: Evaluation) -> Iterator[tuple[str, BoolArray]]:
    years = result.bars.time[result.rows].astype("datetime64[s]").astype("datetime64[Y]")
    for year in np.unique(years):
        yield str(year), years == year


def _regimes(result: Evaluation) -> Iterator[tuple[str, BoolArray]]:
    low, high = np.nanquantile(result.stop, (1 / 3, 2 / 3))
    yield "calm", result.stop <= low
    yield "middle", (result.stop > low) & (result.stop <= high)
    yield "wild", result.stop > high


def _part(result: Evaluation, mask: BoolArray) -> Tree:
    """Return the main figures of some rows."""
    side = np.where(mask, result.decisions.side, 0)
    aucs = {}
    for ratio in REWARD_RISKS:
        hit, probability, _ = _pooled(result, ratio, mask)
        aucs[f"auc_{ratio:g}"] = auc(hit, probability) if len(hit) else None
    return {
        "bars": int(mask.sum()),
        "ranges": {str(h): _ranges(result, h, mask) for h in HORIZONS},
        **aucs,
        "signals": _trading(result, side, result.decisions.reward_risk),
    }


def _phases(result: Evaluation) -> Tree:
    """Return what followed each phase: the close-to-close move in multiples of the risk, with a 95 % interval."""
    close, n = result.bars.close, len(result.bars)
    rows = result.rows[result.rows < n - HORIZON]
    phase = np.array([str(each) for each in result.phase[: len(rows)]])
    stop = result.stop[: len(rows)]
    with np.errstate(divide="ignore", invalid="ignore"):
        move = (close[rows + HORIZON] / close[rows] - 1) / stop
    out: dict[str, object] = {}
    for name in sorted(set(phase)):
        values = move[(phase == name) & np.isfinite(move)]
        error = float(values.std() / max(len(values) / HORIZON, 1.0) ** 0.5) if len(values) else 0.0
        mean = float(values.mean()) if len(values) else 0.0
        out[name] = {"bars": len(values), "move": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}
    return out


def _verdict(signals: Tree) -> str:
    if not signals["trades"]:
        return "no edge after costs: no trade is signalled"
    mean = signals["mean"]
    assert isinstance(mean, float)
    return f"signals earned {mean:+.3f} of the risk each after costs, on {signals['trades']} bars"


def _plain(value: object) -> object:
    """Return a value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
