"""What a feature is, and the expressions that many features share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from engine.domain.market import Bars, FloatArray
from engine.domain.symbols import Timeframe
from engine.features.drivers import compute_columns
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    TINY,
    Expression,
    clip,
    lag,
    log,
    maximum,
    minimum,
    wilder,
)
from engine.features.program import measure_warmup

WILDER = "Wilder (1978), New Concepts in Technical Trading Systems"
OWN = "defined here"


class Group(StrEnum):
    """What a feature tells of."""

    RETURNS = "returns"
    VOLATILITY = "volatility"
    RANGE = "range"
    TREND = "trend"
    MOMENTUM = "momentum"
    VOLUME = "volume"
    SESSION = "session"
    SEASON = "season"
    TIMEFRAMES = "timeframes"
    STRUCTURE = "structure"


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One feature, scale-free: prices, and volumes, times any constant give the same numbers.

    Attributes:
        name: Unique; a number in it is a span in bars.
        group: What it tells of.
        expression: How it is computed; both drivers run this and nothing else.
        unit: Of its values.
        definition: In words.
        source: Where it comes from, and the variant chosen.
    """

    name: str
    group: Group
    expression: Expression
    unit: str
    definition: str
    source: str = OWN

    @property
    def warmup(self) -> int:
        """Bars before its first number, on one-hour bars."""
        return self.warmup_on("1h")

    def warmup_on(self, timeframe: Timeframe) -> int:
        """Return the bars before its first number; only features of the calendar differ between timeframes."""
        return measure_warmup(self.expression, timeframe)

    def function(self, bars: Bars) -> FloatArray:
        """Return the values at closed bars, oldest first: shape (n,), NaN before the warm-up."""
        return compute_columns(bars, [self.expression])[0][:, 0]


LOG_CLOSE, LOG_OPEN, LOG_HIGH, LOG_LOW = log(CLOSE), log(OPEN), log(HIGH), log(LOW)
RETURN = LOG_CLOSE - lag(LOG_CLOSE, 1)
LOG_RANGE = LOG_HIGH - LOG_LOW
TRUE_RANGE = maximum(HIGH, lag(CLOSE, 1)) - minimum(LOW, lag(CLOSE, 1))
ATR = wilder(TRUE_RANGE, 14)
SCALE = clip(ATR / CLOSE, TINY, inf)
"""ATR(14) as a fraction of the close, the unit in which moves are told."""
ATR_UNIT = "ATR(14)"


def in_atr(distance: Expression) -> Expression:
    """Return a distance in price as a multiple of the ATR."""
    return distance / maximum(ATR, CLOSE * TINY)


def log_of(level: Expression) -> Expression:
    """Return the logarithm of a volatility, with a floor for markets that stand still."""
    return log(level + 1e-8)
