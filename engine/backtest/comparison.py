"""What to hold a backtest against before believing it.

Buying and holding, entries at random times with the same exposure, the same trades at twice the costs, each year and
each regime of volatility by itself, and what luck among all that was tried would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import nan

import numpy as np

from engine.backtest import columns as at
from engine.backtest.fast import run_decisions, run_portfolio
from engine.backtest.result import Run, Trades
from engine.backtest.settings import AccountSettings, Listing, SizeRule, with_costs_times
from engine.backtest.statistics import (
    DailyCurve,
    Metrics,
    daily_curve,
    deflated_sharpe,
    measure,
    overfitting_probability,
)
from engine.domain.luck import sharpe
from engine.domain.market import FloatArray
from engine.domain.sessions import DAY_S
from engine.domain.strategies import FULL_SIZE_BPS, Action, Decisions, SizeArray

Backtest = Callable[[Sequence[Listing], AccountSettings], Run]
"""Runs one set of decisions or one strategy again, with other costs."""

RANDOM_DRAWS = 200
REGIME_DAYS = 20
"""Days of returns that a day's regime of volatility is judged by, all of them before it."""
REGIMES = ("calm", "usual", "wild")
_HOLD_RATIO = Decimal("0.99")


@dataclass(frozen=True, slots=True)
class RandomEntries:
    """The strategy against entries at random times, else the same.

    Of the same number, sides, lengths and shares of the account, at the same costs.

    Attributes:
        returns: Total return of each draw, ascending.
        as_good: Share of draws that did at least as well as the strategy, the strategy counted among them: a p-value.
    """

    returns: FloatArray
    as_good: float

    @property
    def median(self) -> float:
        """Return the middle draw's total return."""
        return float(np.median(self.returns)) if len(self.returns) else nan


@dataclass(frozen=True, slots=True)
class Stretch:
    """The account within some days: a year, a month, a regime.

    Attributes:
        total_return: Of these days one after another.
        sharpe: Daily mean over deviation, scaled to a year of as many days as the data has.
        max_drawdown: Within these days, from daily closes.
        trades: Entered within them; `profit` their net profit.
    """

    name: str
    days: int
    total_return: float
    sharpe: float
    max_drawdown: float
    trades: int
    profit: float


@dataclass(frozen=True, slots=True)
class Trials:
    """Everything that was tried before this result was chosen.

    Attributes:
        sharpes: Daily Sharpe ratio of every trial (`luck.sharpe`), the chosen one included.
        returns: Shape (days, trials), daily returns, when they were kept; None otherwise.
    """

    sharpes: FloatArray
    returns: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run with all that it is held against.

    Attributes:
        trials: How many variants were tried; `deflated_sharpe` and `overfitting` (NaN when the trials' returns were
            not kept) follow from them.
        held: The account of buying and holding, day by day.
        months: Total return by (year, month).
    """

    metrics: Metrics
    buy_and_hold: Metrics
    held: DailyCurve
    random_entries: RandomEntries
    costs_doubled: Metrics
    years: tuple[Stretch, ...]
    months: tuple[tuple[int, int, float], ...]
    regimes: tuple[Stretch, ...]
    trials: int
    deflated_sharpe: float
    overfitting: float


def evaluate(
    run: Run, again: Backtest, *, trials: Trials | None = None, seed: int = 0, draws: int = RANDOM_DRAWS
) -> Evaluation:
    """Hold a run against everything.

    Args:
        run: With its equity.
        again: Runs the same decisions with other costs.
        trials: All that was tried; None for this run alone.
        seed: Of the random entries.
        draws: How many random runs.
    """
    daily = daily_curve(run.time, run.equity, float(run.account.starting_cash))
    tried = trials or Trials(np.array([sharpe(daily.returns)]))
    hold = buy_and_hold(run.listings, run.account)
    doubled = [with_costs_times(each, run.account, 2) for each in run.listings]
    return Evaluation(
        measure(run),
        measure(hold),
        daily_curve(hold.time, hold.equity, float(run.account.starting_cash)),
        random_entries(run, seed=seed, draws=draws),
        measure(again([listing for listing, _ in doubled], doubled[0][1])),
        by_year(run, daily),
        by_month(daily),
        by_regime(run, daily),
        len(tried.sharpes),
        deflated_sharpe(daily.returns, tried.sharpes),
        nan if tried.returns is None else overfitting_probability(tried.returns),
    )


def buy_and_hold(listings: Sequence[Listing], account: AccountSettings) -> Run:
    """Return the run that buys equal parts of every symbol at the second bar and keeps them."""
    tables = []
    for listing in listings:
        action = np.zeros(len(listing.bars), np.int8)
        action[:1] = Action.ENTER_MARKET
        sizes = np.full(len(action), FULL_SIZE_BPS // len(listings), np.int16)
        tables.append(Decisions(action, size_bps=sizes))
    return _run(listings, tables, replace(account, size=SizeRule("equity", _HOLD_RATIO)))


def random_entries(run: Run, *, seed: int, draws: int = RANDOM_DRAWS) -> RandomEntries:
    """Return what as many trades of the same sides, lengths and shares of the account make at random times.

    Args:
        run: Whose trades are copied; with its equity.
        seed: The draws follow from it alone.
        draws: How many.
    """
    account = replace(run.account, size=SizeRule("equity", run.account.max_leverage))
    shares = _shares(run)
    rng = np.random.default_rng(seed)
    target = float(run.sums[at.LAST]) / float(run.account.starting_cash) - 1
    found = []
    for _ in range(draws if len(run.trades) else 0):
        tables = [_scatter(rng, run.trades, shares, number, len(each.bars)) for number, each in enumerate(run.listings)]
        drawn = _run(run.listings, tables, account, has_equity=False)
        found.append(float(drawn.sums[at.LAST]) / float(account.starting_cash) - 1)
    returns = np.sort(np.array(found))
    return RandomEntries(returns, (1 + int((returns >= target).sum())) / (1 + len(returns)))


def by_year(run: Run, daily: DailyCurve) -> tuple[Stretch, ...]:
    """Return each calendar year (UTC)."""
    years = _calendar(daily, "Y") + 1970
    entered = _entry_days(run).astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    names = np.unique(years).tolist()
    return tuple(_stretch(str(name), run, daily, years == name, entered == name) for name in names)


def by_month(daily: DailyCurve) -> tuple[tuple[int, int, float], ...]:
    """Return the total return of each calendar month (UTC), oldest first."""
    months = _calendar(daily, "M")
    growth = 1 + daily.returns
    return tuple(
        (1970 + month // 12, month % 12 + 1, float(np.prod(growth[months == month]) - 1))
        for month in np.unique(months).tolist()
    )


def by_regime(run: Run, daily: DailyCurve) -> tuple[Stretch, ...]:
    """Return the days in thirds of the market's volatility over the days before each.

    The market is the mean of the symbols' daily returns; days without enough of them before are left out.
    """
    market = _market_returns(run, daily)
    before = np.full(len(market), np.nan)
    if len(market) > REGIME_DAYS:
        windows = np.lib.stride_tricks.sliding_window_view(market, REGIME_DAYS)[:-1]
        before[REGIME_DAYS:] = windows.std(axis=1)
    known = before[~np.isnan(before)]
    if len(known) < len(REGIMES):
        return ()
    regime = np.where(np.isnan(before), -1, np.searchsorted(np.quantile(known, [1 / 3, 2 / 3]), before))
    entered = np.searchsorted(daily.day, _entry_days(run))
    return tuple(
        _stretch(name, run, daily, regime == number, regime[entered] == number) for number, name in enumerate(REGIMES)
    )


def _run(
    listings: Sequence[Listing], tables: Sequence[Decisions], account: AccountSettings, *, has_equity: bool = True
) -> Run:
    """Run one symbol without copying its bars, several on one account."""
    if len(listings) == 1:
        return run_decisions(listings[0], tables[0], account, has_equity=has_equity)
    return run_portfolio(listings, tables, account, has_equity=has_equity)


def _stretch(name: str, run: Run, daily: DailyCurve, days: np.ndarray, trades: np.ndarray) -> Stretch:
    returns = daily.returns[days]
    growth = np.cumprod(1 + returns)
    peaks = np.maximum(np.maximum.accumulate(growth), 1.0) if len(growth) else growth
    span = daily.day[-1] - daily.day[0] + 1
    per_year = len(daily.day) / (span / 365.25)
    return Stretch(
        name,
        len(returns),
        float(growth[-1] - 1) if len(growth) else 0.0,
        sharpe(returns) * float(np.sqrt(per_year)),
        float(np.max(1 - growth / peaks)) if len(growth) else 0.0,
        int(trades.sum()),
        float(run.trades.profit[trades].sum()),
    )


def _calendar(daily: DailyCurve, unit: str) -> np.ndarray:
    return daily.day.astype("datetime64[D]").astype(f"datetime64[{unit}]").astype(np.int64)


def _entry_days(run: Run) -> np.ndarray:
    """Return the day of each trade's entry, in days since the epoch."""
    days = np.empty(len(run.trades), np.int64)
    for number, listing in enumerate(run.listings):
        own = run.trades.symbol_row == number
        days[own] = listing.bars.time[run.trades.entered[own]] // DAY_S
    return days


def _market_returns(run: Run, daily: DailyCurve) -> FloatArray:
    total, count = np.zeros(len(daily.day)), np.zeros(len(daily.day))
    for listing in run.listings:
        if len(listing.bars) == 0:
            continue
        own = daily_curve(listing.bars.time, listing.bars.close, float(listing.bars.open[0]))
        rows = np.searchsorted(daily.day, own.day)
        total[rows] += own.returns
        count[rows] += 1
    return total / np.maximum(count, 1)


def _shares(run: Run) -> SizeArray:
    """Return each trade's notional as a share of the largest that the account bore when it was decided, in bps."""
    worth = np.empty(len(run.trades))
    for number, listing in enumerate(run.listings):
        own = run.trades.symbol_row == number
        worth[own] = run.equity[np.searchsorted(run.time, listing.bars.time[run.trades.decided[own]])]
    most = np.maximum(worth, 1e-9) * float(run.account.max_leverage)
    bps = np.rint(FULL_SIZE_BPS * run.trades.quantity * run.trades.entry_price / most)
    return np.clip(bps, 1, FULL_SIZE_BPS).astype(np.int16)


def _scatter(rng: np.random.Generator, trades: Trades, shares: SizeArray, number: int, bars: int) -> Decisions:
    """Return market entries and exits of one symbol's trades in a random order with random pauses between them."""
    own = np.flatnonzero(trades.symbol_row == number)
    ends = np.where(trades.exited[own] < 0, bars - 1, trades.exited[own])
    lengths, sides = np.maximum(ends - trades.entered[own], 1), trades.side[own]
    order = rng.permutation(len(own))
    lengths, sides, own = lengths[order], sides[order], own[order]
    # Each trade takes its bars and the bar of its exit; what does not fit into the history is left out.
    fits = np.cumsum(lengths + 1) <= bars - 2
    lengths, sides, own = lengths[fits], sides[fits], own[fits]
    free = bars - 2 - int((lengths + 1).sum())
    pauses = np.sort(rng.integers(0, max(free, 0) + 1, len(lengths)))
    starts = pauses + np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64) if len(lengths) else pauses
    action = np.zeros(bars, np.int8)
    action[starts + lengths] = Action.EXIT
    action[starts] = sides * int(Action.ENTER_MARKET)
    sizes = np.full(bars, FULL_SIZE_BPS, np.int16)
    sizes[starts] = shares[own]
    return Decisions(action, size_bps=sizes)
