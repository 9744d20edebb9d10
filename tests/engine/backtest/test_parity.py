"""The compiled pass and the exact driver: the same decisions, fills and money, to the last digit."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtest.columns import MAKER_ENTRY, MAKER_EXIT, REASONS, T_ENTRY_FEE, T_EXIT_FEE, T_FUNDING
from engine.backtest.exact import ClosedTrade, ExactRun, run_strategy
from engine.backtest.fast import run_decisions
from engine.backtest.result import Run
from engine.domain.strategies import Action
from tests.engine.backtest.markets import (
    INSTRUMENTS,
    random_account,
    random_decisions,
    random_listing,
    scripted,
)

BARS = 120


def assert_same(run: Run, exact: ExactRun) -> None:
    """Compare every trade, the cash, the refusals and the curve."""
    assert len(run.trades) == len(exact.trades)
    for row, trade in enumerate(exact.trades):
        assert read_trade(run, row) == trade
    assert run.cash == exact.cash
    assert run.refused == dict(exact.refused)
    assert exact.books.imbalance() == 0


def read_trade(run: Run, row: int) -> ClosedTrade:
    """Return a row of the compiled pass as the driver writes it."""
    trades = run.trades
    return trades.exact(row)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.symbol)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_symbol_agrees_with_the_exact_driver(instrument: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    listing = random_listing(rng, instrument, BARS, is_on_tick=rng.random() < 0.7)
    decisions, account = random_decisions(rng, listing.bars), random_account(rng)
    symbol = listing.bars.symbol
    run = run_decisions(listing, decisions, account)
    exact = run_strategy(scripted({symbol: decisions}, {symbol: listing.bars}), [listing], account)
    assert_same(run, exact)
