"""Sends legs once and learns what became of them; everything that is learnt is stored before it is used.

What stands in the database is never taken back by an answer: quantities only grow, a final status stays, and a read
that is older than what is known changes nothing. So events may come late, twice, in another order or not at all.
"An order that is not there" is believed only of a request that the venue would refuse by now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from agents.execution.binance.dialect import Dialect
from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure, Meaning
from agents.execution.binance.rules import Rules
from agents.execution.binance.store import Store
from agents.execution.binance.values import Incident, Leg, Phase, Told, VenueState
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderStatus, Side
from engine.ledger import exact_product
from engine.sim.matching import FEE_QUANTUM

HEDGE_S = 0.6
"""After so long without an answer to a placement, its id is asked for beside it."""
_TICK_S = 0.01
_GONE_AFTER_MISSES = 3
_GONE_AFTER = timedelta(seconds=15)
_MANY_LEGS = 3
"""From so many open legs in one symbol on, one question for all that rests is cheaper than one each."""
ZERO = Decimal(0)
ONE = Decimal(1)


class Keeper:
    """Knows what stands at the venue.

    Args:
        store: The adapter's record.
        gateway: The door to the exchange.
        dialect: The market that is spoken to.
        on_incident: Told once of each new incident.
    """

    def __init__(
        self, store: Store, gateway: Gateway, dialect: Dialect, on_incident: Callable[[Told], None] | None = None
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.dialect = dialect
        self.rules: dict[str, Rules] = {}
        self._on_incident = on_incident
        self._turns: dict[str, asyncio.Lock] = {}

    def turn(self, name: str) -> asyncio.Lock:
        """Return the lock of an entry, under which it is tended; they are taken in the order of their names."""
        return self._turns.setdefault(name, asyncio.Lock())

    def now(self) -> datetime:
        """Return the venue's present."""
        return self.gateway.now()

    def rules_of(self, symbol: str) -> Rules:
        """Return the rules of a symbol.

        Raises:
            VenueUnavailable: They are not known (any more).
        """
        if symbol not in self.rules:
            raise VenueUnavailable(f"the venue's rules of {symbol} are not known")
        return self.rules[symbol]

    async def send(
        self,
        call: Call,
        legs: Sequence[Leg],
        write_down: Callable[[Sequence[Leg]], bool],
        urgency: Urgency,
    ) -> tuple[tuple[Leg, ...], Failure | None]:
        """Hand legs over once and return them as they stand then, with what went wrong.

        Raises:
            VenueUnavailable: Nothing was sent and nothing was written down.
        """
        await self.gateway.prepare(call, urgency)
        now = self.now()
        dies_at = self.gateway.dies_at(now, urgency)
        stamped = tuple(
            replace(leg, phase=Phase.HANDED, handed_at=now, dies_at=dies_at, updated_at=now) for leg in legs
        )
        if not write_down(stamped):
            raise VenueUnavailable("somebody else is sending this order; nothing was sent")
        try:
            states = await self._deliver(call, stamped, now, urgency)
        except Failure as failure:
            return tuple(self._fail(leg, failure) for leg in stamped), failure
        return tuple([self.learn(leg, state) for leg, state in zip(stamped, states, strict=True)]), None

    async def refresh(self, leg: Leg, urgency: Urgency = Urgency.READ) -> Leg:
        """Ask for a leg and return it as it stands, with all its trades.

        Raises:
            VenueUnavailable: No answer; nothing has changed.
        """
        rules = self.rules_of(leg.symbol)
        if leg.is_doubtful or leg.is_live:
            try:
                leg = self.learn(leg, await self.dialect.fetch(self.gateway, leg, rules, urgency))
            except Failure as failure:
                if failure.meaning is not Meaning.NOT_FOUND:
                    raise VenueUnavailable(f"{leg.leg_id}: {failure}") from failure
                leg = self._miss(leg)
        return await self._settle(leg, urgency)

    async def resting(self, symbol: str, legs: Sequence[Leg], urgency: Urgency) -> Mapping[str, VenueState]:
        """Return what rests in a symbol when one question for all is cheaper than one for each leg, else nothing.

        Raises:
            VenueUnavailable: No answer.
        """
        if len(legs) < _MANY_LEGS:
            return {}
        return await self.dialect.open_states(self.gateway, self.rules_of(symbol), urgency)

    async def renew_all(self, legs: Sequence[Leg], resting: Mapping[str, VenueState], urgency: Urgency) -> None:
        """Bring legs up to date, from what is known to rest or by asking.

        Raises:
            VenueUnavailable: Some question had no answer; what was answered is stored.
        """
        raise_first(await asyncio.gather(*(self._renew(leg, resting, urgency) for leg in legs), return_exceptions=True))

    async def _renew(self, leg: Leg, resting: Mapping[str, VenueState], urgency: Urgency) -> None:
        state = resting.get(leg.leg_id)
        if state is None:
            await self.refresh(leg, urgency)
        else:
            await self._settle(self.learn(leg, state), urgency)

    def learn(self, leg: Leg, state: VenueState) -> Leg:
        """Store what the venue told of a leg and return it; older news change nothing."""
        is_old = state.filled_quantity < leg.filled_quantity or (leg.status.is_final and not state.status.is_final)
        told = leg
        if not is_old or leg.is_doubtful:
            told = replace(
                leg,
                phase=Phase.KNOWN,
                status=leg.status if leg.status.is_final else state.status,
                exchange_id=state.exchange_id or leg.exchange_id,
                filled_quantity=max(leg.filled_quantity, state.filled_quantity),
                filled_notional=max(leg.filled_notional, state.filled_notional),
                misses=0,
            )
        if state.trades:
            told = replace(told, settled_quantity=max(leg.settled_quantity, self.store.add_trades(leg, state.trades)))
        saved = self._save(told, leg)
        if saved.settled_quantity < told.settled_quantity:  # somebody else stored the same news without its trades
            saved = self._save(replace(saved, settled_quantity=told.settled_quantity), saved)
        return saved

    def confirm(self, leg: Leg) -> Leg:
        """Note that a leg was read back."""
        return self._save(replace(leg, is_confirmed=True), leg)

    def mark(self, leg: Leg, reason: str) -> Leg:
        """Note why a leg is about to be cancelled."""
        return leg if leg.reason else self._save(replace(leg, reason=reason), leg)

    async def cancel(self, leg: Leg, reason: str, urgency: Urgency) -> Leg:
        """Ask the venue to cancel a leg (and its partner) and return it as it stands then.

        Raises:
            VenueUnavailable: It is not known to be gone.
        """
        rules = self.rules_of(leg.symbol)
        if leg.reason:  # it was asked for before: perhaps only the reading back had no answer
            leg = await self.refresh(leg, urgency)
        partners = [leg] if leg.list_id is None else self.store.legs(list_id=leg.list_id)
        if leg.reason and not (leg.is_live or leg.is_doubtful):
            for each in partners:
                await self.refresh(each, urgency)
            return leg
        partners = [self.mark(each, reason) for each in partners]
        call = self.dialect.cancel(leg, rules)
        await self.gateway.prepare(call, urgency)
        failure: Failure | None = None
        try:
            await self.gateway.write(call, self.now(), urgency)
        except Failure as failed:
            failure = failed
        after = [await self.refresh(each, urgency) for each in partners]
        gone = next((each for each in after if each.leg_id == leg.leg_id), leg)
        if gone.is_live or gone.is_doubtful:
            raise VenueUnavailable(f"{leg.leg_id} still stands ({failure or 'no change'})")
        return gone

    def locked(self, symbol: str, *, but_not: str = "") -> Decimal:
        """Return what resting sells of ours lock in a symbol, those of one entry left out; a list locks it once."""
        seen: dict[str, Decimal] = {}
        for leg in self.store.open_legs():
            if leg.symbol == symbol and leg.side is Side.SELL and leg.is_live and leg.entry_id != but_not:
                key = leg.list_id or leg.leg_id
                seen[key] = max(seen.get(key, ZERO), leg.left)
        return sum(seen.values(), ZERO)

    async def price_fees(self) -> None:
        """Count the fees of new trades in quote currency, so that their fills can be told.

        Raises:
            VenueUnavailable: A fee's asset has no price now.
        """
        for row in self.store.unpriced():
            price = await self._fee_price(row["symbol"], row["fee_asset"], row["price"], row["fee_amount"])
            fee = exact_product(row["fee_amount"], price)
            if price != ONE:
                fee = fee.quantize(FEE_QUANTUM, ROUND_HALF_UP)
            self.store.price_fee(row, fee, price)

    def tell(self, code: Incident, client_order_id: str = "", symbol: str = "", **detail: object) -> None:
        """Store an incident and hand it on, unless it was told just now."""
        told = self.store.tell(
            code, client_order_id, symbol, self.now(), {name: str(value) for name, value in detail.items()}
        )
        if told is not None and self._on_incident is not None:
            self._on_incident(told)

    async def _deliver(
        self, call: Call, legs: Sequence[Leg], timestamp: datetime, urgency: Urgency
    ) -> Sequence[VenueState]:
        """Send, and ask for the legs beside it when the answer is slow, as long as the request may still arrive."""
        sending = asyncio.create_task(self.gateway.write(call, timestamp, urgency))
        try:
            await asyncio.wait({sending}, timeout=HEDGE_S)
            while not sending.done():
                found = await self._peek(legs, urgency)
                if found:
                    return found
                if self.now() > legs[0].dies_at:
                    raise Failure(0, 0, "no answer in time")
                await asyncio.wait({sending}, timeout=self._until_over(legs[0]))
            return self.dialect.read_placed(sending.result(), legs)
        finally:
            if not sending.done():
                sending.cancel()
                with suppress(asyncio.CancelledError, Failure):
                    await sending

    def _until_over(self, leg: Leg) -> float:
        """Return how long to wait before the next question: never longer than a request may still arrive."""
        left_s = (leg.dies_at - self.now()).total_seconds()
        return min(HEDGE_S, max(left_s, 0.0) + _TICK_S)

    async def _peek(self, legs: Sequence[Leg], urgency: Urgency) -> list[VenueState]:
        """Return the legs as they stand, or nothing when one of them is not (yet) there."""
        try:
            rules = self.rules_of(legs[0].symbol)
            return [await self.dialect.fetch(self.gateway, leg, rules, urgency) for leg in legs]
        except (Failure, VenueUnavailable):
            return []

    def _fail(self, leg: Leg, failure: Failure) -> Leg:
        """Store what a failure means for a leg; in doubt it stays in doubt."""
        if failure.is_duplicate:
            return leg
        match failure.meaning:
            case Meaning.REFUSED | Meaning.NOT_FOUND:
                changed = replace(
                    leg, phase=Phase.REFUSED, status=OrderStatus.REJECTED, reason=failure.rejection_code()
                )
            case Meaning.NOT_HANDED:
                changed = replace(leg, phase=Phase.UNSENT, status=OrderStatus.REJECTED, reason="unsent")
            case Meaning.UNKNOWN:
                return leg
        return self._save(changed, leg)

    def _miss(self, leg: Leg) -> Leg:
        """Judge that the venue says it has no such order."""
        now = self.now()
        if leg.is_doubtful:
            if now < leg.dies_at:
                return leg
            return self._give_up(leg)
        missed = replace(leg, misses=leg.misses + 1)
        if missed.misses < _GONE_AFTER_MISSES or now - leg.handed_at < _GONE_AFTER:
            return self._save(missed, leg, touch=False)
        self.tell(Incident.ORDER_GONE, leg.client_order_id, leg.symbol, leg=leg.leg_id)
        return self._save(replace(missed, status=OrderStatus.CANCELLED, reason=leg.reason or "gone"), leg)

    def _give_up(self, leg: Leg) -> Leg:
        """Note that a leg never arrived, and with it its list: the venue takes a list whole or not at all."""
        together = [leg] if leg.list_id is None else self.store.legs(list_id=leg.list_id)
        for each in together:
            if each.is_doubtful:
                absent = replace(each, phase=Phase.ABSENT, status=OrderStatus.REJECTED, reason="absent")
                saved = self._save(absent, each)
                leg = saved if each.leg_id == leg.leg_id else leg
        return leg

    async def _settle(self, leg: Leg, urgency: Urgency) -> Leg:
        """Read the trades that a leg still lacks."""
        if leg.settled_quantity >= leg.filled_quantity or not leg.exchange_id:
            return leg
        try:
            trades = await self.dialect.trades(self.gateway, leg, self.rules_of(leg.symbol), urgency)
        except Failure as failure:
            raise VenueUnavailable(f"trades of {leg.leg_id}: {failure}") from failure
        settled = self.store.add_trades(leg, trades)
        return self._save(replace(leg, settled_quantity=max(leg.settled_quantity, settled)), leg)

    def _save(self, leg: Leg, seen: Leg, *, touch: bool = True) -> Leg:
        """Store a leg; when somebody stored other news meanwhile, those count."""
        if leg == seen:
            return leg
        if touch:
            leg = replace(leg, updated_at=max(self.now(), leg.updated_at))
        if self.store.save_leg(leg, seen):
            return leg
        return self.store.legs(leg_id=leg.leg_id)[0]

    async def _fee_price(self, symbol: str, asset: str, price: Decimal, amount: Decimal) -> Decimal:
        instrument = self.rules_of(symbol).instrument
        if asset == instrument.quote or not amount:
            return ONE
        if asset == instrument.base:
            return price
        for pair, is_inverse in ((f"{asset}/{instrument.quote}", False), (f"{instrument.quote}/{asset}", True)):
            if pair in self.rules:
                bid, ask = await self._bid_ask(pair)
                mid = (bid + ask) / 2
                return ONE / mid if is_inverse else mid
        raise VenueUnavailable(f"a fee was taken in {asset}, which has no price in {instrument.quote}")

    async def _bid_ask(self, symbol: str, urgency: Urgency = Urgency.READ) -> tuple[Decimal, Decimal]:
        try:
            return await self.dialect.bid_ask(self.gateway, self.rules_of(symbol).symbol_id, urgency)
        except Failure as failure:
            raise VenueUnavailable(f"prices of {symbol}: {failure}") from failure

    async def bid_ask(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Return the best prices of a symbol, as urgent as an order.

        Raises:
            VenueUnavailable: There are none.
        """
        return await self._bid_ask(symbol, Urgency.ORDER)

    async def balances(self) -> dict[str, Decimal]:
        """Return whole holdings by asset.

        Raises:
            VenueUnavailable: No answer, or one that cannot be.
        """
        try:
            return await self.dialect.balances(self.gateway)
        except Failure as failure:
            raise VenueUnavailable(f"balances: {failure}") from failure


def raise_first(results: Sequence[BaseException | object]) -> None:
    """Raise the first failure among the results of several questions that were asked at once."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
