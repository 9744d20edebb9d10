"""Write down what a strategy decides over a history, so that the compiled pass can run it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.domain.market import Bars
from engine.domain.strategies import FULL_SIZE_BPS, Decisions, Enter, Exit, Intent, Strategy, action_code


def record_decisions(strategy: Strategy, bars: Bars) -> Decisions:
    """Ask a strategy after every bar, as if nothing were ever held, and return its answers in columns.

    Right for strategies whose decisions do not depend on what they hold; a shared check compares the outcome with the
    exact driver's.

    Args:
        strategy: Asked with its last `warmup` bars.
        bars: Of one symbol that it trades.

    Raises:
        ValueError: It uses tags, asks for two things in one bar, or waits and holds for different numbers of bars.
    """
    n = len(bars)
    action, sizes = np.zeros(n, np.int8), np.full(n, FULL_SIZE_BPS, np.int16)
    price, stop, target = (np.full(n, np.nan) for _ in range(3))
    limits: set[tuple[int, int]] = set()
    for row in range(strategy.warmup - 1, n):
        intents = strategy.decide({bars.symbol: bars[row + 1 - strategy.warmup : row + 1]}, ())
        if not intents:
            continue
        intent = _only(intents)
        action[row] = action_code(intent)
        price[row], stop[row], target[row] = _prices(intent)
        if isinstance(intent, Enter):
            sizes[row] = intent.size_bps
            limits.add((intent.valid_bars, intent.max_bars))
    if len(limits) > 1:
        raise ValueError(f"entries with different limits in bars cannot be recorded: {sorted(limits)}")
    valid_bars, max_bars = next(iter(limits), (0, 0))
    return Decisions(action, price, stop, target, size_bps=sizes, valid_bars=valid_bars, max_bars=max_bars)


def _only(intents: Sequence[Intent]) -> Intent:
    if len(intents) > 1 or intents[0].tag:
        raise ValueError(f"only one untagged intent a bar can be recorded, got {intents}")
    return intents[0]


def _prices(intent: Intent) -> tuple[float, float, float]:
    if isinstance(intent, Exit):
        return np.nan, np.nan, np.nan
    price = intent.price if isinstance(intent, Enter) else None
    return _or_nan(price), _or_nan(intent.stop), _or_nan(intent.target)


def _or_nan(level: float | None) -> float:
    return np.nan if level is None else level
