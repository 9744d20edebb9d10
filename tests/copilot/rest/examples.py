"""Results as tools answer them."""

from __future__ import annotations

from typing import Any

BACKTEST: dict[str, Any] = {
    "target": "grid",
    "strategies": ("grid",),
    "left_out": (),
    "symbols": ("BTC/USDT",),
    "timeframe": "1h",
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-31T00:00:00Z",
    "bars": 720,
    "days": 30,
    "days_asked": 30,
    "shortened_by": None,
    "is_long_only": True,
    "return_pct": 1.5,
    "held_pct": 1.0,
    "random_pct": 0.5,
    "random_as_good": 0.3,
    "sharpe": 0.8,
    "deflated_sharpe": None,
    "trials": 1,
    "max_drawdown_pct": 2.0,
    "held_drawdown_pct": 5.0,
    "trades": 12,
    "win_rate_pct": 58.3,
    "costs_doubled_pct": 0.9,
    "verdict": "too_small_to_tell",
    "curve": {"time": (1, 2), "strategy_pct": (0.0, 1.5), "held_pct": (0.0, 1.0)},
    "market": "fake",
    "is_simulated": True,
}
