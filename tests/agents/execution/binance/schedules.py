"""Seeded schedules of trouble for desk, adapter and exchange together, and what must hold after each.

A schedule sends orders with protection, cancels, closes and moves the market while requests time out before or after
they were accepted, are refused, cut, answered by 5xx pages or with 429, events are lost, late or doubled, the
exchange goes away for a while, and the process is killed at random moments. Everything runs on simulated time and
follows from one seed. Watched at the exchange itself, after every request and every move:

- no client order id makes two orders, and none is sent twice;
- in the end every position is protected or was closed, nothing rests that protects nothing, and the desk's ledger
  holds what the exchange holds;
- how long a quantity stood without a stop beyond 5 s after its fill. Time in which the exchange refused everything
  (maintenance) is counted apart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import create_engine

from agents.execution.binance.stream import Listener, Pace
from agents.execution.desk import Desk, client_order_id
from agents.execution.values import OrderIntent
from engine.domain.errors import CopilotError, DataUnavailable, VenueUnavailable
from engine.domain.market import Bars, Instrument, Quote
from engine.domain.orders import OrderRequest, OrderType, Side
from engine.domain.symbols import Timeframe
from tests.agents.execution.binance.places import BTC, CASH, DEEP, ETH
from tests.agents.execution.binance.simulation import EXCHANGE, Bench, InProcessSession, memory_database
from tests.agents.execution.fakes import WIDE
from tests.binance.errors import ApiError
from tests.binance.faults import Empty, Fault, FillFirst, Hang, Html, Maintenance, Refuse, Reset, Slow, Truncate, When

D = Decimal
BOUND_S = 5.0
SYMBOLS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}
_DEAD = create_engine("sqlite:////nowhere/at/all.db")
_DUST = D(14)
"""Worth below which a stop cannot stand under the least notional of 10, stops up to a quarter away."""


@dataclass(slots=True)
class Outcome:
    """What one schedule showed; all but the counts of work must be 0."""

    seed: int
    duplicates: int = 0
    orphans: int = 0
    unprotected_s: float = 0.0
    longest_s: float = 0.0
    wrong_books: int = 0
    orders: int = 0
    fills: int = 0
    faults: int = 0
    kills: int = 0
    closed_unprotected: int = 0
    away_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.duplicates or self.orphans or self.wrong_books or self.unprotected_s > 0)


class ExchangeMarket:
    """Prices as the local exchange has them, without faults: the feed is not what is tested here."""

    name = "exchange"
    is_simulated = True

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def now(self) -> datetime:
        return self.bench.clock.now()

    def instruments(self) -> Mapping[str, Instrument]:
        return self.bench.venue.instruments()

    def quote(self, symbol: str) -> Quote:
        book = self.bench.server.spot.books[SYMBOLS[symbol]]
        last = self.bench.server.spot.last(SYMBOLS[symbol])
        bid, ask = book.bids.best, book.asks.best
        return Quote(symbol, bid.price if bid else last, ask.price if ask else last, self.now())

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        return self.bars_between(symbol, self.now(), self.now())

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        if symbol not in SYMBOLS:
            raise DataUnavailable(symbol)
        nothing = np.zeros(0)
        return Bars(symbol, "1m", nothing.astype(np.int64), nothing, nothing, nothing, nothing, nothing)


class Watch:
    """Measures at the exchange how long something stands without a stop."""

    def __init__(self, bench: Bench) -> None:
        self.server = bench.server
        self.since: dict[str, int] = {}
        self.spans: list[tuple[str, int, int]] = []
        self.away: list[tuple[int, int]] = []
        answer, move, fill = self.server.gateway.answer, self.server.spot.move, self.server.spot.fill

        def answered(call: Any) -> Any:
            try:
                return answer(call)
            finally:
                self.look()

        def moved(*args: Any, **options: Any) -> None:
            move(*args, **options)
            self.look()

        def filled(*args: Any, **options: Any) -> None:
            fill(*args, **options)
            self.look()

        self.server.gateway.answer = answered  # type: ignore[method-assign]  # the server is watched, not changed
        self.server.spot.move = moved  # type: ignore[method-assign]
        self.server.spot.fill = filled  # type: ignore[method-assign]

    def look(self) -> None:
        now, account = self.server.clock.now_ms(), self.server.account
        opened = self.server.spot.open_orders(account)
        for symbol, rule in self.server.spot.rules.items():
            covered = sum((o.remaining for o in opened if o.symbol == symbol and o.is_stop and not o.is_buy), D(0))
            naked = account.wallet.total(rule.base) - covered
            if naked * self.server.spot.last(symbol) >= _DUST:
                self.since.setdefault(symbol, now)
            elif symbol in self.since:
                self.spans.append((symbol, self.since.pop(symbol), now))

    def end(self) -> None:
        now = self.server.clock.now_ms()
        self.spans += [(symbol, since, now) for symbol, since in self.since.items()]
        self.since = {}

    def spans_s(self) -> list[float]:
        """Return how long each quantity stood without a stop, without the time in which nothing could be done."""
        return [(until - since - self._away_ms(since, until)) / 1000 for _, since, until in self.spans]

    def _away_ms(self, since: int, until: int) -> int:
        return sum(max(min(until, end) - max(since, begin), 0) for begin, end in self.away)


class Schedule:
    """One seed's worth of trouble."""

    def __init__(self, seed: int, steps: int = 7) -> None:
        self.random = random.Random(seed)
        self.outcome = Outcome(seed)
        self.steps = steps
        self.sent: list[str] = []
        self.running: set[asyncio.Task[Any]] = set()
        self.away_s = 0.0

    async def play(self) -> Outcome:
        self.bench = Bench(
            symbols=(BTC, ETH),
            prices={"BTCUSDT": 100, "ETHUSDT": 50},
            balances={"USDT": CASH},
            liquidity=DEEP,
            database=memory_database(everything=True),
            pace=Pace(1.0, 2.0, 10.0),
            seed=self.outcome.seed,
        )
        self.bench.server.account.fee_asset = self.random.choice(FEES)
        self.bench.session.latency_s = self.random.choice([0.01, 0.05, 0.2])
        self.watch = Watch(self.bench)
        self.server = self.bench.server
        self._hear()
        await self._begin()
        self._spoil()
        for number in range(self.steps):
            await self._step(number)
            if self.random.random() < 0.15:
                await self._kill()
        await self._come_to_rest()
        self._judge()
        await self._stop()
        return self.outcome

    def _spoil(self) -> None:
        """Choose what goes wrong."""
        rate = self.random.choice([0.0, 0.03, 0.08, 0.15])
        calls: list[Any] = [
            Hang(accepted=False),
            Hang(accepted=True),
            Reset(accepted=False),
            Reset(accepted=True),
            Refuse(ApiError(-1000, "An unknown error occurred while processing the request."), True),
            Refuse(ApiError(-1001, "Internal error; unable to process your request. Please try again.")),
            Refuse(ApiError(-1006, "An unexpected response was received from the message bus. Status unknown."), True),
            Refuse(ApiError(-1007, "Timeout waiting for response from backend server. Status unknown.", 408), True),
            Refuse(ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")),
            Refuse(ApiError(-1003, "Too many requests.", 429)),
            Html(502, accepted=True),
            Html(503, accepted=False),
            Truncate(announces_whole=True),
            Truncate(announces_whole=False),
            Empty(),
            Slow(before_s=1.0),
            Slow(after_s=1.0),
        ]
        chosen = self.random.sample(calls, 6)
        faults = [Fault(what, When(), None, rate / 6) for what in chosen]
        faults += [Fault(FillFirst(D(share)), When("DELETE", "/order"), None, rate) for share in ("0.5", "1")]
        if self.random.random() < 0.1:
            self.away_s = self.random.choice([1.0, 4.0, 20.0])
            faults.append(Fault(Maintenance(self.away_s), When("POST", nth=self.random.randint(1, 6))))
        self.server.faults.faults[:] = faults

    def _hear(self) -> None:
        """Ring the venue's bell for the account's events, as a stream that loses, doubles and delays them would."""

        class Ringer:
            def __getattr__(self, name: str) -> Any:
                return lambda *args, **options: None

            def on_user(inner, engine: Any, account: Any, event: Any) -> None:
                self._ring(event)

        self.server.spot.watchers.append(Ringer())

    def _ring(self, event: Any) -> None:
        listener = self.bench.venue.background
        draw = self.random.random()
        if draw < 0.3 or not isinstance(listener, Listener):
            return
        for delay in [0.01] if draw < 0.7 else [0.01, 0.3] if draw < 0.85 else [3.0]:
            asyncio.get_running_loop().call_later(delay, listener.ring, str(event.get("e")))

    async def _begin(self) -> None:
        """Start venue and desk as a supervisor does: again and again until it works."""
        self.desk = Desk(
            self.bench.database,
            self.bench.venue,
            ExchangeMarket(self.bench),
            WIDE,
            starting_cash=CASH,
            wall_clock=self.bench.clock.now,
        )
        for _ in range(600):
            try:
                await self.bench.venue.start()
                await self.desk.start()
                return
            except (VenueUnavailable, DataUnavailable) as error:
                failed = error
                await asyncio.sleep(0.2)
        raise AssertionError("it never started") from failed

    async def _step(self, number: int) -> None:
        draw = self.random.random()
        if draw < 0.5:
            self._launch(self._quietly(self._enter(number)))
        elif draw < 0.65:
            self._launch(self._quietly(self._close(number)))
        elif draw < 0.75 and self.sent:
            self._launch(self._quietly(self._cancel(self.random.choice(self.sent))))
        elif draw < 0.8 and self.sent:
            self._launch(self._quietly(self._reprotect(self.random.choice(self.sent))))
        else:
            self._move()
        await asyncio.sleep(self.random.choice([0.0, 0.05, 0.3, 1.0, 4.0]))
        if self.random.random() < 0.3:
            self._move()

    def _launch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a call fail as the protocol allows."""
        with suppress(CopilotError):
            await work

    async def _enter(self, number: int) -> None:
        symbol = self.random.choice(list(SYMBOLS))
        last = self.server.spot.last(SYMBOLS[symbol])
        is_market = self.random.random() < 0.5
        price = None if is_market else _tick(last * D(self.random.choice(["0.99", "0.995", "1.01"])))
        reference = price or last
        stop = _tick(reference * D(self.random.choice(["0.9", "0.95", "0.985"])))
        target = _tick(reference * D("1.05")) if self.random.random() < 0.6 else None
        source = f"ticket:{self.outcome.seed}:{number}"
        order = OrderRequest(
            client_order_id(source),
            symbol,
            Side.BUY,
            OrderType.MARKET if is_market else OrderType.LIMIT,
            D(self.random.randint(20, 400)) / 100,
            price,
            stop,
            target,
        )
        self.sent.append(order.client_order_id)
        await self.desk.execute(OrderIntent("ana", source, order))

    async def _close(self, number: int) -> None:
        symbol = self.random.choice(list(SYMBOLS))
        held = self.bench.wallet.total(SYMBOLS[symbol].removesuffix("USDT"))
        quantity = (held * D(self.random.choice(["0.5", "1"]))).quantize(D("0.01"), "ROUND_DOWN")
        if quantity <= 0:
            return
        source = f"close:{self.outcome.seed}:{number}"
        order = OrderRequest(
            client_order_id(source), symbol, Side.SELL, OrderType.MARKET, quantity, is_reduce_only=True
        )
        await self.desk.execute(OrderIntent("ana", source, order))

    async def _cancel(self, order_id: str) -> None:
        await self.desk.cancel(order_id)

    async def _reprotect(self, order_id: str) -> None:
        stored = await self.bench.venue.fetch_order(order_id)
        price = stored.average_price if stored is not None else None
        if price is not None:
            await self.bench.venue.protect(order_id, stop_loss=_tick(price * D("0.97")), take_profit=None)

    def _move(self) -> None:
        symbol = self.random.choice(list(SYMBOLS.values()))
        price = self.server.spot.last(symbol) * D(
            self.random.choice(["0.97", "0.985", "0.995", "1.005", "1.015", "1.03"])
        )
        volume = self.random.choice([None, None, "0.5", "1.5"])
        self.server.move(symbol, max(_tick(price), D(20)), volume)

    async def _kill(self) -> None:
        """End the process without any of its clean-up: its requests fail and its database is gone."""
        self.outcome.kills += 1
        dead = self.bench.session
        dead.is_cut = True
        old, desk = self.bench.venue, self.desk
        old._store._database = _DEAD
        desk._journal._database = _DEAD
        await self._stop()
        self.bench.session = InProcessSession(self.server, dead.latency_s)
        await asyncio.sleep(self.random.choice([0.0, 0.2, 0.5]))
        self.bench.venue = self.bench.open()
        await self._begin()

    async def _stop(self) -> None:
        await self.bench.stop()
        mine = (asyncio.current_task(), *(task for task in asyncio.all_tasks() if task.get_name() == EXCHANGE))
        others = [task for task in asyncio.all_tasks() if task not in mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _come_to_rest(self) -> None:
        """Let everything work again and wait."""
        self.outcome.faults = len(self.server.faults.hits)
        if self.running:
            await asyncio.wait(set(self.running), timeout=30)
        self.server.faults.clear()
        begin = self.server.clock.now_ms()
        if self.server.maintenance_until_ms > begin:
            await asyncio.sleep((self.server.maintenance_until_ms - begin) / 1000)
        await asyncio.sleep(15)
        for _ in range(3):
            await self.desk.reconcile()
            await asyncio.sleep(1)

    def _judge(self) -> None:
        server, outcome = self.server, self.outcome
        outcome.orders = len(server.orders_by_client_id())
        accepted, posted = server.orders_by_client_id(), server.posts_by_client_id()
        outcome.duplicates = sum(n - 1 for n in accepted.values()) + sum(n - 1 for n in posted.values())
        begins = [call.at_ms for call in server.requests if call.fault == "Maintenance"]
        self.watch.away = [(begin, begin + round(self.away_s * 1000)) for begin in begins]
        outcome.away_s = sum(end - begin for begin, end in self.watch.away) / 1000
        self.watch.look()
        naked = dict(self.watch.since)
        self.watch.end()
        spans = self.watch.spans_s()
        outcome.longest_s = max(spans, default=0.0)
        outcome.unprotected_s = sum(max(span - BOUND_S, 0.0) for span in spans)
        outcome.closed_unprotected = sum(each.code == "closed_unprotected" for each in self.bench.venue.incidents())
        outcome.orphans = len(naked) + self._loose_orders()
        outcome.fills = len(self.bench.venue._store.fills(0))
        different = (*self.desk.discrepancies(), *self._differences())
        outcome.wrong_books = len(different) + (outcome.fills != self._fills_at_exchange())
        if not outcome.is_clean:
            outcome.notes += [f"naked {naked}", f"different {different}", f"spans {[s for s in spans if s > 3]}"]

    def _loose_orders(self) -> int:
        """Count what rests at the exchange and protects nothing that is held."""
        loose = 0
        for symbol, rule in self.server.spot.rules.items():
            opened = [o for o in self.server.spot.open_orders(self.server.account) if o.symbol == symbol]
            held = self.server.account.wallet.total(rule.base)
            stops = sum((o.remaining for o in opened if o.is_stop and not o.is_buy), D(0))
            loose += stops > held
            known = {leg.leg_id for leg in self.bench.venue._store.legs()}
            loose += sum(o.client_id not in known for o in opened)
        return loose

    def _differences(self) -> list[tuple[str, Decimal]]:
        """Compare what the venue's fills and their fees add up to with what the exchange holds."""
        ours: dict[str, Decimal] = {"USDT": CASH}
        for _, fill in self.bench.venue._store.fills(0):
            base, _, quote = fill.symbol.partition("/")
            ours[base] = ours.get(base, D(0)) + fill.quantity * fill.side.sign
            ours[quote] -= fill.quantity * fill.price * fill.side.sign
            detail = self.bench.venue.fee_details(fill.fill_id)
            assert detail is not None
            ours[detail.fee_asset] = ours.get(detail.fee_asset, D(0)) - detail.fee_amount
        wallet = self.server.account.wallet
        return [(asset, held - wallet.total(asset)) for asset, held in ours.items() if held != wallet.total(asset)]

    def _fills_at_exchange(self) -> int:
        account = self.server.account
        return sum(len(o.trades) for o in self.server.spot.orders.values() if o.account is account)


FEES = ("quote", "received")


def _tick(price: Decimal) -> Decimal:
    return price.quantize(D("0.1"))
