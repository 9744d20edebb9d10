"""AMD phases on bars made for them; a phase never changes afterwards because it only reads bars up to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.domain.signals import Phase, PhaseEvidence
from engine.ml.amd import BARS_NEEDED, detect_phase
from tests.engine.ml.bars import random_walk


def _bars(close: list[float], spread: float = 0.5) -> Bars:
    closes = np.array(close)
    open_ = np.concatenate([[closes[0]], closes[:-1]])
    high, low = np.maximum(open_, closes) + spread, np.minimum(open_, closes) - spread
    time = np.arange(len(closes), dtype=np.int64) * 3600
    return Bars("X", "1h", time, open_, high, low, closes, np.ones(len(closes)))


FLAT = [100 + (0.3 if t % 2 else -0.3) for t in range(BARS_NEEDED + 20)]


def test_narrow_range_is_accumulation() -> None:
    evidence = detect_phase(_bars(FLAT))
    assert evidence.phase is Phase.ACCUMULATION
    assert 0 < evidence.score <= 1


def test_sweep_of_the_range_and_return_is_manipulation() -> None:
    evidence = detect_phase(_bars([*FLAT, 99.9, 98.4, 99.9, 100.1]))
    assert evidence.phase is Phase.MANIPULATION
    assert evidence.swept_level == pytest.approx(evidence.range_low)


def test_leaving_the_range_for_good_is_distribution() -> None:
    evidence = detect_phase(_bars([*FLAT, 101, 102, 103, 104]))
    assert evidence.phase is Phase.DISTRIBUTION
    assert evidence.displacement_atr is not None
    assert evidence.displacement_atr > 1


def test_trend_is_none_of_them() -> None:
    assert detect_phase(_bars(list(np.linspace(100, 160, 80)))).phase is Phase.NEUTRAL


def test_phase_does_not_depend_on_how_far_back_the_bars_go() -> None:
    """Seen later, with more history around it, a bar keeps the phase that it was given when it closed."""
    bars = random_walk(3000, seed=12)
    for end in np.random.default_rng(3).integers(700, 3000, 100):
        whole, recent = detect_phase(bars[:end]), detect_phase(bars[end - 600 : end])
        assert _exact(whole) == _exact(recent)
        assert whole.score == pytest.approx(recent.score, abs=1e-9)
        assert whole.displacement_atr == pytest.approx(recent.displacement_atr, abs=1e-9)


def _exact(evidence: PhaseEvidence) -> PhaseEvidence:
    """Return evidence without what rests on the ATR, whose smoothing may differ in the last digits."""
    return replace(evidence, score=0.0, displacement_atr=None)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for a phase"):
        detect_phase(_bars(FLAT[:10]))
