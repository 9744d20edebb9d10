"""The way of every order through the risk gate: figures are gathered, the gate is asked, the order is cut to its book.

What goes to the venue is never more than the order's own book can bear: a reduce-only order is cut to what the book
holds, and where other books hold the same symbol the order says from which entries it takes, because the venue knows
only their sum. No book may stand on the other side of another: the venue would net them and their protection with
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from agents.execution.kill_file import KillFile
from agents.execution.observing import Look, Observer
from agents.execution.parts import DeskParts
from agents.risk.gate import Scope, assess_scopes, lowers_risk
from agents.risk.states import WHOLE_ACCOUNT, StateChange, TradingState, stricter
from agents.risk.values import AccountState, RiskReport
from engine.domain.errors import DataUnavailable, VenueUnavailable
from engine.domain.market import Instrument
from engine.domain.orders import OrderRequest
from engine.ledger import ACCOUNT_CURRENCY, MAIN_BOOK, account_asset
from engine.sim.matching import validate_order

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate said of an order.

    Attributes:
        version: Of the record that was judged; a claim needs it unchanged.
        outgoing: The order as it may be handed over, cut to its book.
    """

    version: int
    report: RiskReport
    outgoing: OrderRequest


class Judge:
    """Asks the risk gate.

    Args:
        parts: What the desk works on.
        observer: Gives the figures.
        kill_file: Checked before every order.
    """

    def __init__(self, parts: DeskParts, observer: Observer, kill_file: KillFile | None) -> None:
        self._parts = parts
        self._observer = observer
        self._kill_file = kill_file

    async def judge(self, order: OrderRequest, book: str, *, is_halt: bool = False) -> Judgement:
        """Return what the venue's rules, the trading states and the gate say of an order of a book now."""
        parts = self._parts
        instrument, quote = parts.market.instruments().get(order.symbol), parts.quote(order.symbol)
        try:
            look = await self._observer.look()
            scopes = self._scopes(look, book)
        except (DataUnavailable, VenueUnavailable):
            return Judgement(-1, RiskReport((), ("no_account",)), order)
        version = look.snapshot.version
        if instrument is not None:
            broken = validate_order(order, instrument, quote)
            if account_asset(instrument.quote) != ACCOUNT_CURRENCY:
                broken = (*broken, "currency")
            if broken:
                return Judgement(version, RiskReport((), broken), order)
        report = assess_scopes(order, instrument, quote, scopes, look.now, groups=parts.groups, is_halt=is_halt)
        more = self._further_reasons(order, instrument, look, book, scopes[0].account, is_halt=is_halt)
        report = replace(report, reasons=tuple(dict.fromkeys((*report.reasons, *more))))
        return Judgement(version, report, self._outgoing(order, look, book))

    def _scopes(self, look: Look, book: str) -> list[Scope]:
        """Return the book, then the account; one scope is enough while there is only `main` without limits."""
        snapshot = look.snapshot
        whole = self._observer.account(look, must_be_fresh=True)
        account_state, book_state = (_state(snapshot.states, each) for each in (WHOLE_ACCOUNT, book))
        limits = snapshot.limits.get(book)
        others = [name for name in snapshot.accounts.books if name != MAIN_BOOK]
        if book == MAIN_BOOK and limits is None:
            if not others:
                return [Scope("", whole, self._parts.limits, stricter(account_state, book_state))]
            limits = self._parts.limits
        own = self._observer.account(look, book, must_be_fresh=True)
        return [Scope(book, own, limits, book_state), Scope("", whole, self._parts.limits, account_state)]

    def _further_reasons(
        self,
        order: OrderRequest,
        instrument: Instrument | None,
        look: Look,
        book: str,
        own: AccountState | None,
        *,
        is_halt: bool,
    ) -> list[str]:
        reasons = []
        if self._kill_file is not None and self._kill_file.is_set() and not is_halt:
            reasons.append("halted")
        if own is None or lowers_risk(order, own):
            return reasons
        affected = {each.asset for each in look.snapshot.discrepancies}
        if instrument is not None and affected & {account_asset(instrument.base), account_asset(instrument.quote)}:
            reasons.append("unreconciled")
        if _is_opposed(order, look, book):
            reasons.append("opposed")
        return reasons

    def _outgoing(self, order: OrderRequest, look: Look, book: str) -> OrderRequest:
        """Return the order cut to what its book holds, with the entries that it takes from."""
        holding = look.snapshot.accounts.book(book).holdings.get(order.symbol)
        held = ZERO if holding is None else holding.quantity
        if held * order.side.sign >= 0:
            return replace(order, takes=())
        if order.is_reduce_only:
            order = replace(order, quantity=min(order.quantity, self._parts.round_held(order.symbol, held)))
        if order.takes or not _holds_elsewhere(look, book, order.symbol):
            return order
        covered = look.covered(book, order.symbol)
        left = order.quantity - max(abs(held) - sum(covered.values(), ZERO), ZERO)
        takes = []
        for entry_id, quantity in covered.items():
            part = min(left, quantity)
            if part > 0:
                takes.append((entry_id, part))
                left -= part
        return replace(order, takes=tuple(takes))


def _state(states: Mapping[str, StateChange], book: str) -> TradingState:
    return states[book].state if book in states else TradingState.ACTIVE


def _holds_elsewhere(look: Look, book: str, symbol: str) -> bool:
    return any(
        name != book and symbol in books.holdings and books.holdings[symbol].quantity
        for name, books in look.snapshot.accounts.books.items()
    )


def _is_opposed(order: OrderRequest, look: Look, book: str) -> bool:
    """Return whether another book holds, or may come to hold, the side that this order would open against."""
    sign = order.side.sign
    names = {*look.snapshot.accounts.books, *(look.book_of(each) for each in look.orders)} - {book}
    for name in names:
        holding = look.snapshot.accounts.book(name).holdings.get(order.symbol)
        held = ZERO if holding is None else holding.quantity
        against = sum(
            (
                each.request.quantity - each.filled_quantity
                for each in look.orders_of(name)
                if each.request.symbol == order.symbol
                and each.request.side.sign == -sign
                and not each.request.is_reduce_only
            ),
            ZERO,
        )
        if held * sign - against < 0:
            return True
    return False
