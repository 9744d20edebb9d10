"""Hands orders over: judged first, written down, sent once, protected, and said for what they are.

Orders that close what is protected take the protection away first, because a resting sell locks what it would sell,
and what is left is protected again before the call returns. In doubt too: either request can use the quantity, never
both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from decimal import Decimal

from agents.execution.binance.guard import Guard
from agents.execution.binance.keeper import Keeper
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.making import new_leg, tracked_rows, view
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import Rules, is_misplaced, judge
from agents.execution.binance.values import Leg, Phase, Role, Tracked
from engine.domain.errors import OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderRequest, OrderStatus, OrderType, Side, VenueOrder

ZERO = Decimal(0)


class Sender:
    """Hands orders over.

    Args:
        keeper: Knows what stands at the exchange.
        guard: Keeps what filled under protection.
        fetch: Asks for a known order.
        nudge: Called once an order was sent.
    """

    def __init__(
        self,
        keeper: Keeper,
        guard: Guard,
        fetch: Callable[[str], Awaitable[VenueOrder | None]],
        nudge: Callable[[], None],
    ) -> None:
        self._keeper = keeper
        self._guard = guard
        self._store = keeper.store
        self._fetch = fetch
        self._nudge = nudge

    async def submit(self, order: OrderRequest) -> VenueOrder:
        """Hand an order over once (`BinanceVenue.submit`)."""
        known = self._store.order(order.client_order_id)
        if known is not None:
            return await self._repeat(known)
        rules = self._keeper.rules.get(order.symbol)
        codes = judge(order, rules)
        if codes or rules is None:
            raise OrderRejected(*codes)
        if order.order_type is not OrderType.LIMIT and (order.price or order.stop_loss or order.take_profit):
            await self._judge_prices(order)
        if order.side is Side.SELL and not rules.instrument.is_shortable:
            async with self._keeper.turn(f"sell {order.symbol}"):
                return await self._sell(order, rules)
        taken = self._taken(order, order.quantity) if order.is_reduce_only else ()
        answer = await self._hand_over(order, order.quantity, taken)
        for entry_id in sorted({entry_id for entry_id, _ in taken if entry_id}):
            async with self._keeper.turn(entry_id):
                await self._guard.tend(entry_id)
        return answer

    async def _repeat(self, known: Tracked) -> VenueOrder:
        """Return a known order unchanged, or say why it does not stand; one that never left may leave now."""
        order_id = known.request.client_order_id
        legs = self._store.legs(client_order_id=order_id)
        if known.parent_id is None and legs:
            match legs[0].phase:
                case Phase.REFUSED:
                    raise OrderRejected(legs[0].reason)
                case Phase.ABSENT:
                    raise VenueUnavailable(f"{order_id} did not arrive; it is never sent again")
                case Phase.UNSENT:
                    return await self._hand_over(known.request, legs[0].quantity, (), again=legs[0])
                case _:
                    pass
        try:
            found = await self._fetch(order_id)
        except VenueUnavailable as error:
            if any(leg.is_doubtful for leg in legs):
                raise OrderUncertain(f"{order_id} is in doubt") from error
            return self._view(order_id)
        if found is None:
            raise VenueUnavailable(f"{order_id} did not arrive; it is never sent again")
        return found

    async def _sell(self, order: OrderRequest, rules: Rules) -> VenueOrder:
        """Sell on spot: never more than is there, and never what protection locks without taking it away first."""
        taken = self._taken(order, order.quantity)
        protected = [(entry_id, part) for entry_id, part in taken if entry_id]
        if protected and order.order_type is not OrderType.MARKET:
            raise OrderRejected("quantity_protected")
        if not protected:
            return await self._hand_over(order, await self._sellable(order, rules), taken)
        async with AsyncExitStack() as locks:
            entries = sorted({entry_id for entry_id, _ in protected})
            for entry_id in entries:
                await locks.enter_async_context(self._keeper.turn(entry_id))
            try:
                for entry_id in entries:
                    await self._guard.release(entry_id)
                quantity = await self._sellable(order, rules)
                return await self._hand_over(order, quantity, taken, urgency=Urgency.PROTECTION)
            finally:
                for entry_id in entries:
                    await self._guard.tend(entry_id)

    async def _sellable(self, order: OrderRequest, rules: Rules) -> Decimal:
        """Return how much of a sell is sent: one that only reduces is capped by what is there and not locked."""
        if not order.is_reduce_only:
            return order.quantity
        held = (await self._keeper.balances()).get(rules.instrument.base, ZERO) - self._keeper.locked(order.symbol)
        quantity = min(order.quantity, rules.instrument.round_quantity(held))
        if quantity <= 0:
            raise OrderRejected("nothing_to_reduce")
        return quantity

    def _taken(self, order: OrderRequest, quantity: Decimal) -> tuple[tuple[str, Decimal], ...]:
        """Return from which entries a closing order takes: those that it names, else what has no protection first.

        An empty id stands for what has no protection.
        """
        if order.side is Side.BUY and not order.is_reduce_only:
            return ()
        families = {
            entry.request.client_order_id: family.position.held
            for entry, family in self._guard.held_by_entries(order.symbol)
            if entry.request.side is order.side.opposite
        }
        free = max(self._held(order.symbol) * -order.side.sign - sum(families.values(), ZERO), ZERO)
        if not order.is_reduce_only and not families:
            free = quantity
        wanted = [(entry_id, min(part, families.get(entry_id, ZERO))) for entry_id, part in order.takes]
        if not order.takes:
            wanted = [("", free), *families.items()]
        parts, left = [], quantity
        for entry_id, most in wanted:
            part = min(left, most)
            if part > 0:
                parts.append((entry_id, part))
                left -= part
        return (*parts, ("", left)) if left > 0 and order.takes else tuple(parts)

    def _held(self, symbol: str) -> Decimal:
        """Return the signed quantity that our own trades of a symbol left."""
        base = self._keeper.rules_of(symbol).instrument.base
        held = ZERO
        for row in self._store.trades(symbol=symbol):
            fee = row["fee_amount"] if row["fee_asset"] == base else ZERO
            held += row["quantity"] * Side(row["side"]).sign - fee
        return held

    async def _hand_over(
        self,
        order: OrderRequest,
        quantity: Decimal,
        taken: Sequence[tuple[str, Decimal]],
        *,
        again: Leg | None = None,
        urgency: Urgency = Urgency.ORDER,
    ) -> VenueOrder:
        """Write an order down, send it once, and protect what it filled."""
        rules = self._keeper.rules_of(order.symbol)
        leg = again or self._new_leg(order, quantity)
        call = self._keeper.dialect.place(leg, rules, is_reduce_only=order.is_reduce_only)

        def write_down(legs: Sequence[Leg]) -> bool:
            if again is not None:
                return self._store.revive(replace(legs[0], status=OrderStatus.OPEN, reason=""))
            return self._store.add_order(tracked_rows(order, self._keeper.now()), legs, taken)

        sent, failure = await self._keeper.send(call, [leg], write_down, urgency)
        order_id = order.client_order_id
        if failure is not None and sent[0].phase is Phase.HANDED:
            with suppress(VenueUnavailable):
                await self._keeper.refresh(sent[0], urgency)
        self._nudge()
        async with self._keeper.turn(order_id):
            await self._guard.tend(order_id)
        self._raise_unless_known(order_id, failure)
        return self._view(order_id)

    def _raise_unless_known(self, order_id: str, failure: Failure | None) -> None:
        leg = self._own_leg(order_id)
        match leg.phase:
            case Phase.KNOWN:
                if leg.status is OrderStatus.REJECTED:
                    raise OrderRejected(leg.reason or "rejected")
            case Phase.REFUSED:
                raise OrderRejected(leg.reason)
            case Phase.HANDED:
                raise OrderUncertain(f"{order_id}: {failure or 'no answer'}")
            case Phase.UNSENT | Phase.ABSENT:
                raise VenueUnavailable(f"{order_id}: {failure or 'it did not arrive'}")

    async def _judge_prices(self, order: OrderRequest) -> None:
        """Refuse a stop that the market has passed, or protection on the wrong side of it."""
        bid, ask = await self._keeper.bid_ask(order.symbol)
        touch = ask if order.side is Side.BUY else bid
        if order.order_type is OrderType.STOP and order.price and (touch - order.price) * order.side.sign >= 0:
            raise OrderRejected("price_side")
        if is_misplaced(order, order.price or touch):
            raise OrderRejected("protection_side")

    def _new_leg(self, order: OrderRequest, quantity: Decimal) -> Leg:
        order_id = order.client_order_id
        return new_leg(order, Role.ENTRY, quantity, self._keeper.now(), leg_id=order_id, entry_id=order_id)

    def _own_leg(self, order_id: str) -> Leg:
        return self._store.legs(client_order_id=order_id)[0]

    def _view(self, order_id: str) -> VenueOrder:
        order = self._store.order(order_id)
        assert order is not None, "an order is never deleted"
        return view(order, self._store.legs(client_order_id=order_id))
