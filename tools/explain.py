"""`explain_trade`: why something was bought or sold, told from the journal alone.

An agent's trade is explained by its record of decisions; a trade of the owner's own by the ticket that they approved.
Of a question that fits several, the latest that was done is meant; only where nothing was done, or where the question
is why not, the latest that was refused. Whatever was refused after what was done is told beside it. A chart of the time
goes with it, with where it went in, where it came out, and what protected it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

import numpy as np

from agents.execution.values import Execution, SettledFill
from agents.journal.values import (
    Decision,
    DecisionQuery,
    Explanation,
    QuietCount,
    RoundTrip,
    Step,
    Verdict,
    WishKind,
)
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe, find_timeframe
from engine.ledger import ACCOUNT_CURRENCY
from tools.agent_results import RefusedView, RoundTripView, StepView, TradeExplained
from tools.chart import draw
from tools.registry import ToolContext
from tools.results import ChartData, ChartLevel, TicketView, Unavailable
from tools.schema import ExplainTrade

_MOST_BARS = 600
_FURTHEST_BACK = 20_000
"""Bars back from the present to which a chart reaches: more than two years of hours."""
_OWN_TIMEFRAME: Timeframe = "1h"
_OWN_MARGIN = timedelta(hours=40)
"""Shown before and after a trade of the owner's own, which has no timeframe."""
_QUIET_DAYS = 7


class Explanations(Protocol):
    """The journal of decisions."""

    def explain(self, query: DecisionQuery) -> Explanation | None:
        """Return the latest that fits, or None."""
        ...

    def decisions(self, query: DecisionQuery, limit: int = 100) -> tuple[Decision, ...]:
        """Return the decisions that fit, newest first."""
        ...

    def quiet(self, agent: str, since_day: str = "") -> tuple[QuietCount, ...]:
        """Return how often an agent looked and had nothing to record, from a UTC day on."""
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
        if asked.agent is None and asked.outcome != "refused":
            own = await self._own(asked, number, context.owner)
            if own is not None and (explained is None or own.at > _last_at(explained)):
                return self._tell_own(own)
        if explained is None:
            return self._nothing(asked)
        since = self._refused_since(explained, asked) if not number and asked.outcome is None else None
        return self._tell(explained).model_copy(update={"refused_since": since})

    def _by_agent(self, asked: ExplainTrade, number: int) -> Explanation | None:
        query = DecisionQuery(agent=asked.agent or "", symbol=asked.symbol or "", trade=number, side=asked.side or "")
        if number:
            return self.journal.explain(replace(query, side=""))
        if asked.outcome == "refused":
            refused = self.journal.decisions(replace(query, verdict=Verdict.REFUSED), limit=1)
            return self.journal.explain(replace(_at(refused[0]), verdict=Verdict.REFUSED)) if refused else None
        done = self.journal.explain(replace(query, verdict=Verdict.TAKEN))
        return done or (self.journal.explain(query) if asked.outcome is None else None)

    def _refused_since(self, explained: Explanation, asked: ExplainTrade) -> RefusedView | None:
        """Return the latest that the same agent did not do after what is told."""
        query = DecisionQuery(
            agent=explained.agent, symbol=asked.symbol or "", verdict=Verdict.REFUSED, kind=WishKind.ENTER
        )
        found = self.journal.decisions(query, limit=1) if explained.verdict is not Verdict.REFUSED else ()
        if not found or found[0].at <= _last_at(explained):
            return None
        refused = found[0]
        return RefusedView(at=refused.at, symbol=refused.symbol, side=refused.wish.side, reasons=refused.reasons)

    def _nothing(self, asked: ExplainTrade) -> Unavailable:
        """Return that there is no such record; for an agent with how often it looked and wished for nothing."""
        since_day = f"{self.market.now() - timedelta(days=_QUIET_DAYS):%Y-%m-%d}"
        counts = self.journal.quiet(asked.agent, since_day) if asked.agent else ()
        looked = sum(count.count for count in counts)
        told = {"agent": self.titles().get(asked.agent or "", asked.agent or ""), "days": str(_QUIET_DAYS)}
        if asked.agent and not asked.trade_id and not looked and not self._has_decided(asked.agent):
            return Unavailable(tool="explain_trade", code="nothing_decided", params={"agent": told["agent"]})
        if not looked or asked.trade_id:
            return Unavailable(tool="explain_trade", code="no_trade_found", params=_asked(asked))
        wishless = sum(count.count for count in counts if count.code == "no_wish")
        figures = {"looked": str(looked), "wishless": str(wishless), "waiting": str(looked - wishless)}
        return Unavailable(tool="explain_trade", code="no_decision_found", params={**told, **figures})

    def _has_decided(self, agent: str) -> bool:
        return bool(self.journal.decisions(DecisionQuery(agent=agent), limit=1) or self.journal.quiet(agent))

    async def _own(self, asked: ExplainTrade, number: int, owner: str) -> _OwnTrade | None:
        """Return the latest trade that a ticket of this owner allowed."""
        for trade in await self.desk.trades(symbol=asked.symbol, limit=1000 if number else 100):
            if number not in (0, trade.number) or (not number and asked.side not in (None, trade.fill.side.value)):
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
            chart=self._picture(
                explained.symbol,
                find_timeframe(explained.timeframe) or "1h",
                (explained.chart_from, explained.chart_to),
                _levels(explained),
            ),
            is_simulated=self.market.is_simulated,
        )

    def _tell_own(self, own: _OwnTrade) -> TradeExplained:
        terms, prices = own.ticket.terms, {"entry": own.trade.fill.price}
        protection = {"stop": terms.stop_loss, "target": terms.take_profit}
        prices |= {kind: price for kind, price in protection.items() if price is not None}
        levels = tuple(ChartLevel(kind=kind, price=float(price)) for kind, price in prices.items())
        span = (own.at - _OWN_MARGIN, own.at + _OWN_MARGIN)
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
            chart=self._picture(terms.symbol, _OWN_TIMEFRAME, span, levels),
            is_simulated=terms.is_simulated,
        )

    def _picture(
        self, symbol: str, timeframe: Timeframe, span: tuple[datetime, datetime], levels: tuple[ChartLevel, ...]
    ) -> ChartData | None:
        """Return the bars of that time with its levels; None where the market has them no more."""
        start, end = span
        back = math.ceil((self.market.now() - start).total_seconds() / TIMEFRAME_S[timeframe])
        if not 0 < back <= _FURTHEST_BACK:
            return None
        try:
            bars = self.market.bars(symbol, timeframe, back)
        except DataUnavailable:
            return None
        shown = _between(bars, start, end)
        return None if len(shown) < 2 else draw(shown).model_copy(update={"levels": levels})


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


def _between(bars: Bars, start: datetime, end: datetime) -> Bars:
    """Return the bars that opened within a span; of one that is too long, its beginning."""
    first = int(np.searchsorted(bars.time, int(start.timestamp()), side="left"))
    last = int(np.searchsorted(bars.time, int(end.timestamp()), side="right"))
    return bars[first : min(last, first + _MOST_BARS)]


def _at(decision: Decision) -> DecisionQuery:
    """Return what finds exactly this decision again: two of one agent and symbol never share a moment and a slot."""
    return DecisionQuery(
        agent=decision.agent,
        symbol=decision.symbol,
        strategy=decision.strategy,
        since=decision.at,
        until=decision.at + timedelta(microseconds=1),
    )


def _exact(value: Decimal | float) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(float(value)))
