"""SignalGenerator: probability, range and phase combined into one signal; expected value after costs decides.

A probability of p and a reward of R multiples of the risk are worth p·R − (1−p) − costs. A trade needs that to exceed
a margin, probabilities that proved themselves out of sample, a market like the one learned from, a target inside the
expected range, and no phase against it. Anything else is "no trade", with its reason, and the better side is shown all
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal, SignalDriver
from engine.domain.symbols import TIMEFRAME_S
from engine.features.definitions import FEATURE_NAMES, WARMUP, feature_matrix
from engine.ml.amd import detect_phase
from engine.ml.dataset import SIDES, target_name
from engine.ml.drift import WINDOW
from engine.ml.economics import MIN_EDGE, breakeven_probability, expected_value
from engine.ml.labels import REWARD_RISKS, stop_fraction
from engine.ml.registry import TrainedModel

BARS_READ = WARMUP + 200
"""Enough for every feature's warm-up and for smoothed ones to forget their seed."""
STALE_BARS = 3
_VALID_BARS = 1
_DRIVERS = 5


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One side and reward:risk with what it is worth."""

    side: int
    reward_risk: float
    probability: float
    breakeven: float
    value: float


class SignalGenerator:
    """Turns closed bars into a signal with one trained model."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model

    def signal(self, bars: Bars, *, cost_ratio: float, now: datetime, is_simulated: bool) -> Signal:
        """Return the signal at the last bar.

        Args:
            bars: Closed, oldest first, at least `WARMUP` + 1 of them.
            cost_ratio: Fees and spread of the round trip, as a fraction of the price.
            now: The market's present, for age and validity.
            is_simulated: Whether the bars are invented.

        Raises:
            DataUnavailable: There are too few bars, or a feature cannot be computed from them.
        """
        if len(bars) <= WARMUP:
            raise DataUnavailable(
                f"{bars.symbol} has {len(bars)} closed {bars.timeframe} bars; a signal needs {WARMUP + 1}",
                code="too_few_bars",
                symbol=bars.symbol,
                timeframe=bars.timeframe,
                count=len(bars),
                needed=WARMUP + 1,
            )
        values = feature_matrix(bars).values
        row = values[-1]
        fraction, close = float(stop_fraction(bars)[-1]), float(bars.close[-1])
        if np.isnan(row).any() or not fraction > 0:
            raise DataUnavailable(
                f"the last {bars.timeframe} bars of {bars.symbol} do not move; no signal from them",
                code="no_movement",
                symbol=bars.symbol,
                timeframe=bars.timeframe,
            )
        best = max(self._candidates(row, cost_ratio / fraction), key=lambda candidate: candidate.value)
        up, down = self._model.range.predict_one(row)
        phase = detect_phase(bars)
        bar_s = TIMEFRAME_S[bars.timeframe]
        closed_at = utc_from_seconds(int(bars.time[-1]) + bar_s)
        reach = up[2] if best.side > 0 else down[2]
        is_stale = now > closed_at + timedelta(seconds=STALE_BARS * bar_s)
        reason = self._judge(best, reach, phase, close, recent=values[WARMUP:][-WINDOW:], is_stale=is_stale)
        traded = Direction.LONG if best.side > 0 else Direction.SHORT
        distance = fraction * close
        return Signal(
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            direction=traded if reason == "edge" else Direction.NONE,
            close=close,
            entry=close,
            stop=close - best.side * distance,
            target=close + best.side * distance * best.reward_risk,
            reward_risk=best.reward_risk,
            probability=best.probability,
            breakeven_probability=best.breakeven,
            expected_value_ratio=best.value,
            reason=reason,
            phase=phase,
            expected_range=ExpectedRange(
                up=_prices(close * (1 + fraction * up)), down=_prices(close * (1 - fraction * down))
            ),
            horizon_bars=self._model.manifest.horizon,
            drivers=self._drivers(best, row),
            model_version=self._model.manifest.id,
            bar_at=utc_from_seconds(int(bars.time[-1])),
            price_at=closed_at,
            valid_until=closed_at + timedelta(seconds=_VALID_BARS * bar_s),
            is_simulated=is_simulated,
        )

    def _candidates(self, row: FloatArray, cost: float) -> list[_Candidate]:
        probabilities = self._model.tpsl.predict_one(row)
        candidates = []
        for side in SIDES:
            for ratio in REWARD_RISKS:
                probability = probabilities[target_name(side, ratio)]
                value = float(expected_value(np.asarray(probability), ratio, cost))
                breakeven = breakeven_probability(ratio, cost)
                candidates.append(_Candidate(side, ratio, probability, breakeven, value))
        return candidates

    def _judge(
        self, best: _Candidate, reach: float, phase: PhaseEvidence, close: float, *, recent: FloatArray, is_stale: bool
    ) -> str:
        if is_stale:
            return "stale"
        if best.value < MIN_EDGE or not self._model.is_proven(target_name(best.side, best.reward_risk)):
            return "no_edge"
        if self._model.manifest.drift.is_strange(recent):
            return "drift"
        if reach < best.reward_risk:
            return "range"
        return "phase" if _speaks_against(phase, best.side, close) else "edge"

    def _drivers(self, best: _Candidate, row: FloatArray) -> tuple[SignalDriver, ...]:
        pushes = self._model.tpsl.contributions(target_name(best.side, best.reward_risk), row)
        strongest = np.argsort(-np.abs(pushes), kind="stable")[:_DRIVERS]
        return tuple(SignalDriver(FEATURE_NAMES[i], float(row[i]), float(pushes[i])) for i in strongest if pushes[i])


def _speaks_against(phase: PhaseEvidence, side: int, close: float) -> bool:
    """Return whether price has just left its range the other way."""
    if phase.phase is not Phase.DISTRIBUTION or phase.range_high is None or phase.range_low is None:
        return False
    return close < phase.range_low if side > 0 else close > phase.range_high


def _prices(values: FloatArray) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    return low, middle, high
