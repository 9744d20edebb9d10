"""From the engine's values to what is told: one function per kind, none of which decides anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from engine.api.views import (
    BarView,
    DriverView,
    ExpectedRangeView,
    ModelView,
    PhaseView,
    Quantiles,
    RangeFigures,
    ReportView,
    SignalView,
    TargetFigures,
)
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.signals import PhaseEvidence, Signal
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.ml.registry import Manifest

_AUC = re.compile(r"auc_((?:long|short)_[0-9.]+)")
_FOLD = re.compile(r"auc_((?:long|short)_[0-9.]+)_fold([0-9]+)")


def tell_bars(bars: Bars) -> list[BarView]:
    """Return bars, oldest first."""
    step = TIMEFRAME_S[bars.timeframe]
    columns = (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [
        BarView(
            opened_at=utc_from_seconds(time),
            closed_at=utc_from_seconds(time + step),
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
        )
        for time, opened, high, low, close, volume in zip(*(column.tolist() for column in columns), strict=True)
    ]


def tell_signal(signal: Signal) -> SignalView:
    """Return a signal."""
    return SignalView(
        symbol=signal.symbol,
        timeframe=cast("Timeframe", signal.timeframe),
        direction=signal.direction,
        reason=signal.reason,
        close=signal.close,
        entry=signal.entry,
        stop=signal.stop,
        target=signal.target,
        reward_risk=signal.reward_risk,
        probability=signal.probability,
        breakeven_probability=signal.breakeven_probability,
        expected_value_ratio=signal.expected_value_ratio,
        phase=_tell_phase(signal.phase),
        expected_range=ExpectedRangeView(
            up=_tell_quantiles(signal.expected_range.up), down=_tell_quantiles(signal.expected_range.down)
        ),
        horizon_bars=signal.horizon_bars,
        drivers=[
            DriverView(feature=each.feature, value=each.value, contribution=each.contribution)
            for each in signal.drivers
        ],
        model_version=signal.model_version,
        bar_at=signal.bar_at,
        price_at=signal.price_at,
        valid_until=signal.valid_until,
        is_simulated=signal.is_simulated,
    )


def tell_model(manifest: Manifest, *, is_held: bool) -> ModelView:
    """Return a model."""
    return ModelView(
        id=manifest.id,
        created_at=_aware(manifest.created_at),
        timeframe=manifest.timeframe,
        symbols=list(manifest.symbols),
        is_held=is_held,
        rows=manifest.rows,
        horizon_bars=manifest.horizon,
        features=list(manifest.features),
        feature_version=manifest.feature_version,
        parameters=dict(manifest.parameters),
        data_hash=manifest.data_hash,
        digest=manifest.digest,
    )


def tell_report(manifest: Manifest) -> ReportView:
    """Return a model's figures out of sample."""
    metrics = manifest.metrics
    targets = [match[1] for match in map(_AUC.fullmatch, metrics) if match]
    return ReportView(
        model_id=manifest.id,
        created_at=_aware(manifest.created_at),
        timeframe=manifest.timeframe,
        symbols=list(manifest.symbols),
        rows=manifest.rows,
        horizon_bars=manifest.horizon,
        targets=[_tell_target(target, metrics) for target in targets],
        ranges=[
            RangeFigures(
                side=side,
                coverage=metrics.get(f"coverage_{side}"),
                pinball=metrics.get(f"pinball_{side}"),
                pinball_gain=metrics.get(f"pinball_gain_{side}"),
            )
            for side in ("up", "down")
        ],
        figures=dict(metrics),
    )


def _tell_target(target: str, metrics: Mapping[str, float]) -> TargetFigures:
    folds = [(int(match[2]), name) for name in metrics if (match := _FOLD.fullmatch(name)) and match[1] == target]
    return TargetFigures(
        target=target,
        auc=metrics[f"auc_{target}"],
        auc_by_fold=[metrics[name] for _, name in sorted(folds)],
        brier_skill=metrics.get(f"brier_skill_{target}"),
        calibration_error=metrics.get(f"calibration_error_{target}"),
        acted_share=metrics.get(f"acted_share_{target}"),
        acted_payoff=metrics.get(f"acted_payoff_{target}"),
        acted_z=metrics.get(f"acted_z_{target}"),
    )


def _tell_phase(evidence: PhaseEvidence) -> PhaseView:
    return PhaseView(
        phase=evidence.phase,
        score=evidence.score,
        range_high=evidence.range_high,
        range_low=evidence.range_low,
        swept_level=evidence.swept_level,
        displacement_atr=evidence.displacement_atr,
    )


def _tell_quantiles(values: tuple[float, float, float]) -> Quantiles:
    low, middle, high = values
    return Quantiles(q10=low, q50=middle, q90=high)


def _aware(moment: datetime) -> datetime:
    """Return a manifest's time in UTC; older manifests may hold one without a zone, and it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
