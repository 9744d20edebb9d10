"""Making sure that venue and record tell the same: intents, orders, balances, positions. A second run changes nothing.

Nothing is repaired by guessing. What does not add up is said (asset, both quantities) and stops new risk in the assets
concerned until it is gone; orders at the venue that are not ours are told and never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agents.execution.control_store import Mark, write_mark
from agents.execution.journal import StoredIntent
from agents.execution.observing import Observer
from agents.execution.parts import DeskParts
from agents.execution.sending import Sender
from agents.execution.settling import Settler
from agents.execution.values import Discrepancy
from agents.risk.states import WHOLE_ACCOUNT
from engine.domain.errors import DataUnavailable, VenueUnavailable
from engine.domain.orders import VenueOrder
from engine.ledger import ACCOUNT_CURRENCY, account_asset, base_asset, exact_sum, negative

ZERO = Decimal(0)
_ATTEMPTS = 20
"""Comparisons before giving up for now because fills keep coming in between."""


class Reconciler:
    """Compares the venue with the record and brings the record up to date.

    Args:
        parts: What the desk works on.
        observer: Says what stands.
        settler: Settles what the venue tells.
        sender: Looks up intents of unknown outcome.
    """

    def __init__(self, parts: DeskParts, observer: Observer, settler: Settler, sender: Sender) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._observer = observer
        self._settler = settler
        self._sender = sender

    async def reconcile(self) -> list[StoredIntent]:
        """Settle everything that is not final, compare, mark; return the intents that were not final before.

        A venue that does not answer leaves everything as it was.
        """
        seen = self._journal.unfinished()
        for stored in seen:
            await self._sender.resolve(stored)
        try:
            await self._settler.refresh_orders()
            await self._compare_balances()
        except VenueUnavailable:
            return seen
        await self._mark()
        return seen

    async def unknown_orders(self) -> tuple[VenueOrder, ...]:
        """Return orders that rest at the venue and are not ours.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        orders = await self._parts.venue.open_orders()
        known = self._journal.known_ids(each.request.client_order_id for each in orders)
        return tuple(each for each in orders if each.request.client_order_id not in known)

    async def _compare_balances(self) -> None:
        """Note where venue and ledger differ, once no fill came in between."""
        for _ in range(_ATTEMPTS):
            before = self._journal.fill_cursor()
            balances = await self._parts.venue.balances()
            await self._settler.settle()
            if self._journal.fill_cursor() == before:
                self._journal.note_discrepancies(self._differences(balances))
                return

    def _differences(self, balances: Mapping[str, Decimal]) -> list[Discrepancy]:
        books = self._journal.snapshot(self._parts.now()).books
        instruments = self._parts.market.instruments()
        ours = {ACCOUNT_CURRENCY: books.cash}
        for symbol, holding in books.open_holdings().items():
            base = instruments[symbol].base if symbol in instruments else base_asset(symbol)
            asset = account_asset(base)
            ours[asset] = exact_sum((ours.get(asset, ZERO), holding.quantity))
        theirs: dict[str, Decimal] = {}
        for asset, quantity in balances.items():
            theirs[account_asset(asset)] = exact_sum((theirs.get(account_asset(asset), ZERO), quantity))
        assets = sorted({*ours, *theirs})
        return [
            Discrepancy(asset, theirs.get(asset, ZERO), ours.get(asset, ZERO))
            for asset in assets
            if theirs.get(asset, ZERO) != ours.get(asset, ZERO)
        ]

    async def _mark(self) -> None:
        """Mark the day's start and the highest result of every book; without prices there is nothing to mark."""
        try:
            look = await self._observer.look()
        except (DataUnavailable, VenueUnavailable):
            return
        marks: dict[str, Mark] = {}
        for name in (WHOLE_ACCOUNT, *sorted(look.snapshot.accounts.books)):
            book = None if name == WHOLE_ACCOUNT else name
            deposits = negative(look.snapshot.accounts.of(book).deposits)
            try:
                account = self._observer.account(look, book)
            except DataUnavailable:
                continue
            start = exact_sum((account.day_start_equity, deposits))
            marks[name] = Mark(start, exact_sum((account.peak_equity, deposits)))
        known = look.snapshot.marks
        rising = {
            name: mark
            for name, mark in marks.items()
            if name not in known or known[name].start_result is None or mark.peak_result > known[name].peak_result
        }
        if rising:
            with self._journal.writing() as (connection, _):
                for name, mark in rising.items():
                    write_mark(connection, name, f"{look.now:%Y-%m-%d}", mark)
