"""What a newcomer may try: a label and the message behind it, about something that the market at hand lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def fit_starter(starter: Mapping[str, Any], symbols: Collection[str]) -> tuple[str, str]:
    """Return a starter's label and message, or those that stand in for it where its symbol is not listed.

    >>> gold = {"label": "Gold", "message": "gold?", "needs": "XAUUSD", "else": {"label": "Coin", "message": "coin?"}}
    >>> fit_starter(gold, ["XAUUSD"]), fit_starter(gold, ["BTC/USDT"])
    (('Gold', 'gold?'), ('Coin', 'coin?'))
    """
    fitting = starter if starter.get("needs") in (None, *symbols) else starter["else"]
    return fitting["label"], fitting["message"]
