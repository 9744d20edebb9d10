"""What must hold of desk, books and venue whenever everything has been settled: one named check each."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from agents.execution.desk import Desk
from agents.execution.journal import intent_id
from agents.execution.values import IntentState, SettledFill
from agents.risk.states import WHOLE_ACCOUNT, TradingState
from agents.risk.values import AccountState
from engine.domain.orders import Fill, OrderStatus, VenueOrder
from engine.ledger import Accounts, account_asset, base_asset, exact_sum, replay, replay_events
from tests.agents.execution.fakes import CASH
from tests.agents.execution.place import Place

ZERO = Decimal(0)
SENT_ONCE = (IntentState.WORKING, IntentState.DONE)
NEVER_SENT = (IntentState.UNSENT, IntentState.DENIED)


@dataclass
class Facts:
    """Everything that the checks look at, read once."""

    desk: Desk
    accounts: Accounts
    trades: tuple[SettledFill, ...]
    venue_fills: list[Fill]
    sequences: list[int]
    open_orders: tuple[VenueOrder, ...]
    balances: Mapping[str, Decimal]
    figures: Mapping[str | None, AccountState]
    orders: Mapping[str, VenueOrder | None]

    def held(self, book: str, symbol: str) -> Decimal:
        holding = self.accounts.book(book).holdings.get(symbol)
        return ZERO if holding is None else holding.quantity

    def covered(self) -> Mapping[tuple[str, str], Decimal]:
        legs: dict[tuple[str, str, str], Decimal] = {}
        for each in self.open_orders:
            if each.parent_id is not None and each.status is not OrderStatus.WAITING:
                key = (self.book(each), each.request.symbol, each.parent_id)
                legs[key] = max(legs.get(key, ZERO), each.request.quantity - each.filled_quantity)
        found: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        for (book, symbol, _), quantity in legs.items():
            found[book, symbol] += quantity
        return found

    def book(self, order: VenueOrder) -> str:
        return self.desk._journal.book_of(order.request.client_order_id)


async def gather(desk: Desk, place: Place, sources: list[str]) -> Facts:
    rows = await place.venue.fills(0)
    books = [*desk.books()]
    return Facts(
        desk,
        desk._journal.snapshot(desk.market.now()).accounts,
        tuple(reversed(await desk.trades(limit=10**6))),
        [fill for _, fill in rows],
        [number for number, _ in rows],
        await desk.open_orders(),
        await place.venue.balances(),
        {name: await desk.account(name) for name in (None, *books)},
        {order_id: await place.venue.fetch_order(order_id) for order_id in sources},
    )


def every_book_is_in_balance(facts: Facts) -> None:
    assert all(books.imbalance() == 0 for books in facts.accounts.books.values())


def the_account_is_in_balance(facts: Facts) -> None:
    assert facts.accounts.total().imbalance() == 0


def the_journal_replays_to_the_same_books(facts: Facts) -> None:
    assert dict(replay_events(facts.desk.events()).books) == dict(facts.accounts.books)


def postings_sum_to_the_cash_of_each_book(facts: Facts) -> None:
    balances = replay(facts.desk._journal.entries())
    for name, books in facts.accounts.books.items():
        assert balances["cash" if name == "main" else f"cash@{name}"] == books.cash


def the_cash_of_all_books_is_the_account_s(facts: Facts) -> None:
    assert exact_sum(b.cash for b in facts.accounts.books.values()) == facts.accounts.total().cash


def cash_is_what_the_venue_holds(facts: Facts) -> None:
    assert facts.accounts.total().cash == facts.balances["USD"]


def holdings_are_what_the_venue_holds(facts: Facts) -> None:
    for symbol, holding in facts.accounts.total().holdings.items():
        assert holding.quantity == facts.balances.get(account_asset(base_asset(symbol)), ZERO)


def the_venue_holds_nothing_else(facts: Facts) -> None:
    ours = {"USD", *(account_asset(base_asset(s)) for s in facts.accounts.total().holdings)}
    assert all(not quantity for asset, quantity in facts.balances.items() if asset not in ours)


def the_fills_of_a_book_are_its_position(facts: Facts) -> None:
    sums: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for trade in facts.trades:
        sums[trade.book, trade.fill.symbol] += trade.fill.quantity * trade.fill.side.sign
    for name, books in facts.accounts.books.items():
        for symbol, holding in books.holdings.items():
            assert holding.quantity == sums[name, symbol]


def every_fill_of_the_venue_is_booked_once(facts: Facts) -> None:
    assert sorted(t.fill.fill_id for t in facts.trades) == sorted(f.fill_id for f in facts.venue_fills)


def no_fill_of_the_venue_repeats(facts: Facts) -> None:
    assert len({fill.fill_id for fill in facts.venue_fills}) == len(facts.venue_fills)


def sequence_numbers_rise(facts: Facts) -> None:
    assert facts.sequences == sorted(set(facts.sequences))


def trades_are_numbered_without_gaps(facts: Facts) -> None:
    assert [trade.number for trade in facts.trades] == list(range(1, len(facts.trades) + 1))


def fees_are_those_of_the_fills(facts: Facts) -> None:
    for name, books in facts.accounts.books.items():
        assert books.fees == exact_sum(t.fill.fee for t in facts.trades if t.book == name)


def realised_profit_is_that_of_the_trades(facts: Facts) -> None:
    for name, books in facts.accounts.books.items():
        assert books.realised == exact_sum(t.realised for t in facts.trades if t.book == name)


def what_was_paid_in_is_the_starting_cash(facts: Facts) -> None:
    assert facts.accounts.total().deposits == CASH


def equity_is_the_sum_of_the_books(facts: Facts) -> None:
    parts = [state.equity for name, state in facts.figures.items() if name is not None]
    whole = facts.figures[None]
    assert whole.equity == exact_sum(parts)


def no_peak_is_below_equity(facts: Facts) -> None:
    assert all(state.peak_equity >= state.equity for state in facts.figures.values())


def no_book_is_short_of_what_cannot_be_shorted(facts: Facts) -> None:
    assert all(facts.held(name, "BTC/USDT") >= 0 for name in facts.accounts.books)


def no_two_books_stand_on_opposite_sides(facts: Facts) -> None:
    signs = {facts.held(name, "XAUUSD") > 0 for name in facts.accounts.books if facts.held(name, "XAUUSD")}
    assert len(signs) <= 1


def protection_never_exceeds_its_book(facts: Facts) -> None:
    for (book, symbol), quantity in facts.covered().items():
        assert quantity <= abs(facts.held(book, symbol)), (book, symbol, quantity)


def protection_stands_against_its_position(facts: Facts) -> None:
    for each in facts.open_orders:
        if each.parent_id is not None and each.status is not OrderStatus.WAITING:
            assert facts.held(facts.book(each), each.request.symbol) * each.request.side.sign < 0


def children_wait_only_beside_an_entry_that_rests(facts: Facts) -> None:
    resting = {each.request.client_order_id for each in facts.open_orders}
    for each in facts.open_orders:
        if each.status is OrderStatus.WAITING:
            assert each.parent_id in resting


def a_child_belongs_to_the_book_of_its_parent(facts: Facts) -> None:
    for trade in facts.trades:
        assert trade.book == facts.desk._journal.book_of(intent_id(trade.fill.client_order_id))


def an_intent_is_known_to_the_venue_or_never_sent(facts: Facts) -> None:
    for order_id, order in facts.orders.items():
        told = facts.desk._journal.execution(order_id)
        if told is None:
            assert order is None
        else:
            assert told.state in (SENT_ONCE if order is not None else NEVER_SENT), (told.state, order)


def an_order_is_told_as_the_venue_tells_it(facts: Facts) -> None:
    for order_id, order in facts.orders.items():
        told = facts.desk._journal.execution(order_id)
        if order is not None and told is not None:
            assert told.order == order


def an_order_s_fills_are_what_the_venue_says_it_filled(facts: Facts) -> None:
    for order_id, order in facts.orders.items():
        told = facts.desk._journal.execution(order_id)
        if order is not None and told is not None:
            assert exact_sum(fill.quantity for fill in told.fills) == order.filled_quantity <= order.request.quantity


def nothing_differs_from_the_venue(facts: Facts) -> None:
    assert facts.desk.discrepancies() == ()


def a_settled_halt_has_left_nothing(facts: Facts) -> None:
    for name, change in facts.desk.states().items():
        if change.state is TradingState.HALTED and change.is_settled:
            books = list(facts.accounts.books) if name == WHOLE_ACCOUNT else [name]
            assert all(not facts.accounts.book(each).open_holdings() for each in books)
            assert not [each for each in facts.open_orders if facts.book(each) in books]


def every_settled_halt_is_in_the_history(facts: Facts) -> None:
    numbers = [change.number for change in facts.desk.state_history()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(change.number in numbers for change in facts.desk.states().values())


TRUTHS: tuple[Callable[[Facts], None], ...] = (
    every_book_is_in_balance,
    the_account_is_in_balance,
    the_journal_replays_to_the_same_books,
    postings_sum_to_the_cash_of_each_book,
    the_cash_of_all_books_is_the_account_s,
    cash_is_what_the_venue_holds,
    holdings_are_what_the_venue_holds,
    the_venue_holds_nothing_else,
    the_fills_of_a_book_are_its_position,
    every_fill_of_the_venue_is_booked_once,
    no_fill_of_the_venue_repeats,
    sequence_numbers_rise,
    trades_are_numbered_without_gaps,
    fees_are_those_of_the_fills,
    realised_profit_is_that_of_the_trades,
    what_was_paid_in_is_the_starting_cash,
    equity_is_the_sum_of_the_books,
    no_peak_is_below_equity,
    no_book_is_short_of_what_cannot_be_shorted,
    no_two_books_stand_on_opposite_sides,
    protection_never_exceeds_its_book,
    protection_stands_against_its_position,
    children_wait_only_beside_an_entry_that_rests,
    a_child_belongs_to_the_book_of_its_parent,
    an_intent_is_known_to_the_venue_or_never_sent,
    an_order_is_told_as_the_venue_tells_it,
    an_order_s_fills_are_what_the_venue_says_it_filled,
    nothing_differs_from_the_venue,
    a_settled_halt_has_left_nothing,
    every_settled_halt_is_in_the_history,
)
