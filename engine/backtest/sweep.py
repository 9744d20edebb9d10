"""Many variants of one rule over the same bars, in parallel threads.

The compiled pass lets other threads run, so plain threads use all cores; what a variant's decisions cost in Python is
what does not run in parallel, so let `decide` call compiled code too. Every variant counts as a trial: the result
carries what `comparison.Trials` needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import nan, sqrt
from os import cpu_count
from typing import Generic, TypeVar

import numpy as np

from engine.backtest import columns as at
from engine.backtest.comparison import Trials
from engine.backtest.fast import Runner
from engine.backtest.settings import AccountSettings, Listing
from engine.backtest.statistics import YEAR_S, daily_curve
from engine.domain.luck import sharpe
from engine.domain.market import FloatArray, IntArray
from engine.domain.strategies import Decisions
from engine.domain.symbols import TIMEFRAME_S

Candidate = TypeVar("Candidate")


@dataclass(frozen=True, eq=False)
class Sweep(Generic[Candidate]):
    """One row per candidate, in the order given.

    Attributes:
        total_return: Shape (candidates,), after costs.
        sharpe: From the returns of bars, scaled to a year; NaN when nothing happened.
        max_drawdown: From every close.
        trades: How many, open ones included.
        exposure: Share of bars with a position.
        daily: Shape (days, candidates), daily returns, when they were kept; None otherwise.
    """

    candidates: Sequence[Candidate]
    total_return: FloatArray
    sharpe: FloatArray
    max_drawdown: FloatArray
    trades: IntArray
    exposure: FloatArray
    daily: FloatArray | None

    def trials(self) -> Trials:
        """Return all candidates as trials.

        Raises:
            ValueError: Daily returns were not kept.
        """
        if self.daily is None:
            raise ValueError("the sweep did not keep daily returns; run it with keeps_daily=True")
        return Trials(np.array([sharpe(column) for column in self.daily.T]), self.daily)


def sweep(
    listing: Listing,
    account: AccountSettings,
    candidates: Sequence[Candidate],
    decide: Callable[[Candidate], Decisions],
    *,
    threads: int | None = None,
    keeps_daily: bool = False,
) -> Sweep[Candidate]:
    """Run every candidate's decisions.

    Args:
        listing: The symbol with its bars and costs.
        account: Cash, size and leverage.
        candidates: Parameters, of any kind.
        decide: Turns one into decisions; called in several threads at once.
        threads: How many; None for one a core.
        keeps_daily: Whether to keep daily returns, which judging the trials needs.
    """
    workers = threads or cpu_count() or 1
    start = float(account.starting_cash)
    sums, counts = np.empty((len(candidates), at.SUMS)), np.empty(len(candidates), np.int64)
    days = len(daily_curve(listing.bars.time, listing.bars.close, 1.0).day) if keeps_daily else 0
    daily = np.empty((days, len(candidates)), np.float64)

    def work(worker: int) -> None:
        runner = Runner(listing, account, has_equity=keeps_daily)
        for row in range(worker, len(candidates), workers):
            counts[row] = runner.count_trades(decide(candidates[row]))
            sums[row] = runner.sums
            if keeps_daily:
                daily[:, row] = daily_curve(listing.bars.time, runner.equity, start).returns

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    n = max(len(listing.bars), 1)
    return Sweep(
        candidates,
        sums[:, at.LAST] / start - 1,
        _sharpe(sums, listing, n),
        sums[:, at.DRAWDOWN],
        counts,
        sums[:, at.BARS_HELD] / n,
        daily if keeps_daily else None,
    )


def _sharpe(sums: FloatArray, listing: Listing, n: int) -> FloatArray:
    mean = sums[:, at.SUM_RETURN] / n
    deviation = np.sqrt(np.maximum(sums[:, at.SUM_SQUARE] / n - mean**2, 0))
    time = listing.bars.time
    span = int(time[-1]) - int(time[0]) + TIMEFRAME_S[listing.bars.timeframe] if len(time) else 1
    ratio: FloatArray = np.divide(mean, deviation, out=np.full(len(mean), nan), where=deviation > 0)
    scaled: FloatArray = ratio * sqrt(n / (span / YEAR_S))
    return scaled
