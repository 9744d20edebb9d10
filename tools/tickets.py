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
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, select, update

from agents.execution.desk import Desk, client_order_id
from agents.execution.values import Execution, IntentState, OrderIntent
from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest, VenueUnavailable
from engine.domain.orders import OrderRequest, OrderType, Side
from tools.notices import Notices
from tools.registry import ToolContext
from tools.results import TicketFill, TicketRefused, TicketState, TicketTerms, TicketView
from tools.schema import ExecuteTrade
from tools.tables import inserted_id, ticket_decisions, tickets
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
        self._database = database
        self._drafts = drafts
        self._desk = desk
        self._notices = notices
        self._now = now
        self._ttl = ttl
        self._running: dict[int, asyncio.Task[None]] = {}
        self._unheard: set[int] = set()

    async def propose(self, asked: ExecuteTrade, context: ToolContext) -> TicketView | TicketRefused:
        """Open a ticket for a trade; an open one for the same symbol in the same conversation makes room for it."""
        terms = await self._drafts.draft(asked, context.owner)
        if isinstance(terms, TicketRefused):
            return terms
        now = self._now()
        values = {
            **self._version(terms, now),
            "version": 1,
            "owner": context.owner,
            "conversation_id": context.conversation_id,
            "language": context.language,
            "state": "pending",
            "request": asked.model_dump_json(),
            "reasons": "[]",
            "created_at": now,
        }
        replaced = (
            update(tickets)
            .where(
                tickets.c.owner == context.owner,
                tickets.c.conversation_id == context.conversation_id,
                tickets.c.state == "pending",
                tickets.c.id.in_(self._pending_ids(context, asked.symbol)),
            )
            .values(state="replaced")
        )
        with self._database.begin() as connection:
            connection.execute(replaced)
            ticket_id = inserted_id(connection.execute(insert(tickets).values(values)))
        return self._load(ticket_id)

    def view(self, ticket_id: int, owner: str) -> TicketView | None:
        """Return the owner's ticket, or None: somebody else's looks like none at all."""
        row = self._row(ticket_id)
        return None if row is None or row.owner != owner else _read(row)

    def open_for(self, owner: str) -> tuple[TicketView, ...]:
        """Return the owner's pending tickets, oldest first."""
        query = select(tickets).where(tickets.c.owner == owner, tickets.c.state == "pending").order_by(tickets.c.id)
        with self._database.connect() as connection:
            read = [_read(row) for row in connection.execute(query)]
        return tuple(ticket for ticket in read if ticket is not None)

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
            self._move(ticket, "failed", reasons=fresh.reasons)
            return Decided("already", self._load(ticket_id))
        if fresh is not None:
            return self._reprice(ticket, fresh)
        if self._decide(ticket, "approved", surface):
            return Decided("approved", self._load(ticket_id))
        return self._lost(ticket_id)

    async def reject(self, ticket_id: int, nonce: str, owner: str, surface: str) -> Decided:
        """Reject a ticket; it can never be approved again."""
        ticket, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert ticket is not None, "a ticket that is not refused exists"
        if self._decide(ticket, "rejected", surface):
            return Decided("rejected", self._load(ticket_id))
        return self._lost(ticket_id)

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
        row = self._row(ticket_id)
        assert row is not None, "the ticket was just read"
        base = as_request(ExecuteTrade.model_validate_json(row.request), ticket.terms)
        try:
            asked = edit_request(base, numbers)
        except ValidationError as error:
            raise InvalidRequest("bad_number", value=next(iter(changes.values()))) from error
        terms = await self._drafts.draft(asked, owner)
        if isinstance(terms, TicketRefused):
            return terms
        if not self._renew(ticket, terms, request=asked.model_dump_json()):
            raise InvalidRequest("ticket_closed", ticket_id=ticket_id)
        return self._load(ticket_id)

    async def execute(self, ticket_id: int) -> TicketView:
        """Carry out an approved ticket at most once; whoever does not win the claim waits, or only looks.

        A caller that is cancelled does not cancel the order; the owner then gets a notice of its end.
        """
        task = self._running.get(ticket_id)
        if task is None and self._claim(ticket_id):
            task = self._running[ticket_id] = asyncio.create_task(self._carry_out(ticket_id))
        if task is not None:
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._unheard.add(ticket_id)
                raise
        return self._load(ticket_id)

    def carry_on(self, ticket_id: int) -> None:
        """See to it that an approved ticket is carried out although nobody waits for it any more."""
        if self._is_in(ticket_id, "approved") and self._claim(ticket_id):
            self._unheard.add(ticket_id)
            self._running[ticket_id] = asyncio.create_task(self._carry_out(ticket_id))

    async def _carry_out(self, ticket_id: int) -> None:
        try:
            ticket = self._load(ticket_id)
            if not self._is_as_approved(ticket):
                self._damaged(ticket_id)
                return
            execution = await self._desk.execute(_intent(ticket))
            self.settle(execution, tell=ticket_id in self._unheard)
        finally:
            self._running.pop(ticket_id, None)
            self._unheard.discard(ticket_id)

    def _is_as_approved(self, ticket: TicketView) -> bool:
        """Return whether the terms are those whose hash stands in the owner's decision."""
        same = (
            ticket_decisions.c.ticket_id == ticket.ticket_id,
            ticket_decisions.c.version == ticket.version,
            ticket_decisions.c.terms_hash == hash_terms(ticket.terms),
            ticket_decisions.c.decision == "approved",
            ticket_decisions.c.owner == ticket.owner,
        )
        with self._database.connect() as connection:
            return connection.execute(select(ticket_decisions.c.id).where(*same)).first() is not None

    def _damaged(self, ticket_id: int) -> None:
        change = update(tickets).where(tickets.c.id == ticket_id, tickets.c.state.in_(("approved", "claimed")))
        with self._database.begin() as connection:
            connection.execute(change.values(state="failed", reasons=json.dumps(["ticket_damaged"])))

    async def recover(self) -> tuple[TicketView, ...]:
        """End what a crash left between approval and result, and tell the owners.

        What surely never reached the venue is made unable to, and ends as unsent; the rest is looked up there.
        """
        unfinished = self._in_states("approved", "claimed")
        for ticket_id in unfinished:
            await self._abandon(ticket_id)
        return tuple(self._load(ticket_id) for ticket_id in unfinished)

    async def follow(self) -> None:
        """Bring tickets up to date whose order ended elsewhere, and end those that nobody carries out any more."""
        for ticket_id in self._in_states("working"):
            execution = await self._desk.execution(client_order_id(_source(ticket_id)))
            if execution is not None:
                self.settle(execution, tell=True)
        decided = select(ticket_decisions.c.ticket_id).where(ticket_decisions.c.decided_at < self._now() - _PATIENCE)
        for ticket_id in self._in_states("approved", "claimed", where=tickets.c.id.in_(decided)):
            if ticket_id not in self._running:
                await self._abandon(ticket_id)

    async def _abandon(self, ticket_id: int) -> None:
        row = self._row(ticket_id)
        ticket = None if row is None else _read(row)
        if ticket is None:
            self._damaged(ticket_id)
        else:
            self.settle(await self._desk.abandon(_intent(ticket)), tell=True)

    def _in_states(self, *states: str, where: ColumnElement[bool] | None = None) -> list[int]:
        query = select(tickets.c.id).where(tickets.c.state.in_(states)).order_by(tickets.c.id)
        with self._database.connect() as connection:
            return list(connection.scalars(query if where is None else query.where(where)))

    def _is_in(self, ticket_id: int, state: TicketState) -> bool:
        return ticket_id in self._in_states(state, where=tickets.c.id == ticket_id)

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
        ticket_id, fill = int(number), _fill(execution)
        told = None if fill is None else fill.model_dump_json()
        is_heard = ticket_id in self._running and ticket_id not in self._unheard
        here = (tickets.c.id == ticket_id, tickets.c.state.in_(("approved", "claimed", "working")))
        with self._database.begin() as connection:
            row = connection.execute(select(tickets).where(*here).with_for_update()).one_or_none()
            if row is None or (row.state, row.fill) == (state, told):
                return
            values = {"state": state, "fill": told, "reasons": json.dumps(execution.reasons)}
            connection.execute(update(tickets).where(*here).values(values))
            if row.state != state and tell and not is_heard:
                ticket = _to_view(connection.execute(select(tickets).where(tickets.c.id == ticket_id)).one())
                self._notices.add(connection, ticket.owner, f"ticket_{state}", _notice(ticket))

    def expire_due(self) -> int:
        """Close pending tickets that nobody answered long after their expiry; return how many."""
        due = update(tickets).where(tickets.c.state == "pending", tickets.c.expires_at < self._now() - _FORGET_AFTER)
        with self._database.begin() as connection:
            return connection.execute(due.values(state="expired")).rowcount

    async def _fresh_terms(self, ticket: TicketView) -> TicketTerms | TicketRefused | None:
        """Return new terms when the old ones may not be approved any more, or None when they may."""
        if self._now() <= ticket.expires_at and not await self._drafts.are_stale(ticket.terms):
            return None
        row = self._row(ticket.ticket_id)
        assert row is not None, "the ticket was just read"
        return await self._drafts.draft(ExecuteTrade.model_validate_json(row.request), ticket.owner)

    def _check(self, ticket_id: int, nonce: str, owner: str) -> tuple[TicketView | None, Decided | None]:
        ticket = self.view(ticket_id, owner)
        if ticket is None:
            return None, Decided("refused", None, "ticket_not_found")
        if ticket.state != "pending":
            return ticket, Decided("already", ticket)
        if not secrets.compare_digest(ticket.nonce.encode(), nonce.encode()):
            return ticket, Decided("refused", ticket, "ticket_changed")
        if hash_terms(ticket.terms) != ticket.terms_hash:
            return ticket, Decided("refused", ticket, "ticket_damaged")
        return ticket, None

    def _reprice(self, ticket: TicketView, terms: TicketTerms) -> Decided:
        if self._renew(ticket, terms, repriced_from=ticket.terms.expected_price):
            return Decided("repriced", self._load(ticket.ticket_id))
        return self._lost(ticket.ticket_id)

    def _lost(self, ticket_id: int) -> Decided:
        """Return how somebody else was faster: the ticket is closed, or it has a new version."""
        ticket = self._load(ticket_id)
        if ticket.state == "pending":
            return Decided("refused", ticket, "ticket_changed")
        return Decided("already", ticket)

    def _decide(self, ticket: TicketView, state: TicketState, surface: str) -> bool:
        with self._database.begin() as connection:
            if not self._change(connection, ticket, state=state):
                return False
            connection.execute(
                insert(ticket_decisions).values(
                    ticket_id=ticket.ticket_id,
                    version=ticket.version,
                    terms_hash=ticket.terms_hash,
                    decision=state,
                    owner=ticket.owner,
                    surface=surface,
                    decided_at=self._now(),
                )
            )
        return True

    def _move(self, ticket: TicketView, state: TicketState, *, reasons: tuple[str, ...]) -> bool:
        with self._database.begin() as connection:
            return self._change(connection, ticket, state=state, reasons=json.dumps(reasons))

    def _renew(self, ticket: TicketView, terms: TicketTerms, **values: Any) -> bool:
        version = {**self._version(terms, self._now()), "version": ticket.version + 1, "repriced_from": None, **values}
        with self._database.begin() as connection:
            return self._change(connection, ticket, **version)

    @staticmethod
    def _change(connection: Connection, ticket: TicketView, **values: Any) -> bool:
        """Change a pending ticket, if it is still the version that was looked at."""
        same = (tickets.c.id == ticket.ticket_id, tickets.c.state == "pending", tickets.c.nonce == ticket.nonce)
        return connection.execute(update(tickets).where(*same).values(values)).rowcount == 1

    def _claim(self, ticket_id: int) -> bool:
        claim = update(tickets).where(tickets.c.id == ticket_id, tickets.c.state == "approved").values(state="claimed")
        with self._database.begin() as connection:
            return connection.execute(claim).rowcount == 1

    def _version(self, terms: TicketTerms, now: datetime) -> dict[str, Any]:
        return {
            "terms": canonical_json(terms),
            "terms_hash": hash_terms(terms),
            "nonce": secrets.token_urlsafe(16),
            "expires_at": now + self._ttl,
        }

    def _pending_ids(self, context: ToolContext, symbol: str) -> list[int]:
        return [
            ticket.ticket_id
            for ticket in self.open_for(context.owner)
            if ticket.conversation_id == context.conversation_id and ticket.terms.symbol == symbol
        ]

    def _row(self, ticket_id: int) -> Row[Any] | None:
        with self._database.connect() as connection:
            return connection.execute(select(tickets).where(tickets.c.id == ticket_id)).one_or_none()

    def _load(self, ticket_id: int) -> TicketView:
        row = self._row(ticket_id)
        ticket = None if row is None else _read(row)
        if ticket is None:
            raise InvalidRequest("ticket_not_found", ticket_id=ticket_id)
        return ticket


def canonical_json(terms: TicketTerms) -> str:
    """Return the one text of some terms: sorted keys, decimals as their digits."""
    return json.dumps(terms.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def hash_terms(terms: TicketTerms) -> str:
    """Return the SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(terms).encode()).hexdigest()


def _read(row: Row[Any]) -> TicketView | None:
    """Return a ticket, or None when what the database holds of it cannot be one: nothing can be done with that."""
    try:
        return _to_view(row)
    except ValueError:
        log.error("ticket %s is damaged in the database", row.id)
        return None


def _to_view(row: Row[Any]) -> TicketView:
    return TicketView(
        ticket_id=row.id,
        version=row.version,
        nonce=row.nonce,
        owner=row.owner,
        conversation_id=row.conversation_id,
        language=row.language,
        state=row.state,
        terms=TicketTerms.model_validate_json(row.terms),
        terms_hash=row.terms_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        repriced_from=row.repriced_from,
        fill=None if row.fill is None else TicketFill.model_validate_json(row.fill),
        reasons=tuple(json.loads(row.reasons)),
    )


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


def _notice(ticket: TicketView) -> dict[str, str]:
    fill = ticket.fill
    return {
        "ticket_id": str(ticket.ticket_id),
        "symbol": ticket.terms.symbol,
        "side": ticket.terms.side,
        "quantity": str(ticket.terms.quantity if fill is None else fill.filled_quantity),
        "price": "" if fill is None or fill.average_price is None else str(fill.average_price),
        "reasons": ",".join(ticket.reasons),
    }


def _number(name: str, text: str) -> Decimal:
    if name not in EDITABLE:
        raise InvalidRequest("bad_argument", argument=name, value=text)
    if not _NUMBER.fullmatch(text.strip()) or Decimal(text.strip()) <= 0:
        raise InvalidRequest("bad_number", value=text)
    return Decimal(text.strip())
