"""Tickets: the source of truth of what an owner was asked and what they decided.

A ticket holds exact terms, a hash over them, an owner, an expiry and a nonce that changes with every version. Every
transition is one conditional UPDATE that has one winner, so a hundred clicks, two surfaces or two processes give one
approval and one order. Approval lives here and is called by surfaces alone: no tool, model or text reaches it.

    pending → approved → claimed → executed | working → executed
       │ └ (edited, expired, drifted: new version, new nonce, still pending)      └ failed | unsent
       └ rejected | expired | replaced
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import ValidationError
from sqlalchemy import Engine

from agents.execution.desk import Desk, client_order_id
from agents.execution.values import Execution, IntentState, OrderIntent
from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest, VenueUnavailable
from engine.domain.orders import OrderRequest, OrderType, Side
from tools.notices import Notices
from tools.registry import ToolContext
from tools.results import TicketFill, TicketRefused, TicketState, TicketTerms, TicketView
from tools.schema import ExecuteTrade
from tools.ticket_rows import TicketRows, read_ticket
from tools.trading import TradeDrafts, as_request, edit_request

log = logging.getLogger(__name__)

Outcome = Literal["approved", "rejected", "repriced", "already", "refused"]
EDITABLE = ("quantity", "price", "stop_loss", "take_profit")
_PATIENCE = timedelta(seconds=30)
"""A ticket that was decided this long ago and that nobody here carries out was left behind by a crash."""
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_FORGET_AFTER = timedelta(minutes=15)
"""A ticket that nobody answered this long after its expiry is closed; until then it can be priced again."""
_STATES: dict[IntentState, TicketState] = {
    IntentState.DONE: "executed",
    IntentState.WORKING: "working",
    IntentState.REJECTED: "failed",
    IntentState.DENIED: "failed",
    IntentState.UNSENT: "unsent",
}


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision; `code` and `params` say why it was refused, `ticket` is as it stands now."""

    outcome: Outcome
    ticket: TicketView | None
    code: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)


class Tickets:
    """The ticket store.

    Args:
        database: Where tickets live.
        drafts: Prices a request again.
        desk: Carries out what was approved.
        notices: Tells the owner what ended while they were not looking.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
    """

    def __init__(
        self,
        database: Engine,
        drafts: TradeDrafts,
        desk: Desk,
        notices: Notices,
        now: Callable[[], datetime],
        *,
        ttl: timedelta,
    ) -> None:
        self._rows = TicketRows(database, notices, now, ttl)
        self._drafts = drafts
        self._desk = desk
        self._now = now
        self._running: dict[int, asyncio.Task[None]] = {}
        self._unheard: set[int] = set()

    async def propose(self, asked: ExecuteTrade, context: ToolContext) -> TicketView | TicketRefused:
        """Open a ticket for a trade; an open one for the same symbol in the same conversation makes room for it."""
        terms = await self._drafts.draft(asked, context.owner)
        if isinstance(terms, TicketRefused):
            return terms
        return self._rows.load(self._rows.open(asked.model_dump_json(), terms, context))

    def view(self, ticket_id: int, owner: str) -> TicketView | None:
        """Return the owner's ticket, or None: somebody else's looks like none at all."""
        return self._rows.view(ticket_id, owner)

    def open_for(self, owner: str) -> tuple[TicketView, ...]:
        """Return the owner's pending tickets, oldest first."""
        return self._rows.pending_of(owner)

    async def approve(self, ticket_id: int, nonce: str, owner: str, surface: str) -> Decided:
        """Approve exactly the terms that the nonce stands for.

        Expired, drifted, or drafted for another position than the present one: nothing is approved, the ticket is
        priced again under a new nonce and asked again. One that cannot be drafted any more is refused with the
        reason and stays as it was, to be edited or rejected. The risk gate judges once more when the order is sent.
        """
        ticket, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert ticket is not None, "a ticket that is not refused exists"
        try:
            fresh = await self._fresh_terms(ticket)
        except (InvalidRequest, DataUnavailable) as error:
            return Decided("refused", ticket, error.code, error.params)
        except VenueUnavailable as error:
            return Decided("refused", ticket, "venue_unavailable", {"detail": str(error)})
        except CopilotError as error:
            return Decided("refused", ticket, "no_data", {"detail": str(error)})
        if isinstance(fresh, TicketRefused):
            self._rows.close(ticket, "failed", fresh.reasons)
            return Decided("already", self._rows.load(ticket_id))
        if fresh is not None:
            return self._reprice(ticket, fresh)
        return self._decide(ticket, "approved", surface)

    async def reject(self, ticket_id: int, nonce: str, owner: str, surface: str) -> Decided:
        """Reject a ticket; it can never be approved again."""
        ticket, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert ticket is not None, "a ticket that is not refused exists"
        return self._decide(ticket, "rejected", surface)

    async def edit(
        self, ticket_id: int, nonce: str, owner: str, changes: Mapping[str, str]
    ) -> TicketView | TicketRefused:
        """Draft a new version with other numbers (`EDITABLE`, as text); the old version's buttons are dead.

        Raises:
            InvalidRequest: A number or a name is wrong, or the ticket cannot be edited any more; it stays as it was.
        """
        ticket, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None or ticket is None:
            raise InvalidRequest((refusal and refusal.code) or "ticket_closed", ticket_id=ticket_id)
        numbers = {name: _number(name, text) for name, text in changes.items()}
        base = as_request(ExecuteTrade.model_validate_json(self._rows.row(ticket_id).request), ticket.terms)
        try:
            asked = edit_request(base, numbers)
        except ValidationError as error:
            raise InvalidRequest("bad_number", value=next(iter(changes.values()))) from error
        terms = await self._drafts.draft(asked, owner)
        if isinstance(terms, TicketRefused):
            return terms
        if not self._rows.renew(ticket, terms, request=asked.model_dump_json(), repriced_from=None):
            raise InvalidRequest("ticket_closed", ticket_id=ticket_id)
        return self._rows.load(ticket_id)

    async def execute(self, ticket_id: int) -> TicketView:
        """Carry out an approved ticket at most once; whoever does not win the claim waits, or only looks.

        A caller that is cancelled does not cancel the order; the owner then gets a notice of its end.
        """
        task = self._running.get(ticket_id)
        if task is None and self._rows.claim(ticket_id):
            task = self._running[ticket_id] = asyncio.create_task(self._carry_out(ticket_id))
        if task is not None:
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._unheard.add(ticket_id)
                raise
        return self._rows.load(ticket_id)

    def carry_on(self, ticket_id: int) -> None:
        """See to it that an approved ticket is carried out although nobody waits for it any more."""
        if self._rows.is_approved(ticket_id) and self._rows.claim(ticket_id):
            self._unheard.add(ticket_id)
            self._running[ticket_id] = asyncio.create_task(self._carry_out(ticket_id))

    async def _carry_out(self, ticket_id: int) -> None:
        try:
            ticket = self._rows.load(ticket_id)
            if not self._rows.is_as_approved(ticket):
                self._rows.damage(ticket_id)
                return
            execution = await self._desk.execute(_intent(ticket))
            self.settle(execution, tell=ticket_id in self._unheard)
        finally:
            self._running.pop(ticket_id, None)
            self._unheard.discard(ticket_id)

    async def recover(self) -> tuple[TicketView, ...]:
        """End what a crash left between approval and result, and tell the owners.

        What surely never reached the venue is made unable to, and ends as unsent; the rest is looked up there.
        """
        unfinished = self._rows.decided()
        for ticket_id in unfinished:
            await self._abandon(ticket_id)
        return tuple(map(self._rows.load, unfinished))

    async def follow(self) -> None:
        """Bring tickets up to date whose order ended elsewhere, and end those that nobody carries out any more."""
        for ticket_id in self._rows.in_states("working"):
            execution = await self._desk.execution(client_order_id(_source(ticket_id)))
            if execution is not None:
                self.settle(execution, tell=True)
        for ticket_id in self._rows.decided(before=self._now() - _PATIENCE):
            if ticket_id not in self._running:
                await self._abandon(ticket_id)

    async def _abandon(self, ticket_id: int) -> None:
        ticket = read_ticket(self._rows.row(ticket_id))
        if ticket is None:
            self._rows.damage(ticket_id)
        else:
            self.settle(await self._desk.abandon(_intent(ticket)), tell=True)

    def settle(self, execution: Execution, *, tell: bool) -> None:
        """Write what became of an order into its ticket; harmless when repeated.

        Args:
            execution: As the desk knows it; of an order that no ticket allowed, nothing happens.
            tell: Whether the owner gets a notice when the ticket comes to an end by this.
        """
        kind, _, number = execution.intent.source.partition(":")
        state = _STATES.get(execution.state)
        if kind != "ticket" or state is None:
            return
        ticket_id = int(number)
        is_heard = ticket_id in self._running and ticket_id not in self._unheard
        self._rows.settle(ticket_id, state, _fill(execution), execution.reasons, tell=tell and not is_heard)

    def expire_due(self) -> int:
        """Close pending tickets that nobody answered long after their expiry; return how many."""
        return self._rows.expire(self._now() - _FORGET_AFTER)

    async def _fresh_terms(self, ticket: TicketView) -> TicketTerms | TicketRefused | None:
        """Return new terms when the old ones may not be approved any more, or None when they may."""
        if self._now() <= ticket.expires_at and not await self._drafts.are_stale(ticket.terms):
            return None
        request = ExecuteTrade.model_validate_json(self._rows.row(ticket.ticket_id).request)
        return await self._drafts.draft(request, ticket.owner)

    def _check(self, ticket_id: int, nonce: str, owner: str) -> tuple[TicketView | None, Decided | None]:
        ticket = self.view(ticket_id, owner)
        if ticket is None:
            return None, Decided("refused", None, "ticket_not_found")
        if ticket.state != "pending":
            return ticket, Decided("already", ticket)
        code = self._rows.refusal(ticket, nonce)
        return ticket, None if code is None else Decided("refused", ticket, code)

    def _reprice(self, ticket: TicketView, terms: TicketTerms) -> Decided:
        if self._rows.renew(ticket, terms, repriced_from=ticket.terms.expected_price):
            return Decided("repriced", self._rows.load(ticket.ticket_id))
        return self._lost(ticket.ticket_id)

    def _lost(self, ticket_id: int) -> Decided:
        """Return how somebody else was faster: the ticket is closed, or it has a new version."""
        ticket = self._rows.load(ticket_id)
        if ticket.state == "pending":
            return Decided("refused", ticket, "ticket_changed")
        return Decided("already", ticket)

    def _decide(self, ticket: TicketView, state: Literal["approved", "rejected"], surface: str) -> Decided:
        if self._rows.decide(ticket, state, surface):
            return Decided(state, self._rows.load(ticket.ticket_id))
        return self._lost(ticket.ticket_id)


def _source(ticket_id: int) -> str:
    return f"ticket:{ticket_id}"


def _intent(ticket: TicketView) -> OrderIntent:
    source, terms = _source(ticket.ticket_id), ticket.terms
    request = OrderRequest(
        client_order_id=client_order_id(source),
        symbol=terms.symbol,
        side=Side(terms.side),
        order_type=OrderType(terms.order_type),
        quantity=terms.quantity,
        price=terms.price,
        stop_loss=terms.stop_loss,
        take_profit=terms.take_profit,
        is_reduce_only=terms.is_close,
    )
    return OrderIntent(ticket.owner, source, request, terms.expected_price)


def _fill(execution: Execution) -> TicketFill | None:
    order = execution.order
    if order is None:
        return None
    return TicketFill(
        order_id=order.venue_order_id,
        status=order.status.value,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        fee=sum((fill.fee for fill in execution.fills), Decimal(0)),
    )


def _number(name: str, text: str) -> Decimal:
    if name not in EDITABLE:
        raise InvalidRequest("bad_argument", argument=name, value=text)
    if not _NUMBER.fullmatch(text.strip()) or Decimal(text.strip()) <= 0:
        raise InvalidRequest("bad_number", value=text)
    return Decimal(text.strip())
