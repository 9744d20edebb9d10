"""Read what a moment's decisions rest on: bars up to it, wishes, signals, quotes, the book."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.feeds.values import BarsClosed, Feed
from agents.fleet.clockwork import closed_bars, last_close_at
from agents.fleet.figures import deciding_figures
from agents.fleet.planning import age_legs, standings
from agents.fleet.ports import SignalSource, TradingDesk
from agents.fleet.situation import Situation, StrategyCard
from agents.fleet.sizing import usual_share
from agents.fleet.values import ZERO, BookView, Leg, Wish
from agents.profiles import Profile, Ranking, SignalMode, build_strategies, limits_of, resolve_pairs
from agents.risk.values import AccountState
from agents.strategies.tables import TableStrategy
from engine.domain.errors import DataUnavailable, VenueUnavailable
from engine.domain.market import Bars, Quote, decimal_price
from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from engine.domain.strategies import Enter
from engine.domain.symbols import TIMEFRAME_S, Timeframe

SIGNAL_TIMEOUT_S = 20.0
"""How long a signal is waited for: a model may have to be trained first, and the next bar does not wait."""
_HELD_BARS = 400
"""Most bars read to count how long something has been held; longer is counted by the clock."""
_MOMENTS_PER_BREATH = 16
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """An agent's strategies on the symbols of now.

    Attributes:
        cards: What is known of each, by name.
    """

    profile: Profile
    symbols: tuple[str, ...]
    strategies: tuple[TableStrategy, ...]
    cards: Mapping[str, StrategyCard]

    def symbols_by_timeframe(self) -> dict[Timeframe, frozenset[str]]:
        """Return which symbols' bars are listened to, by timeframe."""
        found: dict[Timeframe, frozenset[str]] = {}
        for strategy in self.strategies:
            found[strategy.timeframe] = found.get(strategy.timeframe, frozenset()) | frozenset(strategy.symbols)
        return found


def make_roster(profile: Profile, market: MarketData, ranking: Ranking) -> Roster:
    """Return an agent's strategies on what the market lists now."""
    symbols = resolve_pairs(profile, market.instruments(), ranking)
    strategies = build_strategies(profile, symbols)
    trails = {plan.name: plan.trailing_pct for plan in profile.strategies}
    cards = {each.name: _card(profile, each, trails[each.name]) for each in strategies}
    return Roster(profile, symbols, strategies, cards)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What strategies answered; `quiet` counts those that had nothing to say, by strategy and code."""

    wishes: tuple[Wish, ...]
    quiet: Counter[tuple[str, str]]


class Reader:
    """Reads for one agent.

    Args:
        agent: Its name, and its book's.
        market: Bars, quotes, the present.
        desk: Knows the book.
        feed: Knows how fresh symbols are.
        signals: The ML engine; None where there is none.
    """

    def __init__(
        self, agent: str, market: MarketData, desk: TradingDesk, feed: Feed, signals: SignalSource | None
    ) -> None:
        self._agent = agent
        self._market = market
        self._desk = desk
        self._feed = feed
        self._signals = signals

    async def read_bars(self, roster: Roster, event: BarsClosed, legs: Iterable[Leg]) -> dict[str, Bars]:
        """Return the closed bars of the symbols of an event, up to it; a symbol whose bar is not there is left out."""
        needs = _needs(roster, event, legs)
        found: dict[str, Bars] = {}
        for number, (symbol, count) in enumerate(sorted(needs.items()), start=1):
            bars = self._bars(symbol, event.timeframe, event.closed_at, count)
            if bars is not None and last_close_at(bars) == event.closed_at:
                found[symbol] = bars
            if number % _MOMENTS_PER_BREATH == 0:
                await asyncio.sleep(0)
        return found

    def ask(
        self, roster: Roster, event: BarsClosed, bars: Mapping[str, Bars], legs: Sequence[Leg], *, is_partial: bool
    ) -> Asked:
        """Return what the strategies want.

        Args:
            roster: Which strategies.
            event: The moment.
            bars: Closed bars up to it.
            legs: The agent's legs.
            is_partial: Whether others of this moment were decided before; then nothing is ranked anew.
        """
        aged = age_legs(legs, bars, event.timeframe, event.closed_at)
        wishes: list[Wish] = []
        quiet: Counter[tuple[str, str]] = Counter()
        for strategy in roster.strategies:
            if strategy.timeframe != event.timeframe:
                continue
            if is_partial and roster.cards[strategy.name].is_ranking:
                quiet[strategy.name, "partial_moment"] += 1
                continue
            windows = {
                symbol: bars[symbol][-strategy.warmup :]
                for symbol in strategy.symbols
                if symbol in bars and len(bars[symbol]) >= strategy.warmup
            }
            if not windows:
                quiet[strategy.name, "warming_up"] += 1
                continue
            known = standings(aged, bars, event.closed_at, strategy.name)
            places = {(each.symbol, each.tag): each for each in known}
            intents = strategy.decide(windows, known)
            if not intents:
                quiet[strategy.name, "no_wish"] += 1
            wishes += [
                Wish(strategy.name, event.timeframe, each, windows[each.symbol], places.get((each.symbol, each.tag)))
                for each in intents
            ]
        return Asked(tuple(wishes), quiet)

    async def situation(
        self,
        roster: Roster,
        event: BarsClosed,
        bars: Mapping[str, Bars],
        legs: Sequence[Leg],
        wishes: Sequence[Wish],
        shut: str,
    ) -> Situation:
        """Return everything that a plan needs."""
        entering = sorted({wish.intent.symbol for wish in wishes if isinstance(wish.intent, Enter)})
        account = await self._account()
        shut = shut or ("late" if event.is_late else "")
        if account is None and not shut:
            shut = "no_account"
        signals = {} if shut else await self._read_signals(roster.profile, event, wishes)
        return Situation(
            self._agent,
            roster.profile,
            event.closed_at,
            self._market.now(),
            shut,
            {} if shut else self._stale(entering),
            tuple(legs),
            bars,
            self._book(account, event, bars, entering),
            account,
            {symbol: quote for symbol in entering if (quote := self._quote(symbol)) is not None},
            self._market.instruments(),
            signals,
            limits_of(roster.profile),
            roster.cards,
            _figures(roster, wishes),
            self._desk.venue_name,
        )

    def _bars(self, symbol: str, timeframe: Timeframe, closed_at: datetime, count: int) -> Bars | None:
        behind = max(int((self._market.now() - closed_at).total_seconds()) // TIMEFRAME_S[timeframe], 0)
        try:
            return closed_bars(self._market.bars(symbol, timeframe, count + behind), closed_at, count)
        except DataUnavailable:
            return None

    async def _account(self) -> AccountState | None:
        try:
            return await self._desk.account(self._agent)
        except (DataUnavailable, VenueUnavailable):
            return None

    def _book(
        self, account: AccountState | None, event: BarsClosed, bars: Mapping[str, Bars], entering: Collection[str]
    ) -> BookView:
        """Return the book at the closes of the moment; a symbol without a bar there counts at its last close."""
        if account is None:
            return BookView(ZERO, {}, {})
        positions = {symbol: each.quantity for symbol, each in account.positions.items()}
        closes: dict[str, Decimal] = {}
        for symbol in {*positions, *entering}:
            own = bars.get(symbol) or self._bars(symbol, event.timeframe, event.closed_at, 1)
            instrument = self._market.instruments().get(symbol)
            if own is not None and len(own) and instrument is not None:
                closes[symbol] = decimal_price(float(own.close[-1]), instrument)
            elif symbol in account.marks:
                closes[symbol] = account.marks[symbol]
        return BookView(account.cash, positions, closes)

    def _quote(self, symbol: str) -> Quote | None:
        try:
            return self._market.quote(symbol)
        except DataUnavailable:
            return None

    def _stale(self, symbols: Iterable[str]) -> dict[str, str]:
        health = {symbol: self._feed.health(symbol) for symbol in symbols}
        return {symbol: each.reason or "stale" for symbol, each in health.items() if each.is_stale}

    async def _read_signals(
        self, profile: Profile, event: BarsClosed, wishes: Sequence[Wish]
    ) -> dict[tuple[str, str], Signal | None]:
        """Return the signals of the symbols that are to be entered, those of this very bar only."""
        rules = profile.signal
        if rules.mode is SignalMode.OFF or self._signals is None:
            return {}
        wanted = {
            (wish.intent.symbol, rules.timeframe or wish.timeframe) for wish in wishes if isinstance(wish.intent, Enter)
        }
        return {key: await self._read_signal(*key, event.closed_at) for key in sorted(wanted)}

    async def _read_signal(self, symbol: str, timeframe: str, closed_at: datetime) -> Signal | None:
        assert self._signals is not None, "only asked with a source"
        reading = asyncio.to_thread(self._signals.signal, symbol, timeframe)
        try:
            signal = await asyncio.wait_for(reading, SIGNAL_TIMEOUT_S)
        except (DataUnavailable, TimeoutError):
            return None
        # On another timeframe the last bar may be older than the moment; a later one would see its future.
        is_known_then = signal.price_at <= closed_at < signal.valid_until
        return signal if is_known_then else None


def _needs(roster: Roster, event: BarsClosed, legs: Iterable[Leg]) -> dict[str, int]:
    """Return how many bars of which symbol are read."""
    needs: dict[str, int] = {}
    for strategy in roster.strategies:
        if strategy.timeframe == event.timeframe:
            for symbol in set(strategy.symbols) & set(event.symbols):
                needs[symbol] = max(needs.get(symbol, 0), strategy.warmup)
    for leg in legs:
        if leg.timeframe == event.timeframe and leg.symbol in event.symbols and leg.entered_at is not None:
            step = TIMEFRAME_S[leg.timeframe]
            held = int((event.closed_at - leg.entered_at).total_seconds()) // step + 2
            needs[leg.symbol] = max(needs.get(leg.symbol, 0), min(max(held, 1), _HELD_BARS))
    return needs


def _figures(roster: Roster, wishes: Iterable[Wish]) -> dict[tuple[str, str], Mapping[str, float]]:
    parameters = {each.name: getattr(each, "parameters", None) for each in roster.strategies}
    return {
        (wish.strategy, wish.intent.symbol): deciding_figures(wish.strategy, parameters[wish.strategy], wish.bars)
        for wish in wishes
    }


def _card(profile: Profile, strategy: TableStrategy, trailing_pct: Decimal | None) -> StrategyCard:
    parameters = repr(getattr(strategy, "parameters", strategy))
    return StrategyCard(
        strategy.name,
        strategy.timeframe,
        program_hash(type(strategy)),
        hashlib.sha256(parameters.encode()).hexdigest()[:12],
        usual_share(profile, strategy),
        is_ranking=strategy.most_entries < len(strategy.symbols),
        trail=None if trailing_pct is None else trailing_pct / 100,
    )


def program_hash(kind: type[Any]) -> str:
    """Return a short hash of the module that a class stands in: which version of a rule it was that decided."""
    try:
        text = inspect.getsource(sys.modules[kind.__module__])
    except (OSError, TypeError):
        text = f"{kind.__module__}.{kind.__qualname__}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
