"""Trials: sums of sleeves, what counts as the period, luck, and the verdict."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from agents.strategies import build_strategy
from agents.strategies.trial import STARTING_CASH, Sleeve, Trial, Verdict, judge, try_strategies
from engine.backtest import AccountSettings, Listing, SizeRule, measure, run_decisions
from tests.agents.strategies.markets import make_listing

LISTING = make_listing("BTC/USDT", "1h", 1_500, seed=8)
START_S = int(LISTING.bars.time[400])


def sleeve(name: str = "breakout", listing: Listing = LISTING) -> Sleeve:
    return Sleeve(build_strategy(name, (listing.bars.symbol,), "1h"), (listing,))


def test_one_sleeve_is_the_plain_backtest_of_the_period() -> None:
    trial = try_strategies([sleeve()], start_s=START_S)
    (table,) = sleeve().strategy.decide_tables({"BTC/USDT": LISTING.bars})
    inside = replace(LISTING, bars=LISTING.bars[400:])
    decisions = replace(table.decisions, action=table.decisions.action[400:], stop=table.decisions.stop[400:])  # type: ignore[index]  # breakouts have stops
    account = AccountSettings(STARTING_CASH, SizeRule("equity", Decimal("0.99")))
    plain = measure(run_decisions(inside, decisions, account))
    assert trial.total_return == pytest.approx(plain.total_return)
    assert trial.sharpe == pytest.approx(plain.sharpe)
    assert trial.max_drawdown == pytest.approx(plain.max_drawdown)
    assert trial.trades == plain.trades
    assert trial.win_rate == pytest.approx(plain.win_rate)
    assert trial.time[0] == START_S


def test_bars_before_the_period_warm_up_and_are_not_traded() -> None:
    trial = try_strategies([sleeve()], start_s=START_S)
    assert trial.time[0] == START_S
    assert trial.equity[0] == float(STARTING_CASH)
    cold = try_strategies([sleeve(listing=replace(LISTING, bars=LISTING.bars[400:]))], start_s=START_S)
    before_warmup = sleeve().strategy.warmup
    assert np.ptp(trial.equity[:before_warmup]) > 0
    assert np.ptp(cold.equity[:before_warmup]) == 0


def test_sleeves_share_the_money_and_add_up() -> None:
    alone = [try_strategies([sleeve(name)], start_s=START_S) for name in ("breakout", "grid", "scalping")]
    whole = try_strategies([sleeve(name) for name in ("breakout", "grid", "scalping")], start_s=START_S)
    mean = np.mean([each.equity for each in alone], axis=0)
    np.testing.assert_allclose(whole.equity, mean, rtol=1e-4)
    assert whole.trades == sum(each.trades for each in alone)
    np.testing.assert_array_equal(whole.held, alone[0].held)


def test_symbols_that_begin_later_join_later() -> None:
    late = make_listing("ETH/USDT", "1h", 1_500, seed=9)
    late = replace(late, bars=late.bars[900:])
    strategy = build_strategy("breakout", ("BTC/USDT", "ETH/USDT"), "1h")
    trial = try_strategies([Sleeve(strategy, (LISTING, late))], start_s=START_S)
    assert trial.time[0] == START_S
    assert len(trial.equity) == len(trial.held) == len(np.union1d(LISTING.bars.time[400:], late.bars.time))


def test_the_same_seed_gives_the_same_luck() -> None:
    one, two = (try_strategies([sleeve("scalping")], start_s=START_S, seed=3) for _ in range(2))
    other = try_strategies([sleeve("scalping")], start_s=START_S, seed=4)
    np.testing.assert_array_equal(one.random_returns, two.random_returns)
    assert not np.array_equal(one.random_returns, other.random_returns)
    assert 0 < one.as_good <= 1
    assert one.costs_doubled < one.total_return


def trial_of(**changes: object) -> Trial:
    flat = np.zeros(2)
    base = Trial(
        time=np.array([0, 3600]),
        equity=flat,
        held=flat,
        daily=flat,
        total_return=0.3,
        held_return=0.1,
        sharpe=2.0,
        max_drawdown=0.1,
        held_drawdown=0.2,
        trades=40,
        win_rate=0.6,
        fees=10.0,
        random_returns=np.array([0.0, 0.05, 0.1]),
        as_good=0.01,
        costs_doubled=0.2,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # fields of the test's choosing


@pytest.mark.parametrize(
    ("changes", "deflated", "verdict"),
    [
        ({}, 0.97, Verdict.BEATS_BOTH),
        ({}, 0.90, Verdict.TOO_SMALL),
        ({}, float("nan"), Verdict.TOO_SMALL),
        ({"as_good": 0.2}, 0.97, Verdict.TOO_SMALL),
        ({"costs_doubled": -0.01}, 0.97, Verdict.TOO_SMALL),
        ({"held_return": 0.5}, 0.97, Verdict.TOO_SMALL),
        ({"held_return": 0.5, "random_returns": np.array([0.4])}, 0.97, Verdict.NO_EDGE),
        ({"total_return": -0.01, "held_return": -0.5}, 0.97, Verdict.NO_EDGE),
        ({"trades": 0, "random_returns": np.empty(0)}, 0.5, Verdict.NO_TRADES),
    ],
)
def test_the_verdict(changes: dict[str, object], deflated: float, verdict: Verdict) -> None:
    assert judge(trial_of(**changes), deflated) is verdict


@pytest.mark.parametrize("name", ["breakout", "grid", "scalping", "mean_reversion"])
def test_nothing_is_found_on_random_walks(name: str) -> None:
    verdicts = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.standard_normal(1_200) * 0.008))
        opens = np.concatenate([close[:1], close[:-1]])
        reach = 1 + np.abs(rng.standard_normal((2, 1_200))) * 0.004
        bars = replace(
            LISTING.bars[:1_200],
            open=opens,
            close=close,
            high=np.maximum(opens, close) * reach[0],
            low=np.minimum(opens, close) / reach[1],
        )
        trial = try_strategies([sleeve(name, replace(LISTING, bars=bars))], start_s=int(bars.time[250]), seed=seed)
        verdicts.append(judge(trial, trial.deflated_sharpe([trial.daily_sharpe])))
    assert verdicts.count(Verdict.BEATS_BOTH) <= 1
