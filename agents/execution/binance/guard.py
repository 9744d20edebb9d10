"""Carries out what an entry's protection needs (`family`), until it stands, was read back, or the position is closed.

Called under the entry's lock. It sends nothing twice: every leg gets an id of its own, is written down before it is
sent, and what is in doubt is asked for before anything else is done for the same quantity.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import RowMapping

from agents.execution.binance.family import PROTECT_WITHIN, Do, Family, Step, next_step
from agents.execution.binance.keeper import Keeper
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.making import new_leg
from agents.execution.binance.replies import Failure, Meaning
from agents.execution.binance.values import Incident, Leg, Phase, Position, Role, Tracked
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderRequest, OrderStatus, OrderType, Side

_MOST_STEPS = 40
_PATIENCE_S = 8.0
"""How long one call tends one entry; the background goes on with it."""
_PAUSE_S = 0.25
_LONGEST_ID = 36
_FREE_CLOSES = 3
_LONGEST_WAIT = timedelta(seconds=30)
"""Between two attempts to close what the venue refuses to close, after the first few."""
_SHORT_AT_FIRST, _SHORT_AT_LAST = timedelta(seconds=2), timedelta(seconds=60)
"""How long a balance that was found too small is believed before it is tried again, the first time and ever after."""
_QUIET_FOR = timedelta(seconds=10)
"""How long an entry that needs nothing is not looked into again while this process learns nothing new."""
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Short:
    """How much less of an entry is there than our fills say, since when, and how long that is believed."""

    quantity: Decimal
    at: datetime
    lasts: timedelta


class Guard:
    """Keeps what entries filled under protection.

    Args:
        keeper: Knows what stands at the venue.
        sleep: Waits some seconds.
    """

    def __init__(self, keeper: Keeper, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._keeper = keeper
        self._store = keeper.store
        self._sleep = sleep
        self._noticed: dict[str, datetime] = {}
        self._quiet: dict[str, tuple[int, datetime]] = {}
        self._short: dict[str, _Short] = {}

    def family(self, entry: Tracked) -> Family:
        """Return an entry with everything that protects it."""
        entry_id = entry.request.client_order_id
        legs = tuple(self._store.legs(entry_id=entry_id))
        children = tuple(self._store.children(entry_id))
        return Family(entry, children, legs, self._position(entry, legs), self._keeper.rules_of(entry.request.symbol))

    async def tend(self, entry_id: str, *, patience_s: float = _PATIENCE_S) -> None:
        """Do what an entry's protection needs now, and note what became of its orders.

        Raises:
            VenueUnavailable: The database does not answer. A venue that does not answer is waited for, then left to
                the next call.
        """
        begun = self._keeper.now()
        if self._is_quiet(entry_id, begun):
            return
        for _ in range(_MOST_STEPS):
            entry = self._store.order(entry_id)
            if entry is None:
                return
            family = self.family(entry)
            step = self._next(family)
            if step.do is Do.NOTHING:
                self._note(family)
                self._quiet[entry_id] = (self._store.version, begun)
                return
            try:
                is_done = await self._do(family, step)
            except VenueUnavailable:
                is_done = False
            if not is_done:
                if not self._is_urgent(family) or (self._keeper.now() - begun).total_seconds() > patience_s:
                    break
                await self._sleep(self._pause_s(step))
        entry = self._store.order(entry_id)
        if entry is not None:
            self._note(self.family(entry))

    def _pause_s(self, step: Step) -> float:
        """Return how long to wait before the next step: what is in doubt is asked for when it can be told."""
        if step.leg is None or not step.leg.is_doubtful:
            return _PAUSE_S
        left_s = (step.leg.dies_at - self._keeper.now()).total_seconds()
        return min(_PAUSE_S, left_s + 0.01) if left_s > 0 else _PAUSE_S

    def _is_quiet(self, entry_id: str, now: datetime) -> bool:
        """Return whether nothing was to be done a moment ago, and nothing was learnt since by this process."""
        version, at = self._quiet.get(entry_id, (-1, now))
        return version == self._store.version and now - at < _QUIET_FOR

    def _note(self, family: Family) -> None:
        """Bring the stored states of an entry and its children in line with their legs."""
        entry = family.entry
        self._keep(entry, self._entry_state(entry, family))
        for child in family.children:
            self._keep(child, self._child_state(child, family))
        self._watch(family)

    def held_by_entries(self, symbol: str) -> list[tuple[Tracked, Family]]:
        """Return the entries of a symbol that hold something under protection, oldest first."""
        found = []
        for each_symbol, entry_id in self._store.unfinished_entries():
            entry = self._store.order(entry_id) if each_symbol == symbol else None
            if entry is not None and not entry.request.is_reduce_only:
                family = self.family(entry)
                if family.held > 0 and (family.stop or family.target):
                    found.append((entry, family))
        return found

    async def release(self, entry_id: str) -> None:
        """Take an entry's protection away, because what it protects is about to be closed.

        Raises:
            VenueUnavailable: It is not known to be gone.
        """
        for leg in self._store.legs(entry_id=entry_id):
            fresh = self._store.legs(leg_id=leg.leg_id)[0]
            if fresh.role is not Role.ENTRY and (fresh.is_live or fresh.is_doubtful):
                if fresh.is_doubtful:
                    fresh = await self._keeper.refresh(fresh, Urgency.ORDER)
                if fresh.is_doubtful:
                    raise VenueUnavailable(f"{fresh.leg_id} is in doubt")
                if fresh.is_live:
                    await self._keeper.cancel(fresh, "position_closed", Urgency.ORDER)

    def _next(self, family: Family) -> Step:
        entry_id = family.entry.request.client_order_id
        now = self._keeper.now()
        uncovered = family.position.uncovered_since(family.covered(confirmed=True) + family.dust)
        if uncovered is None:
            self._noticed.pop(entry_id, None)
        noticed = self._noticed.setdefault(entry_id, now) if uncovered is not None else now
        dialect = self._keeper.dialect
        resting = [
            leg
            for leg in self._store.open_legs()
            if leg.symbol == family.entry.request.symbol
            and leg.order_type is OrderType.STOP
            and not leg.status.is_final
        ]
        return next_step(family, now, noticed, pairs=dialect.pairs, algo_orders=len(resting))

    def _is_urgent(self, family: Family) -> bool:
        """Return whether something that was filled waits for its stop, or something is in doubt about it."""
        if family.held <= 0:
            return False
        return family.stop is not None and family.covered(confirmed=True) < family.held

    async def _do(self, family: Family, step: Step) -> bool:
        """Carry out a step; False when it did not get anywhere."""
        match step.do:
            case Do.RESOLVE | Do.CONFIRM if step.leg is not None:
                return await self._look(family, step.leg)
            case Do.CANCEL if step.leg is not None:
                leg = await self._keeper.cancel(step.leg, step.reason, Urgency.PROTECTION)
                return not leg.is_live
            case Do.PLACE:
                return await self._place(family, step.quantity)
            case Do.EXIT:
                return await self._exit(family, step)
            case _:
                return False

    async def _look(self, family: Family, leg: Leg) -> bool:
        """Read a leg back; True when that settled something."""
        fresh = await self._keeper.refresh(leg, Urgency.PROTECTION)
        if fresh.is_live and fresh.quantity == leg.quantity:
            fresh = self._keeper.confirm(fresh)
            self._tell_if_late(family, fresh)
        return fresh != leg

    async def _place(self, family: Family, quantity: Decimal) -> bool:
        """Place a stop and a target together, or what of them stands on its own; False when it was not placed."""
        dialect, rules = self._keeper.dialect, family.rules
        wanted = [child for child in (family.stop, family.target) if child is not None]
        if not dialect.pairs:
            needs_leader = family.held > family.covered()
            leader = family.stop if family.stop is not None else family.target
            wanted = [child for child in wanted if (child is leader) == needs_leader]
        list_id = self._fresh_id(family.entry.request.client_order_id + "-oc", "list_id") if len(wanted) > 1 else None
        legs = [self._leg(child, family, quantity, list_id) for child in wanted]
        call = (
            dialect.place_pair(legs[0], legs[1], rules)
            if len(legs) > 1
            else dialect.place(legs[0], rules, is_reduce_only=True)
        )
        sent, failure = await self._keeper.send(call, legs, self._write, Urgency.PROTECTION)
        if failure is None:
            return True
        if failure.meaning is Meaning.REFUSED and not failure.is_duplicate:
            return await self._refused(family, quantity, failure)
        return any(leg.phase is not Phase.HANDED for leg in sent) and failure.meaning is not Meaning.NOT_HANDED

    async def _refused(self, family: Family, quantity: Decimal, failure: Failure) -> bool:
        """Close at the market what the venue would not protect because the market has passed a price already."""
        if failure.rejection_code() == "insufficient_balance":
            return await self._shrink(family)
        bid, ask = await self._keeper.bid_ask(family.entry.request.symbol)
        touch = bid if family.entry.request.side is Side.BUY else ask
        sign = family.entry.request.side.sign
        for child, code in ((family.stop, Incident.STOP_PASSED), (family.target, Incident.TARGET_PASSED)):
            price = None if child is None else child.request.price
            if child is None or price is None:
                continue
            beyond = (price - touch) * sign >= 0 if child is family.stop else (touch - price) * sign >= 0
            if beyond:
                self._keeper.tell(code, child.request.client_order_id, child.request.symbol, quantity=quantity)
                return await self._close(family, child, quantity)
        return False

    async def _shrink(self, family: Family) -> bool:
        """Protect for a while only what is there, when less is there than our fills say; tell of it."""
        instrument = family.rules.instrument
        if instrument.is_shortable or any(leg.is_doubtful for leg in family.legs):
            return False
        symbol, entry_id = instrument.symbol, family.entry.request.client_order_id
        others = self._keeper.locked(symbol, but_not=entry_id)
        there = (await self._keeper.balances()).get(instrument.base, ZERO) - others
        if any(leg.is_doubtful and leg.symbol == symbol for leg in self._store.open_legs()):
            return False
        known = self.family(family.entry).held  # a close may have been learnt of while the balance was asked for
        short = known - max(instrument.round_quantity(there), ZERO)
        if short <= 0:
            return False
        self._short[entry_id] = self._longer_short(entry_id, short)
        self._keeper.tell(Incident.BALANCE_SHORT, entry_id, symbol, short=short)
        return True

    def _longer_short(self, entry_id: str, short: Decimal) -> _Short:
        """Return what is missing, believed for twice as long as the last time: the balance may be the late one."""
        last = self._short.get(entry_id)
        lasts = _SHORT_AT_FIRST if last is None else min(last.lasts * 2, _SHORT_AT_LAST)
        return _Short(self._short_of(entry_id) + short, self._keeper.now(), lasts)

    def _short_of(self, entry_id: str) -> Decimal:
        """Return how much less is there than our fills say, as found lately."""
        found = self._short.get(entry_id)
        return ZERO if found is None or self._keeper.now() - found.at >= found.lasts else found.quantity

    async def _exit(self, family: Family, step: Step) -> bool:
        """Close what could not be protected in time."""
        child = family.stop or family.target
        if child is None:
            return False
        if step.leg is not None and await self._look(family, step.leg):
            return True
        self._keeper.tell(
            Incident.CLOSED_UNPROTECTED, child.request.client_order_id, child.request.symbol, quantity=step.quantity
        )
        return await self._close(family, child, step.quantity)

    async def _close(self, family: Family, child: Tracked, quantity: Decimal) -> bool:
        if self._keeper.now() < _next_close_at(family):
            return False
        own = family.own
        if own is not None and own.is_live:
            await self._keeper.cancel(own, "unprotected", Urgency.PROTECTION)
        leg_id = self._fresh_id(child.request.client_order_id + "_x", "leg_id")
        leg = replace(
            self._leg(child, family, quantity, None),
            leg_id=leg_id,
            role=Role.EXIT,
            order_type=OrderType.MARKET,
            price=None,
        )
        call = self._keeper.dialect.place(leg, family.rules, is_reduce_only=True)
        sent, failure = await self._keeper.send(call, [leg], self._write, Urgency.PROTECTION)
        if failure is None:
            await self._keeper.refresh(sent[0], Urgency.PROTECTION)
            return True
        if failure.meaning is Meaning.REFUSED and failure.rejection_code() == "insufficient_balance":
            return await self._shrink(family)
        return False

    def _write(self, legs: Sequence[Leg]) -> bool:
        self._store.add_legs(legs)
        return True

    def _leg(self, child: Tracked, family: Family, quantity: Decimal, list_id: str | None) -> Leg:
        return new_leg(
            child.request,
            Role.STOP if child.request.order_type is OrderType.STOP else Role.TARGET,
            quantity,
            self._keeper.now(),
            leg_id=self._fresh_id(child.request.client_order_id, "leg_id"),
            entry_id=family.entry.request.client_order_id,
            list_id=list_id,
        )

    def _fresh_id(self, stem: str, column: str) -> str:
        """Return the first id of a row of ids that no leg had: the stem, then with a number."""
        number = 0
        while True:
            found = _fitted(stem if number == 0 else f"{stem}_{number}")
            if not self._store.legs(**{column: found}):
                return found
            number += 1

    def _position(self, entry: Tracked, legs: Sequence[Leg]) -> Position:
        """Return what an entry's trades brought and what became of it."""
        entry_id = entry.request.client_order_id
        base = self._keeper.rules_of(entry.request.symbol).instrument.base
        trades = self._store.trades(client_order_id=entry_id)
        received = [(row["at"], _net(row, base)) for row in trades]
        own = next((leg for leg in legs if leg.role is Role.ENTRY), None)
        unseen = (own.filled_quantity if own else ZERO) - sum((row["quantity"] for row in trades), ZERO)
        if own is not None and unseen > 0:
            ratio = self._keeper.rules_of(entry.request.symbol).instrument.taker_fee_ratio
            received.append((own.updated_at, unseen if self._keeper.dialect.is_futures else unseen * (1 - ratio)))
        closed = sum((leg.filled_quantity for leg in legs if leg.role is not Role.ENTRY), ZERO)
        closed += self._released(entry_id) + self._short_of(entry_id)
        return Position(sum((quantity for _, quantity in received), ZERO), closed, tuple(received))

    def _released(self, entry_id: str) -> Decimal:
        """Return what closing orders have taken from an entry."""
        taken = ZERO
        for mine in self._store.releases(entry_id=entry_id):
            filled = sum(
                (leg.filled_quantity for leg in self._store.legs(client_order_id=mine["client_order_id"])), ZERO
            )
            for row in self._store.releases(client_order_id=mine["client_order_id"]):
                part = min(filled, row["quantity"])
                filled -= part
                if row["position"] == mine["position"]:
                    taken += part
        return taken

    def _entry_state(self, entry: Tracked, family: Family) -> tuple[OrderRequest, OrderStatus, str]:
        own = family.own
        if own is None:
            return entry.request, entry.status, entry.reason
        if own.phase in (Phase.REFUSED, Phase.UNSENT, Phase.ABSENT):
            return entry.request, OrderStatus.REJECTED, own.reason
        if own.status is OrderStatus.FILLED and own.quantity < entry.request.quantity:
            return entry.request, OrderStatus.CANCELLED, "position_closed"
        reason = (own.reason or "expired") if own.status is OrderStatus.CANCELLED else ""
        return entry.request, own.status, reason

    def _child_state(self, child: Tracked, family: Family) -> tuple[OrderRequest, OrderStatus, str]:
        """Return a child's quantity, status and reason, from its legs and from what is left to protect."""
        legs = [leg for leg in family.legs if leg.client_order_id == child.request.client_order_id]
        filled = sum((leg.filled_quantity for leg in legs), ZERO)
        request = child.request
        if family.position.received > 0:
            covers = family.held + family.rules.instrument.round_quantity(_closed_by(family))
            request = replace(request, quantity=max(covers, filled)) if covers > 0 else request
        if any(leg.is_live or leg.is_doubtful for leg in legs):
            standing = any(leg.is_live for leg in legs)
            status = OrderStatus.PARTIAL if filled > 0 else OrderStatus.OPEN if standing else OrderStatus.WAITING
            return request, status, ""
        if child.status.is_final:
            return child.request, child.status, child.reason
        if not child.is_current:
            return request, OrderStatus.CANCELLED, child.reason or "cancelled"
        own = family.own
        if (own is not None and (own.is_live or own.is_doubtful)) or family.held > 0:
            return request, OrderStatus.WAITING, ""
        if own is not None and own.phase is not Phase.KNOWN:
            return request, OrderStatus.REJECTED, own.reason
        if filled > 0 and filled >= request.quantity:
            return request, OrderStatus.FILLED, ""
        return request, OrderStatus.CANCELLED, _why(child, family)

    def _keep(self, order: Tracked, state: tuple[OrderRequest, OrderStatus, str]) -> None:
        request, status, reason = state
        if (order.request, order.status, order.reason) == (request, status, reason):
            return
        self._store.save_order(
            replace(order, request=request, status=status, reason=reason, updated_at=self._keeper.now())
        )

    def _watch(self, family: Family) -> None:
        """Tell of stops that went away without us."""
        for leg in family.protecting:
            partners = [each for each in family.protecting if leg.list_id and each.list_id == leg.list_id]
            is_lost = leg.phase is Phase.KNOWN and leg.status is OrderStatus.CANCELLED and not leg.reason
            if leg.role is Role.STOP and is_lost and not any(each.filled_quantity for each in (leg, *partners)):
                self._keeper.tell(Incident.PROTECTION_MISSING, leg.client_order_id, leg.symbol, leg=leg.leg_id)

    def _tell_if_late(self, family: Family, leg: Leg) -> None:
        """Tell when the first protection of a fill was confirmed after its time."""
        if leg.role is not Role.STOP or any(each.is_confirmed for each in family.protecting):
            return
        first = min((at for at, _ in family.position.fills), default=None)
        if first is not None and self._keeper.now() - first > PROTECT_WITHIN:
            self._keeper.tell(Incident.PROTECTION_LATE, leg.client_order_id, leg.symbol)


def _next_close_at(family: Family) -> datetime:
    """Return when a close may be tried again: at once at first, ever more seldom the more often it was in vain.

    In vain is what the venue refused, and what it ended without a fill because nobody stood on the other side.
    """
    vain = [leg for leg in family.legs if leg.role is Role.EXIT and leg.status.is_final and leg.filled_quantity <= 0]
    if len(vain) < _FREE_CLOSES:
        return family.entry.created_at
    wait_s = 2.0 ** min(len(vain) - _FREE_CLOSES, 5)
    return vain[-1].updated_at + min(_LONGEST_WAIT, timedelta(seconds=wait_s))


def _closed_by(family: Family) -> Decimal:
    return sum((leg.filled_quantity for leg in family.protecting), ZERO)


def _why(child: Tracked, family: Family) -> str:
    """Return why a child ended without closing everything."""
    if family.position.received <= 0:
        return "parent_cancelled"
    if any(leg.filled_quantity > 0 for leg in family.protecting if leg.role in (Role.STOP, Role.EXIT)):
        return "stop_triggered"
    return "other_filled" if _closed_by(family) > 0 else "position_closed"


def _net(row: RowMapping, base: str) -> Decimal:
    """Return the base units that a trade really brought."""
    quantity: Decimal = row["quantity"]
    fee: Decimal = row["fee_amount"]
    return quantity - fee if row["fee_asset"] == base and row["side"] == Side.BUY.value else quantity


def _fitted(name: str) -> str:
    """Return an id that the venue takes: the name itself, or a digest of one that is too long."""
    if len(name) <= _LONGEST_ID:
        return name
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()[:18]).decode().rstrip("=").lower()
    return "tl-" + digest
