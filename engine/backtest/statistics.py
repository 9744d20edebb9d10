"""What to call a result: the usual figures, and how likely it is to be luck. Each with its source.

Ratios of risk are taken from daily closes (UTC days that have bars), whatever the length of the bars, so that they can
be compared; the depth of drawdowns is taken from every bar. A year has 365.25 days; the number of daily returns in it
follows from the data. The risk-free rate is zero. Figures that do not exist (no trade, no loss) are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan, sqrt

import numpy as np

from engine.backtest import columns as at
from engine.backtest.result import Run
from engine.domain.luck import expected_best_sharpe, overfitting, probabilistic_sharpe
from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import DAY_S
from engine.domain.symbols import TIMEFRAME_S

YEAR_S = 365.25 * DAY_S


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one run; money in account currency, ratios as fractions.

    Attributes:
        cagr: Compound growth a year.
        volatility: Standard deviation of daily returns, a year.
        sharpe: Mean over standard deviation of daily returns, a year (Sharpe 1994).
        sortino: The same over the root mean square of the losing days (Sortino and Price 1994).
        max_drawdown: Largest fall from a peak; `max_drawdown_days` the longest time below one.
        calmar: Growth a year over the largest drawdown (Young 1991).
        win_rate: Share of trades with a net profit.
        profit_factor: Net profits over net losses of trades.
        expectancy: Mean net profit of a trade, in account currency and (`expectancy_ratio`) of what it cost.
        exposure: Share of bars with a position.
        turnover: Notional traded over the mean daily equity, a year.
        beyond_volume: Fills larger than the bar could have borne.
    """

    start_equity: float
    end_equity: float
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    max_drawdown_days: float
    calmar: float
    trades: int
    win_rate: float
    profit_factor: float
    expectancy: float
    expectancy_ratio: float
    exposure: float
    turnover: float
    fees: float
    funding: float
    beyond_volume: int


@dataclass(frozen=True, slots=True)
class DailyCurve:
    """The account at the last close of each UTC day that has bars.

    Attributes:
        day: Days since the epoch.
        equity: Shape (days,).
        start: Equity before the first bar.
    """

    day: IntArray
    equity: FloatArray
    start: float

    @property
    def returns(self) -> FloatArray:
        """Return the change of each day as a fraction."""
        before = np.concatenate([[self.start], self.equity[:-1]])
        changes: FloatArray = self.equity / before - 1
        return changes


def daily_curve(time: IntArray, equity: FloatArray, start: float) -> DailyCurve:
    """Return the last equity of each day; a bar belongs to the day in which it opens.

    Looks up the days' ends instead of reading every time.
    """
    if len(time) == 0:
        return DailyCurve(np.empty(0, np.int64), np.empty(0), start)
    first, last = int(time[0]) // DAY_S, int(time[-1]) // DAY_S
    ends = np.searchsorted(time, np.arange(first + 1, last + 2) * DAY_S) - 1
    rows = np.unique(ends[ends >= 0])
    return DailyCurve(time[rows] // DAY_S, equity[rows], start)


def measure(run: Run) -> Metrics:
    """Return the figures of a run that kept its equity.

    Raises:
        ValueError: It did not keep it.
    """
    if len(run.equity) != len(run.time):
        raise ValueError("the run did not keep its equity; run it with has_equity=True")
    start, end = float(run.account.starting_cash), float(run.sums[at.LAST])
    daily = daily_curve(run.time, run.equity, start)
    returns, years = daily.returns, _years(run)
    per_year = len(returns) / years if years else nan
    growth = (end / start) ** (1 / years) - 1 if years and end > 0 else nan
    deepest = float(run.sums[at.DRAWDOWN])
    downside = sqrt(float(np.mean(np.minimum(returns, 0) ** 2))) if len(returns) else nan
    mean = float(np.mean(returns)) if len(returns) else nan
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else nan
    return Metrics(
        start,
        end,
        end / start - 1,
        growth,
        deviation * sqrt(per_year) if per_year else nan,
        _over(mean, deviation) * sqrt(per_year),
        _over(mean, downside) * sqrt(per_year),
        deepest,
        longest_below_peak(daily),
        _over(growth, deepest),
        *_trade_figures(run, years, float(np.mean(daily.equity)) if len(daily.equity) else nan),
    )


def _trade_figures(
    run: Run, years: float, mean_equity: float
) -> tuple[int, float, float, float, float, float, float, float, float, int]:
    trades = run.trades
    profit = trades.profit
    won, lost = float(profit[profit > 0].sum()), -float(profit[profit < 0].sum())
    notional = float((trades.quantity * (trades.entry_price + trades.exit_price * ~trades.is_open)).sum())
    return (
        len(trades),
        float(np.mean(profit > 0)) if len(trades) else nan,
        _over(won, lost),
        float(np.mean(profit)) if len(trades) else nan,
        float(np.mean(trades.profit_ratio)) if len(trades) else nan,
        float(run.sums[at.BARS_HELD]) / len(run.time) if len(run.time) else nan,
        _over(_over(notional, mean_equity), years),
        float(trades.fees.sum()),
        float(trades.funding.sum()),
        int(trades.exceeds_volume(run.account.matching.participation_ratio).sum()),
    )


def longest_below_peak(daily: DailyCurve) -> float:
    """Return the longest time from a peak until it is reached again (or the end), in days."""
    if len(daily.day) == 0:
        return 0.0
    equity = np.concatenate([[daily.start], daily.equity])
    day = np.concatenate([[daily.day[0] - 1], daily.day])
    is_peak = equity >= np.maximum.accumulate(equity)
    since = np.maximum.accumulate(np.where(is_peak, day, day[0]))
    # A peak that is reached again ends the stretch on that very day.
    before = np.concatenate([[day[0]], since[:-1]])
    is_below = np.concatenate([[False], ~is_peak[:-1]]) | ~is_peak
    return float(np.max(np.where(is_below, day - before, 0)))


def deflated_sharpe(returns: FloatArray, trial_sharpes: FloatArray) -> float:
    """Return the probability that a Sharpe ratio is real, given all that was tried to find it.

    Args:
        returns: Daily, of the chosen trial.
        trial_sharpes: Of every trial, the chosen one included, per day (`sharpe`).

    Source:
        Bailey and López de Prado (2014), The Deflated Sharpe Ratio.
    """
    trials = len(trial_sharpes)
    variance = float(np.var(trial_sharpes, ddof=1)) if trials > 1 else 0.0
    return probabilistic_sharpe(returns, expected_best_sharpe(variance, trials))


def overfitting_probability(returns: FloatArray, *, blocks: int = 16) -> float:
    """Return how often the best trial of one half of the time is in the worse half of trials in the other half.

    Days that fill no whole block are left out. NaN with fewer than two trials or fewer returns than two a block.

    Args:
        returns: Shape (days, trials).
        blocks: Even number of equal stretches of time.

    Raises:
        ValueError: The number of blocks is odd.
    """
    days, trials = returns.shape
    if blocks % 2 == 0 and (trials < 2 or days < 2 * blocks):
        return nan
    return overfitting(returns[: days // blocks * blocks], blocks)


def _years(run: Run) -> float:
    if len(run.time) == 0:
        return 0.0
    length = TIMEFRAME_S[run.listings[0].bars.timeframe]
    return (int(run.time[-1]) + length - int(run.time[0])) / YEAR_S


def _over(value: float, by: float) -> float:
    return value / by if by and not isnan(by) else nan
