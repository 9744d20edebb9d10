"""What every tool asks of a symbol before anything else."""

from __future__ import annotations

from engine.domain.errors import InvalidRequest
from engine.domain.protocols import MarketData


def check_symbol(market: MarketData, symbol: str) -> None:
    """Refuse a symbol that the market does not list.

    Raises:
        InvalidRequest: `unknown_instrument`.
    """
    if symbol not in market.instruments():
        raise InvalidRequest("unknown_instrument", symbol=symbol)
