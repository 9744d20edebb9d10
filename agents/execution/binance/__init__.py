"""Binance behind the `Venue` protocol, over ccxt: spot testnet, spot, and the demo of USD-M futures."""

from agents.execution.binance.access import KeyPermissions, LiveGate, decide_live, fingerprint_of
from agents.execution.binance.limiter import Limiter
from agents.execution.binance.opening import Mode, open_binance
from agents.execution.binance.values import FeeDetail, Incident, Told
from agents.execution.binance.venue import BinanceVenue

__all__ = [
    "BinanceVenue",
    "FeeDetail",
    "Incident",
    "KeyPermissions",
    "Limiter",
    "LiveGate",
    "Mode",
    "Told",
    "decide_live",
    "fingerprint_of",
    "open_binance",
]
