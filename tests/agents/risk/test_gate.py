"""The gate: one case per limit, failing closed, and limits that hold after any sequence it allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.risk.gate import assess_order, standing_limits
from agents.risk.values import AccountState, LimitCheck, RiskLimits, RiskReport
from engine.domain.market import Instrument, Quote
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Position, Side, VenueOrder
from engine.ledger import Books, post_deposit, post_fill

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
D = Decimal
FEE = D("0.001")


def instrument(symbol: str, *, shortable: bool) -> Instrument:
    return Instrument(symbol, symbol[:3], "USD", D("0.01"), D("0.001"), D("0.001"), D(1), FEE, FEE, shortable)


BTC = instrument("BTC/USDT", shortable=False)
ETH = instrument("ETH/USDT", shortable=False)
GOLD = instrument("XAUUSD", shortable=True)
QUOTES = {
    "BTC/USDT": Quote("BTC/USDT", D("99.9"), D("100.1"), NOW),
    "ETH/USDT": Quote("ETH/USDT", D("9.99"), D("10.01"), NOW),
    "XAUUSD": Quote("XAUUSD", D("49.9"), D("50.1"), NOW),
}
LIMITS = RiskLimits(
    position_ratio=D("0.25"),
    gross_exposure_ratio=D("0.5"),
    max_positions=2,
    order_notional=D(40000),
    orders_per_minute=5,
)


def account(
    cash: str = "100000",
    held: Mapping[str, str] | None = None,
    open_orders: Sequence[VenueOrder] = (),
    **changes: object,
) -> AccountState:
    positions = {s: Position(s, D(q), QUOTES[s].mid, D(0), D(0)) for s, q in (held or {}).items()}
    marks = {symbol: quote.mid for symbol, quote in QUOTES.items()}
    equity = D(cash) + sum((p.quantity * marks[s] for s, p in positions.items()), D(0))
    state = AccountState(D(cash), positions, marks, equity, equity, equity, tuple(open_orders), 0)
    return replace(state, **changes)  # type: ignore[arg-type]  # the tests name fields of the dataclass


def order(
    side: str, quantity: str, symbol: str = "BTC/USDT", price: str | None = None, reduce: bool = False
) -> OrderRequest:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    return OrderRequest(
        "id", symbol, Side(side), kind, D(quantity), None if price is None else D(price), is_reduce_only=reduce
    )


def resting(request: OrderRequest) -> VenueOrder:
    return VenueOrder(request, "1", OrderStatus.OPEN, D(0), None, NOW, NOW)


def assess(request: OrderRequest, state: AccountState | None, limits: RiskLimits = LIMITS) -> RiskReport:
    traded = {each.symbol: each for each in (BTC, ETH, GOLD)}[request.symbol]
    return assess_order(request, traded, QUOTES[request.symbol], state, limits, NOW)


def check(report: RiskReport, name: str) -> LimitCheck:
    return next(each for each in report.checks if each.name == name)


def test_an_ordinary_order_passes_and_shows_every_limit() -> None:
    report = assess(order("buy", "100", price="99"), account())
    assert report.is_allowed
    assert [each.name for each in report.checks] == [
        "position",
        "exposure",
        "positions",
        "daily_loss",
        "drawdown",
        "order_notional",
        "price_band",
        "order_rate",
        "cash",
    ]
    assert check(report, "cash").after == D(100) * 99 * (1 + FEE)


REFUSED = [
    (order("buy", "251"), account(), "position"),
    (order("buy", "240"), account(open_orders=[resting(order("buy", "20", price="99"))]), "position"),
    (order("sell", "600", "XAUUSD"), account(), "position"),
    (order("buy", "200"), account("70000", {"XAUUSD": "-700"}), "exposure"),
    (order("buy", "1"), account("90000", {"ETH/USDT": "10", "XAUUSD": "10"}), "positions"),
    (order("buy", "1"), account(day_start_equity=D("105264")), "daily_loss"),
    (order("buy", "1"), account(peak_equity=D("125000")), "drawdown"),
    (order("buy", "401"), account("10000000"), "order_notional"),
    (order("buy", "1", price="79"), account(), "price_band"),
    (order("buy", "1"), account(recent_orders=5), "order_rate"),
    (order("buy", "100"), account("9000", {"XAUUSD": "1820"}), "cash"),
    (
        order("buy", "50"),
        account("9000", {"XAUUSD": "1820"}, [resting(order("buy", "50", price="99"))]),
        "cash",
    ),
    (order("sell", "1"), account(), "short"),
    (
        order("sell", "6"),
        account("99000", {"BTC/USDT": "10"}, [resting(order("sell", "5", price="110"))]),
        "short",
    ),
    (order("buy", "1"), account("-100"), "position"),
    # it may fill after the holding was closed some other way
    (order("sell", "900", "XAUUSD", "51"), account("77500", {"XAUUSD": "450"}), "position"),
]


@pytest.mark.parametrize(("request_", "state", "reason"), REFUSED)
def test_an_order_beyond_a_limit_is_refused_by_that_limit(
    request_: OrderRequest, state: AccountState, reason: str
) -> None:
    report = assess(request_, state)
    assert reason in report.reasons
    assert not check(report, reason).is_ok


WORST = account(
    "10000",
    {"BTC/USDT": "900", "XAUUSD": "-1000", "ETH/USDT": "5"},
    day_start_equity=D(10**6),
    peak_equity=D(10**6),
    recent_orders=99,
)


@pytest.mark.parametrize(
    "request_",
    [
        order("sell", "900"),
        order("sell", "1"),
        order("buy", "1000", "XAUUSD"),
        order("buy", "3", "XAUUSD", "49"),
        order("sell", "5", "ETH/USDT", "3"),
        order("sell", "5", "ETH/USDT", reduce=True),
    ],
)
def test_an_order_that_only_lowers_risk_passes_whatever_stands(request_: OrderRequest) -> None:
    assert assess(request_, WORST).reasons == ()


@pytest.mark.parametrize("request_", [order("buy", "1"), order("sell", "1", "XAUUSD"), order("buy", "1001", "XAUUSD")])
def test_an_order_that_adds_or_turns_does_not_pass_as_lowering(request_: OrderRequest) -> None:
    assert {"daily_loss", "drawdown"} <= set(assess(request_, WORST).reasons)


def test_a_market_order_may_turn_a_position_within_the_limit() -> None:
    assert assess(order("sell", "790", "XAUUSD"), account("80000", {"XAUUSD": "400"})).is_allowed


def test_a_second_close_beside_a_resting_one_no_longer_lowers_risk() -> None:
    state = replace(WORST, open_orders=(resting(order("buy", "800", "XAUUSD", "49")),))
    assert assess(order("buy", "200", "XAUUSD"), state).is_allowed
    assert "drawdown" in assess(order("buy", "201", "XAUUSD"), state).reasons


def test_the_gate_fails_closed() -> None:
    one, state, quote = order("buy", "1"), account("90000", {"ETH/USDT": "10"}), QUOTES["BTC/USDT"]
    late, early = NOW + timedelta(seconds=121), NOW - timedelta(seconds=121)
    unmarked = replace(state, marks={"BTC/USDT": D(100)})
    unreadable = replace(state, equity=D("NaN"))
    waiting = replace(account(open_orders=[resting(order("buy", "1", "ETH/USDT", "9"))]), marks={"BTC/USDT": D(100)})
    shut = replace(quote, is_open=False)
    assert assess_order(one, BTC, None, state, LIMITS, NOW).reasons == ("no_quote",)
    assert assess_order(one, BTC, quote, state, LIMITS, late).reasons == ("no_quote",)
    assert assess_order(one, BTC, quote, state, LIMITS, early).reasons == ("no_quote",)
    assert assess_order(one, BTC, shut, state, LIMITS, late).reasons == ("market_closed",)
    assert assess_order(one, BTC, quote, None, LIMITS, NOW).reasons == ("no_account",)
    assert assess_order(one, BTC, quote, unmarked, LIMITS, NOW).reasons == ("no_account",)
    assert assess_order(one, BTC, quote, unreadable, LIMITS, NOW).reasons == ("no_account",)
    assert assess_order(one, BTC, quote, waiting, LIMITS, NOW).reasons == ("no_account",)
    assert assess_order(one, None, quote, state, LIMITS, NOW).reasons == ("symbol",)
    assert assess_order(order("sell", "10", "ETH/USDT"), ETH, None, state, LIMITS, NOW).reasons == ("no_quote",)


def test_a_limit_order_may_rest_while_the_market_is_closed() -> None:
    shut = replace(QUOTES["XAUUSD"], is_open=False, at=NOW - timedelta(days=2))
    assert assess_order(order("buy", "1", "XAUUSD", "49"), GOLD, shut, account(), LIMITS, NOW).is_allowed


def test_standing_limits_have_equal_sides() -> None:
    rows = standing_limits(account("70000", {"XAUUSD": "-700"}), LIMITS)
    assert all(row.before == row.after for row in rows)
    assert {row.name: row.is_ok for row in rows} == {
        "position": False,
        "exposure": False,
        "positions": True,
        "order_rate": True,
        "daily_loss": True,
        "drawdown": True,
    }


INSTRUMENTS = {each.symbol: each for each in (BTC, ETH, GOLD)}

steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(INSTRUMENTS)),
        st.sampled_from(list(Side)),
        st.integers(1, 60).map(lambda n: D(n) * 500),
        st.sampled_from([None, D("0.85"), D("0.97"), D("1.03"), D("1.15")]),
        st.sampled_from(["fill first", "fill last", "cancel first", "leave"]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=14,
)
wide = replace(LIMITS, position_ratio=D(2), gross_exposure_ratio=D(3), order_notional=D(10**6))
narrow = replace(LIMITS, max_positions=3)


class Desk:
    """Books beside resting orders, as the gate's figures, filled at their own prices or better."""

    def __init__(self) -> None:
        self.books, _ = post_deposit(Books(), D(100000), "start")
        self.open: list[VenueOrder] = []

    def state(self) -> AccountState:
        marks = {symbol: quote.mid for symbol, quote in QUOTES.items()}
        held = {symbol: each.position() for symbol, each in self.books.open_holdings().items()}
        equity = self.books.equity(marks)
        return AccountState(self.books.cash, held, marks, equity, equity, equity, tuple(self.open), 0)

    def fill(self, request: OrderRequest, price: Decimal) -> None:
        """Fill as a venue does: reduce-only orders close, spot sells never exceed the holding."""
        quantity = request.quantity
        is_spot_sell = request.side is Side.SELL and not INSTRUMENTS[request.symbol].is_shortable
        if request.is_reduce_only or is_spot_sell:
            held = self.books.holdings.get(request.symbol)
            closable = max((held.quantity if held else D(0)) * -request.side.sign, D(0))
            quantity = min(quantity, closable)
        if quantity:
            fee = quantity * price * FEE
            one = Fill("f", "o", request.symbol, request.side, quantity, price, fee, False, NOW)
            self.books, _ = post_fill(self.books, one)


@settings(max_examples=200, deadline=None)
@given(steps, st.sampled_from([(LIMITS, 1), (narrow, 1), (wide, 4)]))
def test_limits_hold_after_whatever_the_gate_allowed(
    rows: list[tuple[str, Side, Decimal, Decimal | None, str, bool]], bounds: tuple[RiskLimits, int]
) -> None:
    desk = Desk()
    limits, size = bounds
    for symbol, side, notional, factor, then, reduce in rows:
        quote = QUOTES[symbol]
        quantity = notional * size / quote.mid
        kind = OrderType.MARKET if factor is None else OrderType.LIMIT
        price = None if factor is None else quote.mid * factor
        request = OrderRequest("id", symbol, side, kind, quantity, price, is_reduce_only=reduce)
        if assess_order(request, INSTRUMENTS[symbol], quote, desk.state(), limits, NOW).is_allowed:
            if price is None:
                desk.fill(request, quote.ask if side is Side.BUY else quote.bid)
            else:
                desk.open.append(resting(request))
        if desk.open and then != "leave":
            done = desk.open.pop(-1 if then == "fill last" else 0).request
            if then != "cancel first":
                assert done.price is not None
                touch = QUOTES[done.symbol].ask if done.side is Side.BUY else QUOTES[done.symbol].bid
                desk.fill(done, min(done.price, touch) if done.side is Side.BUY else max(done.price, touch))
        state = desk.state()
        assert len(state.positions) <= limits.max_positions
        assert state.exposure <= limits.gross_exposure_ratio * state.equity
        for name, position in state.positions.items():
            assert abs(position.quantity) * state.marks[name] <= limits.position_ratio * state.equity
            assert position.quantity > 0 or INSTRUMENTS[name].is_shortable
        if not any(INSTRUMENTS[name].is_shortable for name in desk.books.holdings):
            assert state.cash >= 0
