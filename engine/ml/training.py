"""Training: purged walk-forward first, for the figures and the calibration; then one fit on everything.

Each fit uses one thread (more of them spin when the machine is busy) and folds run side by side. What the manifest
says of the model comes from rows that the fold's model had not seen, and each fold is calibrated on earlier folds.
Given a store, each fit is kept as it is done, so that a training that was interrupted goes on with what is missing.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import xgboost as xgb
from sklearn.metrics import roc_auc_score

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features.definitions import FEATURE_NAMES, FEATURE_VERSION
from engine.ml.dataset import TARGETS, Dataset, build_dataset, reward_risk_of
from engine.ml.device import Device, require_cuda
from engine.ml.drift import describe_training
from engine.ml.economics import MIN_EDGE, expected_value, payoff_z
from engine.ml.forward import FoldStore
from engine.ml.labels import HORIZON
from engine.ml.range import QUANTILES, RangePredictor, conformal_shift, coverage, pinball_loss, settle_quantiles
from engine.ml.registry import Manifest, TrainedModel
from engine.ml.spread import WORKERS, Spread, Threads
from engine.ml.tpsl import Calibration, TPSLClassifier, brier_skill, calibrate, calibration_error
from engine.ml.version import code_version
from engine.ml.walkforward import Split, expanding_splits

Progress = Callable[[float, str], None]

FOLDS = 4
MAX_ROWS = 40_000
BARS_PER_SYMBOL = 26_000
_PARAMETERS: dict[str, float] = {
    "eta": 0.06,
    "max_depth": 4,
    "min_child_weight": 60,
    "subsample": 0.7,
    "colsample_bytree": 0.6,
    "lambda": 5.0,
    "max_bin": 64,
    "seed": 7,
    "nthread": 1,
}
_ROUNDS = 80
_RANGE_ROUNDS = 60
_ALL_PARAMETERS: dict[str, float] = {**_PARAMETERS, "rounds": _ROUNDS, "range_rounds": _RANGE_ROUNDS}


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """Everything that one fit gives: boosters by name, and raw predictions for its test rows."""

    boosters: Mapping[str, xgb.Booster]
    raw: Mapping[str, FloatArray]


def train_on_market(
    market: MarketData,
    timeframe: Timeframe,
    *,
    symbols: Sequence[str] | None = None,
    created_at: datetime,
    progress: Progress,
    spread: Spread | None = None,
    device: Device = "cpu",
    store: FoldStore | None = None,
) -> TrainedModel:
    """Train on the bars that a market has, on all its symbols together unless some are named.

    Raises:
        DataUnavailable: There are too few bars.
    """
    chosen = symbols or tuple(market.instruments())
    bars_by_symbol = {}
    for symbol in chosen:
        try:
            bars_by_symbol[symbol] = market.bars(symbol, timeframe, BARS_PER_SYMBOL * (4 if len(chosen) == 1 else 1))
        except DataUnavailable:
            continue
    return train(
        bars_by_symbol, timeframe, created_at=created_at, progress=progress, spread=spread, device=device, store=store
    )


def train(
    bars_by_symbol: Mapping[str, Bars],
    timeframe: Timeframe,
    *,
    created_at: datetime,
    progress: Progress,
    spread: Spread | None = None,
    device: Device = "cpu",
    store: FoldStore | None = None,
) -> TrainedModel:
    """Train one model on some symbols together.

    Args:
        bars_by_symbol: Closed bars, oldest first.
        timeframe: That of all the bars.
        created_at: Goes into the model's id and manifest.
        progress: Told a fraction (0–1) and what is being done.
        spread: Where the fits are done; threads of this process by default.
        device: What grows the trees; it must be there where the fits are done.
        store: Keeps finished fits for a training that goes on with the same data and code; None keeps none.

    Raises:
        DataUnavailable: There are too few bars.
    """
    progress(0.0, "features")
    data = build_dataset(bars_by_symbol, max_rows=MAX_ROWS)
    embargo = HORIZON * TIMEFRAME_S[timeframe]
    splits = list(expanding_splits(data.start, data.end, folds=FOLDS, embargo=embargo))
    everything = Split(np.arange(len(data)), np.empty(0, np.int64))
    keeper = _Keeper(store, _key(data, timeframe, device), [*splits, everything], progress)
    *folds, final = keeper.fit_missing(data, device, spread or Threads(1 if device == "cuda" else WORKERS))
    tests = [split.test for split in splits]
    metrics: dict[str, float] = {}
    calibrations = {name: _calibrate_target(name, data, folds, tests, metrics) for name in TARGETS}
    shifts = {name: _calibrate_range(name, data, folds, tests, metrics) for name in ("up", "down")}
    symbols = data.symbols
    manifest = Manifest(
        id=f"{created_at:%Y%m%dT%H%M%S}-{timeframe}-{symbols[0].replace('/', '') if len(symbols) == 1 else 'pooled'}",
        created_at=created_at,
        timeframe=timeframe,
        symbols=symbols,
        data_hash=data.data_hash,
        rows=len(data),
        horizon=HORIZON,
        features=FEATURE_NAMES,
        feature_version=FEATURE_VERSION,
        parameters=_ALL_PARAMETERS,
        metrics=metrics,
        calibrations=calibrations,
        up_shift=shifts["up"],
        down_shift=shifts["down"],
        drift=describe_training({symbol: bars_by_symbol[symbol] for symbol in symbols}),
        files={},
        digest="",
        device=device,
        code_version=code_version(),
    )
    progress(1.0, "done")
    boosters = {name: final.boosters[name] for name in TARGETS}
    ranges = RangePredictor(final.boosters["up"], final.boosters["down"], shifts["up"], shifts["down"])
    return TrainedModel(manifest, TPSLClassifier(boosters, calibrations), ranges)


class _Keeper:
    """Fits what a store does not hold yet, and tells how far the whole is."""

    def __init__(self, store: FoldStore | None, key: str, splits: Sequence[Split], progress: Progress) -> None:
        self._store = store
        self._key = key
        self._splits = splits
        self._progress = progress
        self._lock = threading.Lock()
        kept = {} if store is None else {k: store.load(self._name(k)) for k in range(len(splits))}
        self._fitted = {k: _unpack(arrays) for k, arrays in kept.items() if arrays is not None}

    def fit_missing(self, data: Dataset, device: Device, spread: Spread) -> list[_Fitted]:
        """Return the fits of all splits, in their order."""
        missing = [k for k in range(len(self._splits)) if k not in self._fitted]

        def keep(place: int, fitted: _Fitted) -> None:
            k = missing[place]
            with self._lock:
                self._fitted[k] = fitted
                if self._store is not None:
                    self._store.save(self._name(k), _pack(fitted))
                self._progress(0.05 + 0.9 * len(self._fitted) / len(self._splits), "models")

        spread.map(_fit, (data, device), [self._splits[k] for k in missing], keep)
        return [self._fitted[k] for k in range(len(self._splits))]

    def _name(self, k: int) -> str:
        return f"{self._key}-{k}"


def _key(data: Dataset, timeframe: Timeframe, device: Device) -> str:
    """Return the hash of everything that the fits of a training depend on."""
    content = [data.data_hash, len(data), timeframe, device, FEATURE_VERSION, _ALL_PARAMETERS, FOLDS, code_version()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _pack(fitted: _Fitted) -> dict[str, FloatArray]:
    """Return a fit as arrays; a booster in XGBoost's own format, byte by byte."""
    saved = {name: np.frombuffer(bytes(each.save_raw("ubj")), np.uint8) for name, each in fitted.boosters.items()}
    boosters = {f"booster_{name}": content.astype(np.float64) for name, content in saved.items()}
    return boosters | {f"raw_{name}": values for name, values in fitted.raw.items()}


def _unpack(arrays: Mapping[str, FloatArray]) -> _Fitted:
    boosters: dict[str, xgb.Booster] = {}
    raw: dict[str, FloatArray] = {}
    for key, values in arrays.items():
        kind, _, name = key.partition("_")
        if kind == "raw":
            raw[name] = values
            continue
        boosters[name] = xgb.Booster({"nthread": 1}, model_file=bytearray(values.astype(np.uint8).tobytes()))
        boosters[name].set_param({"nthread": 1})
    return _Fitted(boosters, raw)


def _fit(shared: tuple[Dataset, Device], split: Split) -> _Fitted:
    """Fit every target on one split; the binned matrix is made once and only its label changes."""
    data, device = shared
    if device == "cuda":
        require_cuda()
    parameters = {**_PARAMETERS, "device": device}
    matrix = xgb.QuantileDMatrix(data.X[split.train], max_bin=int(_PARAMETERS["max_bin"]), nthread=1)
    X_test = data.X[split.test]
    boosters: dict[str, xgb.Booster] = {}
    raw: dict[str, FloatArray] = {}
    for name in TARGETS:
        matrix.set_label(data.hit[name][split.train])
        boosters[name] = _grow({**parameters, "objective": "binary:logistic"}, matrix, _ROUNDS)
        if len(X_test):
            raw[name] = boosters[name].inplace_predict(X_test, predict_type="margin").astype(np.float64)
    for name, actual in (("up", data.up), ("down", data.down)):
        matrix.set_label(actual[split.train])
        quantile = {"objective": "reg:quantileerror", "quantile_alpha": list(QUANTILES)}
        boosters[name] = _grow({**parameters, **quantile}, matrix, _RANGE_ROUNDS)
        if len(X_test):
            raw[name] = boosters[name].inplace_predict(X_test).astype(np.float64)
    return _Fitted(boosters, raw)


def _grow(parameters: Mapping[str, object], matrix: xgb.QuantileDMatrix, rounds: int) -> xgb.Booster:
    """Return fitted trees that forecast on the processor, wherever they were grown."""
    booster = xgb.train(dict(parameters), matrix, rounds)
    booster.set_param({"device": "cpu"})
    return booster


def _calibrate_target(
    name: str, data: Dataset, folds: Sequence[_Fitted], tests: Sequence[IntArray], metrics: dict[str, float]
) -> Calibration:
    """Return the final calibration; into `metrics` go the figures of each fold calibrated on the folds before it."""
    hits = [data.hit[name][test] for test in tests]
    times = [data.start[test] for test in tests]
    margins = [fold.raw[name] for fold in folds]
    aucs = [float(roc_auc_score(hit, margin)) for hit, margin in zip(hits, margins, strict=True) if 0 < hit.mean() < 1]
    metrics[f"auc_{name}"] = float(np.mean(aucs)) if aucs else 0.5
    for fold, auc in enumerate(aucs, 1):
        metrics[f"auc_{name}_fold{fold}"] = auc
    said, seen, base = [], [], []
    for fold in range(1, len(folds)):
        earlier = np.concatenate(hits[:fold])
        calibration = calibrate(np.concatenate(margins[:fold]), earlier, np.concatenate(times[:fold]))
        said.append(calibration.probability(margins[fold]))
        seen.append(hits[fold])
        base.append(np.full(len(hits[fold]), earlier.mean()))
    probability, hit = np.concatenate(said), np.concatenate(seen)
    reference = float(np.mean(np.concatenate(base)))
    metrics[f"brier_skill_{name}"] = brier_skill(probability, hit, reference)
    metrics[f"calibration_error_{name}"] = calibration_error(probability, hit)
    metrics.update(_record_of_acting(name, data, np.concatenate(tests[1:]), probability))
    return calibrate(np.concatenate(margins), np.concatenate(hits), np.concatenate(times))


def _record_of_acting(name: str, data: Dataset, rows: IntArray, probability: FloatArray) -> dict[str, float]:
    """Return what acting on a target would have earned before costs, on rows that its probabilities had not seen."""
    is_acted = expected_value(probability, reward_risk_of(name), 0.0) >= MIN_EDGE
    payoff = data.payoff[name][rows]
    return {
        f"acted_share_{name}": float(is_acted.mean()),
        f"acted_payoff_{name}": float(payoff[is_acted].mean()) if is_acted.any() else 0.0,
        f"acted_z_{name}": payoff_z(payoff, data.start[rows], is_acted),
    }


def _calibrate_range(
    name: str, data: Dataset, folds: Sequence[_Fitted], tests: Sequence[IntArray], metrics: dict[str, float]
) -> tuple[float, ...]:
    whole = data.up if name == "up" else data.down
    actual = [whole[test] for test in tests]
    raw = [fold.raw[name] for fold in folds]
    settled, seen, plain = [], [], []
    for fold in range(1, len(folds)):
        shift = conformal_shift(np.concatenate(raw[:fold]), np.concatenate(actual[:fold]))
        settled.append(settle_quantiles(raw[fold], shift))
        seen.append(actual[fold])
        constant = np.quantile(np.concatenate(actual[:fold]), QUANTILES)
        plain.append(np.tile(constant, (len(actual[fold]), 1)))
    predicted, truth = np.concatenate(settled), np.concatenate(seen)
    loss, reference = pinball_loss(predicted, truth), pinball_loss(np.concatenate(plain), truth)
    metrics[f"coverage_{name}"] = coverage(predicted, truth)
    metrics[f"pinball_{name}"] = loss
    metrics[f"pinball_gain_{name}"] = 1 - loss / reference
    return conformal_shift(np.concatenate(raw), np.concatenate(actual))
