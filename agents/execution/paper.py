"""The paper venue: an exchange of our own, on the prices of any market, kept in the database.

It stands in for a real exchange and keeps its promises: what it accepted is on disk before it answers, an id that
it knows is never accepted twice, resting orders fill while nobody looks, also across a restart. Every call first
matches the bars and quotes since it last looked (`advance`). One transaction covers one call, so that `kill -9`
leaves an order with its immediate fills, or nothing.

Database calls are synchronous inside the async methods: they are local and short, and no transaction spans an
`await`. Balances are whole holdings: resting orders reserve nothing here, the risk gate counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Engine, RowMapping, insert, or_, select, update

from agents.execution.book_tables import paper_takes
from agents.execution.paper_book import PaperBook, PaperOrder, Take
from agents.execution.rows import (
    DatabaseFailed,
    ensure_state,
    fill_values,
    read_fill,
    read_request,
    reading,
    request_values,
    writing,
)
from agents.execution.tables import paper_balances, paper_fills, paper_orders, paper_state
from engine.domain.errors import CopilotError, DataUnavailable, OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.market import Quote
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Side, VenueOrder
from engine.domain.protocols import MarketData
from engine.ledger import ACCOUNT_CURRENCY
from engine.sim.matching import MatchingSettings, validate_order

_WORKING = (OrderStatus.OPEN.value, OrderStatus.PARTIAL.value)
_UNFINISHED = (*_WORKING, OrderStatus.WAITING.value)
_FIRST_STATE = {"last_number": 0, "last_sequence": 0}
_LIQUIDITY_WINDOW = timedelta(days=1)
"""How far back the last closed bar is looked for, whose volume bounds what a quote bears."""


def _no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


class PaperVenue:
    """A venue that fills orders on a market's prices, without money.

    Args:
        database: Where its orders, fills and balances live.
        market: Prices and the present.
        starting_cash: What it holds for the account at the very beginning; later values change nothing.
        settings: Slippage and participation.
        checkpoint: Called with the name of each step inside a submit; crash tests stop the process there.
    """

    name = "paper"

    def __init__(
        self,
        database: Engine,
        market: MarketData,
        *,
        starting_cash: Decimal,
        settings: MatchingSettings | None = None,
        checkpoint: Callable[[str], None] = _no_checkpoint,
    ) -> None:
        self._database = database
        self._market = market
        self._starting_cash = starting_cash
        self._settings = settings or MatchingSettings()
        self._checkpoint = checkpoint
        self._is_prepared = False

    async def submit(self, order: OrderRequest) -> VenueOrder:
        """Accept an order and fill what fills at once; an id that is known returns that order unchanged.

        Raises:
            OrderRejected: It breaks the venue's rules, or its market order came outside the session.
            OrderUncertain: The database failed while the order was being stored.
            VenueUnavailable: There is no price, or the database cannot be read; it was not accepted.
        """
        self._advance()
        with self._writing(OrderUncertain) as (connection, state):
            row = _select_order(connection, order.client_order_id)
            if row is not None:
                return _read_paper_order(row).view()
            quote, now = self._judge(order), self._market.now()
            book = self._load(connection, state)
            entered = book.add(order, now)
            book.meet_quote(quote, now, self._quote_liquidity(order.symbol, now), entered)
            self._save(connection, book)
            self._checkpoint("paper: before commit")
        self._checkpoint("paper: after commit")
        return entered.view()

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order and its waiting children; harmless when it is final.

        Raises:
            OrderRejected: No such order.
        """
        self._advance()
        with self._writing() as (connection, state):
            row = _select_order(connection, client_order_id)
            if row is None:
                raise OrderRejected("unknown_order")
            order = _read_paper_order(row)
            if order.status.is_final:
                return order.view()
            book = self._load(connection, state)
            book.cancel(client_order_id, self._market.now())
            self._save(connection, book)
            return book.orders[client_order_id].view()

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled, old and new in one transaction; None takes that part away.

        Raises:
            OrderRejected: No such order (`unknown_order`), nothing of it is held (`nothing_held`), a price off the grid
                (`tick`) or that the market has passed (`price_side`).
            OrderUncertain: The database failed while the change was being stored.
            VenueUnavailable: There is no price, or the database cannot be read; nothing was changed.
        """
        self._advance()
        with self._writing(OrderUncertain) as (connection, state):
            row = _select_order(connection, client_order_id)
            if row is None or row["parent_id"] is not None:
                raise OrderRejected("unknown_order")
            book = self._load(connection, state, client_order_id)
            standing = {order.request.price for order in book.standing_protection(client_order_id)}
            if standing != {stop_loss, take_profit} - {None}:
                self._judge_protection(book.orders[client_order_id].request, stop_loss, take_profit)
            children = book.protect(client_order_id, stop_loss, take_profit, self._market.now())
            if book.touched:
                self._save(connection, book)
            self._checkpoint("paper: before protect commit")
        self._checkpoint("paper: after protect commit")
        return [child.view() for child in children]

    async def fetch_order(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, or None when there is none under this id."""
        self._advance()
        return self._read_order(client_order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return the orders that are not final, waiting children included, oldest first."""
        self._advance()
        query = select(paper_orders).where(paper_orders.c.status.in_(_UNFINISHED)).order_by(paper_orders.c.number)
        with self._reading() as connection:
            return [_read_paper_order(row).view() for row in connection.execute(query).mappings()]

    async def fills(self, after: int) -> Sequence[tuple[int, Fill]]:
        """Return fills with a sequence number above `after`, in order."""
        self._advance()
        query = select(paper_fills).where(paper_fills.c.sequence > after).order_by(paper_fills.c.sequence)
        with self._reading() as connection:
            return [(row["sequence"], read_fill(row)) for row in connection.execute(query).mappings()]

    async def balances(self) -> Mapping[str, Decimal]:
        """Return cash as `USD` and holdings by asset; short ones below zero."""
        self._advance()
        with self._reading() as connection:
            return _read_balances(connection)

    async def advance(self) -> int:
        """Match resting orders on the bars and quotes since the last look; return how many fills that made."""
        return self._advance()

    def _advance(self) -> int:
        query = select(paper_orders.c.symbol).where(paper_orders.c.status.in_(_WORKING)).limit(1)
        with self._reading() as connection:
            if connection.execute(query).first() is None:
                return 0
        with self._writing() as (connection, state):
            book = self._load(connection, state)
            for symbol in sorted(book.symbols()):
                self._match(book, symbol)
            if book.touched:
                self._save(connection, book)
            return len(book.new_fills)

    def _match(self, book: PaperBook, symbol: str) -> None:
        """Match one symbol; while the market has no data of it, its orders wait."""
        now = self._market.now()
        start = book.unmatched_since(symbol)
        try:
            quote = self._market.quote(symbol)
            if start < now:
                book.meet_bars(self._market.bars_between(symbol, start, now), quote.ask - quote.bid)
        except DataUnavailable:
            return
        book.meet_quote(quote, now, self._quote_liquidity(symbol, now), None)

    def _judge(self, order: OrderRequest) -> Quote:
        """Return the quote that an order meets, or refuse it."""
        instrument = self._market.instruments().get(order.symbol)
        if instrument is None:
            raise OrderRejected("symbol")
        try:
            quote = self._market.quote(order.symbol)
        except DataUnavailable as error:
            raise VenueUnavailable(f"no price of {order.symbol}: {error}") from error
        codes = validate_order(order, instrument, quote)
        if not quote.is_open and order.order_type is OrderType.MARKET:
            codes = (*codes, "market_closed")
        if codes:
            raise OrderRejected(*codes)
        return quote

    def _judge_protection(self, order: OrderRequest, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
        """Refuse protection off the grid or on the wrong side of the market."""
        instrument = self._market.instruments()[order.symbol]
        prices = [price for price in (stop_loss, take_profit) if price is not None]
        if any(price <= 0 or price % instrument.tick_size for price in prices):
            raise OrderRejected("tick")
        try:
            quote = self._market.quote(order.symbol)
        except DataUnavailable as error:
            raise VenueUnavailable(f"no price of {order.symbol}: {error}") from error
        touch = quote.bid if order.side is Side.BUY else quote.ask
        has_passed_stop = stop_loss is not None and (touch - stop_loss) * order.side.sign <= 0
        has_passed_target = take_profit is not None and (take_profit - touch) * order.side.sign <= 0
        if has_passed_stop or has_passed_target:
            raise OrderRejected("price_side")

    def _quote_liquidity(self, symbol: str, now: datetime) -> Decimal | None:
        """Return what the present quote bears: the last closed bar's share; no bound without volume."""
        try:
            bars = self._market.bars_between(symbol, now - _LIQUIDITY_WINDOW, now)
        except DataUnavailable:
            return None
        volume = Decimal(repr(float(bars.volume[-1]))) if len(bars) else Decimal(0)
        return volume * self._settings.participation_ratio if volume > 0 else None

    def _read_order(self, client_order_id: str) -> VenueOrder | None:
        with self._reading() as connection:
            row = _select_order(connection, client_order_id)
        return None if row is None else _read_paper_order(row).view()

    def _load(self, connection: Connection, state: RowMapping, *also: str) -> PaperBook:
        """Return the working copy: unfinished orders with their parents and siblings, and some others with theirs."""
        unfinished = select(paper_orders.c.client_order_id, paper_orders.c.parent_id).where(
            paper_orders.c.status.in_(_UNFINISHED)
        )
        families = {parent or own for own, parent in connection.execute(unfinished)} | set(also)
        named = paper_takes.c.client_order_id.in_(families) | paper_takes.c.entry_id.in_(families)
        rows = connection.execute(select(paper_takes).where(named)).all()
        families |= {row.entry_id for row in rows}
        family = or_(paper_orders.c.client_order_id.in_(families), paper_orders.c.parent_id.in_(families))
        query = select(paper_orders).where(family).order_by(paper_orders.c.number)
        orders = {row["client_order_id"]: _read_paper_order(row) for row in connection.execute(query).mappings()}
        balances = _read_balances(connection)
        instruments = self._market.instruments()
        takes = {(row.client_order_id, row.entry_id): Take(row.quantity, row.taken) for row in rows}
        book = PaperBook(instruments, self._settings, orders, balances, state["last_number"], state["last_sequence"])
        book.takes = takes
        return book

    def _save(self, connection: Connection, book: PaperBook) -> None:
        known = set(
            connection.scalars(
                select(paper_orders.c.client_order_id).where(paper_orders.c.client_order_id.in_(book.touched))
            )
        )
        for client_order_id in sorted(book.touched, key=lambda each: book.orders[each].number):
            values = _order_values(book.orders[client_order_id])
            if client_order_id in known:
                changed = update(paper_orders).where(paper_orders.c.client_order_id == client_order_id)
                connection.execute(changed.values(values))
            else:
                connection.execute(insert(paper_orders).values(values))
        for sequence, fill in book.new_fills:
            connection.execute(insert(paper_fills).values(sequence=sequence, **fill_values(fill)))
        _write_takes(connection, book.takes)
        _write_balances(connection, book.balances)
        counters = {"last_number": book.last_number, "last_sequence": book.last_sequence}
        connection.execute(update(paper_state).where(paper_state.c.id == 1).values(counters))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._prepare()
        try:
            with reading(self._database) as connection:
                yield connection
        except DatabaseFailed as error:
            raise VenueUnavailable(f"the paper venue's database cannot be read: {error}") from error

    @contextmanager
    def _writing(self, failure: type[CopilotError] = VenueUnavailable) -> Iterator[tuple[Connection, RowMapping]]:
        self._prepare()
        try:
            with writing(self._database, paper_state) as opened:
                yield opened
        except DatabaseFailed as error:
            raise failure(f"the paper venue's database cannot be written: {error}") from error

    def _prepare(self) -> None:
        """Make the state row and the starting balance, once in the life of the database."""
        if self._is_prepared:
            return
        cash = insert(paper_balances).values(asset=ACCOUNT_CURRENCY, quantity=self._starting_cash)
        try:
            ensure_state(self._database, paper_state, _FIRST_STATE, cash)
        except DatabaseFailed as error:
            raise VenueUnavailable(f"the paper venue's database cannot be prepared: {error}") from error
        self._is_prepared = True


def _select_order(connection: Connection, client_order_id: str) -> RowMapping | None:
    query = select(paper_orders).where(paper_orders.c.client_order_id == client_order_id)
    return connection.execute(query).mappings().first()


def _read_balances(connection: Connection) -> dict[str, Decimal]:
    return {row.asset: row.quantity for row in connection.execute(select(paper_balances))}


def _write_balances(connection: Connection, balances: Mapping[str, Decimal]) -> None:
    stored = _read_balances(connection)
    for asset, quantity in balances.items():
        if asset not in stored:
            connection.execute(insert(paper_balances).values(asset=asset, quantity=quantity))
        elif stored[asset] != quantity:
            connection.execute(update(paper_balances).where(paper_balances.c.asset == asset).values(quantity=quantity))


def _write_takes(connection: Connection, takes: Mapping[tuple[str, str], Take]) -> None:
    if not takes:
        return
    entries = paper_takes.c.entry_id.in_({entry_id for _, entry_id in takes})
    stored = {
        (row.client_order_id, row.entry_id): row for row in connection.execute(select(paper_takes).where(entries))
    }
    for (order_id, entry_id), take in takes.items():
        known, values = stored.get((order_id, entry_id)), {"quantity": take.quantity, "taken": take.taken}
        if known is None:
            connection.execute(insert(paper_takes).values(client_order_id=order_id, entry_id=entry_id, **values))
        elif (known.quantity, known.taken) != (take.quantity, take.taken):
            here = (paper_takes.c.client_order_id == order_id, paper_takes.c.entry_id == entry_id)
            connection.execute(update(paper_takes).where(*here).values(values))


def _order_values(order: PaperOrder) -> dict[str, object]:
    return {
        **request_values(order.request),
        "number": order.number,
        "status": order.status.value,
        "filled_quantity": order.filled_quantity,
        "filled_notional": order.filled_notional,
        "is_triggered": order.is_triggered,
        "parent_id": order.parent_id,
        "reason": order.reason,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "matched_until": order.matched_until,
    }


def _read_paper_order(row: RowMapping) -> PaperOrder:
    return PaperOrder(
        read_request(row),
        row["number"],
        OrderStatus(row["status"]),
        row["created_at"],
        row["updated_at"],
        row["matched_until"],
        row["filled_quantity"],
        row["filled_notional"],
        bool(row["is_triggered"]),
        row["parent_id"],
        row["reason"],
    )
