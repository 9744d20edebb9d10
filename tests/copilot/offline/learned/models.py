"""Models made by hand: they ignore the message and are as sure of a class as they are told to be."""

from __future__ import annotations

import numpy as np

from copilot.offline.learned.features import BUCKETS
from copilot.offline.learned.labels import ACTION, CONDITION, ROLE, SETTING, SIDE, SIZE, TOOL, VIEW
from copilot.offline.learned.model import ASK, PLAIN, SEVERAL, Head, Model
from tools.schema import ARGUMENTS

_CLASSES = {
    TOOL: (*sorted(ARGUMENTS), PLAIN, ASK, SEVERAL),
    SIDE: ("buy", "sell", "close"),
    SIZE: ("none", "base", "quote", "percent"),
    VIEW: ("summary", "positions", "orders", "trades", "pnl", "risk"),
    CONDITION: ("price_above", "price_below", "change_up", "change_down", "rsi_above", "rsi_below", "signal_change"),
    ACTION: ("start", "pause", "resume", "stop"),
    ROLE: ("amount:base", "amount:quote", "price:limit", "price:stop", "stop_loss", "take_profit", "none"),
    SETTING: ("position_size_pct", "max_positions", "max_drawdown_pct", "pairs", "strategies"),
}


def sure_of(tool: str, probability: float = 0.99, **others: str) -> Model:
    """Return a model that gives a tool this probability, and near certainty to the class named for each other head."""
    chosen = {TOOL: (tool, probability)} | {head: (name, 0.99) for head, name in others.items()}
    heads: dict[str, Head] = {}
    bias: list[float] = []
    for name, classes in _CLASSES.items():
        heads[name] = Head(classes, len(bias), 1.0)
        wanted, share = chosen.get(name, (classes[0], 1 / len(classes)))
        rest = (1 - share) / (len(classes) - 1)
        bias += [float(np.log(share if one == wanted else rest)) for one in classes]
    weights = np.zeros((BUCKETS, len(bias)), np.int8)
    return Model(heads, weights, np.ones(len(bias), np.float32), np.array(bias, np.float32))
