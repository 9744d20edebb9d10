"""Everything that one moment's decisions rest on, gathered before anything is decided; frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.fleet.values import BookView, Leg
from agents.profiles import Profile
from agents.risk.values import AccountState, RiskLimits
from engine.domain.market import Bars, Instrument, Quote
from engine.domain.signals import Signal
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class StrategyCard:
    """What is known of a strategy beside its decisions.

    Attributes:
        version: Hash of its program; `parameters_hash` of its parameters.
        share: Of equity that its usual entry is worth.
        is_ranking: Whether it chooses among its symbols, so that half of them are not enough to decide.
        trail: Share of the best price at which its stops follow; None for stops that stand.
    """

    name: str
    timeframe: Timeframe
    version: str
    parameters_hash: str
    share: Decimal
    is_ranking: bool
    trail: Decimal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """One moment of one agent.

    Attributes:
        closed_at: Close of the bars; `at` the market's present.
        shut: Why nothing may be opened, a stable code; empty when it may.
        stale: Symbols on which nothing may be opened, with the reason.
        legs: Those that are not final, oldest first.
        bars: Closed bars by symbol, up to the moment.
        book: The agent's book at the closes; `account` the same at this moment's quotes, None when it cannot be read.
        signals: By symbol and timeframe; None where there is no signal.
        venue: Name of the venue.
    """

    agent: str
    profile: Profile
    closed_at: datetime
    at: datetime
    shut: str
    stale: Mapping[str, str]
    legs: Sequence[Leg]
    bars: Mapping[str, Bars]
    book: BookView
    account: AccountState | None
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]
    signals: Mapping[tuple[str, str], Signal | None]
    limits: RiskLimits
    cards: Mapping[str, StrategyCard]
    figures: Mapping[tuple[str, str], Mapping[str, float]]
    venue: str
