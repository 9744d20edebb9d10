"""Groups of symbols that move together, from their returns.

Pure and deterministic: two symbols whose returns correlate at least so much belong to one group, and so do those that
hang together through others (single linkage). A symbol without enough returns stands alone, which the gate reads as
a group of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

MIN_RETURNS = 30
"""Fewer say nothing about a correlation."""


def correlated_groups(
    returns: Mapping[str, Sequence[float]], *, threshold: float = 0.7, min_returns: int = MIN_RETURNS
) -> dict[str, str]:
    """Return the group of each symbol, named by its first member in alphabetical order.

    Args:
        returns: By symbol, oldest first, all ending at the same moment; the last ones that two have in common count.
        threshold: Least absolute correlation of two symbols of one group (0–1).
        min_returns: Returns that two symbols must have in common.

    Raises:
        ValueError: The threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    symbols = sorted(returns)
    group = {symbol: symbol for symbol in symbols}
    for row, one in enumerate(symbols):
        for other in symbols[row + 1 :]:
            if group[one] != group[other] and _correlation(returns[one], returns[other], min_returns) >= threshold:
                first, last = sorted((group[one], group[other]))
                group = {symbol: first if name == last else name for symbol, name in group.items()}
    return group


def _correlation(one: Sequence[float], other: Sequence[float], least: int) -> float:
    """Return the absolute correlation, 0 where it says nothing."""
    length = min(len(one), len(other))
    if length < least:
        return 0.0
    a, b = (np.asarray(each, dtype=np.float64)[-length:] for each in (one, other))
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < least:
        return 0.0
    a, b = a[good] - a[good].mean(), b[good] - b[good].mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return abs(float(a @ b)) / scale if scale > 0 else 0.0
