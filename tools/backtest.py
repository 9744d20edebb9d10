"""`run_backtest`: an agent or a strategy over the past bars of the market at hand, beside what it is held against.

An agent is its strategies on its symbols with an equal part of the money each. The work runs in a thread, one backtest
at a time, over a bounded number of bars. Every backtest that somebody asks for counts as a trial against the later
ones, as long as the program runs: the best of many tries looks good by luck.

The ML signal is refused: the models that are kept have learned from all of the past, so that a backtest over it would
show what they remember and not what they foresee.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from typing import Literal

import numpy as np

from agents.strategies import AGENT_PLANS, LONG_ONLY_STRATEGIES, TableStrategy, build_strategy, is_altcoin
from agents.strategies.trial import STARTING_CASH, Sleeve, Trial, judge, try_strategies
from engine.backtest import Listing
from engine.backtest.statistics import daily_curve
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import typical_spread_bps
from engine.domain.market import Bars, FloatArray, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.sessions import DAY_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tools.instruments import check_symbol
from tools.registry import ToolContext
from tools.results import BacktestResult, EquityCurve, Unavailable
from tools.schema import RunBacktest

DEFAULT_SYMBOL = "BTC/USDT"
MOST_BARS = 200_000
"""Bars of all symbols together that one backtest may read: a few seconds of work."""
LEAST_BARS = 20
"""Bars that a period must have."""
MOST_POINTS = 180
"""Points of the curve that comes back."""
_LEAST_COINS = 4
"""Coins below which a rotation among three has nothing to choose."""
_ROTATION = "altcoin_rotation"

Key = tuple[str, str | None, str, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be run: strategies by symbols."""

    strategies: tuple[TableStrategy, ...]
    left_out: tuple[str, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(symbol for strategy in self.strategies for symbol in strategy.symbols))


class BacktestTool:
    """Backtests agents and strategies.

    Args:
        market: Bars, rules and the present.
    """

    def __init__(self, market: MarketData) -> None:
        self._market = market
        self._one_at_a_time = asyncio.Semaphore(1)
        self._tried: dict[str, dict[Key, float]] = {}

    async def __call__(self, arguments: RunBacktest, context: ToolContext) -> BacktestResult | Unavailable:
        """Return the backtest of one agent or strategy.

        Raises:
            DataUnavailable: The market has no or too few bars for it.
        """
        if arguments.symbol is not None:
            check_symbol(self._market, arguments.symbol)
        if arguments.target == "signal":
            return Unavailable(tool="run_backtest", code="signal_history_missing")
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._run, arguments, context.owner)

    def _run(self, arguments: RunBacktest, owner: str) -> BacktestResult:
        plan = self._plan(arguments)
        days = min(arguments.days, MOST_BARS * TIMEFRAME_S[arguments.timeframe] // DAY_S // len(plan.symbols))
        _check_length(days, arguments.timeframe)
        bars = self._read(plan, days, arguments.timeframe)
        start_s = _start_of(plan, bars, int(self._market.now().timestamp()) - days * DAY_S)
        sleeves = [self._sleeve(strategy, bars) for strategy in plan.strategies]
        trial = try_strategies([sleeve for sleeve in sleeves if sleeve.listings], start_s=start_s)
        tried = self._tried.setdefault(owner, {})
        tried[arguments.target, arguments.symbol, arguments.timeframe, arguments.days] = trial.daily_sharpe
        return self._tell(arguments, plan, trial, tuple(bars), days, tuple(tried.values()))

    def _plan(self, arguments: RunBacktest) -> _Plan:
        """Return the strategies with their symbols; those that find no symbols are left out.

        Raises:
            DataUnavailable: None is left.
        """
        agent = AGENT_PLANS.get(arguments.target)
        names = agent.strategies if agent else (arguments.target,)
        listed = tuple(self._market.instruments())
        if agent is None:
            usual: tuple[str, ...] = (DEFAULT_SYMBOL,) if DEFAULT_SYMBOL in listed else listed[:1]
        else:
            usual = tuple(symbol for symbol in agent.symbols if symbol in listed) if agent.symbols else listed
        own = (arguments.symbol,) if arguments.symbol else usual
        coins = tuple(symbol for symbol in listed if is_altcoin(symbol))
        found, left_out = [], []
        for name in names:
            # Alone, a rotation means all coins, whichever was named; within an agent it keeps to the agent's symbols.
            symbols = own if name != _ROTATION else coins if agent is None else tuple(s for s in own if s in coins)
            if len(symbols) < (_LEAST_COINS if name == _ROTATION else 1):
                left_out.append(name)
                continue
            found.append(build_strategy(name, symbols, arguments.timeframe, shorts=self._are_shortable(symbols)))
        if not found:
            raise DataUnavailable(
                f"the market has too few symbols for {arguments.target}",
                code="too_few_symbols",
                target=arguments.target,
                found=", ".join(listed),
            )
        return _Plan(tuple(found), tuple(left_out))

    def _sells_short(self, strategy: TableStrategy) -> bool:
        return strategy.name not in LONG_ONLY_STRATEGIES and self._are_shortable(strategy.symbols)

    def _are_shortable(self, symbols: Sequence[str]) -> bool:
        return all(self._market.instruments()[symbol].is_shortable for symbol in symbols)

    def _read(self, plan: _Plan, days: int, timeframe: Timeframe) -> dict[str, Bars]:
        """Return the bars of the period and of the warm-up before it; symbols with too few are left out.

        Raises:
            DataUnavailable: No symbol has enough.
        """
        most = days * DAY_S // TIMEFRAME_S[timeframe] + 1
        found, short = {}, {}
        for symbol in plan.symbols:
            warmups = [strategy.warmup for strategy in plan.strategies if symbol in strategy.symbols]
            bars = self._market.bars(symbol, timeframe, most + max(warmups))
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
        plan: _Plan,
        trial: Trial,
        symbols: tuple[str, ...],
        days: int,
        tried: tuple[float, ...],
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
            is_long_only=not any(self._sells_short(strategy) for strategy in plan.strategies),
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
        )


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


def _start_of(plan: _Plan, bars: Mapping[str, Bars], wanted_s: int) -> int:
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
