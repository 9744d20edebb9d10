"""The books: worked examples, and the exact invariant over random histories."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.orders import Fill, Side
from engine.ledger import Books, Deposit, Entry, equity_curve, exact_product, exact_sum, post_deposit, post_fill, replay
from engine.ledger.books import COST_QUANTUM

START = datetime(2026, 1, 5, tzinfo=UTC)


def fill(side: str, quantity: str, price: str, fee: str = "0", symbol: str = "BTC/USDT", number: int = 1) -> Fill:
    return Fill(
        f"f{number}",
        f"o{number}",
        symbol,
        Side(side),
        Decimal(quantity),
        Decimal(price),
        Decimal(fee),
        False,
        START + timedelta(minutes=number),
    )


def book(fills: Sequence[Fill], deposit: str = "100000") -> tuple[Books, list[Entry]]:
    books, entry = post_deposit(Books(), Decimal(deposit), "start")
    entries = [entry]
    for each in fills:
        books, entry = post_fill(books, each)
        entries.append(entry)
    return books, entries


def test_a_long_bought_twice_averages_and_realises_on_close() -> None:
    books, entries = book([fill("buy", "1", "100", "1"), fill("buy", "1", "110", "1"), fill("sell", "1", "120", "1")])
    held = books.holdings["BTC/USDT"]
    assert held.quantity == 1
    assert held.average_price == 105
    assert held.realised == entries[-1].realised == 15
    assert books.fees == 3
    assert books.cash == Decimal(100000) - 210 + 120 - 3


def test_a_short_profits_when_bought_back_lower() -> None:
    books, _ = book([fill("sell", "2", "50"), fill("buy", "2", "40", "0.5")])
    held = books.holdings["BTC/USDT"]
    assert (held.quantity, held.cost, held.realised) == (Decimal(0), Decimal(0), Decimal(20))
    assert books.cash == Decimal("100019.5")


def test_a_fill_through_zero_closes_first_and_opens_the_other_side_at_its_own_price() -> None:
    books, entries = book([fill("buy", "1", "100"), fill("sell", "3", "90")])
    held = books.holdings["BTC/USDT"]
    assert entries[-1].realised == -10
    assert (held.quantity, held.cost, held.average_price) == (Decimal(-2), Decimal(-180), Decimal(90))


def test_closing_by_thirds_loses_no_digit() -> None:
    thirds = [fill("sell", "1", "0.4")] * 3
    books, _ = book([fill("buy", "3", "0.33333333"), *thirds, fill("buy", "1", "7"), fill("sell", "1", "7")])
    assert books.cost == 0
    assert books.realised == Decimal("0.20000001")


def test_an_opening_fill_realises_a_plain_zero() -> None:
    _, entries = book([fill("buy", "2", "100"), fill("sell", "1", "100", symbol="XAUUSD")])
    assert [str(entry.realised) for entry in entries[1:]] == ["0", "0"]


def test_equity_and_unrealised_follow_the_mark() -> None:
    books, _ = book([fill("buy", "2", "100", "1")])
    assert books.equity({"BTC/USDT": Decimal(103)}) == Decimal(100005)
    assert books.holdings["BTC/USDT"].unrealised(Decimal(103)) == 6
    with pytest.raises(KeyError):
        books.equity({})


def test_replay_refuses_an_entry_out_of_balance() -> None:
    _, entries = book([fill("buy", "2", "100", "1")])
    broken = Entry("fill", "f1", entries[1].postings[:-2])
    with pytest.raises(ValueError, match="'f1'"):
        replay([broken])


def test_equity_curve_points() -> None:
    events: list[Deposit | Fill] = [Deposit("start", Decimal(1000), START), fill("buy", "1", "100", "1", number=1)]
    prices = {START: Decimal(0), START + timedelta(minutes=1): Decimal(100), START + timedelta(hours=1): Decimal(130)}
    points = equity_curve(events, list(prices), lambda symbols, at: {symbol: prices[at] for symbol in symbols})
    assert [point.equity for point in points] == [1000, 999, 1029]
    assert [point.fees for point in points] == [0, 1, 1]


def decimals(places: int, high: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1, high * 10**places).map(lambda n: Decimal(n).scaleb(-places))


@st.composite
def histories(draw: st.DrawFn) -> list[Fill]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["buy", "sell"]),
                st.sampled_from(["BTC/USDT", "XAUUSD", "DOGE/USDT"]),
                decimals(8, 10**5),
                decimals(8, 10**6),
                decimals(8, 100),
            ),
            max_size=40,
        )
    )
    return [
        Fill(f"f{n}", f"o{n}", symbol, Side(side), quantity, price, fee, False, START + timedelta(minutes=n))
        for n, (side, symbol, quantity, price, fee) in enumerate(rows)
    ]


@settings(max_examples=300)
@given(histories())
def test_the_books_balance_to_the_last_digit_after_every_fill(fills: list[Fill]) -> None:
    _balance(fills)


@pytest.mark.prove
@settings(max_examples=5000)
@given(histories())
def test_the_books_balance_over_many_histories(fills: list[Fill]) -> None:
    _balance(fills)


def _balance(fills: list[Fill]) -> None:
    books, entry = post_deposit(Books(), Decimal("12345.678901234567"), "start")
    entries = [entry]
    for each in fills:
        books, entry = post_fill(books, each)
        entries.append(entry)
        assert books.imbalance() == 0
        held = books.holdings[each.symbol]
        assert (held.quantity == 0) <= (held.cost == 0)
        assert held.cost == 0 or held.cost.is_signed() == held.quantity.is_signed()
    balances = replay(entries)
    assert balances["cash"] == books.cash
    for symbol, held in books.holdings.items():
        assert balances[f"holding:{symbol}"] == held.cost
        assert balances[f"realised:{symbol}"] == held.realised.copy_negate()
        assert balances[f"fees:{symbol}"] == held.fees


@settings(max_examples=200, deadline=None)
@given(histories())
def test_flat_books_hold_exactly_the_cash_flows(fills: list[Fill]) -> None:
    books = Books()
    for each in fills:
        books, _ = post_fill(books, each)
    for symbol, held in list(books.holdings.items()):
        if held.quantity:
            side = Side.SELL if held.quantity > 0 else Side.BUY
            closing = Fill("x", "x", symbol, side, held.quantity.copy_abs(), Decimal(7), Decimal(0), False, START)
            books, _ = post_fill(books, closing)
            fills = [*fills, closing]
    flows = exact_sum(
        exact_sum((exact_product(each.quantity, each.price, Decimal(-each.side.sign)), each.fee.copy_negate()))
        for each in fills
    )
    assert books.cost == 0
    assert books.cash == flows == exact_sum((books.realised, books.fees.copy_negate()))


@settings(max_examples=300, deadline=None)
@given(decimals(8, 1000), decimals(8, 10**5), st.lists(st.integers(1, 99), min_size=1, max_size=12), decimals(8, 10**5))
def test_partial_closes_move_profit_by_less_than_a_quantum_each(
    quantity: Decimal, price: Decimal, shares: list[int], exit_price: Decimal
) -> None:
    books, _ = post_fill(Books(), Fill("a", "a", "X", Side.BUY, quantity, price, Decimal(0), False, START))
    left = quantity
    for share in shares:
        part = (left * share / 100).quantize(Decimal("1E-8"))
        if part == 0:
            continue
        left -= part
        books, entry = post_fill(books, Fill("b", "b", "X", Side.SELL, part, exit_price, Decimal(0), False, START))
        fair = exact_product(part, exit_price - price)
        assert abs(entry.realised - fair) <= COST_QUANTUM * 12
    assert books.imbalance() == 0
