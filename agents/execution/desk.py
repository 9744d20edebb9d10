"""The desk: the one door between everybody who trades and a venue.

It holds no logic of its own; each of its parts does one thing: `sending` (at most once, whatever crashes), `judging`
(the risk gate), `settling` (fills into the books, exactly once), `closing`, `halting`, `trailing`, `reconciling`,
`accounting`. A *book* is a sub-ledger of the one account at the venue: `main` is the owner's, every agent has its own.
Where a book may be named, None means the whole account, which is exactly the sum of all books.

Database calls are synchronous inside the async methods: they are local and short, and no transaction spans an
`await`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine

from agents.execution.accounting import Accountant, Period
from agents.execution.claims import process_token
from agents.execution.closing import Closer
from agents.execution.control_store import read_all_limits, write_limits
from agents.execution.halting import Halter, active
from agents.execution.journal import Journal
from agents.execution.judging import Judge
from agents.execution.kill_file import KillFile
from agents.execution.ledger_rows import update_state
from agents.execution.observing import Observer
from agents.execution.parts import DeskParts, Fence, check_book, no_checkpoint, wall_clock
from agents.execution.positions import position_statuses
from agents.execution.reconciling import Reconciler
from agents.execution.sending import Sender, client_order_id
from agents.execution.settling import Settler
from agents.execution.trailing import Trailer
from agents.execution.treasury import Treasurer
from agents.execution.values import Discrepancy, Execution, OrderIntent, Performance, PositionStatus, SettledFill
from agents.risk.gate import standing_limits
from agents.risk.states import WHOLE_ACCOUNT, StateChange, TradingState
from agents.risk.trailing import TrailingStop
from agents.risk.values import AccountState, LimitCheck, RiskLimits, RiskReport
from engine.domain.errors import OrderRejected, VenueUnavailable
from engine.domain.orders import OrderRequest, VenueOrder
from engine.domain.protocols import MarketData, Venue
from engine.ledger import ACCOUNT_CURRENCY, MAIN_BOOK, EquityPoint, Event

__all__ = ["Desk", "Period", "client_order_id"]


class Desk:
    """Sends orders, settles fills, knows the account and its books.

    Reads settle new fills first, so that they are never behind the venue. One desk serves all conversations and agents
    of a process; several processes may share the database.

    Args:
        database: Where intents, journal and books live.
        venue: Where orders go.
        market: Prices and the present.
        limits: What the risk gate enforces for the whole account.
        starting_cash: Deposited into an empty ledger, once in the life of the database; None: the ledger opens with
            what the venue holds.
        groups: Group of each symbol that moves with others, for `group_exposure_ratio`.
        kill_file: A file that stops everything while it is there.
        wall_clock: The real present, against which claims are judged (the market may be a replay).
        checkpoint: Called with the name of each step; crash tests stop the process there.
        fence: Must stand when what an agent wants is sent; None where no other process can lead. What closes on
            behalf of a halt, or of a person, needs none.
    """

    def __init__(
        self,
        database: Engine,
        venue: Venue,
        market: MarketData,
        limits: RiskLimits,
        *,
        starting_cash: Decimal | None,
        groups: Mapping[str, str] | None = None,
        kill_file: KillFile | None = None,
        wall_clock: Callable[[], datetime] = wall_clock,
        checkpoint: Callable[[str], None] = no_checkpoint,
        fence: Fence | None = None,
    ) -> None:
        self._journal = Journal(database, venue.name)
        token = process_token()
        parts = DeskParts(venue, market, self._journal, limits, token, groups or {}, wall_clock, checkpoint, fence)
        self._parts = parts
        self._starting_cash = starting_cash
        self._accountant = Accountant(self._journal, market)
        self._settler = Settler(parts)
        self._observer = Observer(parts, self._settler, self._accountant)
        self._judge = Judge(parts, self._observer, kill_file)
        self._sender = Sender(parts, self._settler, self._judge)
        self._closer = Closer(parts, self._observer, self._settler, self._sender)
        self._halter = Halter(parts, self._observer, self._closer, kill_file)
        self._trailer = Trailer(parts, self._observer, self._closer)
        self._reconciler = Reconciler(parts, self._observer, self._settler, self._sender)
        self._treasurer = Treasurer(parts, self._observer)

    @property
    def venue_name(self) -> str:
        """Return the venue's name (`paper`, `binance-testnet`, `binance`)."""
        return self._parts.venue.name

    @property
    def market(self) -> MarketData:
        """Return the market whose prices the desk uses."""
        return self._parts.market

    async def start(self) -> tuple[Execution, ...]:
        """Open the ledger if it is empty, then `reconcile`. Call once before anything else.

        Raises:
            ConfigError: A stored limit is not one that the gate knows.
        """
        with self._journal.reading() as connection:
            read_all_limits(connection)
        await self._treasurer.open(self._starting_cash)
        return await self.reconcile()

    async def execute(self, intent: OrderIntent) -> Execution:
        """Send an intent's order at most once and return what became of it.

        Safe to repeat and to call at once from anywhere: the same source never sends a second order; a repeat
        returns the present outcome. Does not raise for a refusal or a doubt, it tells by state:
        DENIED (risk gate; `reasons`), REJECTED (venue; `reasons`), UNSENT (surely never reached the venue),
        SENT with reason `uncertain` (not known yet; `reconcile` settles it), WORKING, DONE.
        A cancelled caller does not cancel the sending.

        Raises:
            InvalidRequest: `client_order_id` (the request's id is not the one of its source), `book` (no name of a
                book) or `intent_conflict` (the source was used before with other terms).
            NotLeading: It is an agent's and this process does not lead (any more); nothing was sent.
            DataUnavailable: Our database did not answer; ask again, or `reconcile`, to learn the outcome.
        """
        fence = None if intent.book == MAIN_BOOK else self._parts.fence
        execution = await self._sender.execute(intent, fence=fence)
        if "drawdown" in execution.reasons or "halted" in execution.reasons:
            await self.watch()
        return execution

    async def abandon(self, intent: OrderIntent) -> Execution:
        """Make sure that an intent is not sent from now on, and return what became of it.

        For what a crash left behind: an intent that was never handed over ends UNSENT (reason `interrupted`), also
        when it had not been stored yet; one that may have been is looked up. One that this desk is sending right
        now is waited for.
        """
        return await self._sender.abandon(intent)

    async def reconcile(self) -> tuple[Execution, ...]:
        """Settle everything that is not final and return it; a second run changes nothing.

        Looks up intents of unknown outcome, settles new fills (of resting orders and protective children too),
        updates order states, marks results, compares the venue's balances with the books, goes on with halts, moves
        trailing stops. A venue that does not answer leaves everything as it was.
        """
        seen = await self._reconciler.reconcile()
        before = self._journal.version()
        await self.watch()
        if self._journal.version() != before:
            await self._reconciler.reconcile()  # what a halt cancelled and closed just now is noted too
        return tuple(self._sender.told(stored.intent.request.client_order_id) for stored in seen)

    async def watch(self) -> tuple[StateChange, ...]:
        """Look after what needs care between orders, and return the halts that stand; cheap enough for every second.

        The kill file, drawdowns at their limit, halts that are not done, trailing stops, and protection of positions
        that are gone.
        """
        self._halter.obey_file()
        try:
            look = await self._observer.look()
            self._halter.check_drawdowns(look)
            await self._closer.trim(look)
            await self._trailer.move(look)
        except (OrderRejected, VenueUnavailable):
            pass  # left to the next call; the gate lets nothing pass that it cannot judge
        await self._halter.carry_on()
        return self._halter.standing()

    async def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent as last settled, without asking the venue; None for an unknown id."""
        return self._journal.execution(client_order_id)

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order (`VenueOrder.request.client_order_id`); harmless when it is final.

        Raises:
            OrderRejected: No such order.
            VenueUnavailable: No answer; it may stand.
        """
        return await self._closer.cancel(client_order_id)

    async def cancel_all(self, book: str | None = None) -> tuple[VenueOrder, ...]:
        """Cancel what rests of a book (None: of all); protection of what is held stays.

        Raises:
            VenueUnavailable: No answer; some may stand.
        """
        return await self._closer.cancel_all(book)

    async def close(self, book: str, symbol: str, source: str, *, owner: str = "") -> Execution | None:
        """Cancel what rests of a book in a symbol and close what it holds there, at most once for a source.

        Other books that hold the same symbol keep their positions and their protection.

        Returns:
            What became of the closing order; None when there was nothing to close.

        Raises:
            InvalidRequest: `book`.
            VenueUnavailable: No answer.
        """
        return await self._closer.close(book, symbol, source, owner or book)

    async def flatten(self, book: str | None = None, *, owner: str = "") -> tuple[Execution, ...]:
        """Close everything a book holds (None: all books); trading goes on (`halt` stops it).

        Raises:
            VenueUnavailable: No answer.
        """
        await self._closer.cancel_all(book)
        return await self._closer.flatten(book, "flatten", owner or book or MAIN_BOOK)

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled; None takes that part away.

        Raises:
            OrderRejected: `unknown_order`, `nothing_held`, `halted`, `price_side`, `tick`; what stood before stands.
            OrderUncertain: No answer; look the children up.
            VenueUnavailable: Nothing was handed over.
        """
        return await self._closer.protect(client_order_id, stop_loss, take_profit)

    async def trail(
        self, client_order_id: str, *, distance: Decimal, activation: Decimal | None = None
    ) -> TrailingStop:
        """Let the stop of what an order filled follow the price, at a share of the best one; survives a restart.

        Args:
            client_order_id: Of the entry.
            distance: Share of the best price (0–1).
            activation: Price that must be reached first.

        Raises:
            InvalidRequest: `trailing_distance`, `trailing_activation`.
            OrderRejected: `unknown_order`.
            VenueUnavailable: No answer.
        """
        return await self._trailer.trail(client_order_id, TrailingStop(distance, activation))

    def untrail(self, client_order_id: str) -> None:
        """Leave the stop of an order where it stands."""
        self._trailer.untrail(client_order_id)

    def trails(self) -> Mapping[str, TrailingStop]:
        """Return the trailing stops by the client order id of their entry."""
        return self._trailer.trails()

    async def assess(self, order: OrderRequest, *, book: str = MAIN_BOOK) -> RiskReport:
        """Return what the venue's rules and the risk gate say of an order now, without sending it.

        `reasons` may hold codes of the venue's rules (`lot`, `min_notional`, `price_side`, …), of the gate, of the
        trading states (`halted`, `reducing`), `unreconciled` and `opposed` (another book holds the other side). A venue
        that does not answer gives `no_account`.
        """
        return (await self._judge.judge(order, check_book(book))).report

    async def account(self, book: str | None = None) -> AccountState:
        """Return the account or a book now, marked to market.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        return self._observer.account(await self._observer.look(), book)

    async def limits(self, book: str | None = None) -> tuple[LimitCheck, ...]:
        """Return every limit of the account or a book as it stands without a new order (`before` equals `after`)."""
        limits = self._parts.limits if book is None else self.book_limits(book) or self._parts.limits
        return standing_limits(await self.account(book), limits)

    async def set_book_limits(self, book: str, limits: RiskLimits) -> None:
        """Say what the gate enforces for a book beside the account's limits; an agent's book needs some to trade."""
        with self._journal.writing() as (connection, state):
            if write_limits(connection, check_book(book), limits):
                update_state(connection, version=state["version"] + 1)

    def book_limits(self, book: str) -> RiskLimits | None:
        """Return what the gate enforces for a book; None when nobody said."""
        with self._journal.reading() as connection:
            return read_all_limits(connection).get(book)

    def books(self) -> tuple[str, ...]:
        """Return the names of the books that money has touched."""
        return tuple(sorted(self._journal.snapshot(self._parts.now()).accounts.books))

    async def positions(self, book: str | None = None) -> tuple[PositionStatus, ...]:
        """Return open positions with marks and protective prices, by symbol.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        look = await self._observer.look()
        return position_statuses(self._observer.account(look, book), look.snapshot.accounts.of(book))

    async def open_orders(self, book: str | None = None) -> tuple[VenueOrder, ...]:
        """Return orders that are not final, oldest first; protective children (also waiting) carry `parent_id`.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        orders = tuple(await self._parts.venue.open_orders())
        await self._settler.settle(orders)
        if book is None:
            return orders
        return tuple(each for each in orders if self._journal.book_of(each.request.client_order_id) == book)

    async def unknown_orders(self) -> tuple[VenueOrder, ...]:
        """Return orders that rest at the venue and are not ours: told, never touched.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        return await self._reconciler.unknown_orders()

    async def find_order(self, order_id: str) -> VenueOrder | None:
        """Return the open order that a person means: by the venue's short id or by client order id."""
        for order in await self.open_orders():
            if order_id in (order.venue_order_id, order.request.client_order_id):
                return order
        return None

    async def trades(
        self, period: Period = "all", *, symbol: str | None = None, limit: int = 100, book: str | None = None
    ) -> tuple[SettledFill, ...]:
        """Return settled fills within a period, newest first."""
        await self._settler.settle_quietly()
        return tuple(self._journal.trades(self._accountant.since(period), symbol, limit, book))

    async def performance(self, period: Period = "all", book: str | None = None) -> Performance:
        """Return profit and loss of the account or a book within a period.

        Raises:
            DataUnavailable: A position held now or at the period's start has no price.
            VenueUnavailable: The venue did not answer.
        """
        return self._accountant.performance(period, await self.account(book), book)

    async def equity_at(self, at: datetime, book: str | None = None) -> Decimal:
        """Return equity at a past time: the journal up to then at the last closed prices before it.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        return self._accountant.point_at(at, book).equity

    async def equity_curve(self, times: Sequence[datetime], book: str | None = None) -> list[EquityPoint]:
        """Return equity, deposits and profit at each of some past times, ascending.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        return self._accountant.curve(times, book)

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        """Move cash between books, once for a source; return whether it stands moved (also when it was before).

        False: the giving book has not that much free cash, and nothing was moved.

        Raises:
            InvalidRequest: `book`, `transfer_amount`, `transfer_source`, or `transfer_conflict` (the source stands for
                another transfer).
            DataUnavailable, VenueUnavailable: It may have been moved or not; ask again.
        """
        return await self._treasurer.transfer(amount, from_book, to_book, source)

    async def deposit(
        self, quantity: Decimal, source: str, *, asset: str = ACCOUNT_CURRENCY, book: str = MAIN_BOOK
    ) -> bool:
        """Book what was paid in from outside (below 0: paid out), once for a source; return whether this call did.

        Raises:
            InvalidRequest: `book`, `deposit_amount`, `transfer_source`.
            DataUnavailable: An asset that is not money has no price.
        """
        return await self._treasurer.deposit(quantity, source, asset, book)

    def events(self) -> list[Event]:
        """Return all that happened to money, in booking order; `engine.ledger.replay_events` makes the books of it."""
        return self._journal.booked_events()

    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """Return the differences between venue and books that the last `reconcile` found."""
        return self._journal.snapshot(self._parts.now()).discrepancies

    def state(self, book: str | None = None) -> StateChange:
        """Return the trading state of a book or the account, with who set it, when and why."""
        known = self._halter.states().get(WHOLE_ACCOUNT if book is None else book)
        return known or active(book, self._parts.now())

    def states(self) -> Mapping[str, StateChange]:
        """Return the states of everything that ever had another than active, by book; the account's under `*`."""
        return self._halter.states()

    def state_history(self, book: str | None = None) -> list[StateChange]:
        """Return every change of state of a book, or of everything, oldest first."""
        return self._halter.history(book)

    async def set_state(self, book: str | None, state: TradingState, by: str, reason: str) -> StateChange:
        """Set a trading state: HALTED as `halt`, ACTIVE as `lift`, REDUCING at once.

        Raises:
            InvalidRequest: `book`, `kill_file`.
        """
        if state is TradingState.HALTED:
            return await self.halt(book, by, reason)
        if state is TradingState.ACTIVE:
            return await self.lift(book, by)
        return self._halter.set_state(book, state, by, reason)

    async def halt(self, book: str | None, by: str, reason: str) -> StateChange:
        """Stop a book (None: everything): nothing more is sent, what rests is cancelled, what is held is closed.

        Stands until `lift`, also across a restart; what could not be closed now is closed by `watch` or `reconcile`.
        """
        return await self._halter.halt(book, by, reason)

    async def kill(self, by: str, reason: str) -> StateChange:
        """Stop everything, at once and without any language model: `halt` for the whole account."""
        return await self._halter.halt(None, by, reason)

    async def lift(self, book: str | None, by: str) -> StateChange:
        """Let a book (None: the account) trade again, by a person; its drawdown counts from its present equity.

        Raises:
            InvalidRequest: `kill_file`: the file is still there.
            DataUnavailable, VenueUnavailable: The present equity is not known.
        """
        return await self._halter.lift(book, by)
