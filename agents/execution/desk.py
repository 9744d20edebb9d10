"""The desk: the only code that hands an order to a venue.

An order is sent at most once, whatever crashes. The intent is stored under an id derived from what allowed it; one
atomic update claims it, if nothing in the account has changed since the risk gate looked; only then it is submitted.
After a doubt the id is looked up at the venue, and nothing is ever sent again. An intent that the venue does not
know is declared unsent only when its claimer can no longer send it (`claims`). Fills are settled into the ledger
exactly once, by the venue's fill id.

Orders of one process go out one after the other. Database calls are synchronous inside the async methods: they are
local and short, no transaction spans an `await`, and a caller that is cancelled does not cancel a sending.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, assert_never

from sqlalchemy import Engine

from agents.execution.claims import has_ended, process_token
from agents.execution.journal import Journal, Snapshot, StoredIntent
from agents.execution.values import (
    Discrepancy,
    Execution,
    IntentState,
    OrderIntent,
    Performance,
    PositionStatus,
    SettledFill,
)
from agents.risk.gate import assess_order, lowers_risk, standing_limits
from agents.risk.values import AccountState, LimitCheck, RiskLimits, RiskReport
from engine.domain.errors import (
    DataUnavailable,
    InvalidRequest,
    OrderRejected,
    OrderUncertain,
    VenueUnavailable,
)
from engine.domain.market import Quote, decimal_price, utc_from_seconds
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Position, VenueOrder
from engine.domain.protocols import MarketData, Venue
from engine.domain.symbols import TIMEFRAME_S
from engine.ledger import ACCOUNT_CURRENCY, Deposit, EquityPoint, Holding, account_asset, equity_curve, exact_sum
from engine.sim.matching import validate_order

Period = Literal["today", "7d", "30d", "mtd", "ytd", "all"]

SUBMIT_TIMEOUT_S = 20.0
"""After this a submit counts as uncertain."""
SEND_WINDOW_S = 60.0
"""How long after its claim a process might still send; a claimer elsewhere is waited for until it is over."""
PEER_WAIT_S = 5.0
"""How long a repeat waits for another process that is sending the same intent."""
_PEER_POLL_S = 0.05
_CLAIM_ATTEMPTS = 20
"""Assessments of one order before giving up because other orders change the account under it."""
_PRICE_WINDOW = timedelta(days=5)
"""How far back the last price before a past time may lie: over a weekend with a holiday."""
_STARTING_DEPOSIT = "starting cash"
_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


def client_order_id(source: str) -> str:
    """Return the one client order id of a source (`ticket:17`, `mandate:3/5`): 29 characters, the same for ever."""
    digest = hashlib.sha256(source.encode()).digest()
    return "tc-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


class Desk:
    """Sends orders, settles fills, knows the account.

    Reads settle new fills first, so that they are never behind the venue. One desk serves all conversations of a
    process; several processes may share the database.

    Args:
        database: Where intents, journal and ledger live.
        venue: Where orders go.
        market: Prices and the present.
        limits: What the risk gate enforces.
        starting_cash: Deposited into an empty ledger, once in the life of the database.
        wall_clock: The real present, against which claims are judged (the market may be a replay).
        checkpoint: Called with the name of each step of a sending; crash tests stop the process there.
    """

    def __init__(
        self,
        database: Engine,
        venue: Venue,
        market: MarketData,
        limits: RiskLimits,
        *,
        starting_cash: Decimal,
        wall_clock: Callable[[], datetime] = _wall_clock,
        checkpoint: Callable[[str], None] = _no_checkpoint,
    ) -> None:
        self._venue = venue
        self._market = market
        self._limits = limits
        self._starting_cash = starting_cash
        self._wall_clock = wall_clock
        self._checkpoint = checkpoint
        self._journal = Journal(database, venue.name)
        self._token = process_token()
        self._sending: dict[str, asyncio.Task[Execution]] = {}
        self._turn = asyncio.Lock()

    @property
    def venue_name(self) -> str:
        """Return the venue's name (`paper`, `binance-testnet`, `binance`)."""
        return self._venue.name

    @property
    def market(self) -> MarketData:
        """Return the market whose prices the desk uses."""
        return self._market

    async def start(self) -> tuple[Execution, ...]:
        """Deposit the starting cash if the ledger is empty, then `reconcile`. Call once before anything else."""
        self._journal.deposit(self._starting_cash, _STARTING_DEPOSIT, self._market.now())
        return await self.reconcile()

    async def execute(self, intent: OrderIntent) -> Execution:
        """Send an intent's order at most once and return what became of it.

        Safe to repeat and to call at once from anywhere: the same source never sends a second order; a repeat
        returns the present outcome. Does not raise for a refusal or a doubt, it tells by state:
        DENIED (risk gate; `reasons`), REJECTED (venue; `reasons`), UNSENT (surely never reached the venue),
        SENT with reason `uncertain` (not known yet; `reconcile` settles it), WORKING, DONE.
        A cancelled caller does not cancel the sending.

        Raises:
            InvalidRequest: `client_order_id` (the request's id is not the one of its source) or
                `intent_conflict` (the source was used before with other terms).
            DataUnavailable: Our database did not answer; ask again, or `reconcile`, to learn the outcome.
        """
        request = intent.request
        if request.client_order_id != client_order_id(intent.source):
            raise InvalidRequest("client_order_id", source=intent.source, client_order_id=request.client_order_id)
        task = self._sending.get(request.client_order_id)
        if task is None:
            task = asyncio.create_task(self._execute(intent))
            self._sending[request.client_order_id] = task
            task.add_done_callback(lambda done: self._forget(request.client_order_id, done))
        execution = await asyncio.shield(task)
        if execution.intent.request != request:
            raise InvalidRequest("intent_conflict", source=intent.source)
        return execution

    async def abandon(self, intent: OrderIntent) -> Execution:
        """Make sure that an intent is not sent from now on, and return what became of it.

        For what a crash left behind: an intent that was never handed over ends UNSENT (reason `interrupted`), also
        when it had not been stored yet; one that may have been is looked up. One that this desk is sending right
        now is waited for.
        """
        order_id = intent.request.client_order_id
        if order_id not in self._sending:
            stored = self._journal.store(intent, self._token, self._wall_clock(), self._market.now())
            if stored.state is IntentState.STORED:
                self._close(intent.request, IntentState.STORED, IntentState.UNSENT, "interrupted")
            await self._resolve(self._stored(order_id))
            return self._execution(order_id)
        return await asyncio.shield(self._sending[order_id])

    async def reconcile(self) -> tuple[Execution, ...]:
        """Settle everything that is not final and return it; a second run changes nothing.

        Looks up intents of unknown outcome, settles new fills (of resting orders and protective children too),
        updates order states, marks equity, compares the venue's balances with the ledger. A venue that does not
        answer leaves everything as it was.
        """
        seen = self._journal.unfinished()
        for stored in seen:
            await self._resolve(stored)
        try:
            await self._refresh_orders()
            await self._compare_balances()
        except VenueUnavailable:
            return self._executions(seen)
        await self._mark_equity()
        return self._executions(seen)

    async def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent as last settled, without asking the venue; None for an unknown id."""
        return self._journal.execution(client_order_id)

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order (`VenueOrder.request.client_order_id`); harmless when it is final.

        Raises:
            OrderRejected: No such order.
            VenueUnavailable: No answer; it may stand.
        """
        order = await self._venue.cancel(client_order_id)
        await self._settle([order])
        return order

    async def assess(self, order: OrderRequest) -> RiskReport:
        """Return what the venue's rules and the risk gate say of an order now, without sending it.

        `reasons` may hold codes of the venue's rules (`lot`, `min_notional`, `price_side`, …), of the gate, and
        `unreconciled`. A venue that does not answer gives `no_account`.
        """
        return (await self._assess(order))[1]

    async def account(self) -> AccountState:
        """Return the account now, marked to market.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        return (await self._observe())[0]

    async def limits(self) -> tuple[LimitCheck, ...]:
        """Return every account-wide limit as it stands without a new order (`before` equals `after`)."""
        return standing_limits(await self.account(), self._limits)

    async def positions(self) -> tuple[PositionStatus, ...]:
        """Return open positions with marks and protective prices, by symbol.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        account = await self.account()
        holdings = self._journal.snapshot(self._market.now()).books.open_holdings()
        return tuple(
            _position_status(position, account, holdings[symbol])
            for symbol, position in sorted(account.positions.items())
            if symbol in holdings
        )

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return orders that are not final, oldest first; protective children (also waiting) carry `parent_id`.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        orders = tuple(await self._venue.open_orders())
        await self._settle(orders)
        return orders

    async def find_order(self, order_id: str) -> VenueOrder | None:
        """Return the open order that a person means: by the venue's short id or by client order id."""
        for order in await self.open_orders():
            if order_id in (order.venue_order_id, order.request.client_order_id):
                return order
        return None

    async def trades(
        self, period: Period = "all", *, symbol: str | None = None, limit: int = 100
    ) -> tuple[SettledFill, ...]:
        """Return settled fills within a period, newest first."""
        await self._settle_quietly()
        since = self._period_start(period)
        return tuple(self._journal.trades(since, symbol, limit))

    async def performance(self, period: Period = "all") -> Performance:
        """Return profit and loss within a period.

        Raises:
            DataUnavailable: A position held now or at the period's start has no price.
            VenueUnavailable: The venue did not answer.
        """
        account = await self.account()
        now = self._market.now()
        first = _first_deposit_at(self._journal.events(), now)
        since = max(self._period_start(period) or first, first)
        start = self._point_at(since)
        within = self._journal.trades(since, None, None)
        if since > first:  # what happened at that very moment belongs to the start
            within = [each for each in within if each.fill.at > since]
        deposits = self._journal.snapshot(now).books.deposits - start.deposits
        pnl = account.equity - start.equity - deposits
        return Performance(
            period=period,
            since=since,
            start_equity=start.equity,
            equity=account.equity,
            deposits=deposits,
            realised=exact_sum(each.realised for each in within),
            fees=exact_sum(each.fill.fee for each in within),
            pnl=pnl,
            pnl_pct=pnl / start.equity * _HUNDRED if start.equity > 0 else _ZERO,
        )

    async def equity_at(self, at: datetime) -> Decimal:
        """Return equity at a past time: the journal up to then at the last closed prices before it.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        return self._point_at(at).equity

    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """Return the differences between venue and ledger that the last `reconcile` found."""
        return self._journal.snapshot(self._market.now()).discrepancies

    async def _execute(self, intent: OrderIntent) -> Execution:
        order_id = intent.request.client_order_id
        stored = self._journal.store(intent, self._token, self._wall_clock(), self._market.now())
        self._checkpoint("stored")
        if stored.intent.request == intent.request and stored.state is IntentState.STORED:
            async with self._turn:
                await self._send(stored)
        stored = self._stored(order_id)
        if stored.state is IntentState.SENT:
            await self._await_peer(stored)
        elif stored.state is IntentState.WORKING:
            await self._resolve(stored)
        return self._execution(order_id)

    async def _send(self, stored: StoredIntent) -> None:
        """Assess, claim, submit and settle; whatever happens, the outcome or the doubt is on record."""
        request = stored.intent.request
        if not await self._claim(request):
            return
        self._checkpoint("claimed")
        if self._wall_clock() - self._stored(request.client_order_id).claimed_at > timedelta(seconds=SEND_WINDOW_S / 2):
            self._close(request, IntentState.SENT, IntentState.UNSENT, "too_late")
            return
        try:
            order = await asyncio.wait_for(self._venue.submit(request), SUBMIT_TIMEOUT_S)
        except OrderRejected as error:
            self._close(request, IntentState.SENT, IntentState.REJECTED, *error.codes)
        except VenueUnavailable:
            self._close(request, IntentState.SENT, IntentState.UNSENT, "venue_unavailable")
        except (OrderUncertain, TimeoutError):
            await self._look_up(request, is_over=True)
        else:
            self._checkpoint("submitted")
            await self._settle_quietly([order])
            self._checkpoint("settled")

    async def _claim(self, request: OrderRequest) -> bool:
        """Take the intent for sending once the gate allows it on figures that still hold; otherwise deny it."""
        for _ in range(_CLAIM_ATTEMPTS):
            version, report = await self._assess(request)
            self._checkpoint("assessed")
            if not report.is_allowed:
                self._close(request, IntentState.STORED, IntentState.DENIED, *report.reasons)
                return False
            order_id, wall = request.client_order_id, self._wall_clock()
            if self._journal.claim(order_id, version, self._token, wall, self._market.now()):
                return True
            if self._stored(order_id).state is not IntentState.STORED:
                return False
        self._close(request, IntentState.STORED, IntentState.DENIED, "busy")
        return False

    async def _resolve(self, stored: StoredIntent) -> None:
        """Find out what became of an intent, without ever sending it; what cannot be known stays as it is."""
        request = stored.intent.request
        if request.client_order_id in self._sending and stored.state is not IntentState.WORKING:
            return
        match stored.state:
            case IntentState.STORED:
                if self._is_over(stored):
                    self._close(request, IntentState.STORED, IntentState.UNSENT, "interrupted")
            case IntentState.SENT:
                await self._look_up(request, is_over=self._is_over(stored))
            case IntentState.WORKING:
                await self._look_up(request, is_over=False)
            case IntentState.DONE | IntentState.REJECTED | IntentState.DENIED | IntentState.UNSENT:
                return
            case _:
                assert_never(stored.state)

    async def _look_up(self, request: OrderRequest, *, is_over: bool) -> None:
        """Ask the venue for an order and settle it; one that it does not have is unsent once its sending is over."""
        try:
            order = await self._venue.fetch_order(request.client_order_id)
        except VenueUnavailable:
            return
        if order is not None:
            await self._settle_quietly([order])
        elif is_over:
            self._close(request, IntentState.SENT, IntentState.UNSENT, "not_sent")

    async def _await_peer(self, stored: StoredIntent) -> None:
        """Wait a little for the process that is sending the same intent."""
        tries = max(int(PEER_WAIT_S / _PEER_POLL_S), 1)
        for _ in range(tries):
            request = stored.intent.request
            await self._look_up(request, is_over=self._is_over(stored))
            stored = self._stored(request.client_order_id)
            if stored.state is not IntentState.SENT or self._is_over(stored):
                return
            await asyncio.sleep(_PEER_POLL_S)

    def _is_over(self, stored: StoredIntent) -> bool:
        """Return whether the process that handles an intent can no longer send it."""
        if stored.claimed_by == self._token or has_ended(stored.claimed_by):
            return True
        return self._wall_clock() - stored.claimed_at > timedelta(seconds=SEND_WINDOW_S)

    def _forget(self, order_id: str, task: asyncio.Task[Execution]) -> None:
        self._sending.pop(order_id, None)
        if not task.cancelled():
            task.exception()  # read here, because every caller may be gone

    def _close(self, request: OrderRequest, seen: IntentState, state: IntentState, *reasons: str) -> None:
        self._journal.close(request.client_order_id, seen, state, reasons, self._market.now())

    def _stored(self, order_id: str) -> StoredIntent:
        stored = self._journal.intent(order_id)
        assert stored is not None, "an intent is never deleted"
        return stored

    def _execution(self, order_id: str) -> Execution:
        execution = self._journal.execution(order_id)
        assert execution is not None, "an intent is never deleted"
        return execution

    def _executions(self, seen: Iterable[StoredIntent]) -> tuple[Execution, ...]:
        return tuple(self._execution(stored.intent.request.client_order_id) for stored in seen)

    async def _settle(self, orders: Iterable[VenueOrder] = ()) -> int:
        """Book new fills and note orders; the orders must have been read before."""
        new_fills = await self._venue.fills(self._journal.fill_cursor())
        return self._journal.settle(orders, new_fills, self._market.now())

    async def _settle_quietly(self, orders: Iterable[VenueOrder] = ()) -> None:
        """Settle, or note only the orders while the venue does not tell its fills; they are booked later."""
        noted = list(orders)
        try:
            await self._settle(noted)
        except VenueUnavailable:
            self._journal.settle(noted, (), self._market.now())

    async def _refresh_orders(self) -> None:
        """Bring every order that was not final up to date, protective children included."""
        orders = {order.request.client_order_id: order for order in await self._venue.open_orders()}
        for order_id in self._journal.unfinished_orders():
            if order_id not in orders:
                order = await self._venue.fetch_order(order_id)
                if order is not None:
                    orders[order_id] = order
        await self._settle(orders.values())

    async def _compare_balances(self) -> None:
        """Note where venue and ledger differ, once no fill came in between."""
        for _ in range(_CLAIM_ATTEMPTS):
            before = self._journal.fill_cursor()
            balances = await self._venue.balances()
            await self._settle()
            if self._journal.fill_cursor() == before:
                self._journal.note_discrepancies(self._differences(balances))
                return

    def _differences(self, balances: Mapping[str, Decimal]) -> list[Discrepancy]:
        books = self._journal.snapshot(self._market.now()).books
        instruments = self._market.instruments()
        ours = {ACCOUNT_CURRENCY: books.cash}
        for symbol, holding in books.open_holdings().items():
            asset = account_asset(instruments[symbol].base) if symbol in instruments else symbol
            ours[asset] = exact_sum((ours.get(asset, _ZERO), holding.quantity))
        theirs: dict[str, Decimal] = {}
        for asset, quantity in balances.items():
            theirs[account_asset(asset)] = exact_sum((theirs.get(account_asset(asset), _ZERO), quantity))
        assets = sorted({*ours, *theirs})
        return [
            Discrepancy(asset, theirs.get(asset, _ZERO), ours.get(asset, _ZERO))
            for asset in assets
            if theirs.get(asset, _ZERO) != ours.get(asset, _ZERO)
        ]

    async def _assess(self, order: OrderRequest) -> tuple[int, RiskReport]:
        """Return the version of the record that was judged, and the judgement."""
        now = self._market.now()
        instrument = self._market.instruments().get(order.symbol)
        quote = self._quote(order.symbol)
        try:
            account, snapshot = await self._observe(must_be_fresh=True)
        except (DataUnavailable, VenueUnavailable):
            return -1, RiskReport((), ("no_account",))
        if instrument is not None:
            broken = validate_order(order, instrument, quote)
            if account_asset(instrument.quote) != ACCOUNT_CURRENCY:
                broken = (*broken, "currency")
            if broken:
                return snapshot.version, RiskReport((), broken)
        report = assess_order(order, instrument, quote, account, self._limits, now)
        if snapshot.discrepancies and not lowers_risk(order, account):
            report = replace(report, reasons=(*report.reasons, "unreconciled"))
        return snapshot.version, report

    async def _observe(self, *, must_be_fresh: bool = False) -> tuple[AccountState, Snapshot]:
        """Return the account now with the record that it was read from; unresolved intents count as resting orders.

        Raises:
            DataUnavailable: A held symbol has no price, or only a stale one where it must be fresh.
            VenueUnavailable: The venue did not answer.
        """
        orders = list(await self._venue.open_orders())
        await self._settle(orders)
        now = self._market.now()
        snapshot = self._journal.snapshot(now)
        known = {order.request.client_order_id for order in orders}
        orders.extend(
            VenueOrder(each.intent.request, "", OrderStatus.OPEN, _ZERO, None, each.updated_at, each.updated_at)
            for each in snapshot.sent
            if each.intent.request.client_order_id not in known
        )
        positions = {symbol: holding.position() for symbol, holding in snapshot.books.open_holdings().items()}
        resting = {order.request.symbol for order in orders} - set(positions)
        marks = {symbol: self._mark(symbol, now, must_be_fresh=must_be_fresh) for symbol in positions}
        marks |= {symbol: quote.mid for symbol in resting if (quote := self._quote(symbol)) is not None}
        equity = snapshot.books.equity(marks)
        account = AccountState(
            cash=snapshot.books.cash,
            positions=positions,
            marks=marks,
            equity=equity,
            day_start_equity=self._day_start_equity(now),
            peak_equity=max(snapshot.peak_equity, snapshot.books.deposits, equity),
            open_orders=tuple(orders),
            recent_orders=snapshot.recent_orders,
        )
        return account, snapshot

    def _quote(self, symbol: str) -> Quote | None:
        try:
            return self._market.quote(symbol)
        except DataUnavailable:
            return None

    def _mark(self, symbol: str, now: datetime, *, must_be_fresh: bool) -> Decimal:
        quote = self._market.quote(symbol)
        if must_be_fresh and quote.is_open and now - quote.at > timedelta(seconds=self._limits.max_quote_age_s):
            raise DataUnavailable(
                f"the price of {symbol} is from {quote.at:%Y-%m-%d %H:%M} UTC",
                code="old_price",
                symbol=symbol,
                at=f"{quote.at:%Y-%m-%d %H:%M} UTC",
            )
        return quote.mid

    def _day_start_equity(self, now: datetime) -> Decimal:
        marked = self._journal.start_equity(f"{now:%Y-%m-%d}")
        return self._point_at(_midnight(now)).equity if marked is None else marked

    async def _mark_equity(self) -> None:
        """Mark the day's start and its highest equity; without prices there is nothing to mark."""
        try:
            account = await self.account()
        except (DataUnavailable, VenueUnavailable):
            return
        day = f"{self._market.now():%Y-%m-%d}"
        self._journal.mark_equity(day, account.day_start_equity, account.peak_equity)

    def _point_at(self, at: datetime) -> EquityPoint:
        """Return the account at a past time; up to the first deposit that is the deposit alone."""
        events = self._journal.events()
        first = _first_deposit_at(events, at)
        if at <= first:
            events = [event for event in events if isinstance(event, Deposit) and event.at <= first]
        return equity_curve(events, [max(at, first)], self._marks_at)[0]

    def _marks_at(self, symbols: Iterable[str], at: datetime) -> Mapping[str, Decimal]:
        return {symbol: self._price_at(symbol, at) for symbol in symbols}

    def _price_at(self, symbol: str, at: datetime) -> Decimal:
        """Return the close of the last bar that had closed by then."""
        instrument = self._market.instruments().get(symbol)
        if instrument is None:
            raise DataUnavailable(f"{symbol} is not an instrument of {self._market.name}")
        bars = self._market.bars_between(symbol, at - _PRICE_WINDOW, at)
        step = TIMEFRAME_S[bars.timeframe]
        for row in range(len(bars) - 1, -1, -1):
            if utc_from_seconds(int(bars.time[row]) + step) <= at:
                return decimal_price(float(bars.close[row]), instrument)
        raise DataUnavailable(f"no price of {symbol} before {at:%Y-%m-%d %H:%M} UTC")

    def _period_start(self, period: Period) -> datetime | None:
        now = self._market.now()
        today = _midnight(now)
        match period:
            case "today":
                return today
            case "7d":
                return now - timedelta(days=7)
            case "30d":
                return now - timedelta(days=30)
            case "mtd":
                return today.replace(day=1)
            case "ytd":
                return today.replace(month=1, day=1)
            case "all":
                return None
            case _:
                assert_never(period)


def _first_deposit_at(events: Iterable[Deposit | Fill], otherwise: datetime) -> datetime:
    return min((event.at for event in events if isinstance(event, Deposit)), default=otherwise)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _position_status(position: Position, account: AccountState, holding: Holding) -> PositionStatus:
    mark, is_long = account.marks[position.symbol], position.quantity > 0
    unrealised = holding.unrealised(mark)
    protection = [
        (order.request.order_type, order.request.price)
        for order in account.open_orders
        if order.parent_id is not None
        and order.request.symbol == position.symbol
        and order.status is not OrderStatus.WAITING
        and order.request.side.sign * position.quantity < 0
    ]
    stops = [price for kind, price in protection if kind is OrderType.STOP and price is not None]
    targets = [price for kind, price in protection if kind is OrderType.LIMIT and price is not None]
    return PositionStatus(
        position=position,
        mark=mark,
        notional=abs(position.quantity) * mark,
        unrealised=unrealised,
        unrealised_pct=unrealised / abs(holding.cost) * _HUNDRED if holding.cost else _ZERO,
        stop_loss=(max(stops) if is_long else min(stops)) if stops else None,
        take_profit=(min(targets) if is_long else max(targets)) if targets else None,
    )
