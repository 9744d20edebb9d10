"""The AMD phase by rules: accumulation, manipulation, distribution, with the evidence for it.

- accumulation: the last bars stay in a range that is narrow for what they usually travel;
- manipulation: such a range was just left on one side and price came back inside (a sweep of its edge);
- distribution: price has left the range and moved on by more than one ATR in few bars.

The phase at a bar uses bars up to it and never changes afterwards. It describes; whether it predicts is for the
report to say.
"""

from __future__ import annotations

import numpy as np

from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.signals import Phase, PhaseEvidence
from engine.features.indicators import average_true_range

RANGE_BARS = 24
RECENT_BARS = 6
BARS_NEEDED = RANGE_BARS + RECENT_BARS + 15
_NARROW = 4.5
"""A random walk of 24 bars travels about six ATR from edge to edge; below this many it stayed in place."""
_FAR_ATR = 1.0


def detect_phase(bars: Bars) -> PhaseEvidence:
    """Return the phase at the last bar.

    Raises:
        ValueError: There are fewer than `BARS_NEEDED` bars.
    """
    if len(bars) < BARS_NEEDED:
        raise ValueError(f"{len(bars)} bars are too few for a phase; {BARS_NEEDED} are needed")
    atr = float(average_true_range(bars)[-1])
    if not atr > 0:
        return PhaseEvidence(Phase.NEUTRAL, 0.0, None, None, None, None)
    past, recent = bars[-RANGE_BARS - RECENT_BARS : -RECENT_BARS], bars[-RECENT_BARS:]
    high, low = float(past.high.max()), float(past.low.min())
    width = (high - low) / atr
    close = float(bars.close[-1])
    if width <= _NARROW:
        beyond = max(close - high, low - close) / atr
        if beyond > _FAR_ATR:
            score = min(beyond / (2 * _FAR_ATR), 1.0)
            return PhaseEvidence(Phase.DISTRIBUTION, score, high, low, None, beyond)
        swept = _swept_level(recent, high, low)
        if swept is not None and low <= close <= high:
            reach = max(float(recent.high.max()) - high, low - float(recent.low.min())) / atr
            return PhaseEvidence(Phase.MANIPULATION, min(0.5 + reach / 2, 1.0), high, low, swept, reach)
    whole = bars[-RANGE_BARS:]
    high, low = float(whole.high.max()), float(whole.low.min())
    width = (high - low) / atr
    if width <= _NARROW:
        return PhaseEvidence(Phase.ACCUMULATION, float(np.clip(1.5 - width / _NARROW, 0, 1)), high, low, None, None)
    return PhaseEvidence(Phase.NEUTRAL, 0.0, high, low, None, None)


def detect_phases(bars: Bars) -> list[Phase]:
    """Return the phase at every bar, the same that `detect_phase` gives for the bars up to it.

    Bars before there are `BARS_NEEDED` are neutral.
    """
    n = len(bars)
    phases = np.full(n, Phase.NEUTRAL, dtype=object)
    if n < BARS_NEEDED:
        return list(phases)
    rows = np.arange(BARS_NEEDED - 1, n)
    atr = average_true_range(bars)[rows]
    high, low = _extremes(bars, RANGE_BARS, rows - RECENT_BARS)
    recent_high, recent_low = _extremes(bars, RECENT_BARS, rows)
    whole_high, whole_low = _extremes(bars, RANGE_BARS, rows)
    close = bars.close[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        was_narrow = (high - low) / atr <= _NARROW
        is_far = np.maximum(close - high, low - close) / atr > _FAR_ATR
        is_narrow = (whole_high - whole_low) / atr <= _NARROW
    is_swept = (np.maximum(recent_high - high, low - recent_low) > 0) & (close >= low) & (close <= high)
    found = np.full(len(rows), Phase.NEUTRAL, dtype=object)
    found[is_narrow] = Phase.ACCUMULATION
    found[was_narrow & is_swept] = Phase.MANIPULATION
    found[was_narrow & is_far] = Phase.DISTRIBUTION
    found[~(atr > 0)] = Phase.NEUTRAL
    phases[rows] = found
    return list(phases)


def _extremes(bars: Bars, span: int, ends: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the highest high and lowest low of the `span` bars that end at each row."""
    windows = np.lib.stride_tricks.sliding_window_view
    first = ends - span + 1
    return windows(bars.high, span).max(axis=1)[first], windows(bars.low, span).min(axis=1)[first]


def _swept_level(recent: Bars, high: float, low: float) -> float | None:
    above, below = float(recent.high.max()) - high, low - float(recent.low.min())
    if max(above, below) <= 0:
        return None
    return high if above >= below else low
