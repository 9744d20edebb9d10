"""Labels as small bar tables, with the expected outcome beside them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.ml.labels import UNKNOWN, label_barriers, label_ranges, stop_fraction

QUIET = 20
"""Bars of range 2 around 100 before each case, so that the ATR is 2."""


def _bars(after: list[tuple[float, float, float]]) -> Bars:
    rows = [(101.0, 99.0, 100.0)] * QUIET + after
    high, low, close = (np.array(column) for column in zip(*rows, strict=True))
    open_ = np.concatenate([[100.0], close[:-1]])
    return Bars("X", "1h", np.arange(len(rows), dtype=np.int64) * 3600, open_, high, low, close, np.ones(len(rows)))


AT = QUIET - 1
CASES = [
    ("target first", 1, [(102.5, 99.5, 102)], 1, 1.0),
    ("stop first", 1, [(101, 97.5, 98)], 0, -1.0),
    ("both in one bar counts as the stop", 1, [(102.5, 97.5, 100)], 0, -1.0),
    ("neither within the horizon", 1, [(101, 99, 100.5)] * 3, 0, 0.25),
    ("short, target first", -1, [(100.5, 97.9, 98)], 1, 1.0),
    ("short, stop first", -1, [(102, 99, 101)], 0, -1.0),
    ("a later touch after a quiet bar", 1, [(101, 99, 100), (102, 99, 101)], 1, 1.0),
]


@pytest.mark.parametrize(("name", "side", "after", "hit", "payoff"), CASES, ids=[case[0] for case in CASES])
def test_first_barrier_decides(
    name: str, side: int, after: list[tuple[float, float, float]], hit: int, payoff: float
) -> None:
    bars = _bars(after + [(101, 99, 100)] * (3 - len(after)))
    assert stop_fraction(bars)[AT] == pytest.approx(0.02)
    labels = label_barriers(bars, side=side, reward_risk=1.0, horizon=3)
    assert labels.hit[AT] == hit
    assert labels.payoff[AT] == pytest.approx(payoff)


def test_outcome_is_unknown_until_the_horizon_is_over() -> None:
    labels = label_barriers(_bars([(101, 99, 100)] * 2), side=1, reward_risk=1.0, horizon=3)
    assert labels.hit[AT] == UNKNOWN
    assert np.isnan(labels.payoff[AT])


def test_ranges_look_ahead_exactly_the_horizon() -> None:
    bars = _bars([(103, 99, 100), (101, 96, 100), (110, 90, 100)])
    ranges = label_ranges(bars, horizon=2)
    assert (ranges.up[AT], ranges.down[AT]) == pytest.approx((0.03, 0.04))
    assert np.isnan(ranges.up[-1])


def test_range_is_never_negative() -> None:
    bars = _bars([(99, 98, 98.5), (98, 97, 97.5)])
    assert label_ranges(bars, horizon=2).up[AT] == 0


def test_bad_side_is_refused() -> None:
    with pytest.raises(ValueError, match="side must be 1 or -1"):
        label_barriers(_bars([]), side=0, reward_risk=1.0)
