"""What a run is held against, on markets whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest

from engine.backtest import (
    AccountSettings,
    Evaluation,
    Listing,
    Run,
    SizeRule,
    Trials,
    evaluate,
    measure,
    run_decisions,
    run_portfolio,
    sweep,
)
from engine.backtest.comparison import buy_and_hold, random_entries
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars
from engine.domain.strategies import Action, Decisions
from engine.sim.matching import MatchingSettings
from tests.engine.backtest.checks import check_strategy
from tests.engine.backtest.strategies import Bracket, Crossover
from tests.engine.ml.bars import random_walk

D = Decimal
ACCOUNT = AccountSettings(D(10_000), SizeRule("equity", D("0.9")))


def listing_of(bars: Bars) -> Listing:
    return Listing(bars, build_instrument(bars.symbol), D(1))


def judge(listing: Listing, decisions: Decisions, draws: int, trials: Trials | None = None) -> Evaluation:
    def again(listings: Sequence[Listing], account: AccountSettings) -> Run:
        return run_decisions(listings[0], decisions, account)

    return evaluate(again([listing], ACCOUNT), again, draws=draws, trials=trials)


def test_every_strategy_here_passes_the_shared_check() -> None:
    gold = Listing(random_walk(500, 4, symbol="XAUUSD"), build_instrument("XAUUSD"), D(1))
    for strategy in (
        Crossover(("XAUUSD",)),
        Crossover(("XAUUSD",), shorts=True),
        Bracket(("XAUUSD",)),
        Bracket(("XAUUSD",), max_bars=4),
    ):
        check_strategy(strategy, gold, ACCOUNT)


def test_a_strategy_that_looks_ahead_fails_the_shared_check() -> None:
    class Peeking(Crossover):
        def decide_all(self, bars: Bars) -> Decisions:
            action = np.zeros(len(bars), np.int8)
            action[:-1][bars.close[1:] > bars.close[:-1]] = Action.ENTER_MARKET
            return Decisions(action)

    with pytest.raises(AssertionError):
        check_strategy(Peeking(("BTC/USDT",)), listing_of(random_walk(200, 4)), ACCOUNT)


def test_a_random_walk_shows_no_edge() -> None:
    listing = listing_of(random_walk(12_000, 8))
    found = judge(listing, Crossover(("BTC/USDT",), "1h", 10, 40).decide_all(listing.bars), draws=100)
    assert found.deflated_sharpe < 0.95
    assert found.random_entries.as_good > 0.05
    assert found.costs_doubled.total_return < found.metrics.total_return
    assert found.costs_doubled.trades == found.metrics.trades


def test_a_planted_edge_is_told_from_luck() -> None:
    bars = random_walk(6_000, 9)
    action = np.zeros(len(bars), np.int8)
    rises = np.flatnonzero(bars.close[10:] > bars.close[:-10] * 1.01)
    action[rises] = Action.ENTER_MARKET
    found = judge(listing_of(bars), Decisions(action, max_bars=10), draws=100)
    assert found.random_entries.as_good < 0.02
    assert found.deflated_sharpe > 0.99


def test_years_months_and_regimes_multiply_to_the_whole() -> None:
    listing = listing_of(random_walk(15_000, 10))
    found = judge(listing, Crossover(("BTC/USDT",)).decide_all(listing.bars), draws=5)
    whole = 1 + found.metrics.total_return
    assert np.prod([1 + each.total_return for each in found.years]) == pytest.approx(whole)
    assert np.prod([1 + value for _, _, value in found.months]) == pytest.approx(whole)
    assert sum(each.trades for each in found.years) == found.metrics.trades
    # An open trade counts at its last close on the tick, the curve at the close as it came.
    assert sum(each.profit for each in found.years) == pytest.approx(found.metrics.end_equity - 10_000, abs=1)
    days = [each.days for each in found.regimes]
    assert max(days) - min(days) <= 1
    assert [each.name for each in found.regimes] == ["calm", "usual", "wild"]


def test_buying_and_holding_several_symbols_follows_their_prices() -> None:
    listings = [
        listing_of(random_walk(2000, seed, symbol=symbol)) for seed, symbol in ((1, "BTC/USDT"), (2, "ETH/USDT"))
    ]
    run = buy_and_hold(listings, ACCOUNT)
    gains = [each.bars.close[-1] / each.bars.open[1] - 1 for each in listings]
    assert len(run.trades) == 2
    assert measure(run).total_return == pytest.approx(0.99 * np.mean(gains), abs=0.01)


def test_random_entries_are_seeded_and_keep_the_exposure() -> None:
    listing = listing_of(random_walk(3000, 3))
    free = AccountSettings(D(10_000), SizeRule("equity", D("0.5")), matching=MatchingSettings(slippage_bps=D(0)))
    run = run_decisions(listing, Crossover(("BTC/USDT",)).decide_all(listing.bars), free)
    first, again, other = (random_entries(run, seed=seed, draws=20).returns for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first)) == 20


def test_random_entries_hold_as_much_as_the_strategy() -> None:
    bars = random_walk(4000, 3)
    still = np.full(4000, 100.0)
    calm = Bars("BTC/USDT", "1h", bars.time, still, still, still, still, bars.volume)
    action = np.zeros(4000, np.int8)
    action[::50] = Action.ENTER_MARKET
    decisions = Decisions(action, size_bps=np.full(4000, 3000, np.int16), max_bars=20)
    run = run_decisions(listing_of(calm), decisions, ACCOUNT)
    # Prices stand still, so that all that is lost is costs, which follow what is bought.
    lost = measure(run).total_return
    np.testing.assert_allclose(random_entries(run, seed=1, draws=5).returns, lost, rtol=2e-3)


def test_a_sweep_gives_each_candidate_what_it_gets_alone() -> None:
    listing = listing_of(random_walk(3000, 6))
    rules = [Crossover(("BTC/USDT",), "1h", fast, slow) for fast in (3, 5, 8) for slow in (15, 30)]
    found = sweep(listing, ACCOUNT, rules, lambda rule: rule.decide_all(listing.bars), threads=2, keeps_daily=True)
    for row, rule in enumerate(rules):
        figures = measure(run_decisions(listing, rule.decide_all(listing.bars), ACCOUNT))
        assert found.total_return[row] == pytest.approx(figures.total_return, rel=1e-12)
        assert found.max_drawdown[row] == figures.max_drawdown
        assert found.trades[row] == figures.trades
        assert found.exposure[row] == pytest.approx(figures.exposure)
    trials = found.trials()
    best = rules[int(trials.sharpes.argmax())]
    judged = judge(listing, best.decide_all(listing.bars), 2, trials)
    assert judged.trials == len(rules)
    assert judged.deflated_sharpe < judge(listing, best.decide_all(listing.bars), 2).deflated_sharpe
    assert 0 <= judged.overfitting <= 1


def test_two_symbols_share_one_account() -> None:
    listings = [
        listing_of(random_walk(400, seed, symbol=symbol)) for seed, symbol in ((1, "BTC/USDT"), (2, "ETH/USDT"))
    ]
    action = np.zeros(400, np.int8)
    action[0] = Action.ENTER_MARKET
    run = run_portfolio(listings, [Decisions(action), Decisions(action)], ACCOUNT)
    # The second wants nine tenths of an account of which the first has taken nine tenths.
    assert run.refused == {"insufficient_balance": 1}
    assert len(run.trades) == 1
