"""Binance as a `Venue`: what the desk calls.

An order is written down before it is sent, under the id that the desk derived, and is sent once. What it answers is
what the exchange told; nothing is assumed. A question that the exchange does not answer raises, it never means "none".
Orders that close what is protected take the protection away first, because a resting sell locks what it would sell,
and what is left is protected again before the call returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from agents.execution.binance.access import LIVE_SETTING, KeyPermissions, check_keys
from agents.execution.binance.family import Family
from agents.execution.binance.funding import FundingReader
from agents.execution.binance.gateway import Gateway
from agents.execution.binance.guard import Guard
from agents.execution.binance.keeper import Keeper
from agents.execution.binance.limiter import Limiter, Urgency
from agents.execution.binance.looker import Looker
from agents.execution.binance.making import STOP_SUFFIX, TARGET_SUFFIX, child_row, view
from agents.execution.binance.rules import is_misplaced
from agents.execution.binance.sender import Sender
from agents.execution.binance.values import FeeDetail, Leg, Phase, Role, Told, Tracked
from engine.domain.errors import OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.market import Instrument
from engine.domain.orders import Fill, FundingPayment, OrderRequest, OrderStatus, OrderType, Side, VenueOrder

_CANCEL_ATTEMPTS = 3


class Background(Protocol):
    """What runs beside a venue while it is started."""

    async def start(self) -> None:
        """Begin; harmless when it has begun."""
        ...

    async def close(self) -> None:
        """End."""
        ...

    def wake(self) -> None:
        """Think again how soon to look."""
        ...


class BinanceVenue:
    """Orders, protection, fills and balances at Binance.

    Args:
        name: `binance-testnet`, `binance` or `binance-futures-demo`.
        keeper: Knows what stands at the exchange.
        guard: Keeps what filled under protection.
    """

    def __init__(self, name: str, keeper: Keeper, guard: Guard) -> None:
        self.name = name
        self._keeper = keeper
        self._guard = guard
        self._store = keeper.store
        self._turns: dict[str, asyncio.Lock] = {}
        self._looker = Looker(keeper, guard)
        self._funding = FundingReader(keeper)
        self._sender = Sender(keeper, guard, self.fetch_order, self.nudge)
        self._submitting: dict[str, asyncio.Task[VenueOrder]] = {}
        self.background: Background | None = None

    def __repr__(self) -> str:
        return f"BinanceVenue({self.name})"

    @property
    def gateway(self) -> Gateway:
        """Return the door to the exchange."""
        return self._keeper.gateway

    @property
    def limiter(self) -> Limiter:
        """Return the purse of request weight, for others that use the same address."""
        return self._keeper.gateway.limiter

    def instruments(self) -> Mapping[str, Instrument]:
        """Return what can be traded, by symbol; empty before `start`."""
        return {symbol: rules.instrument for symbol, rules in self._keeper.rules.items()}

    async def start(self) -> None:
        """Measure the clock, read the rules, settle what happened while we were away, and begin to listen.

        Raises:
            VenueUnavailable: The exchange does not answer; call it again.
        """
        await self._keeper.gateway.ensure_clock(Urgency.PROTECTION)
        await self._looker.look_at_open()
        await self._looker.read_rules_now()
        await self._looker.look_for_strangers()
        await self.advance()
        if self.background is not None:
            await self.background.start()

    async def close(self) -> None:
        """Stop listening and close every connection; what rests at the exchange stays."""
        if self.background is not None:
            await self.background.close()
        await self._keeper.gateway.close()

    async def advance(self) -> int:
        """Settle what happened at the exchange and tend all protection; return how many fills are new.

        What the exchange does not answer is left to the next call.
        """
        before = self._store.last_sequence()
        with suppress(VenueUnavailable):
            await self._looker.read_rules_if_old()
        with suppress(VenueUnavailable):
            await self._looker.look()
        return self._store.last_sequence() - before

    reconcile = advance

    async def check_keys(self) -> KeyPermissions:
        """Ask what the key may do; not known on test networks, which have no such question.

        Raises:
            VenueUnavailable: No answer.
        """
        return await check_keys(self.gateway, has_endpoint=self.name == LIVE_SETTING)

    def forget_look(self) -> None:
        """Forget that we looked just now: something happened."""
        self._looker.forget()

    def nudge(self) -> None:
        """Note that an order of ours was sent."""
        self.forget_look()
        if self.background is not None:
            self.background.wake()

    async def submit(self, order: OrderRequest) -> VenueOrder:
        """Hand over an order once and return its state, its protection placed; a known id returns that order.

        Raises:
            OrderRejected: It breaks the exchange's rules, or the exchange refused it; it does not stand.
            OrderUncertain: No answer; it may stand.
            VenueUnavailable: It surely was not handed over.
        """
        order_id = order.client_order_id
        task = self._submitting.get(order_id)
        if task is None:
            task = asyncio.create_task(self._sender.submit(order))
            self._submitting[order_id] = task
            task.add_done_callback(lambda done: self._forget(order_id, done))
        return await asyncio.shield(task)

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order and its waiting children; harmless when it is final.

        Raises:
            OrderRejected: No such order.
            VenueUnavailable: It is not known to be cancelled.
        """
        order = self._known(client_order_id)
        async with self._keeper.turn(order.parent_id or client_order_id):
            if order.parent_id is not None:
                return await self._cancel_child(order)
            for _ in range(_CANCEL_ATTEMPTS):
                leg = await self._keeper.refresh(self._own_leg(client_order_id), Urgency.ORDER)
                if leg.is_doubtful:
                    raise VenueUnavailable(f"{client_order_id} is in doubt")
                if not leg.is_live:
                    break
                with suppress(VenueUnavailable):
                    await self._keeper.cancel(leg, "cancelled", Urgency.ORDER)
            await self._guard.tend(client_order_id)
            if self._own_leg(client_order_id).is_live:
                raise VenueUnavailable(f"{client_order_id} is not known to be cancelled")
            return self._view(self._known(client_order_id))

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled; None takes that part away.

        Raises:
            OrderRejected: No such order (`unknown_order`), nothing of it is held (`nothing_held`), a price off the grid
                (`tick`) or on the wrong side of the market (`price_side`).
            OrderUncertain: No answer; look the children up.
            VenueUnavailable: Nothing was handed over.
        """
        entry = self._known(client_order_id)
        if entry.parent_id is not None:
            raise OrderRejected("unknown_order")
        async with self._keeper.turn(client_order_id):
            await self._keeper.refresh(self._own_leg(client_order_id), Urgency.ORDER)
            family = self._guard.family(entry)
            if family.held <= 0:
                raise OrderRejected("nothing_held")
            before = [child for child in (family.stop, family.target) if child is not None]
            if _prices(before) != (stop_loss, take_profit):
                await self._judge_protection(family, stop_loss, take_profit)
                self._want(family, stop_loss, take_profit)
            await self._guard.tend(client_order_id)
            return self._protected(client_order_id, before)

    async def fetch_order(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, or None when the exchange surely does not have it.

        Raises:
            VenueUnavailable: No answer, or a request of it may still arrive.
        """
        order = self._store.order(client_order_id)
        if order is None:
            return None
        async with self._keeper.turn(order.parent_id or client_order_id):
            for leg in self._store.legs(client_order_id=client_order_id):
                await self._keeper.refresh(leg, Urgency.ORDER)
            await self._guard.tend(order.parent_id or client_order_id)
            if any(leg.is_doubtful for leg in self._store.legs(client_order_id=client_order_id)):
                raise VenueUnavailable(f"{client_order_id} is in doubt")
            order = self._known_or_none(client_order_id)
            return None if order is None else self._view(order)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return the orders that are not final, waiting children included, oldest first.

        Raises:
            VenueUnavailable: Not everything that rests could be asked for.
        """
        await self._looker.look_if_old()
        shown = []
        for order in self._store.orders(unfinished=True):
            legs = self._store.legs(client_order_id=order.request.client_order_id)
            if order.parent_id is not None or any(leg.phase is Phase.KNOWN for leg in legs):
                shown.append(self._view(order))
        return shown

    async def fills(self, after: int) -> Sequence[tuple[int, Fill]]:
        """Return fills with a sequence number above `after`, in order; sequence numbers never repeat.

        Raises:
            VenueUnavailable: Not everything that rests could be asked for, or a fee has no price yet.
        """
        await self._looker.look_if_old()
        await self._keeper.price_fees()
        return self._store.fills(after)

    async def funding(self, after: int) -> Sequence[tuple[int, FundingPayment]]:
        """Return payments for holding with a sequence number at or above `after`, in order; on spot there are none.

        Raises:
            VenueUnavailable: No answer.
        """
        return await self._funding.payments(after)

    async def balances(self) -> Mapping[str, Decimal]:
        """Return whole holdings by asset, resting orders included.

        Raises:
            VenueUnavailable: No answer, or one without balances.
        """
        return await self._keeper.balances()

    def fee_details(self, fill_id: str) -> FeeDetail | None:
        """Return what a fill really cost, in the asset that the exchange took."""
        return self._store.fee_details(fill_id)

    def incidents(self, after: int = 0) -> list[Told]:
        """Return what people must hear of, with numbers above `after`, in order."""
        return self._store.incidents(after)

    def is_urgent(self) -> bool:
        """Return whether something may fill at any moment that must then be protected, or is in doubt."""
        children = {order.parent_id for order in self._store.orders(unfinished=True) if order.parent_id}
        return any(
            leg.is_doubtful or (leg.role is Role.ENTRY and leg.client_order_id in children)
            for leg in self._store.open_legs()
        )

    def is_busy(self) -> bool:
        """Return whether anything rests."""
        return bool(self._store.open_legs())

    async def _judge_protection(self, family: Family, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
        tick = family.rules.instrument.tick_size
        if any(price is not None and (price <= 0 or price % tick) for price in (stop_loss, take_profit)):
            raise OrderRejected("tick")
        bid, ask = await self._keeper.bid_ask(family.entry.request.symbol)
        request = replace(family.entry.request, stop_loss=stop_loss, take_profit=take_profit)
        if is_misplaced(request, bid if request.side is Side.BUY else ask):
            raise OrderRejected("price_side")

    def _want(self, family: Family, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
        """Write down which prices are wanted from now on."""
        fresh = []
        for kind, suffix, price, old in (
            (OrderType.STOP, STOP_SUFFIX, stop_loss, family.stop),
            (OrderType.LIMIT, TARGET_SUFFIX, take_profit, family.target),
        ):
            if old is not None and old.request.price == price:
                continue
            if price is not None:
                count = sum(1 for each in family.children if each.request.order_type is kind)
                name = suffix if count == 0 else f"{suffix}{count + 1}"
                fresh.append(child_row(family.entry.request, name, kind, price, family.held, self._keeper.now()))
            if old is not None:
                self._store.save_order(replace(old, is_current=False, reason="replaced" if price else "cancelled"))
        if fresh:
            self._store.add_children(fresh)

    def _protected(self, entry_id: str, before: Sequence[Tracked]) -> list[VenueOrder]:
        """Return the children that stand, or put the old ones back when the new were refused."""
        entry = self._known(entry_id)
        family = self._guard.family(entry)
        if any(leg.is_doubtful for leg in family.protecting):
            raise OrderUncertain(f"the protection of {entry_id} is in doubt")
        if family.held > 0 and (family.stop or family.target) and family.covered() <= 0:
            raise OrderUncertain(f"the protection of {entry_id} does not stand yet")
        return [self._view(child) for child in family.children if child.is_current and not child.status.is_final]

    async def _cancel_child(self, child: Tracked) -> VenueOrder:
        assert child.parent_id is not None, "only children have a parent"
        if child.status.is_final:
            return self._view(child)
        self._store.save_order(replace(child, is_current=False, reason="cancelled"))
        await self._guard.tend(child.parent_id)
        fresh = self._known(child.request.client_order_id)
        if not fresh.status.is_final:
            raise VenueUnavailable(f"{child.request.client_order_id} is not known to be cancelled")
        return self._view(fresh)

    def _forget(self, order_id: str, task: asyncio.Task[VenueOrder]) -> None:
        self._submitting.pop(order_id, None)
        if not task.cancelled():
            task.exception()  # read here, because every caller may be gone

    def _known_or_none(self, client_order_id: str) -> Tracked | None:
        """Return an order that the exchange has, or that waits for one that it has."""
        order = self._store.order(client_order_id)
        if order is None or order.status is OrderStatus.REJECTED:
            return None
        return order

    def _known(self, client_order_id: str) -> Tracked:
        order = self._known_or_none(client_order_id)
        if order is None:
            raise OrderRejected("unknown_order")
        return order

    def _own_leg(self, client_order_id: str) -> Leg:
        return self._store.legs(client_order_id=client_order_id)[0]

    def _view(self, order: Tracked) -> VenueOrder:
        return view(order, self._store.legs(client_order_id=order.request.client_order_id))


def _prices(children: Sequence[Tracked]) -> tuple[Decimal | None, Decimal | None]:
    """Return the stop and the target of some children."""
    by_kind = {child.request.order_type: child.request.price for child in children}
    return by_kind.get(OrderType.STOP), by_kind.get(OrderType.LIMIT)
