"""Tickets in the database: the shared rows, and what becomes of an order that a ticket allowed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, select, update

from tools.asked_rows import AskedRows
from tools.notices import Notices
from tools.registry import ToolContext
from tools.results import TicketFill, TicketState, TicketTerms, TicketView
from tools.tables import ticket_decisions, tickets

log = logging.getLogger(__name__)


class TicketRows(AskedRows[TicketView]):
    """The rows of tickets.

    Args:
        database: Where they live.
        notices: Tells owners of ends, in the transaction of the end.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
    """

    def __init__(self, database: Engine, notices: Notices, now: Callable[[], datetime], ttl: timedelta) -> None:
        super().__init__(
            database, tickets, ticket_decisions, "ticket_id", read_ticket, lambda ticket: ticket.terms, now, ttl
        )
        self._notices = notices

    def open(self, request: str, terms: TicketTerms, context: ToolContext) -> int:
        """Write a new ticket in the place of an open one for its symbol in its conversation; return its number."""
        alike = [
            ticket.ticket_id
            for ticket in self.pending_of(context.owner)
            if ticket.conversation_id == context.conversation_id and ticket.terms.symbol == terms.symbol
        ]
        replaced = (tickets.c.conversation_id == context.conversation_id, tickets.c.id.in_(alike))
        return self.insert(terms, context, replaced, request=request)

    def damage(self, number: int) -> None:
        """End a ticket whose row is not what its owner approved."""
        change = update(tickets).where(tickets.c.id == number, tickets.c.state.in_(("approved", "claimed")))
        with self.database.begin() as connection:
            connection.execute(change.values(state="failed", reasons=json.dumps(["ticket_damaged"])))

    def settle(
        self, number: int, state: TicketState, fill: TicketFill | None, reasons: Sequence[str], *, tell: bool
    ) -> None:
        """Write what became of a ticket's order; harmless when repeated.

        Args:
            number: Of the ticket.
            state: What the ticket is by it.
            fill: What filled so far.
            reasons: Why it failed; stable codes.
            tell: Whether the owner gets a notice, in the same transaction, when the state is a new one.
        """
        told = None if fill is None else fill.model_dump_json()
        here = (tickets.c.id == number, tickets.c.state.in_(("approved", "claimed", "working")))
        with self.database.begin() as connection:
            row = connection.execute(select(tickets).where(*here).with_for_update()).one_or_none()
            if row is None or (row.state, row.fill) == (state, told):
                return
            values = {"state": state, "fill": told, "reasons": json.dumps(list(reasons))}
            connection.execute(update(tickets).where(*here).values(values))
            if row.state != state and tell:
                ticket = _to_view(connection.execute(select(tickets).where(tickets.c.id == number)).one())
                self._notices.add(connection, ticket.owner, f"ticket_{state}", _notice(ticket))


def read_ticket(row: Row[Any]) -> TicketView | None:
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
