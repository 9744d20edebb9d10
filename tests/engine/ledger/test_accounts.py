"""Books of one account: exactly its parts after any history, and rebuilt from the events alone."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.orders import Fill, Side
from engine.ledger import (
    Accounts,
    BookedFill,
    Deposit,
    Event,
    Funding,
    Transfer,
    equity_curve,
    exact_product,
    exact_sum,
    post,
    replay,
    replay_events,
    split_by_holding,
)

D = Decimal
START = datetime(2026, 1, 5, tzinfo=UTC)
BOOKS = st.sampled_from(["main", "atlas", "nova"])
SYMBOLS = st.sampled_from(["BTC/USDT", "XAUUSD"])
MONEY = st.decimals("-5000", "5000", places=2).filter(bool)
SIZES = st.decimals("0.00001", "50", places=5)
PRICES = st.decimals("0.01", "90000", places=2)
FEES = st.sampled_from([("", "0"), ("BTC", "0.00001234"), ("BNB", "0.00789"), ("USDT", "1")])


@st.composite
def events(draw: st.DrawFn) -> Event:
    book = draw(BOOKS)
    match draw(st.integers(0, 6)):
        case 0:
            return Deposit("d", draw(MONEY), START, book)
        case 1:
            return Deposit("a", draw(PRICES), START, book, draw(SYMBOLS), draw(SIZES))
        case 2:
            return Transfer("t", abs(draw(MONEY)), book, draw(BOOKS.filter(lambda other: other != book)), START)
        case 3:
            return Funding("f", draw(SYMBOLS), draw(MONEY), book, START)
        case _:
            asset, quantity = draw(FEES)
            symbol, side = draw(SYMBOLS), Side(draw(st.sampled_from(["buy", "sell"])))
            fee = draw(st.decimals("0", "20", places=8))
            fill = Fill("x", "o", symbol, side, draw(SIZES), draw(PRICES), fee, False, START, asset, D(quantity))
            return BookedFill(fill, book)


@settings(max_examples=300, deadline=None)
@given(st.lists(events(), max_size=40))
def test_the_account_is_the_sum_of_its_books_to_the_last_digit(history: Sequence[Event]) -> None:
    accounts, entries = Accounts(), []
    for event in history:
        before = accounts
        accounts, entry = post(accounts, event)
        entries.append(entry)
        assert all(books.imbalance() == 0 for books in accounts.books.values())
        if isinstance(event, Transfer):
            assert accounts.total().cash == before.total().cash
            assert accounts.total().deposits == before.total().deposits
    total = accounts.total()
    assert total.imbalance() == 0
    assert replay_events(history) == accounts
    balances = replay(entries)
    marks = {"BTC/USDT": D("60123.45"), "XAUUSD": D("2650.1"), "BNB/USDT": D("612.3"), "BNB/USD": D(612)}
    marks |= {"BTC/USD": D(60000)}
    assert total.equity(marks) == exact_sum(books.equity(marks) for books in accounts.books.values())
    for name, books in accounts.books.items():
        suffix = "" if name == "main" else f"@{name}"
        assert balances.get(f"cash{suffix}", D(0)) == books.cash
        for symbol, holding in books.holdings.items():
            assert balances.get(f"holding:{symbol}{suffix}", D(0)) == holding.cost
            assert balances.get(f"fees:{symbol}{suffix}", D(0)) == holding.fees
            assert -balances.get(f"realised:{symbol}{suffix}", D(0)) == holding.realised
            assert -balances.get(f"funding:{symbol}{suffix}", D(0)) == holding.funding
    for symbol, holding in total.holdings.items():
        parts = [books.holdings[symbol] for books in accounts.books.values() if symbol in books.holdings]
        assert holding.quantity == exact_sum(part.quantity for part in parts)
        assert holding.unrealised(D(7)) == exact_sum(part.unrealised(D(7)) for part in parts)


@settings(max_examples=200, deadline=None)
@given(st.lists(events(), max_size=20), st.decimals("-100", "100", places=8), SYMBOLS)
def test_a_payment_is_split_without_losing_a_digit(history: Sequence[Event], amount: Decimal, symbol: str) -> None:
    parts = split_by_holding(amount, symbol, replay_events(history))
    assert exact_sum(parts.values()) == amount


def test_a_fee_in_the_base_asset_leaves_the_holding_at_its_worth() -> None:
    fill = Fill("1", "o", "BTC/USDT", Side.BUY, D(1), D(100), D("0.1"), False, START, "BTC", D("0.001"))
    accounts, entry = post(Accounts(), BookedFill(fill, "atlas"))
    books = accounts.book("atlas")
    assert (books.cash, books.fees, books.holdings["BTC/USDT"].quantity) == (D(-100), D("0.1"), D("0.999"))
    assert books.holdings["BTC/USDT"].cost == D("99.9")
    assert sum((posting.amount for posting in entry.postings), D(0)) == 0


def test_a_dollar_fee_is_cash_whatever_the_dollar_is_called() -> None:
    fill = Fill("1", "o", "XAUUSD", Side.BUY, D(1), D(100), D("0.1"), False, START, "USDT", D("0.1"))
    books = post(Accounts(), fill)[0].book("main")
    assert (books.cash, set(books.holdings)) == (D("-100.1"), {"XAUUSD"})


def test_the_curve_of_a_book_counts_transfers_as_paid_in() -> None:
    fill = Fill("1", "o", "BTC/USDT", Side.BUY, D(1), D(100), D(1), False, START + timedelta(hours=1))
    history = [Deposit("d", D(1000), START), Transfer("t", D(300), "main", "atlas", START), BookedFill(fill, "atlas")]
    times = [START, START + timedelta(hours=2)]
    mark = lambda symbols, at: dict.fromkeys(symbols, D(110))  # noqa: E731
    curves = {name: equity_curve(history, times, mark, book=name) for name in (None, "main", "atlas")}
    assert [point.equity for point in curves["atlas"]] == [D(300), D(309)]
    assert [point.deposits for point in curves["atlas"]] == [D(300), D(300)]
    assert [point.equity for point in curves["main"]] == [D(700), D(700)]
    assert [point.equity for point in curves[None]] == [D(1000), D(1009)]
    assert exact_product(D(2), D(3)) == 6
