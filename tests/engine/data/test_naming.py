"""Symbols and timeframes as file names write them."""

from __future__ import annotations

import pytest

from engine.data.naming import parse_file_name, parse_symbol, parse_timeframe


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("BTCUSDT_1h", ("BTC/USDT", "1h")),
        ("XAUUSD_1h", ("XAUUSD", "1h")),
        ("EURUSD_M15", ("EURUSD", "15m")),
        ("XAUUSDm1", ("XAUUSD", "1m")),
        ("GBPUSDh1", ("GBPUSD", "1h")),
        ("ETH_USDT_USDT-1m-futures", ("ETH/USDT", "1m")),
        ("ADA_USDT-5m", ("ADA/USDT", "5m")),
        ("Binance BTCUSD daily", ("BTC/USDT", "1d")),
        ("usdjpy-4h-bid", ("USDJPY", "4h")),
        ("TRXUSDT_1w", ("TRX/USDT", "1w")),
        ("BTCUSDT_1M", ("BTC/USDT", None)),
        ("prices", (None, None)),
    ],
)
def test_file_names(stem: str, expected: tuple[str | None, str | None]) -> None:
    assert parse_file_name(stem) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("eurusd", "EURUSD"),
        ("EUR/USD", "EURUSD"),
        ("linkbtc", "LINK/BTC"),
        ("USDT", None),
        ("", None),
        ("a/b/c", None),
    ],
)
def test_symbols(text: str, expected: str | None) -> None:
    assert parse_symbol(text) == expected


def test_a_month_is_not_a_minute() -> None:
    assert parse_timeframe("1M") is None
    assert parse_timeframe("M1") == "1m"
    assert parse_timeframe("1m") == "1m"
