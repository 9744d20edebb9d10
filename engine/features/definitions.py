"""The features that models learn from unless they choose others, and matrices of any of them.

`catalogue` holds every feature; `FEATURES` are those that the shipped models read. A value at bar t depends on bars up
to t and on nothing else; a shared test cuts and perturbs later bars for every feature of the catalogue. Being free of
scale, they mean the same on gold and on bitcoin, so one model can learn from all symbols together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.domain.market import Bars, FloatArray
from engine.domain.symbols import Timeframe
from engine.features.catalogue import CATALOGUE, Feature, find_features
from engine.features.drivers import BLOCK, Bar, ColumnStream, ColumnStreams, run_program
from engine.features.program import Program, build_program


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMatrix:
    """Features of some bars.

    Attributes:
        names: k names, in the order of the columns.
        values: Shape (n, k), NaN before each feature's own warm-up.
        warmup: Rows before this one are incomplete.
    """

    names: tuple[str, ...]
    values: FloatArray
    warmup: int


FEATURE_NAMES: tuple[str, ...] = (
    *(f"return_{span}" for span in (1, 2, 4, 8, 24, 72)),
    *(f"realised_volatility_{span}" for span in (12, 24, 120)),
    *(f"parkinson_{span}" for span in (12, 24, 120)),
    "garman_klass_24",
    "volatility_ratio_6_48",
    "volatility_ratio_24_240",
    "atr_ratio",
    *(f"ema_distance_{period}" for period in (10, 20, 50, 100)),
    "ema_slope_20_5",
    "ema_slope_100_24",
    "rsi_6",
    "rsi_14",
    "macd_ratio",
    "bollinger_position",
    "bollinger_width",
    "adx",
    "directional",
    "stochastic_k",
    *(f"range_position_{span}" for span in (24, 72, 240)),
    *(f"range_width_{span}" for span in (24, 120)),
    "sweep_high_24",
    "sweep_low_24",
    "body",
    "upper_wick",
    "lower_wick",
    "gap",
    "volume_score_24",
    "volume_trend_24",
    "hour_sine",
    "hour_cosine",
    "week_sine",
    "week_cosine",
)
FEATURES: tuple[Feature, ...] = find_features(FEATURE_NAMES)
FEATURE_VERSION = 2
"""Raised whenever a feature's numbers change under the same name: models of another version are refused."""


def measure_warmups(names: Sequence[str], timeframe: Timeframe) -> tuple[int, ...]:
    """Return, for each feature, the bars before its first number."""
    return tuple(feature.warmup_on(timeframe) for feature in find_features(tuple(names)))


WARMUP: int = max(measure_warmups(FEATURE_NAMES, "1h"))
"""Bars before all of `FEATURES` have a number, on every timeframe: none of them depends on the calendar's periods."""


def feature_matrix(bars: Bars, names: Sequence[str] = FEATURE_NAMES) -> FeatureMatrix:
    """Return some features of a whole history.

    Args:
        bars: Closed, oldest first.
        names: Of the catalogue, `FEATURES` unless given.

    Raises:
        ValueError: A name is not known.
    """
    chosen = tuple(names)
    program = _program_of(chosen, bars.timeframe)
    return FeatureMatrix(chosen, run_program(bars, program, len(chosen)), max(program.warmups, default=0))


@lru_cache(maxsize=32)
def _program_of(names: tuple[str, ...], timeframe: Timeframe) -> Program:
    """Return the program of some features, kept because a live signal asks for the same at every bar."""
    return build_program([feature.expression for feature in find_features(names)], timeframe, block=BLOCK)


class FeatureStream(ColumnStream):
    """Some features of one symbol, bar by bar; see `ColumnStream`.

    Attributes:
        names: k names, in the order of `value`.
    """

    def __init__(self, timeframe: Timeframe, names: Sequence[str] = FEATURE_NAMES) -> None:
        self.names = tuple(names)
        super().__init__([feature.expression for feature in find_features(self.names)], timeframe)


class FeatureStreams(ColumnStreams):
    """Some features of many symbols, one bar of each at a time; see `ColumnStreams`.

    Attributes:
        names: k names, in the order of the columns of `value`.
    """

    def __init__(self, timeframe: Timeframe, symbols: int, names: Sequence[str] = FEATURE_NAMES) -> None:
        self.names = tuple(names)
        super().__init__([feature.expression for feature in find_features(self.names)], timeframe, symbols)


__all__ = [
    "CATALOGUE",
    "FEATURES",
    "FEATURE_NAMES",
    "FEATURE_VERSION",
    "WARMUP",
    "Bar",
    "Feature",
    "FeatureMatrix",
    "FeatureStream",
    "FeatureStreams",
    "feature_matrix",
    "measure_warmups",
]
