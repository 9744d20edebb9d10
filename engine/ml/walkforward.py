"""Walk-forward splits: train on the past, test on what follows, and let no label of one touch the other.

Rows of several symbols are split by time together. A training row whose label is not known before the test begins is
purged, and an embargo after that keeps slow features apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.domain.market import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to train on and rows to test on, as indices."""

    train: IntArray
    test: IntArray


def expanding_splits(
    start: IntArray, end: IntArray, *, folds: int, first_share: float = 0.4, embargo: int = 0
) -> Iterator[Split]:
    """Yield expanding splits in order of time.

    Args:
        start: Shape (n,): when each row's features were known (any unit of time).
        end: Shape (n,): when its label was known, same unit, at least `start`.
        folds: Number of test parts, at least 1.
        first_share: Part of the whole span that is never tested (0–1).
        embargo: Time to keep free between the last training label and the first test row.

    Raises:
        ValueError: There are fewer rows than folds, or an argument is out of range.
    """
    if folds < 1 or not 0 < first_share < 1 or embargo < 0:
        raise ValueError(f"folds={folds}, first_share={first_share}, embargo={embargo} is out of range")
    if len(start) <= folds:
        raise ValueError(f"{len(start)} rows cannot be split into {folds} folds")
    edges = np.quantile(start, np.linspace(first_share, 1, folds + 1))
    for fold, (begin, close) in enumerate(pairwise(edges)):
        is_last = fold == folds - 1
        in_test = (start >= begin) & ((start <= close) if is_last else (start < close))
        test = np.flatnonzero(in_test)
        train = np.flatnonzero(end < begin - embargo)
        if len(test) and len(train):
            yield Split(train, test)
