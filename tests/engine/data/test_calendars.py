"""Which bars a feed must have: holidays and half days of currencies and metals."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from engine.data.calendars import easter_sunday, expected_mask, half_days
from engine.domain.symbols import Timeframe


def expected(symbol: str, timeframe: Timeframe, *at: int) -> bool:
    second = int(datetime(*at, tzinfo=UTC).timestamp())
    return bool(expected_mask(symbol, timeframe, np.array([second]))[0])


@pytest.mark.parametrize(
    ("year", "day"),
    [(2000, "04-23"), (2008, "03-23"), (2011, "04-24"), (2016, "03-27"), (2038, "04-25")],
)
def test_easter(year: int, day: str) -> None:
    assert easter_sunday(year).isoformat() == f"{year}-{day}"


def test_half_days_of_a_year() -> None:
    """The days on which COMEX closed early in 2024, as its calendar listed them, and the days around the Fourth."""
    days = half_days(2024)
    listed = [(1, 15), (2, 19), (5, 27), (6, 19), (7, 4), (9, 2), (11, 28), (11, 29)]
    assert {date(2024, month, day) for month, day in listed} <= set(days)
    assert {day.month for day in days} == {1, 2, 5, 6, 7, 9, 11}


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1h", "4h"])
def test_coins_never_rest(timeframe: Timeframe) -> None:
    assert expected("BTC/USDT", timeframe, 2024, 12, 25, 8)


@pytest.mark.parametrize(
    ("symbol", "at", "is_expected"),
    [
        ("EURUSD", (2024, 12, 24, 12), True),
        ("EURUSD", (2024, 12, 24, 20), False),
        ("EURUSD", (2024, 12, 25, 12), False),
        ("EURUSD", (2024, 12, 26, 0), True),
        ("EURUSD", (2025, 1, 1, 12), False),
        ("EURUSD", (2025, 1, 2, 0), True),
        ("EURUSD", (2024, 3, 29, 12), True),  # Good Friday
        ("XAUUSD", (2024, 3, 29, 12), False),
        ("XAUUSD", (2024, 3, 28, 12), True),
        ("XAUUSD", (2024, 11, 28, 12), True),  # Thanksgiving
        ("XAUUSD", (2024, 11, 28, 19), False),
        ("EURUSD", (2024, 11, 28, 19), True),
        ("EURUSD", (2024, 6, 1, 12), False),  # a Saturday
    ],
)
def test_holidays_of_currencies_and_metals(symbol: str, at: tuple[int, ...], is_expected: bool) -> None:
    assert expected(symbol, "1h", *at) is is_expected


def test_a_long_bar_that_touches_a_holiday_may_be_missing() -> None:
    assert not expected("EURUSD", "4h", 2024, 12, 24, 16)
    assert expected("EURUSD", "4h", 2024, 12, 24, 12)
    assert not expected("EURUSD", "1d", 2024, 12, 25)
    assert expected("EURUSD", "1d", 2024, 12, 27)


def test_no_times_are_no_bars() -> None:
    assert len(expected_mask("EURUSD", "1h", np.empty(0, dtype=np.int64))) == 0
