"""What a backtest runs: from a target's name to strategies on symbols.

An agent of the program is its usual strategies on its usual symbols; an owner's own agent is what its profile says, its
parameters included, all on the timeframe that was asked for. The ML signal is a strategy like the others here, whose
decisions come from a walk-forward over the bars before each of its own (`engine.ml.history`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.profiles import Profile, resolve_pairs
from agents.profiles.parts import build_strategy as build_own
from agents.strategies import AGENT_PLANS, LONG_ONLY_STRATEGIES, Table, TableStrategy, build_strategy, is_altcoin
from agents.strategies.tables import say_last
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import typical_spread_bps
from engine.domain.market import Bars, Instrument
from engine.domain.strategies import Intent, Standing
from engine.domain.symbols import Timeframe
from engine.ml.history import LEAST_LEARNED, MOST_LEARNED, SignalHistory, signal_history
from tools.schema import RunBacktest

DEFAULT_SYMBOL = "BTC/USDT"
SIGNAL = "signal"
_LEAST_COINS = 4
"""Coins below which a rotation among three has nothing to choose."""
_ROTATION = "altcoin_rotation"
_BPS = 10_000


@dataclass(frozen=True, slots=True)
class SignalStrategy:
    """The ML signal on one symbol, as a strategy of a backtest.

    Attributes:
        shorts: Whether short signals are traded.
        cost_ratio: Fees and spread of a round trip, as a fraction of the price.
        start_s: First open time of the period.
        progress: Told how far the walk-forward is (0-1).
    """

    symbols: tuple[str, ...]
    timeframe: Timeframe
    shorts: bool
    cost_ratio: float
    start_s: int = 0
    progress: Callable[[float], None] = field(default=lambda _done: None, compare=False)
    _known: dict[tuple[int, int], SignalHistory] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return the name that people know it by."""
        return SIGNAL

    @property
    def warmup(self) -> int:
        """Return the bars that must have closed: those learned from, and one to judge."""
        return LEAST_LEARNED + 1

    @property
    def most_entries(self) -> int:
        """Return one position."""
        return 1

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        """Return what the last bar asks for, whatever is held."""
        return tuple(say_last(self.decide_tables(bars)))

    def decide_tables(self, bars: Mapping[str, Bars]) -> Sequence[Table]:
        """Return the decisions over a whole history.

        Raises:
            DataUnavailable: There is too little to learn from.
        """
        return tuple(Table(symbol, "", self.foretell(own).decisions) for symbol, own in bars.items())

    def foretell(self, bars: Bars) -> SignalHistory:
        """Return the signals of the period; the same bars are worked through once.

        Raises:
            DataUnavailable: There is too little to learn from.
        """
        key = len(bars), int(bars.time[-1])
        if key not in self._known:
            self._known[key] = signal_history(
                bars, start_s=self.start_s, cost_ratio=self.cost_ratio, shorts=self.shorts, progress=self.progress
            )
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run: strategies by symbols.

    Attributes:
        left_out: Strategies that found too few symbols.
        sells_short: Whether any of them may.
        more_bars: Bars before the period that are read beyond the warm-up, where there are that many.
    """

    strategies: tuple[TableStrategy, ...]
    left_out: tuple[str, ...]
    sells_short: bool
    more_bars: int = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return every symbol once."""
        return tuple(dict.fromkeys(symbol for strategy in self.strategies for symbol in strategy.symbols))


def plan_backtest(asked: RunBacktest, instruments: Mapping[str, Instrument], profiles: Mapping[str, Profile]) -> Plan:
    """Return the strategies with their symbols; those that find too few symbols are left out.

    Args:
        asked: The target and, perhaps, its symbol.
        instruments: What the market lists.
        profiles: The owner's own agents by name; they go before those of the program.

    Raises:
        DataUnavailable: No strategy is left.
    """
    if asked.target == SIGNAL:
        return _plan_signal(asked, instruments)
    profile = profiles.get(asked.target)
    plan = _plan_rules(asked, instruments) if profile is None else _plan_own(asked, instruments, profile)
    if not plan.strategies:
        raise _too_few_symbols(asked, instruments)
    return plan


def _plan_signal(asked: RunBacktest, instruments: Mapping[str, Instrument]) -> Plan:
    symbols = (asked.symbol,) if asked.symbol else _usual(instruments)
    if not symbols:
        raise _too_few_symbols(asked, instruments)
    instrument = instruments[symbols[0]]
    cost = 2 * float(instrument.taker_fee_ratio) + typical_spread_bps(symbols[0]) / _BPS
    strategy = SignalStrategy(symbols, asked.timeframe, instrument.is_shortable, cost)
    return Plan((strategy,), (), instrument.is_shortable, MOST_LEARNED - LEAST_LEARNED)


def _plan_rules(asked: RunBacktest, instruments: Mapping[str, Instrument]) -> Plan:
    """Return the plan of one strategy, or of an agent of the program."""
    agent = AGENT_PLANS.get(asked.target)
    listed = tuple(instruments)
    if agent is None:
        usual = _usual(instruments)
    else:
        usual = tuple(symbol for symbol in agent.symbols if symbol in listed) if agent.symbols else listed
    own = (asked.symbol,) if asked.symbol else usual
    coins = tuple(symbol for symbol in listed if is_altcoin(symbol))
    found, left_out, sells_short = [], [], False
    for name in agent.strategies if agent else (asked.target,):
        # Alone, a rotation means all coins, whichever was named; within an agent it keeps to the agent's symbols.
        symbols = own if name != _ROTATION else coins if agent is None else tuple(s for s in own if s in coins)
        if not _is_enough(name, symbols):
            left_out.append(name)
            continue
        shorts = _are_shortable(symbols, instruments)
        found.append(build_strategy(name, symbols, asked.timeframe, shorts=shorts))
        sells_short |= shorts and name not in LONG_ONLY_STRATEGIES
    return Plan(tuple(found), tuple(left_out), sells_short)


def _plan_own(asked: RunBacktest, instruments: Mapping[str, Instrument], profile: Profile) -> Plan:
    """Return the plan of an owner's own agent; a symbol that is named stands for all of its pairs."""
    pairs = resolve_pairs(profile, instruments)
    found, left_out, sells_short = [], [], False
    for each in profile.strategies:
        kept = tuple(s for s in pairs if s not in each.exclude and (not each.pairs or s in each.pairs))
        symbols = (asked.symbol,) if asked.symbol else kept
        if not _is_enough(each.name, symbols):
            left_out.append(each.name)
            continue
        shorts = profile.shorts and _are_shortable(symbols, instruments)
        found.append(build_own(each.name, symbols, asked.timeframe, each.parameters, shorts=shorts))
        sells_short |= shorts and each.name not in LONG_ONLY_STRATEGIES
    return Plan(tuple(found), tuple(left_out), sells_short)


def _usual(instruments: Mapping[str, Instrument]) -> tuple[str, ...]:
    return (DEFAULT_SYMBOL,) if DEFAULT_SYMBOL in instruments else tuple(instruments)[:1]


def _is_enough(name: str, symbols: Sequence[str]) -> bool:
    return len(symbols) >= (_LEAST_COINS if name == _ROTATION else 1)


def _are_shortable(symbols: Sequence[str], instruments: Mapping[str, Instrument]) -> bool:
    return all(instruments[symbol].is_shortable for symbol in symbols)


def _too_few_symbols(asked: RunBacktest, instruments: Mapping[str, Instrument]) -> DataUnavailable:
    return DataUnavailable(
        f"the market has too few symbols for {asked.target}",
        code="too_few_symbols",
        target=asked.target,
        found=", ".join(instruments),
    )
