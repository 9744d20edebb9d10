"""Rows to learn from: features at closed bars beside what followed, for one symbol or many together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, IntArray
from engine.features.definitions import FEATURE_NAMES, WARMUP, feature_matrix
from engine.ml.labels import HORIZON, REWARD_RISKS, label_barriers, label_ranges, stop_fraction

SIDES = (1, -1)
MIN_ROWS = 2000
"""Fewer complete rows than this say nothing that could be validated."""


def target_name(side: int, reward_risk: float) -> str:
    """Return the name of one barrier target, such as `long_2`."""
    return f"{'long' if side > 0 else 'short'}_{reward_risk:g}"


def reward_risk_of(name: str) -> float:
    """Return the reward:risk in the name of a target."""
    return float(name.rpartition("_")[2])


TARGETS: tuple[str, ...] = tuple(target_name(side, ratio) for side in SIDES for ratio in REWARD_RISKS)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """m rows with every label known.

    Attributes:
        X: Shape (m, k), complete features.
        start, end: Shape (m,), seconds: when the features were known, and the end of the labels' span.
        hit: For each target, shape (m,), 0 or 1.
        payoff: For each target, shape (m,), in multiples of the risk.
        up, down: Shape (m,), excursions in multiples of the ATR.
        symbols: Those with enough bars to give rows.
        data_hash: SHA-256 over the bars used.
    """

    X: FloatArray
    start: IntArray
    end: IntArray
    hit: Mapping[str, IntArray]
    payoff: Mapping[str, FloatArray]
    up: FloatArray
    down: FloatArray
    symbols: tuple[str, ...]
    data_hash: str

    def __len__(self) -> int:
        return len(self.start)


def build_dataset(bars_by_symbol: Mapping[str, Bars], *, max_rows: int) -> Dataset:
    """Return the rows of all symbols, thinned evenly in time to at most about `max_rows`.

    Raises:
        DataUnavailable: There are fewer than `MIN_ROWS` complete rows.
    """
    usable = {symbol: bars for symbol, bars in bars_by_symbol.items() if len(bars) > WARMUP + HORIZON + 1}
    total = sum(len(bars) - WARMUP - HORIZON for bars in usable.values())
    if total < MIN_ROWS:
        raise DataUnavailable(
            f"{total} complete bars are too few to train on; at least {MIN_ROWS} are needed",
            code="too_few_to_train",
            count=total,
            needed=MIN_ROWS,
        )
    stride = max(1, -(-total // max_rows))
    parts = [_rows(bars, stride, offset) for offset, bars in enumerate(usable.values())]
    return Dataset(
        X=np.concatenate([part.X for part in parts]),
        start=np.concatenate([part.start for part in parts]),
        end=np.concatenate([part.end for part in parts]),
        hit={name: np.concatenate([part.hit[name] for part in parts]) for name in TARGETS},
        payoff={name: np.concatenate([part.payoff[name] for part in parts]) for name in TARGETS},
        up=np.concatenate([part.up for part in parts]),
        down=np.concatenate([part.down for part in parts]),
        symbols=tuple(sorted(usable)),
        data_hash=hash_bars(usable),
    )


def hash_bars(bars_by_symbol: Mapping[str, Bars]) -> str:
    """Return the SHA-256 of everything in the bars."""
    digest = hashlib.sha256()
    for symbol, bars in sorted(bars_by_symbol.items()):
        digest.update(f"{symbol} {bars.timeframe}".encode())
        for column in (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _rows(bars: Bars, stride: int, offset: int) -> Dataset:
    features = feature_matrix(bars)
    chosen = np.arange(WARMUP + offset % stride, len(bars) - HORIZON, stride)
    chosen = chosen[~np.isnan(features.values[chosen]).any(axis=1)]
    ranges, fraction = label_ranges(bars), stop_fraction(bars)
    barriers = {
        target_name(side, ratio): label_barriers(bars, side=side, reward_risk=ratio)
        for side in SIDES
        for ratio in REWARD_RISKS
    }
    chosen = chosen[(fraction[chosen] > 0) & ~np.isnan(ranges.up[chosen])]
    return Dataset(
        X=np.ascontiguousarray(features.values[chosen]),
        start=bars.time[chosen],
        end=bars.time[chosen + HORIZON],
        hit={name: labels.hit[chosen] for name, labels in barriers.items()},
        payoff={name: labels.payoff[chosen] for name, labels in barriers.items()},
        up=ranges.up[chosen] / fraction[chosen],
        down=ranges.down[chosen] / fraction[chosen],
        symbols=(bars.symbol,),
        data_hash="",
    )


__all__ = [
    "FEATURE_NAMES",
    "MIN_ROWS",
    "SIDES",
    "TARGETS",
    "Dataset",
    "build_dataset",
    "hash_bars",
    "reward_risk_of",
    "target_name",
]
