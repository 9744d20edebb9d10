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
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from agents.execution.binance.access import LIVE_SETTING, KeyPermissions, check_keys
from agents.execution.binance.family import Family
from agents.execution.binance.gateway import Gateway
from agents.execution.binance.guard import STOP_SUFFIX, TARGET_SUFFIX, Guard
from agents.execution.binance.keeper import Keeper
from agents.execution.binance.limiter import Limiter, Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import Rules, is_misplaced, judge, read_rules
from agents.execution.binance.values import FeeDetail, Incident, Leg, Phase, Role, Told, Tracked
from engine.domain.errors import OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.market import Instrument
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Side, VenueOrder

FRESH_S = 0.5
"""How long a complete look at the exchange counts as the present, while no event came."""
RULES_AGE_S = 3600.0
_CANCEL_ATTEMPTS = 3
_INFO_TIMEOUT_S = 20.0
ZERO = Decimal(0)


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
        self._submitting: dict[str, asyncio.Task[VenueOrder]] = {}
        self._looked_at: datetime | None = None
        self._ruled_at: datetime | None = None
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
        await self._keeper.gateway.sync_clock()
        await self._read_rules()
        await self._look_for_strangers()
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
            if self._is_old(self._ruled_at, RULES_AGE_S):
                await self._read_rules()
        with suppress(VenueUnavailable):
            await self._look()
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
        self._looked_at = None

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
            task = asyncio.create_task(self._submit(order))
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
        async with self._turn(order.request.symbol):
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
        async with self._turn(entry.request.symbol):
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
        async with self._turn(order.request.symbol):
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
        await self._look_if_old()
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
        await self._look_if_old()
        await self._keeper.price_fees()
        return self._store.fills(after)

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

    async def _submit(self, order: OrderRequest) -> VenueOrder:
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
            async with self._turn(order.symbol):
                return await self._sell(order, rules)
        taken = self._taken(order, order.quantity) if order.is_reduce_only else ()
        return await self._hand_over(order, order.quantity, taken, is_locked=False)

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
                    return await self._hand_over(known.request, legs[0].quantity, (), is_locked=False, again=legs[0])
                case _:
                    pass
        try:
            found = await self.fetch_order(order_id)
        except VenueUnavailable as error:
            if any(leg.is_doubtful for leg in legs):
                raise OrderUncertain(f"{order_id} is in doubt") from error
            return self._view(known)
        if found is None:
            raise VenueUnavailable(f"{order_id} did not arrive; it is never sent again")
        return found

    async def _sell(self, order: OrderRequest, rules: Rules) -> VenueOrder:
        """Sell on spot: never more than is there, and never what protection locks without taking it away first."""
        base = rules.instrument.base
        is_market = order.order_type is OrderType.MARKET
        taken = self._taken(order, order.quantity)
        protected = [(entry_id, part) for entry_id, part in taken if entry_id]
        if protected and not is_market:
            raise OrderRejected("quantity_protected")
        touched = [family for entry, family in self._guard.held_by_entries(order.symbol)
                   if entry.request.client_order_id in dict(protected)]  # fmt: skip
        try:
            for family in touched:
                await self._guard.release(family)
            quantity = order.quantity
            if order.is_reduce_only:
                held = (await self._keeper.balances()).get(base, ZERO) - self._locked(order.symbol)
                quantity = min(quantity, rules.instrument.round_quantity(held))
                if quantity <= 0:
                    raise OrderRejected("nothing_to_reduce")
            urgency = Urgency.PROTECTION if touched else Urgency.ORDER
            return await self._hand_over(order, quantity, taken, is_locked=True, urgency=urgency)
        finally:
            for family in touched:
                await self._guard.tend(family.entry.request.client_order_id)

    def _taken(self, order: OrderRequest, quantity: Decimal) -> tuple[tuple[str, Decimal], ...]:
        """Return from which entries a closing order takes: those that it names, else what has no protection first.

        An empty id stands for what has no protection.
        """
        if order.side is Side.BUY and not order.is_reduce_only:
            return ()
        families = {
            entry.request.client_order_id: family.held
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

    def _locked(self, symbol: str) -> Decimal:
        """Return what resting sells of ours lock; a list locks its quantity once."""
        seen: dict[str, Decimal] = {}
        for leg in self._store.open_legs():
            if leg.symbol == symbol and leg.side is Side.SELL and leg.is_live:
                key = leg.list_id or leg.leg_id
                seen[key] = max(seen.get(key, ZERO), leg.left)
        return sum(seen.values(), ZERO)

    async def _hand_over(
        self,
        order: OrderRequest,
        quantity: Decimal,
        taken: Sequence[tuple[str, Decimal]],
        *,
        is_locked: bool,
        again: Leg | None = None,
        urgency: Urgency = Urgency.ORDER,
    ) -> VenueOrder:
        """Write an order down, send it once, and protect what it filled."""
        rules = self._keeper.rules_of(order.symbol)
        leg = again or self._entry_leg(order, quantity)
        call = self._keeper.dialect.place(leg, rules, is_reduce_only=order.is_reduce_only)

        def write_down(legs: Sequence[Leg]) -> bool:
            if again is not None:
                return self._store.revive(replace(legs[0], status=OrderStatus.OPEN, reason=""))
            return self._store.add_order(self._tracked(order), legs, taken)

        sent, failure = await self._keeper.send(call, [leg], write_down, urgency)
        order_id = order.client_order_id
        if failure is not None and sent[0].phase is Phase.HANDED:
            with suppress(VenueUnavailable):
                await self._keeper.refresh(sent[0], urgency)
        self.nudge()
        if is_locked:
            await self._guard.tend(order_id)
        else:
            async with self._turn(order.symbol):
                await self._guard.tend(order_id)
                for entry_id, _ in taken:
                    if entry_id:
                        await self._guard.tend(entry_id)
        self._raise_unless_known(order_id, failure)
        return self._view(self._known(order_id))

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
                fresh.append(self._child(family.entry.request, name, kind, price, family.held))
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

    async def _look_if_old(self) -> None:
        if self._is_old(self._looked_at, FRESH_S):
            await self._look()

    async def _look(self) -> None:
        """Ask for everything of which something is to be learnt, and tend what is protected.

        Raises:
            VenueUnavailable: Something was not answered.
        """
        begun = self._keeper.now()
        symbols = {leg.symbol for leg in self._store.open_legs()}
        symbols |= {symbol for symbol, _ in self._store.unfinished_entries()}
        failed: VenueUnavailable | None = None
        for symbol in sorted(symbols):
            try:
                await self._look_at(symbol)
            except VenueUnavailable as error:
                failed = error
        if failed is not None:
            raise failed
        self._looked_at = begun

    async def _look_at(self, symbol: str) -> None:
        async with self._turn(symbol):
            failed: VenueUnavailable | None = None
            legs = [leg for leg in self._store.open_legs() if leg.symbol == symbol]
            try:
                await self._keeper.refresh_all(symbol, legs, Urgency.ORDER)
            except VenueUnavailable as error:
                failed = error
            for each, entry_id in self._store.unfinished_entries():
                if each == symbol:
                    await self._guard.tend(entry_id)
            if failed is not None:
                raise failed
        await self._keeper.price_fees()

    async def _read_rules(self) -> None:
        dialect = self._keeper.dialect
        try:
            info = await self._keeper.gateway.read(dialect.info(), timeout_s=_INFO_TIMEOUT_S)
        except Failure as failure:
            raise VenueUnavailable(f"the venue's rules: {failure}") from failure
        rules = read_rules(info, is_futures=dialect.is_futures) if isinstance(info, dict) else {}
        if not rules:
            raise VenueUnavailable("the venue told of no symbol that trades")
        self.limiter.learn(info.get("rateLimits") or ())
        self._keeper.rules = {**self._keeper.rules, **rules}
        self._ruled_at = self._keeper.now()

    async def _look_for_strangers(self) -> None:
        """Tell of orders that rest on the account and are not ours."""
        try:
            resting = await self._keeper.dialect.all_open_ids(self._keeper.gateway)
        except Failure as failure:
            raise VenueUnavailable(f"open orders: {failure}") from failure
        for symbol_id, leg_id in resting:
            if not self._store.legs(leg_id=leg_id):
                self._keeper.tell(Incident.UNKNOWN_ORDER, leg_id[:64], symbol_id[:32])

    def _is_old(self, at: datetime | None, seconds: float) -> bool:
        return at is None or (self._keeper.now() - at).total_seconds() > seconds

    def _turn(self, symbol: str) -> asyncio.Lock:
        return self._turns.setdefault(symbol, asyncio.Lock())

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

    def _tracked(self, order: OrderRequest) -> list[Tracked]:
        """Return the rows of an order and its waiting children."""
        now = self._keeper.now()
        rows = [Tracked(order, 0, OrderStatus.OPEN, "", None, False, now, now)]
        for suffix, kind, price in (
            (STOP_SUFFIX, OrderType.STOP, order.stop_loss),
            (TARGET_SUFFIX, OrderType.LIMIT, order.take_profit),
        ):
            if price is not None:
                rows.append(self._child(order, suffix, kind, price, order.quantity))
        return rows

    def _child(self, order: OrderRequest, suffix: str, kind: OrderType, price: Decimal, quantity: Decimal) -> Tracked:
        now = self._keeper.now()
        child = OrderRequest(
            order.client_order_id + suffix,
            order.symbol,
            order.side.opposite,
            kind,
            quantity,
            price,
            is_reduce_only=True,
        )
        return Tracked(child, 0, OrderStatus.WAITING, "", order.client_order_id, True, now, now)

    def _entry_leg(self, order: OrderRequest, quantity: Decimal) -> Leg:
        now = self._keeper.now()
        return Leg(
            leg_id=order.client_order_id,
            number=0,
            client_order_id=order.client_order_id,
            entry_id=order.client_order_id,
            role=Role.ENTRY,
            order_type=order.order_type,
            list_id=None,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=order.price,
            phase=Phase.HANDED,
            status=OrderStatus.OPEN,
            reason="",
            exchange_id="",
            filled_quantity=ZERO,
            filled_notional=ZERO,
            settled_quantity=ZERO,
            handed_at=now,
            dies_at=now,
            misses=0,
            is_confirmed=False,
            updated_at=now,
        )

    def _view(self, order: Tracked) -> VenueOrder:
        """Return an order as the protocol tells it."""
        legs = self._store.legs(client_order_id=order.request.client_order_id)
        filled = sum((leg.filled_quantity for leg in legs), ZERO)
        notional = sum((leg.filled_notional for leg in legs), ZERO)
        exchange_id = next((leg.exchange_id for leg in reversed(legs) if leg.exchange_id), str(order.number))
        return VenueOrder(
            order.request,
            exchange_id,
            order.status,
            filled,
            notional / filled if filled else None,
            order.created_at,
            max([order.updated_at, *(leg.updated_at for leg in legs)]),
            order.parent_id,
            order.reason,
        )


def _prices(children: Sequence[Tracked]) -> tuple[Decimal | None, Decimal | None]:
    """Return the stop and the target of some children."""
    by_kind = {child.request.order_type: child.request.price for child in children}
    return by_kind.get(OrderType.STOP), by_kind.get(OrderType.LIMIT)
