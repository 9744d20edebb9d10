"""`explain_trade`: why something was bought or sold, told from the journal alone.

An agent's trade is explained by its record of decisions; a trade of the owner's own by the ticket that they approved.
Of a question that fits several, the latest that was done is meant; only where nothing was done, the latest that was
refused. A chart of the time goes with it, with where it went in, where it came out, and what protected it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import numpy as np

from agents.execution.values import Execution, SettledFill
from agents.journal.values import DecisionQuery, Explanation, RoundTrip, Step, Verdict
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe, find_timeframe
from engine.ledger import ACCOUNT_CURRENCY
from tools.agent_results import RoundTripView, StepView, TradeExplained
from tools.chart import draw
from tools.registry import ToolContext
from tools.results import ChartData, ChartLevel, TicketView, Unavailable
from tools.schema import ExplainTrade

_MOST_BARS = 600


class Explanations(Protocol):
    """The journal of decisions."""

    def explain(self, query: DecisionQuery) -> Explanation | None:
        """Return the latest that fits, or None."""
        ...


class OwnTrades(Protocol):
    """The desk, as far as trades of the owner's own are concerned."""

    async def trades(self, *, symbol: str | None = None, limit: int = 100) -> tuple[SettledFill, ...]:
        """Return settled fills, newest first."""
        ...

    async def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an order."""
        ...


ViewTicket = Callable[[int, str], TicketView | None]


@dataclass(frozen=True, slots=True)
class ExplainTool:
    """Answers from the journal and the tickets.

    Attributes:
        titles: What people call each agent.
    """

    journal: Explanations
    desk: OwnTrades
    tickets: ViewTicket
    market: MarketData
    titles: Callable[[], Mapping[str, str]]

    async def __call__(self, asked: ExplainTrade, context: ToolContext) -> TradeExplained | Unavailable:
        """Return the chain behind what is meant.

        Raises:
            InvalidRequest: The number of the trade is none.
        """
        number = _number(asked.trade_id)
        explained = self._by_agent(asked, number)
        if asked.agent is None:
            own = await self._own(asked.symbol, number, context.owner)
            if own is not None and (explained is None or own.at > _last_at(explained)):
                return self._tell_own(own)
        if explained is None:
            return Unavailable(tool="explain_trade", code="no_trade_found", params=_asked(asked))
        return self._tell(explained)

    def _by_agent(self, asked: ExplainTrade, number: int) -> Explanation | None:
        query = DecisionQuery(agent=asked.agent or "", symbol=asked.symbol or "", trade=number)
        if number:
            return self.journal.explain(query)
        done = DecisionQuery(agent=query.agent, symbol=query.symbol, verdict=Verdict.TAKEN)
        return self.journal.explain(done) or self.journal.explain(query)

    async def _own(self, symbol: str | None, number: int, owner: str) -> _OwnTrade | None:
        """Return the latest trade that a ticket of this owner allowed."""
        for trade in await self.desk.trades(symbol=symbol, limit=1000 if number else 100):
            if number not in (0, trade.number):
                continue
            execution = await self.desk.execution(trade.fill.client_order_id)
            kind, _, ticket_id = ("", "", "") if execution is None else execution.intent.source.partition(":")
            ticket = self.tickets(int(ticket_id), owner) if kind == "ticket" else None
            if ticket is not None:
                return _OwnTrade(trade, ticket)
        return None

    def _tell(self, explained: Explanation) -> TradeExplained:
        return TradeExplained(
            agent=explained.agent,
            title=self.titles().get(explained.agent, explained.agent),
            strategy=explained.strategy,
            symbol=explained.symbol,
            timeframe=explained.timeframe,
            side=explained.side,
            verdict=explained.verdict.value,
            steps=tuple(map(_step_view, explained.steps)),
            result=None if explained.result is None else _trip_view(explained.result),
            is_open=explained.is_open,
            ticket=None,
            currency=ACCOUNT_CURRENCY,
            chart=self._picture(explained),
            is_simulated=self.market.is_simulated,
        )

    def _tell_own(self, own: _OwnTrade) -> TradeExplained:
        terms = own.ticket.terms
        return TradeExplained(
            agent="",
            title="",
            strategy="",
            symbol=terms.symbol,
            timeframe="",
            side=terms.side,
            verdict=Verdict.TAKEN.value,
            steps=(),
            result=None,
            is_open=False,
            ticket=own.ticket,
            currency=terms.currency,
            chart=None,
            is_simulated=terms.is_simulated,
        )

    def _picture(self, explained: Explanation) -> ChartData | None:
        """Return the bars of that time with its levels; None where the market has them no more."""
        timeframe: Timeframe = find_timeframe(explained.timeframe) or "1h"
        step_s = TIMEFRAME_S[timeframe]
        back = math.ceil((self.market.now() - explained.chart_from).total_seconds() / step_s)
        if not 0 < back <= _MOST_BARS:
            return None
        try:
            bars = self.market.bars(explained.symbol, timeframe, back)
        except DataUnavailable:
            return None
        shown = _until(bars, explained.chart_to)
        return None if len(shown) < 2 else draw(shown).model_copy(update={"levels": _levels(explained)})


@dataclass(frozen=True, slots=True)
class _OwnTrade:
    """A fill of the owner's own, with its ticket."""

    trade: SettledFill
    ticket: TicketView

    @property
    def at(self) -> datetime:
        return self.trade.fill.at


def _number(trade_id: str | None) -> int:
    text = (trade_id or "").removeprefix("#").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest("bad_argument", argument="trade_id", value=text)
    return int(text)


def _asked(asked: ExplainTrade) -> dict[str, str]:
    told = {"agent": asked.agent or "", "symbol": asked.symbol or "", "trade_id": asked.trade_id or ""}
    return {name: value for name, value in told.items() if value}


def _last_at(explained: Explanation) -> datetime:
    return max(step.at for step in explained.steps)


def _step_view(step: Step) -> StepView:
    figures = {name: _exact(value) for name, value in step.figures.items()}
    return StepView(code=step.code, at=step.at, codes=dict(step.codes), figures=figures)


def _trip_view(trip: RoundTrip) -> RoundTripView:
    return RoundTripView(
        quantity=trip.quantity,
        entry_price=trip.entry_price,
        exit_price=trip.exit_price,
        fees=trip.fees,
        realised=trip.realised,
        realised_pct=trip.realised_pct,
        r_multiple=trip.r_multiple,
        exit_reason=trip.exit_reason,
        entered_at=trip.entered_at,
        exited_at=trip.exited_at,
    )


def _levels(explained: Explanation) -> tuple[ChartLevel, ...]:
    """Return where it went in and came out, and the protection of its first moment."""
    found: dict[str, float] = {}
    for step in explained.steps:
        if step.code == "size":
            found |= {kind: float(step.figures[kind]) for kind in ("stop", "target") if kind in step.figures}
            if "price" in step.figures:
                found["entry"] = float(step.figures["price"])
        if step.code == "fill" and step.codes.get("role") == "entry" and "price" in step.figures:
            found["entry"] = float(step.figures["price"])
    if explained.result is not None:
        found |= {"entry": float(explained.result.entry_price), "exit": float(explained.result.exit_price)}
    return tuple(ChartLevel(kind=kind, price=price) for kind, price in found.items())


def _until(bars: Bars, end: datetime) -> Bars:
    """Return the bars that opened up to a moment."""
    count = int(np.searchsorted(bars.time, int(end.timestamp()), side="right"))
    return bars[:count]


def _exact(value: Decimal | float) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(float(value)))
