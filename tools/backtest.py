"""`run_backtest`: an agent, a strategy or the ML signal over past bars, beside what it is held against.

An agent is its strategies on its symbols with an equal part of the money each. The work runs in a thread, one backtest
at a time, over a bounded number of bars; it tells how far it is, and ends soon after nobody waits for it any more.
Every backtest that somebody asks for counts as a trial against the later ones, as long as the program runs: the best of
many tries looks good by luck.

The signal is forecast anew, walk-forward: the models that are kept have learned from all of the past, so that a
backtest over theirs would show what they remember and not what they foresee.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isnan
from typing import Literal

import numpy as np

from agents.profiles import Profile
from agents.strategies import TableStrategy
from agents.strategies.trial import STARTING_CASH, Sleeve, Trial, judge, try_strategies
from engine.backtest import Listing
from engine.backtest.statistics import daily_curve
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import typical_spread_bps
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.sessions import DAY_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tools.backtest_plans import Plan, SignalStrategy, plan_backtest
from tools.instruments import check_symbol
from tools.registry import ToolContext
from tools.results import BacktestResult, EquityCurve
from tools.schema import RunBacktest

MOST_BARS = 200_000
"""Bars of all symbols together that one backtest may read: a few seconds of work."""
LEAST_BARS = 20
"""Bars that a period must have."""
MOST_POINTS = 180
"""Points of the curve that comes back."""
_READ, _READ_SIGNAL, _FORETOLD = 0.3, 0.05, 0.85
"""Shares of the work that are done when the bars are read and when the signals are known."""

Key = tuple[str, str | None, str, int]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """A finished backtest: the answer, and what it came from.

    Attributes:
        sleeves: The strategies with the very bars that they saw; those without bars are left out.
    """

    result: BacktestResult
    sleeves: tuple[Sleeve, ...]


class _Unwanted(Exception):
    """Nobody waits for the answer any more."""


class BacktestTool:
    """Backtests agents, strategies and the ML signal.

    Args:
        market: Bars, rules and the present.
        profiles: The owner's own agents by name.
    """

    def __init__(self, market: MarketData, profiles: Mapping[str, Profile] | None = None) -> None:
        self._market = market
        self._profiles = dict(profiles or {})
        self._one_at_a_time = asyncio.Semaphore(1)
        self._tried: dict[str, dict[Key, float]] = {}

    async def __call__(self, arguments: RunBacktest, context: ToolContext) -> BacktestResult:
        """Return a backtest; cancelled, it ends at the next step of the work.

        Raises:
            InvalidRequest: The market has no such symbol.
            DataUnavailable: The market has no or too few bars for it.
        """
        is_unwanted = threading.Event()

        def tell(done: float) -> None:
            if is_unwanted.is_set():
                raise _Unwanted
            context.progress(done)

        async with self._one_at_a_time:
            try:
                return (await asyncio.to_thread(self.test, arguments, context.owner, tell)).result
            finally:
                is_unwanted.set()

    def test(self, arguments: RunBacktest, owner: str, progress: Progress) -> Tested:
        """Return a backtest with what it came from; the caller's thread does the work.

        Args:
            arguments: What is asked for.
            owner: Whose trial it is.
            progress: Told the share that is done (0-1); what it raises ends the work.

        Raises:
            InvalidRequest: The market has no such symbol.
            DataUnavailable: The market has no or too few bars for it.
        """
        if arguments.symbol is not None:
            check_symbol(self._market, arguments.symbol)
        plan = plan_backtest(arguments, self._market.instruments(), self._profiles)
        days = min(arguments.days, MOST_BARS * TIMEFRAME_S[arguments.timeframe] // DAY_S // len(plan.symbols))
        _check_length(days, arguments.timeframe)
        read = _READ_SIGNAL if arguments.target == "signal" else _READ
        bars = self._read(plan, days, arguments.timeframe, _part(progress, 0, read))
        start_s = _start_of(plan, bars, int(self._market.now().timestamp()) - days * DAY_S)
        strategies = [_foretold(each, bars, start_s, progress) for each in plan.strategies]
        sleeves = [sleeve for sleeve in (self._sleeve(each, bars) for each in strategies) if sleeve.listings]
        begun = _FORETOLD if arguments.target == "signal" else read
        trial = try_strategies(sleeves, start_s=start_s, progress=_part(progress, begun, 1))
        tried = self._tried.setdefault(owner, {})
        tried[arguments.target, arguments.symbol, arguments.timeframe, arguments.days] = trial.daily_sharpe
        learned = next((_learned(each, start_s) for each in sleeves if isinstance(each.strategy, SignalStrategy)), None)
        told = self._tell(arguments, plan, trial, tuple(bars), days, tuple(tried.values()), learned)
        return Tested(told, tuple(sleeves))

    def _read(self, plan: Plan, days: int, timeframe: Timeframe, progress: Progress) -> dict[str, Bars]:
        """Return the bars of the period and of the warm-up before it; symbols with too few are left out.

        Raises:
            DataUnavailable: No symbol has enough.
        """
        most = days * DAY_S // TIMEFRAME_S[timeframe] + 1
        found, short = {}, {}
        for number, symbol in enumerate(plan.symbols):
            progress(number / len(plan.symbols))
            warmups = [strategy.warmup for strategy in plan.strategies if symbol in strategy.symbols]
            bars = self._market.bars(symbol, timeframe, most + max(warmups) + plan.more_bars)
            if len(bars) >= min(warmups) + LEAST_BARS:
                found[symbol] = bars
            else:
                short[symbol] = (len(bars), min(warmups) + LEAST_BARS)
        if not found:
            symbol, (count, needed) = next(iter(short.items()))
            raise DataUnavailable(
                f"{symbol} has {count} closed {timeframe} bars; {needed} are needed",
                code="too_few_bars",
                symbol=symbol,
                timeframe=timeframe,
                count=count,
                needed=needed,
            )
        return found

    def _sleeve(self, strategy: TableStrategy, bars: Mapping[str, Bars]) -> Sleeve:
        instruments = self._market.instruments()
        listings = [
            Listing(bars[symbol], instruments[symbol], Decimal(repr(typical_spread_bps(symbol))))
            for symbol in strategy.symbols
            if symbol in bars
        ]
        return Sleeve(strategy, tuple(listings))

    def _tell(
        self,
        arguments: RunBacktest,
        plan: Plan,
        trial: Trial,
        symbols: tuple[str, ...],
        days: int,
        tried: tuple[float, ...],
        learned: int | None,
    ) -> BacktestResult:
        start_s, end_s = int(trial.time[0]), int(trial.time[-1]) + TIMEFRAME_S[arguments.timeframe]
        covered = round((end_s - start_s) / DAY_S)
        deflated = trial.deflated_sharpe(tried)
        return BacktestResult(
            target=arguments.target,
            strategies=tuple(strategy.name for strategy in plan.strategies),
            left_out=plan.left_out,
            symbols=symbols,
            timeframe=arguments.timeframe,
            start=utc_from_seconds(start_s),
            end=utc_from_seconds(end_s),
            bars=len(trial.time),
            days=covered,
            days_asked=arguments.days,
            shortened_by=_shortening(arguments.days, days, covered),
            is_long_only=not plan.sells_short,
            return_pct=100 * trial.total_return,
            held_pct=100 * trial.held_return,
            random_pct=_known(100 * trial.random_median),
            random_as_good=trial.as_good,
            sharpe=_known(trial.sharpe),
            deflated_sharpe=_known(deflated),
            trials=len(tried),
            max_drawdown_pct=100 * trial.max_drawdown,
            held_drawdown_pct=100 * trial.held_drawdown,
            trades=trial.trades,
            win_rate_pct=_known(100 * trial.win_rate),
            costs_doubled_pct=100 * trial.costs_doubled,
            verdict=judge(trial, deflated).value,
            curve=_curve(trial),
            market=self._market.name,
            is_simulated=self._market.is_simulated,
            learned_bars=learned,
        )


def _part(progress: Progress, begin: float, end: float) -> Progress:
    """Return a progress that fills a part of another."""
    return lambda done: progress(begin + (end - begin) * done)


def _foretold(strategy: TableStrategy, bars: Mapping[str, Bars], start_s: int, progress: Progress) -> TableStrategy:
    """Return a strategy that is ready to be run; the signal's long work is done here."""
    if not isinstance(strategy, SignalStrategy):
        return strategy
    ready = replace(strategy, start_s=start_s, progress=_part(progress, _READ_SIGNAL, _FORETOLD))
    for own in bars.values():
        ready.foretell(own)
    return ready


def _learned(sleeve: Sleeve, start_s: int) -> int:
    return int(np.searchsorted(sleeve.listings[0].bars.time, start_s))


def _check_length(days: int, timeframe: Timeframe) -> None:
    needed = -(-LEAST_BARS * TIMEFRAME_S[timeframe] // DAY_S)
    if days < needed:
        raise DataUnavailable(
            f"{days} days have too few {timeframe} bars; ask for {needed} days or more",
            code="period_too_short",
            days=days,
            timeframe=timeframe,
            needed=needed,
        )


def _start_of(plan: Plan, bars: Mapping[str, Bars], wanted_s: int) -> int:
    """Return the first open time that counts: the one wanted, or the first at which any strategy has its warm-up."""
    ready = [
        int(bars[symbol].time[strategy.warmup - 1])
        for strategy in plan.strategies
        for symbol in strategy.symbols
        if symbol in bars and len(bars[symbol]) >= strategy.warmup
    ]
    return max(wanted_s, min(ready))


def _shortening(asked: int, allowed: int, covered: int) -> Literal["history", "limit"] | None:
    # A market that closes at weekends may begin and end within one: those days are not missing.
    weekend = 3
    if covered < min(asked, allowed) - weekend:
        return "history"
    return "limit" if allowed < asked else None


def _curve(trial: Trial) -> EquityCurve:
    start = float(STARTING_CASH)
    equity, held = (daily_curve(trial.time, column, start) for column in (trial.equity, trial.held))
    rows = np.unique(np.linspace(0, len(equity.day) - 1, MOST_POINTS).round().astype(np.int64))
    return EquityCurve(
        time=tuple((equity.day[rows] * DAY_S).tolist()),
        strategy_pct=_percents(equity.equity[rows]),
        held_pct=_percents(held.equity[rows]),
    )


def _percents(worth: FloatArray) -> tuple[float, ...]:
    return tuple(np.round(100 * (worth / float(STARTING_CASH) - 1), 3).tolist())


def _known(value: float) -> float | None:
    return None if isnan(value) else value
