"""The signal: what the ML engine says about one symbol at one closed bar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Direction(StrEnum):
    """What a signal advises. `none` is the usual answer: no edge after costs."""

    LONG = "long"
    SHORT = "short"
    NONE = "none"


class Phase(StrEnum):
    """AMD phase of the market."""

    ACCUMULATION = "accumulation"
    MANIPULATION = "manipulation"
    DISTRIBUTION = "distribution"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class PhaseEvidence:
    """An AMD phase with what it rests on; prices in quote currency, None where it does not apply."""

    phase: Phase
    score: float
    range_high: float | None
    range_low: float | None
    swept_level: float | None
    displacement_atr: float | None


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """Quantiles of the excursion over the horizon, as prices: 10, 50 and 90 percent, up and down."""

    up: tuple[float, float, float]
    down: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SignalDriver:
    """One input that moved the probability: feature name, its value, and its push (log-odds)."""

    feature: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Signal:
    """One decision of the ML engine, complete enough to explain itself.

    Attributes:
        direction: `none` when no side has an edge after costs; then entry, stop, target are those of the better side.
        entry, stop, target: Prices in quote currency (float64: the ticket makes them exact).
        reward_risk: Distance to target over distance to stop.
        probability: Calibrated probability that the target is hit before the stop within the horizon.
        breakeven_probability: Probability at which the expected value after costs is zero.
        expected_value_ratio: Expected profit after costs as a multiple of the risk (distance to stop).
        reason: Stable code why there is or is not a trade: `edge`, `no_edge`, `stale`, `phase`, `range`, `drift`.
        drivers: What moved the probability most, strongest first.
        model_version: Id of the registered model that spoke.
        bar_at: Open time of the last closed bar used; `price_at`: when it closed.
        valid_until: After this the signal says nothing.
        is_simulated: Whether the bars come from the simulated market.
    """

    symbol: str
    timeframe: str
    direction: Direction
    close: float
    entry: float
    stop: float
    target: float
    reward_risk: float
    probability: float
    breakeven_probability: float
    expected_value_ratio: float
    reason: str
    phase: PhaseEvidence
    expected_range: ExpectedRange
    horizon_bars: int
    drivers: tuple[SignalDriver, ...]
    model_version: str
    bar_at: datetime
    price_at: datetime
    valid_until: datetime
    is_simulated: bool
