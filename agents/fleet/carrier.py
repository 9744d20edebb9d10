"""Bring the venue to where the legs want it, one harmless step after another.

A leg says what is wanted of it; what is missing is done here: taken back, closed, protected, sent, in this order. Each
step is written down before the desk is called, under a source of its own, so that after a crash the same call is made
again and the desk answers with what became of the first. Nothing here decides anything new.

Exits are repeated until nothing is left. An entry is sent before `send_by`; an order that the desk is sure never left
may be followed by another until then, later the entry is abandoned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import assert_never

from agents.execution.desk import client_order_id
from agents.execution.values import Execution, IntentState, OrderIntent
from agents.fleet.attribution import attribute
from agents.fleet.ports import Allowed, AskTicket, Permission, Refused, TradingDesk
from agents.fleet.records import end_fact, order_fact
from agents.fleet.store import FleetStore
from agents.fleet.values import ZERO, Leg, LegState
from agents.journal.values import Decision, Fact, FactKind, Verdict
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable, OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderRequest, OrderType
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S

_NEVER_FILLS = (IntentState.DENIED, IntentState.REJECTED, IntentState.UNSENT)
_FINAL = (*_NEVER_FILLS, IntentState.DONE)
_FIRST_FILLS = 200
_ATTEMPTS = 3
"""Orders for one entry at most, of which all but the last surely never left."""
_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0


@dataclass(slots=True)
class _Retry:
    at: float
    wait_s: float


def _no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


class Carrier:
    """Carries out what the legs of one agent want.

    Args:
        agent: Whose; also the name of its book.
        desk: Where orders go.
        market: The present, instruments and quotes.
        store: Where legs are kept.
        permission: Asked before every entry.
        on_ask: Told of an entry that needs the owner's confirmation, with its record and the reason.
        elapsed: Seconds of a clock that only goes forward, for repeats.
        checkpoint: Called with the name of each step; crash tests stop the process there.
    """

    def __init__(
        self,
        agent: str,
        desk: TradingDesk,
        market: MarketData,
        store: FleetStore,
        permission: Permission,
        *,
        on_ask: Callable[[Leg, Decision], None] | None = None,
        elapsed: Callable[[], float] = time.monotonic,
        checkpoint: Callable[[str], None] = _no_checkpoint,
    ) -> None:
        self._agent = agent
        self._desk = desk
        self._market = market
        self._store = store
        self._permission = permission
        self._on_ask = on_ask
        self._elapsed = elapsed
        self._checkpoint = checkpoint
        self._legs: dict[str, Leg] = {}
        self._last_fill = 0
        self._retries: dict[str, _Retry] = {}

    @property
    def legs(self) -> tuple[Leg, ...]:
        """Return the legs that are not final, oldest first."""
        return tuple(self._legs.values())

    def load(self) -> None:
        """Read the legs as they were last written."""
        self._legs = {leg.source: leg for leg in self._store.legs(self._agent)}
        row = self._store.row(self._agent)
        self._last_fill = 0 if row is None else row.last_fill
        self._retries.clear()

    def adopt(self, legs: Iterable[Leg]) -> None:
        """Take over legs that a plan has written."""
        self._legs |= {leg.source: leg for leg in legs}

    def change(self, legs: Iterable[Leg]) -> None:
        """Write changed legs."""
        changed = list(legs)
        self._store.save(changed)
        self.adopt(changed)

    async def carry_out(self, *, shut: str = "", is_halted: bool = False) -> None:
        """Do all that is missing; what cannot be done now is left to the next call.

        Args:
            shut: Why nothing may be opened, a stable code; empty when it may.
            is_halted: Whether the desk cancels and closes by itself, so that nothing is to be sent to it.
        """
        if not self._needs_care():
            return
        for leg in self.legs:
            if leg.state is LegState.OPEN and leg.cancel_reason and not leg.is_entry_final:
                await self._cancel(leg)
        if not is_halted:
            await self._close_all()
            for leg in self.legs:
                await self._protect(leg)
        for leg in self.legs:
            if leg.state is LegState.ASKED:  # the owner may have answered, in this process or another
                leg = self._store.leg(leg.source) or leg
                self.adopt([leg])
            if leg.state in (LegState.WANTED, LegState.ASKED):
                await self._enter(leg, shut)
        await self.settle()

    async def settle(self, *, is_thorough: bool = False) -> None:
        """Tell new fills to the legs, see which entries are final, and end legs that are over.

        Args:
            is_thorough: Whether to look up entries that neither rest nor have filled: the venue ended them.
        """
        await self._book_fills()
        if is_thorough:
            await self._look_up_ended()
        self._end_legs()

    def _needs_care(self) -> bool:
        """Return whether anything is wanted that is not done."""
        return any(
            leg.state is not LegState.OPEN
            or (leg.cancel_reason and not leg.is_entry_final)
            or (leg.held > 0 and leg.exit_reason)
            or (leg.stop, leg.target) != (leg.applied_stop, leg.applied_target)
            or (leg.held > 0 and leg.trail is not None and not leg.is_trailing)
            for leg in self.legs
        )

    async def _book_fills(self) -> None:
        limit = _FIRST_FILLS
        while True:
            trades = await self._desk.trades("all", limit=limit, book=self._agent)
            if len(trades) < limit or trades[-1].number <= self._last_fill:
                break
            limit *= 4
        new = [each for each in trades if each.number > self._last_fill]
        if not new:
            return
        told = attribute(self.legs, new)
        last = max(each.number for each in new)
        self._checkpoint("before fills")
        if not self._store.book_fills(self._agent, self._last_fill, last, told.legs, told.facts):
            self.load()
            return
        self._checkpoint("fills")
        self._last_fill = last
        self.adopt(told.legs)

    async def _look_up_ended(self) -> None:
        waiting = [leg for leg in self.legs if leg.state is LegState.OPEN and not leg.is_entry_final]
        if waiting:
            resting = {order.request.client_order_id for order in await self._desk.open_orders(self._agent)}
            for leg in waiting:
                if leg.order_id not in resting:
                    await self._look_up(leg)

    async def _look_up(self, leg: Leg) -> None:
        """Ask what became of an entry that neither rests nor has filled; a repeat never sends it again."""
        execution = await self._desk.execute(self._intent(leg))
        if execution.state in _FINAL:
            await self._book_fills()
            self._note(self._legs[leg.source], execution, is_final=True)

    def _end_legs(self) -> None:
        filled = [
            replace(leg, is_entry_final=True)
            for leg in self.legs
            if leg.state is LegState.OPEN and not leg.is_entry_final and leg.filled >= leg.request.quantity
        ]
        self.change(filled)
        ended = []
        for leg in self.legs:
            if leg.state is LegState.OPEN and leg.is_entry_final and self._closable(leg) <= 0:
                state = LegState.CLOSED if leg.exited_quantity else LegState.VOID
                ended.append(replace(leg, state=state))
        self._finish(ended)

    def _finish(self, ended: Iterable[Leg], facts: Iterable[Fact] = ()) -> None:
        final = list(ended)
        self._store.save(final, [*facts, *(end_fact(leg, self._market.now()) for leg in final)])
        for leg in final:
            self._legs.pop(leg.source, None)
            self._retries.pop(leg.source, None)

    # Taking back.

    async def _cancel(self, leg: Leg) -> None:
        if not self._is_due(f"cancel {leg.source}"):
            return
        try:
            order = await self._desk.cancel(leg.order_id)
        except OrderRejected:
            await self._look_up(leg)
            return
        except VenueUnavailable:
            self._postpone(f"cancel {leg.source}")
            return
        self._checkpoint("cancelled")
        if order.status.is_final:
            await self._book_fills()
            fact = Fact(
                leg.source,
                FactKind.ORDER,
                f"{leg.order_id}/taken back/{order.status.value}",
                leg.agent,
                leg.symbol,
                order.updated_at,
                leg.order_id,
                codes={"state": "done", "status": order.status.value, "reason": leg.cancel_reason},
                figures={"quantity": leg.request.quantity, "filled": order.filled_quantity},
            )
            after = replace(self._legs[leg.source], is_entry_final=True)
            self._store.save([after], [fact])
            self.adopt([after])

    # Closing.

    async def _close_all(self) -> None:
        closing = [leg for leg in self.legs if leg.state is LegState.OPEN and leg.exit_reason and leg.held > 0]
        closing = [leg for leg in closing if self._is_due(leg.source)]
        if not closing:
            return
        try:
            account = await self._desk.account(self._agent)
        except (DataUnavailable, VenueUnavailable):
            return
        for leg in closing:
            if not leg.is_entry_final:
                await self._cancel(replace(leg, cancel_reason=leg.cancel_reason or leg.exit_reason))
            await self._close(self._legs.get(leg.source, leg), account)

    async def _close(self, leg: Leg, account: AccountState) -> None:
        leg = await self._next_exit(leg, account)
        if not leg.exit_quantity or not self._is_open_market(leg.symbol):
            self._postpone(leg.source)
            return
        # An entry without protection is not named: a venue takes first from what has none.
        is_protected = leg.applied_stop is not None or leg.applied_target is not None or leg.is_trailing
        request = OrderRequest(
            client_order_id(leg.exit_source),
            leg.symbol,
            leg.side.opposite,
            OrderType.MARKET,
            leg.exit_quantity,
            is_reduce_only=True,
            takes=((leg.order_id, leg.exit_quantity),) if is_protected else (),
        )
        execution = await self._desk.execute(OrderIntent(leg.agent, leg.exit_source, request, book=leg.agent))
        self._checkpoint("exit sent")
        self._store.save([], [order_fact(leg, execution, is_exit=True)])
        await self._book_fills()
        if execution.state in _NEVER_FILLS:
            self._postpone(leg.source)

    async def _next_exit(self, leg: Leg, account: AccountState) -> Leg:
        """Return the leg with the closing order that is to be sent or repeated, written down."""
        if leg.exits:
            last = await self._desk.execution(client_order_id(leg.exit_source))
            if last is None or last.state not in _FINAL:
                return leg
        position = account.positions.get(leg.symbol)
        there = ZERO if position is None else max(position.quantity * leg.side.sign, ZERO)
        quantity = min(self._closable(leg), there)
        after = (
            replace(leg, exits=leg.exits + 1, exit_quantity=quantity) if quantity else replace(leg, exit_quantity=ZERO)
        )
        self.change([after])
        self._checkpoint("exit stored")
        return after

    def _closable(self, leg: Leg) -> Decimal:
        instrument = self._market.instruments().get(leg.symbol)
        return leg.held if instrument is None else instrument.round_quantity(leg.held)

    def _is_open_market(self, symbol: str) -> bool:
        try:
            return self._market.quote(symbol).is_open
        except DataUnavailable:
            return False

    # Protecting.

    async def _protect(self, leg: Leg) -> None:
        """Put in place the protection that is wanted; what the market has passed already is closed."""
        if leg.state is not LegState.OPEN or leg.exit_reason or leg.held <= 0 or not self._is_due(leg.source):
            return
        if (leg.stop, leg.target) != (leg.applied_stop, leg.applied_target):
            await self._move_protection(leg)
        elif leg.trail is not None and not leg.is_trailing:
            try:
                await self._desk.trail(leg.order_id, distance=leg.trail)
            except (OrderRejected, VenueUnavailable):
                self._postpone(leg.source)
                return
            self.change([replace(leg, is_trailing=True)])

    async def _move_protection(self, leg: Leg) -> None:
        try:
            await self._desk.protect(leg.order_id, stop_loss=leg.stop, take_profit=leg.target)
        except OrderRejected as error:
            passed = "price_side" in error.codes
            after = (
                replace(leg, exit_reason="passed")
                if passed
                else replace(leg, stop=leg.applied_stop, target=leg.applied_target)
            )
            self._store.save([after], [self._protection_fact(leg, ",".join(error.codes))])
            self.adopt([after])
            return
        except (OrderUncertain, VenueUnavailable):
            self._postpone(leg.source)
            return
        self._checkpoint("protected")
        after = replace(leg, applied_stop=leg.stop, applied_target=leg.target)
        self._store.save([after], [self._protection_fact(leg, "")])
        self.adopt([after])

    def _protection_fact(self, leg: Leg, reasons: str) -> Fact:
        at = self._market.now()
        pairs = (("stop", leg.stop), ("target", leg.target))
        codes = {"state": "refused", "reasons": reasons} if reasons else {"state": "moved"}
        return Fact(
            leg.source,
            FactKind.PROTECTION,
            f"{at:%Y%m%dT%H%M%S%f}",
            leg.agent,
            leg.symbol,
            at,
            leg.order_id,
            codes=codes,
            figures={name: level for name, level in pairs if level is not None},
        )

    # Entering.

    async def _enter(self, leg: Leg, shut: str) -> None:
        """Send a wanted entry, or see to it that it is never sent."""
        late = "" if leg.send_by is None or self._market.now() <= leg.send_by else "interrupted"
        stop = leg.cancel_reason or shut or late
        draft = self._store.draft(leg.source)
        if leg.state is LegState.ASKED:
            if stop:
                self._finish([replace(leg, state=LegState.VOID, cancel_reason=stop)])
        elif stop:
            await self._abandon(leg, draft, stop)
        elif self._is_due(leg.source) and (draft is None or await self._is_permitted(leg, draft)):
            await self._send(leg)

    async def _is_permitted(self, leg: Leg, draft: Decision) -> bool:
        """Ask for permission and complete the record with the answer."""
        answer = await self._permission.may_trade(
            leg.agent, draft.notional, leg.symbol, self._market.now(), source=leg.source
        )
        match answer:
            case Allowed():
                record = replace(draft, permission="allowed", mandate_id=answer.mandate_id)
                self._store.settle(record, leg)
                self._checkpoint("permitted")
                return True
            case AskTicket():
                record = replace(draft, permission="asked", verdict=Verdict.ASKED, reasons=(answer.reason,))
                until = leg.decided_at + timedelta(seconds=TIMEFRAME_S[leg.timeframe])
                asked = replace(leg, state=LegState.ASKED, send_by=until)
                self._store.settle(record, asked)
                self.adopt([asked])
                if self._on_ask is not None:
                    self._on_ask(asked, record)
            case Refused():
                record = replace(draft, permission="refused", verdict=Verdict.REFUSED, reasons=(answer.reason,))
                void = replace(leg, state=LegState.VOID, cancel_reason="permission")
                self._store.settle(record, void)
                self._finish([void])
            case _:
                assert_never(answer)
        return False

    async def _send(self, leg: Leg) -> None:
        execution = await self._desk.execute(self._intent(leg))
        self._checkpoint("entry sent")
        if execution.state is IntentState.UNSENT and leg.attempt < _ATTEMPTS:
            await self._try_again(leg, execution)
        else:
            self._note(leg, execution, is_final=execution.state in _FINAL)

    async def _try_again(self, leg: Leg, execution: Execution) -> None:
        """Follow an order that surely never reached the venue, and never will, by another under a source of its own.

        One that a crash interrupted goes at once; one whose venue did not answer goes with a later look, while there
        is time.
        """
        again = replace(leg, attempt=leg.attempt + 1)
        again = replace(again, request=replace(leg.request, client_order_id=client_order_id(again.entry_source)))
        self._store.save([again], [order_fact(leg, execution, is_exit=False)])
        self.adopt([again])
        if not await self._is_permitted_again(again):
            return
        if "venue_unavailable" in execution.reasons:
            self._postpone(leg.source)
        else:
            await self._send(again)

    async def _is_permitted_again(self, leg: Leg) -> bool:
        request, now = leg.request, self._market.now()
        try:
            price = request.price or self._market.quote(leg.symbol).ask
        except DataUnavailable:
            price = None
        answer: object = Refused("no_quote")
        if price is not None:
            notional = request.quantity * price
            answer = await self._permission.may_trade(leg.agent, notional, leg.symbol, now, source=leg.entry_source)
        if not isinstance(answer, Allowed):
            self._finish([replace(leg, state=LegState.VOID, cancel_reason="permission")])
            return False
        return True

    async def _abandon(self, leg: Leg, draft: Decision | None, reason: str) -> None:
        """See to it that an entry is not sent any more; one that was sent goes on."""
        if draft is not None:
            record = replace(draft, verdict=Verdict.REFUSED, reasons=(reason,))
            self._store.settle(record, leg)
        execution = await self._desk.abandon(self._intent(leg))
        self._note(leg, execution, is_final=execution.state in _FINAL, reason=reason)

    def _note(self, leg: Leg, execution: Execution, *, is_final: bool, reason: str = "") -> None:
        """Write down what became of an entry's order."""
        fact = order_fact(leg, execution, is_exit=False)
        if execution.state in _NEVER_FILLS and not leg.entered_quantity:
            why = reason or leg.cancel_reason or execution.state.value
            self._finish([replace(leg, state=LegState.VOID, cancel_reason=why, is_entry_final=True)], [fact])
            return
        after = replace(leg, state=LegState.OPEN, is_entry_final=is_final)
        self._store.save([after], [fact])
        self.adopt([after])

    def _intent(self, leg: Leg) -> OrderIntent:
        return OrderIntent(leg.agent, leg.entry_source, leg.request, book=leg.agent)

    # Repeats.

    def _is_due(self, key: str) -> bool:
        retry = self._retries.get(key)
        return retry is None or self._elapsed() >= retry.at

    def _postpone(self, key: str) -> None:
        known = self._retries.get(key)
        wait_s = _RETRY_S if known is None else min(2 * known.wait_s, _LONGEST_RETRY_S)
        self._retries[key] = _Retry(self._elapsed() + wait_s, wait_s)
