"""Try some strategies on past bars, each with an equal part of the money, and hold the whole against simpler ways.

Every strategy (a sleeve) has its own account with an equal share of the cash, and every position in it the same size:
what the account is worth over the most positions that the strategy can hold at once. The sum of the accounts is the
result. Beside it stand buying and holding equal parts of all symbols, the same trades at random times, and the same
decisions at twice the costs. Decisions before the period only warm the windows up; nothing is traded then.

Left out on purpose: an agent's limits of risk. They are about money at stake, not about whether a rule has an edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from math import isnan, sqrt

import numpy as np

from agents.strategies.tables import TableStrategy
from engine.backtest import AccountSettings, Listing, Run, SizeRule, deflated_sharpe, run_portfolio, with_costs_times
from engine.backtest.comparison import buy_and_hold, random_entries
from engine.backtest.statistics import YEAR_S, daily_curve
from engine.domain.luck import sharpe
from engine.domain.market import FloatArray, IntArray
from engine.domain.strategies import Decisions
from engine.domain.symbols import TIMEFRAME_S

STARTING_CASH = Decimal(100_000)
"""Large enough that the steps of quantities do not show."""
_INVESTED_RATIO = Decimal("0.99")
_STEP = Decimal("0.0001")
_ROWS_OF_LUCK = 12_000_000
"""Bars that random entries may run over in all: a few seconds."""
_DRAWS = (40, 200)
_RUN, _LUCK = 0.3, 0.9
"""Shares of the work that are done after the runs and after the random ones; the rest is the run at doubled costs."""
LUCK_LIMIT = 0.05
"""Share of random runs that may do as well before a result counts as luck."""
SURE = 0.95
"""Deflated Sharpe ratio from which an edge is believed."""


class Verdict(StrEnum):
    """What a trial says of an edge."""

    NO_TRADES = "no_trades"
    NO_EDGE = "no_edge"
    TOO_SMALL = "too_small_to_tell"
    BEATS_BOTH = "beats_both"


@dataclass(frozen=True, slots=True, eq=False)
class Sleeve:
    """One strategy with the bars that it trades, those of its warm-up before the period included."""

    strategy: TableStrategy
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What some strategies made of a period; ratios as fractions, NaN where there is no figure.

    Attributes:
        time: Open times of the bars of all symbols together, seconds since the epoch.
        equity: Shape (n,), the worth of all sleeves at each close.
        held: Shape (n,), the worth of buying and holding.
        daily: Daily returns of the sleeves together.
        sharpe: Of the daily returns, a year.
        trades: Round trips, open ones included; `win_rate` the share with a net profit.
        fees: In account currency.
        random_returns: Ascending total returns of the random runs; empty without trades.
        as_good: Share of them at least as good, this one counted among them.
        costs_doubled: Total return at twice the fees, spread and slippage.
    """

    time: IntArray
    equity: FloatArray
    held: FloatArray
    daily: FloatArray
    total_return: float
    held_return: float
    sharpe: float
    max_drawdown: float
    held_drawdown: float
    trades: int
    win_rate: float
    fees: float
    random_returns: FloatArray
    as_good: float
    costs_doubled: float

    @property
    def random_median(self) -> float:
        """Return the middle random run's total return."""
        return float(np.median(self.random_returns)) if len(self.random_returns) else float("nan")

    @property
    def daily_sharpe(self) -> float:
        """Return the Sharpe ratio per day, the unit of trials."""
        return sharpe(self.daily)

    def deflated_sharpe(self, tried: Sequence[float]) -> float:
        """Return the probability that the Sharpe ratio is real, given those of all tried, this one included."""
        return deflated_sharpe(self.daily, np.array(tried))


def _untold(_done: float) -> None:
    pass


def try_strategies(
    sleeves: Sequence[Sleeve], *, start_s: int, seed: int = 0, progress: Callable[[float], None] = _untold
) -> Trial:
    """Run some strategies over the bars from a moment on.

    Args:
        sleeves: At least one; all bars of one timeframe.
        start_s: First open time that counts; earlier bars warm up.
        seed: Of the random entries.
        progress: Told the share that is done (0-1); what it raises ends the trial.
    """
    parts = []
    for number, sleeve in enumerate(sleeves):
        progress(_RUN * number / len(sleeves))
        parts.append(_run(sleeve, start_s, len(sleeves)))
    runs = [part.run for part in parts]
    symbols = {listing.bars.symbol: listing for run in runs for listing in run.listings}
    hold = buy_and_hold(list(symbols.values()), AccountSettings(starting_cash=STARTING_CASH))
    time = np.unique(np.concatenate([run.time for run in runs]))
    equity = np.sum([_spread(run, time) for run in runs], axis=0)
    held, start = _spread(hold, time), float(STARTING_CASH)
    days = daily_curve(time, equity, start).returns
    total = float(equity[-1]) / start - 1
    luck = _luck(runs, seed, lambda done: progress(_RUN + (_LUCK - _RUN) * done))
    progress(_LUCK)
    profit = np.concatenate([run.trades.profit for run in runs])
    doubled = sum(_last(part.with_costs_times(2)) for part in parts)
    return Trial(
        time,
        equity,
        held,
        days,
        total,
        float(held[-1]) / start - 1,
        _yearly_sharpe(days, time, runs[0]),
        _deepest(equity, start),
        _deepest(held, start),
        len(profit),
        float(np.mean(profit > 0)) if len(profit) else float("nan"),
        float(sum(run.trades.fees.sum() for run in runs)),
        luck,
        (1 + int((luck >= total).sum())) / (1 + len(luck)),
        doubled / start - 1,
    )


def judge(trial: Trial, deflated: float) -> Verdict:
    """Return what a trial says of an edge.

    It beats both only if it made money, more than holding did and more than luck explains, at doubled costs too, and
    if its Sharpe ratio stands after all that was tried. It has no edge if it lost, or did neither better than holding
    nor better than the middle of the random runs. All between is too small to tell.
    """
    if trial.trades == 0:
        return Verdict.NO_TRADES
    beats_holding, beats_middle = trial.total_return > trial.held_return, trial.total_return > trial.random_median
    if trial.total_return <= 0 or not (beats_holding or beats_middle):
        return Verdict.NO_EDGE
    is_sure = trial.as_good <= LUCK_LIMIT and not isnan(deflated) and deflated >= SURE
    return Verdict.BEATS_BOTH if beats_holding and is_sure and trial.costs_doubled > 0 else Verdict.TOO_SMALL


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A sleeve's run, and the decisions that it came from, one for each of its listings."""

    run: Run
    decisions: tuple[Decisions, ...]

    def with_costs_times(self, factor: int) -> Run:
        """Return the run of the same decisions at other costs."""
        costly = [with_costs_times(listing, self.run.account, factor) for listing in self.run.listings]
        return run_portfolio([listing for listing, _ in costly], self.decisions, costly[0][1])


def _run(sleeve: Sleeve, start_s: int, sleeves: int) -> _Part:
    strategy = sleeve.strategy
    share = (_INVESTED_RATIO / max(strategy.most_entries, 1)).quantize(_STEP, ROUND_DOWN)
    account = AccountSettings(STARTING_CASH / sleeves, SizeRule("equity", max(share, _STEP)))
    places = {listing.bars.symbol: listing for listing in sleeve.listings}
    tables = strategy.decide_tables({symbol: listing.bars for symbol, listing in places.items()})
    firsts = {symbol: int(np.searchsorted(each.bars.time, start_s)) for symbol, each in places.items()}
    listings = [_from_row(places[table.symbol], firsts[table.symbol]) for table in tables]
    decisions = tuple(_decisions_from(table.decisions, firsts[table.symbol]) for table in tables)
    return _Part(run_portfolio(listings, decisions, account), decisions)


def _luck(runs: Sequence[Run], seed: int, progress: Callable[[float], None]) -> FloatArray:
    """Return ascending total returns of random runs of all sleeves together.

    Each sleeve's draws come sorted; a shuffle of its own makes them independent again before they are added.
    """
    rows = sum(len(listing.bars) for run in runs for listing in run.listings)
    draws = int(np.clip(_ROWS_OF_LUCK // max(rows, 1), *_DRAWS))
    if not any(len(run.trades) for run in runs):
        return np.empty(0)
    total = np.zeros(draws)
    for number, run in enumerate(runs):
        progress(number / len(runs))
        own = random_entries(run, seed=seed + number, draws=draws).returns
        if len(own):
            total += np.random.default_rng((seed, number)).permutation(own) / len(runs)
    return np.sort(total)


def _from_row(listing: Listing, row: int) -> Listing:
    funding = None if listing.funding is None else listing.funding[row:]
    return replace(listing, bars=listing.bars[row:], funding=funding)


def _decisions_from(decisions: Decisions, row: int) -> Decisions:
    price, stop, target = (
        None if column is None else column[row:] for column in (decisions.price, decisions.stop, decisions.target)
    )
    return replace(decisions, action=decisions.action[row:], price=price, stop=stop, target=target)


def _spread(run: Run, time: IntArray) -> FloatArray:
    """Return a run's equity at other moments: its last one before each, its starting cash before the first."""
    rows = np.searchsorted(run.time, time, side="right")
    whole: FloatArray = np.concatenate([[float(run.account.starting_cash)], run.equity])[rows]
    return whole


def _last(run: Run) -> float:
    return float(run.equity[-1]) if len(run.equity) else float(run.account.starting_cash)


def _yearly_sharpe(days: FloatArray, time: IntArray, run: Run) -> float:
    span = int(time[-1]) - int(time[0]) + TIMEFRAME_S[run.listings[0].bars.timeframe]
    value = sharpe(days)
    return value * sqrt(len(days) / (span / YEAR_S)) if value else float("nan")


def _deepest(equity: FloatArray, start: float) -> float:
    whole = np.concatenate([[start], equity])
    return float(np.max(1 - whole / np.maximum.accumulate(whole)))
