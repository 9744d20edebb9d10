"""What books did: profit and loss within a period, equity at past times, from the journal and old prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, assert_never

from agents.execution.journal import Journal
from agents.execution.values import Performance
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable
from engine.domain.market import decimal_price, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S
from engine.ledger import (
    Deposit,
    EquityPoint,
    Event,
    Transfer,
    equity_curve,
    exact_sum,
    negative,
)

Period = Literal["today", "7d", "30d", "mtd", "ytd", "all"]

_PRICE_WINDOW = timedelta(days=5)
"""How far back the last price before a past time may lie: over a weekend with a holiday."""
_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


class Accountant:
    """Answers questions about the past.

    Args:
        journal: The record.
        market: Old prices, and the present.
    """

    def __init__(self, journal: Journal, market: MarketData) -> None:
        self._journal = journal
        self._market = market

    def performance(self, period: Period, account: AccountState, book: str | None) -> Performance:
        """Return profit and loss within a period, given the book (None: the account) as it is now.

        Raises:
            DataUnavailable: A position held at the period's start has no price.
        """
        now, events = self._market.now(), self._journal.events()
        first = first_paid_in(events, book, now)
        since = max(period_start(period, now) or first, first)
        start = self._point(events, since, book)
        within = self._journal.trades(since, None, None, book)
        if since > first:  # what happened at that very moment belongs to the start
            within = [each for each in within if each.fill.at > since]
        end = self._journal.snapshot(now).accounts.of(book)
        deposits = exact_sum((end.deposits, negative(start.deposits)))
        pnl = account.equity - start.equity - deposits
        return Performance(
            period=period,
            since=since,
            start_equity=start.equity,
            equity=account.equity,
            deposits=deposits,
            realised=exact_sum(each.realised for each in within),
            fees=exact_sum(each.fill.fee for each in within),
            pnl=pnl,
            pnl_pct=pnl / start.equity * _HUNDRED if start.equity > 0 else _ZERO,
            funding=exact_sum((end.funding, negative(start.funding))),
            unrealised=exact_sum(
                each.unrealised(account.marks[symbol]) for symbol, each in end.open_holdings().items()
            ),
        )

    def since(self, period: Period) -> datetime | None:
        """Return when a period began; None for the beginning of everything."""
        return period_start(period, self._market.now())

    def point_at(self, at: datetime, book: str | None = None) -> EquityPoint:
        """Return a book at a past time; up to its first deposit that is the deposit alone.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        return self._point(self._journal.events(), at, book)

    def curve(self, times: Sequence[datetime], book: str | None = None) -> list[EquityPoint]:
        """Return a book at each of some times, ascending.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        return equity_curve(self._journal.events(), times, self._marks_at, book=book)

    def result_at(self, at: datetime, book: str | None) -> Decimal:
        """Return equity less what was paid in at a past time; 0 before the first deposit.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        point = self.point_at(at, book)
        return exact_sum((point.equity, negative(point.deposits)))

    def _point(self, events: Sequence[Event], at: datetime, book: str | None) -> EquityPoint:
        first = first_paid_in(events, book, at)
        if at <= first:
            events = [event for event in events if isinstance(event, Deposit | Transfer) and event.at <= first]
        return equity_curve(events, [max(at, first)], self._marks_at, book=book)[0]

    def _marks_at(self, symbols: Iterable[str], at: datetime) -> Mapping[str, Decimal]:
        return {symbol: self._price_at(symbol, at) for symbol in symbols}

    def _price_at(self, symbol: str, at: datetime) -> Decimal:
        """Return the close of the last bar that had closed by then."""
        instrument = self._market.instruments().get(symbol)
        if instrument is None:
            raise DataUnavailable(f"{symbol} is not an instrument of {self._market.name}")
        bars = self._market.bars_between(symbol, at - _PRICE_WINDOW, at)
        step = TIMEFRAME_S[bars.timeframe]
        for row in range(len(bars) - 1, -1, -1):
            if utc_from_seconds(int(bars.time[row]) + step) <= at:
                return decimal_price(float(bars.close[row]), instrument)
        raise DataUnavailable(f"no price of {symbol} before {at:%Y-%m-%d %H:%M} UTC")


def period_start(period: Period, now: datetime) -> datetime | None:
    """Return when a period began; None for the beginning of everything."""
    today = midnight(now)
    match period:
        case "today":
            return today
        case "7d":
            return now - timedelta(days=7)
        case "30d":
            return now - timedelta(days=30)
        case "mtd":
            return today.replace(day=1)
        case "ytd":
            return today.replace(month=1, day=1)
        case "all":
            return None
        case _:
            assert_never(period)


def first_paid_in(events: Iterable[Event], book: str | None, otherwise: datetime) -> datetime:
    """Return when a book (None: the account) first received something."""
    return min((event.at for event in events if _pays_in(event, book)), default=otherwise)


def midnight(at: datetime) -> datetime:
    """Return the start of a time's UTC day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _pays_in(event: Event, book: str | None) -> bool:
    if isinstance(event, Deposit):
        return book in (None, event.book)
    return isinstance(event, Transfer) and event.to_book == book
