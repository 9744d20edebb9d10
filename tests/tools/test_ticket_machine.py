"""Any sequence of clicks, edits, waits, price moves and crashes: an order exists once, as its owner approved it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from sqlalchemy import select

from agents.execution.desk import client_order_id
from agents.execution.rows import read_request
from agents.execution.tables import paper_orders
from engine.domain.errors import InvalidRequest
from tests.agents.execution.fakes import D
from tests.tools.place import CONTEXT, OWNER, Crash, Place
from tools.asked_rows import hash_terms
from tools.results import TicketRefused, TicketView
from tools.schema import ExecuteTrade
from tools.tables import ticket_decisions, tickets

FINAL = ("executed", "failed", "unsent", "rejected", "expired", "replaced")
STEPS = ("stored", "assessed", "claimed", "submitted", "settled")
T = TypeVar("T")


class TicketMachine(RuleBasedStateMachine):
    """Drives one store; `cards` are tickets as some surface once showed them, new and old versions alike."""

    cards = Bundle("cards")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.place = Place(Path(self.folder.name) / "machine.db")
        self.wait(self.place.desk.start())
        self.ended: dict[int, TicketView] = {}

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.runner.close()
        self.place.database.dispose()
        self.folder.cleanup()

    @rule(
        target=cards,
        side=st.sampled_from(["buy", "buy", "sell", "close"]),
        symbol=st.sampled_from(["BTC/USDT", "XAUUSD"]),
        amount=st.sampled_from(["0.5", "3", "400"]),
        limit=st.sampled_from([None, None, "0.99", "1.01"]),
    )
    def propose(self, side: str, symbol: str, amount: str, limit: str | None) -> TicketView | None:
        price = None if limit is None else self.place.market.mids[symbol] * D(limit)
        asked = ExecuteTrade.model_validate(
            {
                "symbol": symbol,
                "side": side,
                "amount": None if side == "close" else amount,
                "order_type": "market" if price is None else "limit",
                "price": price,
            }
        )
        told = self.wait(self.place.tickets.propose(asked, CONTEXT))
        return None if isinstance(told, TicketRefused) else told

    @rule(target=cards, card=cards)
    def approve(self, card: TicketView | None) -> TicketView | None:
        if card is None:
            return None
        before = self.place.tickets.view(card.ticket_id, OWNER)
        assert before is not None
        decided = self.wait(self.place.tickets.approve(card.ticket_id, card.nonce, OWNER, "web"))
        if decided.outcome == "approved":
            assert (before.state, before.nonce, before.terms_hash) == ("pending", card.nonce, card.terms_hash)
            assert self.place.wall <= card.expires_at
        return decided.ticket

    @rule(card=cards)
    def approve_as_somebody_else(self, card: TicketView | None) -> None:
        if card is not None:
            decided = self.wait(self.place.tickets.approve(card.ticket_id, card.nonce, "eve", "web"))
            assert (decided.outcome, decided.ticket) == ("refused", None)

    @rule(card=cards)
    def reject(self, card: TicketView | None) -> None:
        if card is not None:
            self.wait(self.place.tickets.reject(card.ticket_id, card.nonce, OWNER, "web"))

    @rule(target=cards, card=cards, quantity=st.sampled_from(["0.25", "2", "9999"]))
    def edit(self, card: TicketView | None, quantity: str) -> TicketView | None:
        if card is None:
            return None
        try:
            told = self.wait(self.place.tickets.edit(card.ticket_id, card.nonce, OWNER, {"quantity": quantity}))
        except InvalidRequest:
            return None
        return None if isinstance(told, TicketRefused) else told

    @rule(card=cards)
    def execute(self, card: TicketView | None) -> None:
        if card is not None:
            self.wait(self.place.tickets.execute(card.ticket_id))

    @rule(card=consumes(cards), step=st.sampled_from(STEPS))
    def crash_while_sending(self, card: TicketView | None, step: str) -> None:
        if card is None:
            return
        self.place.crash_at = step
        try:
            self.wait(self.place.tickets.execute(card.ticket_id))
        except Crash:
            self.restart()
        finally:
            self.place.crash_at = ""

    @rule()
    def restart(self) -> None:
        wall, market, path = self.place.wall, self.place.market, self.place.path
        self.place.database.dispose()
        self.place = Place(path, market)
        self.place.wall = wall
        for execution in self.wait(self.place.desk.start()):
            self.place.tickets.settle(execution, tell=True)
        self.wait(self.place.tickets.recover())
        for ticket in self.all_tickets():
            assert ticket.state not in ("approved", "claimed")

    @rule(seconds=st.sampled_from([5, 40, 130, 1500]))
    def pass_time(self, seconds: int) -> None:
        self.place.pass_time(seconds=seconds)

    @rule(symbol=st.sampled_from(["BTC/USDT", "XAUUSD"]), ratio=st.sampled_from(["0.98", "0.999", "1.001", "1.02"]))
    def move_price(self, symbol: str, ratio: str) -> None:
        mid = self.place.market.mids[symbol] * D(ratio)
        self.place.market.mids[symbol] = max(mid.quantize(D("0.1")), D(20))

    @rule()
    def look_after_things(self) -> None:
        self.wait(self.place.venue.advance())
        for execution in self.wait(self.place.desk.reconcile()):
            self.place.tickets.settle(execution, tell=True)
        self.wait(self.place.tickets.follow())
        self.place.tickets.expire_due()

    def all_tickets(self) -> list[TicketView]:
        with self.place.database.connect() as connection:
            ids = list(connection.scalars(select(tickets.c.id).order_by(tickets.c.id)))
        views = [self.place.tickets.view(ticket_id, OWNER) for ticket_id in ids]
        return [view for view in views if view is not None]

    @invariant()
    def orders_are_what_their_owner_approved(self) -> None:
        with self.place.database.connect() as connection:
            rows = connection.execute(select(paper_orders).where(paper_orders.c.parent_id.is_(None))).mappings()
            orders = {row["client_order_id"]: read_request(row) for row in rows}
            approvals = {
                row.ticket_id: row.terms_hash
                for row in connection.execute(select(ticket_decisions).where(ticket_decisions.c.decision == "approved"))
            }
        by_order = {client_order_id(f"ticket:{ticket.ticket_id}"): ticket for ticket in self.all_tickets()}
        for order_id, order in orders.items():
            ticket = by_order[order_id]
            terms = ticket.terms
            assert approvals[ticket.ticket_id] == hash_terms(terms) == ticket.terms_hash
            assert (order.symbol, order.side.value, order.quantity, order.price) == (
                terms.symbol,
                terms.side,
                terms.quantity,
                terms.price,
            )

    @invariant()
    def an_end_is_for_ever_and_told_truly(self) -> None:
        for ticket in self.all_tickets():
            known = self.ended.get(ticket.ticket_id)
            assert known is None or known == ticket
            if ticket.state in FINAL:
                self.ended[ticket.ticket_id] = ticket
            with self.place.database.connect() as connection:
                order_id = client_order_id(f"ticket:{ticket.ticket_id}")
                sent = connection.execute(
                    select(paper_orders.c.status).where(paper_orders.c.client_order_id == order_id)
                ).scalar_one_or_none()
            assert sent is not None or ticket.state not in ("executed", "working")
            assert sent is None or ticket.state in ("approved", "claimed", "working", "executed")

    @invariant()
    def every_version_has_its_own_nonce(self) -> None:
        views = self.all_tickets()
        assert len({view.nonce for view in views}) == len(views)


TestTicketMachine = TicketMachine.TestCase
TestTicketMachine.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.prove
class TestTicketMachineForLong(TicketMachine.TestCase):
    """The same, over many more and longer sequences."""

    settings = settings(
        max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
