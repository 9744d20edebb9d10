"""Which bars are learned from and which are forecast: expanding folds of at most a year, with a purge between.

Folds before the test part exist for calibration alone: their forecasts, made without knowing their outcomes, teach how
far forecasts can be believed. Training ends two horizons before a fold begins, one for the labels and one as embargo.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import IntArray
from engine.domain.sessions import DAY_S
from engine.ml.volatility import WARMUP

YEAR_S = 365 * DAY_S
MIN_TRAIN = 300
"""Rows to learn from before the first fold; with fewer nothing can be fitted."""
_CALIBRATION_YEARS = 3
_TEST_SHARE = 0.4
"""Part of the bars that is tested when no date is given."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Consecutive rows that one fit forecasts.

    Attributes:
        learn_from: First row that is learned from.
        begin, end: The rows forecast, `end` not included.
        is_test: Whether they belong to the test part.
    """

    learn_from: int
    begin: int
    end: int
    is_test: bool

    @property
    def rows(self) -> IntArray:
        """Return the rows forecast."""
        return np.arange(self.begin, self.end)

    def train(self, horizon: int) -> IntArray:
        """Return the rows whose outcome over `horizon` bars was known one horizon before the fold begins."""
        return np.arange(self.learn_from, max(self.begin - 2 * horizon, self.learn_from))


def plan_folds(time: IntArray, test_from: int | None) -> tuple[Fold, ...]:
    """Return the folds in order of time.

    Args:
        time: Shape (n,), open times in seconds, increasing.
        test_from: Where the test part begins, in seconds; None for the last two fifths of the bars.

    Raises:
        DataUnavailable: There are too few bars before the test part, or none in it.
    """
    first = int(len(time) * (1 - _TEST_SHARE)) if test_from is None else int(np.searchsorted(time, test_from))
    if first >= len(time):
        raise DataUnavailable("no bar lies in the test part; begin it earlier with --test-from")
    learn_from = min(WARMUP, first // 4)
    known = first - learn_from
    if known < 2 * MIN_TRAIN:
        raise DataUnavailable(
            f"{first} bars before the test part are too few to learn from; about {2 * MIN_TRAIN * 4 // 3} are needed",
            code="too_few_to_train",
            count=first,
            needed=2 * MIN_TRAIN * 4 // 3,
        )
    begin = max(
        int(np.searchsorted(time, time[first] - _CALIBRATION_YEARS * YEAR_S)), learn_from + max(known // 2, MIN_TRAIN)
    )
    return (
        *(Fold(learn_from, a, b, False) for a, b in pairwise(_cuts(time, begin, first))),
        *(Fold(learn_from, a, b, True) for a, b in pairwise(_cuts(time, first, len(time)))),
    )


def _cuts(time: IntArray, begin: int, end: int) -> list[int]:
    """Return rows that cut a stretch into equal spans of time, none longer than a year."""
    start, stop = int(time[begin]), int(time[end - 1]) + 1
    count = max(-(-(stop - start) // YEAR_S), 1)
    edges = [start + (stop - start) * k // count for k in range(1, count)]
    return sorted({begin, *(int(row) for row in np.searchsorted(time, edges)), end})
