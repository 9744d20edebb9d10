"""The compiled pass and the exact driver: the same decisions, fills and money, to the last digit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtest.exact import ExactRun, as_run, run_strategy
from engine.backtest.fast import run_decisions, run_portfolio
from engine.backtest.result import Run
from engine.domain.market import Instrument
from engine.domain.strategies import Decisions
from tests.engine.backtest.markets import (
    INSTRUMENTS,
    on_tick,
    random_account,
    random_decisions,
    random_listing,
    scripted,
    with_holes,
)

BARS = 120


def assert_same(run: Run, exact: ExactRun) -> None:
    """Compare every trade, the cash, the refusals and the books."""
    assert len(run.trades) == len(exact.trades)
    for row, trade in enumerate(exact.trades):
        assert run.trades.exact(row) == trade
    assert run.cash == exact.cash
    assert run.refused == dict(exact.refused)
    assert exact.books.imbalance() == 0


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.symbol)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_symbol_agrees_with_the_exact_driver(instrument: Instrument, seed: int) -> None:
    rng = np.random.default_rng(seed)
    listing = random_listing(rng, instrument, BARS, is_on_tick=rng.random() < 0.7)
    decisions, account = random_decisions(rng, listing.bars), random_account(rng)
    symbol = listing.bars.symbol
    run = run_decisions(listing, decisions, account)
    exact = run_strategy(scripted({symbol: decisions}, {symbol: listing.bars}), [listing], account)
    assert_same(run, exact)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_several_symbols_on_one_account_agree_with_the_exact_driver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = [INSTRUMENTS[row] for row in rng.permutation(len(INSTRUMENTS))[: int(rng.integers(1, 5))]]
    listings = [with_holes(rng, random_listing(rng, each, BARS)) for each in chosen]
    tables = {each.bars.symbol: random_decisions(rng, each.bars) for each in listings}
    account = random_account(rng)
    run = run_portfolio(listings, list(tables.values()), account)
    exact = run_strategy(scripted(tables, {each.bars.symbol: each.bars for each in listings}), listings, account)
    assert_same(run, exact)
    assert run.time.tolist() == list(exact.time)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_curve_of_prices_on_the_tick_is_the_exact_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    listing = random_listing(rng, INSTRUMENTS[0], BARS)
    listing = replace(listing, bars=on_tick(listing))
    decisions, account = random_decisions(rng, listing.bars), random_account(rng)
    symbol = listing.bars.symbol
    run = run_decisions(listing, decisions, account)
    exact = run_strategy(scripted({symbol: decisions}, {symbol: listing.bars}), [listing], account)
    np.testing.assert_allclose(run.equity, [float(value) for value in exact.equity], rtol=1e-12)
    same = as_run(exact, [listing], account)
    np.testing.assert_allclose(same.sums, run.sums, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(same.trades.profit, run.trades.profit, rtol=1e-12)
    assert same.cash == run.cash


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_symbol_alone_and_on_a_shared_account_give_the_same_run(seed: int) -> None:
    rng = np.random.default_rng(seed)
    listing = random_listing(rng, INSTRUMENTS[int(rng.integers(5))], 4 * BARS)
    decisions, account = random_decisions(rng, listing.bars, rate=0.05), random_account(rng)
    if rng.random() < 0.5:
        decisions = Decisions(decisions.action % 2, stop_ratio=0.01, target_ratio=0.02, max_bars=decisions.max_bars)
    one, many = (
        run_decisions(listing, decisions, account),
        run_portfolio([listing], [decisions], account),
    )
    np.testing.assert_array_equal(one.trades.table, many.trades.table)
    np.testing.assert_allclose(one.equity, many.equity, rtol=1e-12)
    np.testing.assert_allclose(one.sums, many.sums, rtol=1e-9, atol=1e-12)
    assert one.cash == many.cash


@pytest.mark.prove
def test_two_thousand_random_markets_agree_with_the_exact_driver() -> None:
    trades = 0
    for seed in range(2000):
        rng = np.random.default_rng([11, seed])
        chosen = [INSTRUMENTS[row] for row in rng.permutation(len(INSTRUMENTS))[: 1 + seed % 3]]
        listings = [random_listing(rng, each, 150, is_on_tick=rng.random() < 0.7) for each in chosen]
        rate = float(rng.choice([0.03, 0.3, 0.9]))
        tables = {each.bars.symbol: random_decisions(rng, each.bars, rate=rate) for each in listings}
        account = random_account(rng)
        exact = run_strategy(scripted(tables, {each.bars.symbol: each.bars for each in listings}), listings, account)
        assert_same(run_portfolio(listings, list(tables.values()), account), exact)
        if len(listings) == 1:
            assert_same(run_decisions(listings[0], tables[listings[0].bars.symbol], account), exact)
        trades += len(exact.trades)
    assert trades > 20_000
