"""The registry of trained models: XGBoost's own format beside a manifest; nothing is ever unpickled.

A new model replaces the current one only if it was better out of sample; one that was not, or that was rolled back, is
held: kept with the reason, and not used. A model is a folder that appears whole or not at all. What does not match its
manifest, or the code's features, is refused with what to do, never used in silence.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

import xgboost as xgb

from engine.domain.errors import DataUnavailable
from engine.features.definitions import FEATURE_NAMES, FEATURE_VERSION
from engine.ml.dataset import TARGETS
from engine.ml.drift import DriftReference
from engine.ml.range import RangePredictor
from engine.ml.tpsl import Calibration, TPSLClassifier

FORMAT = 3
PAID_Z = 2.0
"""Standard errors by which the walk-forward's payoff must exceed zero before a target is acted on."""
_HELD = "held"
"""Name of the file that holds a model back; its text says why."""
_RETRAIN = "train again with: trading-copilot train"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about a model.

    Attributes:
        id: Unique, sorts by time.
        symbols: Those whose bars it learned from.
        rows: Rows it learned from.
        metrics: Out of sample only, from purged walk-forward.
        feature_version: Of the features' definitions; other numbers under the same names are another version.
        drift: What the training rows looked like.
        files: SHA-256 of each booster file; `digest` of everything else. Both are made when the model is saved.
        device: What grew the trees.
        code_version: Release and hash of the sources; empty in a manifest from before it was noted.
    """

    id: str
    created_at: datetime
    timeframe: str
    symbols: tuple[str, ...]
    data_hash: str
    rows: int
    horizon: int
    features: tuple[str, ...]
    feature_version: int
    parameters: Mapping[str, float]
    metrics: Mapping[str, float]
    calibrations: Mapping[str, Calibration]
    up_shift: tuple[float, ...]
    down_shift: tuple[float, ...]
    drift: DriftReference
    files: Mapping[str, str]
    digest: str
    device: str = "cpu"
    code_version: str = ""

    def lines(self) -> list[str]:
        """Return the manifest for a terminal."""
        head = [
            f"model {self.id}: {self.timeframe}, {', '.join(self.symbols)}",
            f"{self.rows} rows, horizon {self.horizon} bars, {len(self.features)} features",
            f"trained on {self.device} by code {self.code_version or 'of an earlier release'}",
            "out of sample, purged walk-forward:",
        ]
        return head + [f"  {name:<28} {value:.4f}" for name, value in sorted(self.metrics.items())]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """Both models with their manifest."""

    manifest: Manifest
    tpsl: TPSLClassifier
    range: RangePredictor

    def boosters(self) -> dict[str, xgb.Booster]:
        """Return every booster by file name, without suffix."""
        return {**self.tpsl.boosters, "range_up": self.range.up, "range_down": self.range.down}

    def is_proven(self, target: str) -> bool:
        """Tell whether a target may be acted on.

        On rows unseen its probabilities must have told more than the base rate does, and acting on them must have paid,
        before costs, beyond what luck explains.
        """
        metrics = self.manifest.metrics
        return (
            self.tpsl.calibrations[target].slope > 0
            and metrics[f"brier_skill_{target}"] > 0
            and metrics[f"acted_z_{target}"] > PAID_Z
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of a new model: `manifest` as stored, whether it is used now, and why."""

    manifest: Manifest
    is_promoted: bool
    reason: str


def skill_score(manifest: Manifest) -> float:
    """Return how much better than ignorance a model was out of sample: Brier skill plus gain in pinball loss."""
    metrics = manifest.metrics
    brier = sum(metrics[f"brier_skill_{name}"] for name in TARGETS) / len(TARGETS)
    return brier + (metrics["pinball_gain_up"] + metrics["pinball_gain_down"]) / 2


class ModelRegistry:
    """Models below one folder, one folder each."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, model: TrainedModel, *, held: str = "") -> Manifest:
        """Store a model whole or not at all, and return its manifest with the files' hashes.

        A model of the same id stays as it is; the new one's id then ends in a number.

        Args:
            model: The model.
            held: Why it is not to be used, from its first moment on; empty when it is.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=self._root))
        try:
            manifest = self._write(model, draft)
            if held:
                (draft / _HELD).write_text(held)
            draft.replace(self._root / manifest.id)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return manifest

    def offer(self, model: TrainedModel) -> Offer:
        """Store a model, and use it from now on only if it was better out of sample than the one in use.

        A model that learned from other symbols, or over another horizon, is no rival of it; neither is one that
        cannot be loaded any more.
        """
        current = self._rival(model.manifest)
        if current is None:
            return Offer(self.save(model), True, "there was no model to compare with")
        new, old = skill_score(model.manifest), skill_score(current)
        reason = f"skill {new:.4f} against {old:.4f} of {current.id}"
        if new > old:
            return Offer(self.save(model), True, reason)
        return Offer(self.save(model, held=reason), False, reason)

    def hold(self, model_id: str, reason: str) -> None:
        """Take a model out of use, keeping it and the reason.

        Raises:
            DataUnavailable: There is no such model.
        """
        folder = self._root / model_id
        if not (folder / "manifest.json").exists():
            raise DataUnavailable(f"there is no model {model_id!r}")
        (folder / _HELD).write_text(reason)

    def roll_back(self, timeframe: str, symbol: str) -> Manifest | None:
        """Take the model in use for a symbol out of use, and return the one before it, which is used now.

        Raises:
            DataUnavailable: The symbol has no model.
        """
        current = self._chosen(timeframe, symbol)
        if current is None:
            raise DataUnavailable(f"{symbol} has no {timeframe} model to roll back")
        self.hold(current.id, "rolled back")
        return self._chosen(timeframe, symbol)

    def is_held(self, model_id: str) -> bool:
        """Tell whether a model is kept out of use."""
        return (self._root / model_id / _HELD).exists()

    def state(self) -> frozenset[tuple[str, bool]]:
        """Return which models there are and which are held; it differs whenever another may be the one in use.

        Cheap enough to be asked before every signal, so that what another process did is noticed at once.
        """
        try:
            with os.scandir(self._root) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except FileNotFoundError:
            return frozenset()
        return frozenset((name, self.is_held(name)) for name in names)

    def in_use(self) -> tuple[Manifest, ...]:
        """Return the model in use of each timeframe and set of symbols; one that has none left is left out."""
        newest = {(each.timeframe, each.symbols): each for each in self.manifests() if not self.is_held(each.id)}
        return tuple(newest.values())

    def _rival(self, manifest: Manifest) -> Manifest | None:
        same = [
            other
            for other in self.manifests()
            if (other.timeframe, other.symbols, other.horizon)
            == (manifest.timeframe, manifest.symbols, manifest.horizon)
            and not self.is_held(other.id)
        ]
        for other in reversed(same):
            try:
                return self.load(other).manifest
            except DataUnavailable:
                continue
        return None

    def _chosen(self, timeframe: str, symbol: str) -> Manifest | None:
        usable = [m for m in self.manifests() if m.timeframe == timeframe and symbol in m.symbols]
        fitting = [manifest for manifest in usable if not self.is_held(manifest.id)]
        own = [manifest for manifest in fitting if manifest.symbols == (symbol,)]
        return (own or fitting)[-1] if fitting else None

    def _write(self, model: TrainedModel, draft: Path) -> Manifest:
        files = {}
        for name, booster in model.boosters().items():
            path = draft / f"{name}.ubj"
            booster.save_model(path)
            files[path.name] = _hash(path)
        unsealed = replace(model.manifest, id=self._free_id(model.manifest.id), files=files)
        manifest = replace(unsealed, digest=_digest(unsealed))
        (draft / "manifest.json").write_text(json.dumps(_to_json(manifest), indent=1))
        return manifest

    def _free_id(self, wanted: str) -> str:
        numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
        return next(each for each in numbered if not (self._root / each).exists())

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all whole models, oldest first; damaged ones are left out."""
        found = []
        for path in sorted(self._root.glob("[!.]*/manifest.json")):
            try:
                found.append(_from_json(json.loads(path.read_text())))
            except (ValueError, KeyError, TypeError):
                continue
        return sorted(found, key=lambda manifest: manifest.created_at)

    def latest(self, timeframe: str, symbol: str) -> TrainedModel | None:
        """Return the newest model of a symbol by itself, else the newest that learned from it among others.

        Models that are held back are passed over.

        Raises:
            DataUnavailable: The model is damaged, or was made by other code.
        """
        chosen = self._chosen(timeframe, symbol)
        return None if chosen is None else self.load(chosen)

    def load(self, manifest: Manifest) -> TrainedModel:
        """Return the model of a manifest.

        Raises:
            DataUnavailable: A file is missing or altered, or the features are not this code's.
        """
        if manifest.digest != _digest(manifest):
            raise DataUnavailable(f"model {manifest.id} is damaged (its manifest was altered); {_RETRAIN}")
        if (manifest.features, manifest.feature_version) != (FEATURE_NAMES, FEATURE_VERSION):
            raise DataUnavailable(f"model {manifest.id} was made for other features; {_RETRAIN}")
        boosters = {name: self._booster(manifest, name) for name in (*TARGETS, "range_up", "range_down")}
        up, down = boosters.pop("range_up"), boosters.pop("range_down")
        return TrainedModel(
            manifest,
            TPSLClassifier(boosters, manifest.calibrations),
            RangePredictor(up, down, manifest.up_shift, manifest.down_shift),
        )

    def _booster(self, manifest: Manifest, name: str) -> xgb.Booster:
        path = self._root / manifest.id / f"{name}.ubj"
        if not path.exists() or _hash(path) != manifest.files.get(path.name):
            raise DataUnavailable(f"model {manifest.id} is damaged ({path.name} is missing or altered); {_RETRAIN}")
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(path)
        booster.set_param({"nthread": 1})
        return booster


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(manifest: Manifest) -> str:
    """Return the SHA-256 of everything in a manifest but this."""
    content = _to_json(replace(manifest, digest=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _to_json(manifest: Manifest) -> dict[str, object]:
    """Return a manifest as JSON; what one from before did not note stays out, so that its digest still holds."""
    made_by = {"device": manifest.device, "code_version": manifest.code_version} if manifest.code_version else {}
    return {
        **made_by,
        "format": FORMAT,
        "id": manifest.id,
        "created_at": manifest.created_at.isoformat(),
        "timeframe": manifest.timeframe,
        "symbols": list(manifest.symbols),
        "data_hash": manifest.data_hash,
        "rows": manifest.rows,
        "horizon": manifest.horizon,
        "features": list(manifest.features),
        "feature_version": manifest.feature_version,
        "parameters": dict(manifest.parameters),
        "metrics": dict(manifest.metrics),
        "calibrations": {name: [c.slope, c.intercept] for name, c in manifest.calibrations.items()},
        "up_shift": list(manifest.up_shift),
        "down_shift": list(manifest.down_shift),
        "drift": {"edges": [list(row) for row in manifest.drift.edges], "limit": manifest.drift.limit},
        "files": dict(manifest.files),
        "digest": manifest.digest,
    }


def _from_json(content: Mapping[str, object]) -> Manifest:
    if content["format"] != FORMAT:
        raise ValueError(f"manifest format {content['format']!r} is not {FORMAT}")
    others = ("calibrations", "device", "code_version")
    known: dict[str, object] = {name: content[name] for name in Manifest.__slots__ if name not in others}
    known |= {"device": content.get("device", "cpu"), "code_version": content.get("code_version", "")}
    lists = ("symbols", "features", "up_shift", "down_shift")
    known |= {name: tuple(content[name]) for name in lists}  # type: ignore[arg-type]  # JSON arrays
    known["created_at"] = datetime.fromisoformat(str(content["created_at"]))
    pairs = content["calibrations"]
    assert isinstance(pairs, dict)
    known["calibrations"] = {name: Calibration(float(a), float(b)) for name, (a, b) in pairs.items()}
    drift = content["drift"]
    assert isinstance(drift, dict)
    known["drift"] = DriftReference(tuple(tuple(row) for row in drift["edges"]), float(drift["limit"]))
    return Manifest(**known)  # type: ignore[arg-type]  # keys are the class's own fields
