"""Write down what a strategy decides over a history, so that the compiled pass can run it."""

from __future__ import annotations

import numpy as np

from engine.domain.market import Bars
from engine.domain.strategies import FULL_SIZE_BPS, Decisions, Enter, Intent, Strategy, action_code


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


def _only(intents: object) -> Intent:
    found = tuple(intents)  # type: ignore[call-overload]
    if len(found) > 1 or found[0].tag:
        raise ValueError(f"only one untagged intent a bar can be recorded, got {found}")
    intent: Intent = found[0]
    return intent


def _prices(intent: Intent) -> tuple[float, float, float]:
    price = intent.price if isinstance(intent, Enter) else None
    stop, target = (getattr(intent, name, None) for name in ("stop", "target"))
    return tuple(np.nan if level is None else level for level in (price, stop, target))  # type: ignore[return-value]
