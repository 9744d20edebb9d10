"""Trading rules and sessions that markets without a venue share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument, split_symbol, typical_spread_bps
from engine.domain.sessions import is_bar_expected, is_open, last_close_before, open_mask
from engine.domain.symbols import SYMBOLS, is_fx

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_known_symbol_has_sensible_rules(symbol: str) -> None:
    rules = build_instrument(symbol)
    assert rules.min_quantity == rules.lot_size > 0
    assert rules.maker_fee_ratio <= rules.taker_fee_ratio < Decimal("0.002")
    assert rules.is_shortable == is_fx(symbol)
    assert (rules.base, rules.quote) == split_symbol(symbol)
    assert 0 < typical_spread_bps(symbol) < 10


@given(price=st.floats(1e-8, 1e7))
def test_unlisted_rules_fit_the_size_of_the_price(price: float) -> None:
    rules = build_instrument("NEW/USDT", price)
    assert Decimal("0.000001") <= rules.tick_size / Decimal(price) <= Decimal("0.0002")
    assert rules.lot_size <= 1
    assert rules.round_price(Decimal(repr(price))) > 0


def test_rules_are_not_invented_without_a_price() -> None:
    with pytest.raises(DataUnavailable, match="NEW/USDT"):
        build_instrument("NEW/USDT")


@pytest.mark.parametrize("symbol", ["", "BTC", "/USDT", "BTC/", "EURUSDX"])
def test_what_is_no_pair_is_refused(symbol: str) -> None:
    with pytest.raises(DataUnavailable, match="is not a symbol"):
        split_symbol(symbol)


def test_the_two_ways_to_ask_for_a_session_agree() -> None:
    seconds = int(MONDAY.timestamp()) + 1800 * np.arange(2 * 7 * 48, dtype=np.int64)
    for symbol in ("EURUSD", "BTC/USDT"):
        assert [*open_mask(symbol, seconds)] == [is_open(symbol, int(second)) for second in seconds]
    assert open_mask("EURUSD", seconds).sum() == 2 * 5 * 48


def test_the_last_close_is_friday_evening() -> None:
    for days in (5, 6):
        closed_at = last_close_before("EURUSD", int((MONDAY + timedelta(days=days, hours=3)).timestamp()))
        assert datetime.fromtimestamp(closed_at, UTC) == MONDAY + timedelta(days=4, hours=22)
    with pytest.raises(ValueError, match="is open"):
        last_close_before("EURUSD", int(MONDAY.timestamp()))


def test_gold_is_not_expected_in_its_daily_rest() -> None:
    evening = np.array([int((MONDAY + timedelta(hours=hour)).timestamp()) for hour in (20, 21, 22, 23)], dtype=np.int64)
    assert [*is_bar_expected("XAUUSD", "1h", evening)] == [True, False, False, True]
    assert [*is_bar_expected("EURUSD", "1h", evening)] == [True] * 4
