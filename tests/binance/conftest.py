"""A running server, and a real ccxt client pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.binance.client import ccxt_client
from tests.binance.server import BinanceServer


@pytest.fixture
async def server() -> AsyncIterator[BinanceServer]:
    """Return a running server with 10,000 USDT on the owner's spot account and 5,000 as margin."""
    async with BinanceServer(futures_balance=5000) as running:
        yield running


@pytest.fixture
async def spot(server: BinanceServer) -> AsyncIterator[Any]:
    """Return a ccxt.pro client with the spot markets loaded."""
    client = ccxt_client(server, timeout=20_000, options={"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False})
    await client.load_markets()
    yield client
    await client.close()


@pytest.fixture
async def swap(server: BinanceServer) -> AsyncIterator[Any]:
    """Return a ccxt.pro client with the futures markets loaded."""
    client = ccxt_client(server, timeout=20_000, options={"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}})
    await client.load_markets()
    yield client
    await client.close()
