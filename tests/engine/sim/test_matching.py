"""Matching as small bar tables with the expected fills beside them, and what holds for any bar."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.market import Instrument, Quote
from engine.domain.orders import OrderRequest, OrderType, Side
from engine.sim.matching import (
    MarketFill,
    MatchingSettings,
    PriceBar,
    RestingOrder,
    bar_liquidity,
    cap_reduce_only,
    match_bar,
    match_pair,
    match_quote,
    validate_order,
)

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
D = Decimal
GOLD = Instrument(
    "XAUUSD", "XAU", "USD", D("0.1"), D("0.01"), D("0.01"), D(10), D("0.001"), D("0.0005"), is_shortable=True
)
EXACT = MatchingSettings(slippage_bps=D(0), participation_ratio=D("0.5"))
SLIPPING = MatchingSettings(slippage_bps=D(10))


def bar(open_: str, high: str, low: str, close: str, volume: str = "0") -> PriceBar:
    return PriceBar(AT, D(open_), D(high), D(low), D(close), D(volume))


def order(side: str, kind: str, price: str | None = None, quantity: str = "2", triggered: bool = False) -> RestingOrder:
    return RestingOrder(Side(side), OrderType(kind), D(quantity), None if price is None else D(price), triggered)


def quote(bid: str = "99.9", ask: str = "100.1", is_open: bool = True) -> Quote:
    return Quote("XAUUSD", D(bid), D(ask), AT, is_open)


#      side    type      price    open     high     low      close    fill price (None: no fill), maker
TABLE = [
    ("buy", "market", None, "100", "101", "99", "100", "100.1", False),  # the ask at the open
    ("sell", "market", None, "100", "101", "99", "100", "99.9", False),  # the bid at the open
    ("buy", "limit", "99", "100", "101", "98", "100", "99", True),  # reached: at its price
    ("buy", "limit", "99", "100", "101", "98.9", "100", "99", True),  # the ask just touches it
    ("buy", "limit", "99", "100", "101", "99", "100", None, True),  # the mid touches, the ask does not
    ("buy", "limit", "99", "97", "98", "96", "97", "97.1", True),  # gapped through: the better open
    ("sell", "limit", "101", "100", "102", "99", "100", "101", True),
    ("sell", "limit", "101", "100", "101", "99", "100", None, True),
    ("sell", "limit", "101", "103", "104", "102", "103", "102.9", True),
    ("buy", "stop", "101", "100", "102", "99", "100", "101", False),
    ("buy", "stop", "101", "100", "100.8", "99", "100", None, False),
    ("buy", "stop", "101", "103", "104", "102", "103", "103.1", False),  # gapped over: the worse open
    ("sell", "stop", "99", "100", "101", "98", "100", "99", False),
    ("sell", "stop", "99", "97", "98", "96", "97", "96.9", False),
    ("sell", "stop", "99", "100", "101", "99.2", "100", None, False),
]


@pytest.mark.parametrize(("side", "kind", "price", "open_", "high", "low", "close", "expected", "is_maker"), TABLE)
def test_one_order_on_one_bar(
    side: str,
    kind: str,
    price: str | None,
    open_: str,
    high: str,
    low: str,
    close: str,
    expected: str | None,
    is_maker: bool,
) -> None:
    match = match_bar(order(side, kind, price), bar(open_, high, low, close), GOLD, EXACT, spread=D("0.2"))
    if expected is None:
        assert match.fill is None
        assert not match.is_triggered
        return
    assert match.fill is not None
    assert (match.fill.price, match.fill.quantity, match.fill.is_maker) == (D(expected), D(2), is_maker)
    assert match.fill.fee == 2 * D(expected) * (D("0.0005") if is_maker else D("0.001"))


def test_slippage_goes_against_the_order_and_never_touches_a_limit() -> None:
    flat = bar("100", "102", "98", "100")
    prices = [
        match_bar(each, flat, GOLD, SLIPPING, spread=D(0)).fill
        for each in (
            order("buy", "market"),
            order("sell", "market"),
            order("buy", "stop", "101"),
            order("buy", "limit", "99"),
        )
    ]
    assert [fill and fill.price for fill in prices] == [D("100.1"), D("99.9"), D("101.2"), D(99)]


def test_a_market_order_larger_than_the_bars_bear_fills_over_several() -> None:
    filled = []
    left = D(2)
    for volume in ("1", "2", "10"):
        one = bar("100", "101", "99", "100", volume)
        match = match_bar(
            order("buy", "market", quantity=str(left)),
            one,
            GOLD,
            EXACT,
            spread=D(0),
            available=bar_liquidity(one, EXACT),
        )
        assert match.fill is not None
        filled.append(match.fill.quantity)
        left -= match.fill.quantity
    assert filled == [D("0.5"), D(1), D("0.5")]


def test_a_stop_that_finds_no_volume_stays_triggered_and_fills_at_the_next_open() -> None:
    thin = bar("100", "102", "99", "101", "0.01")
    match = match_bar(order("buy", "stop", "101"), thin, GOLD, EXACT, spread=D(0), available=bar_liquidity(thin, EXACT))
    assert (match.fill, match.is_triggered) == (None, True)
    later = match_bar(
        order("buy", "stop", "101", triggered=True), bar("98", "99", "97", "98"), GOLD, EXACT, spread=D(0)
    )
    assert later.fill is not None
    assert later.fill.price == 98


#      bar (open, high, low, close)          entered inside   which, price
PAIRS = [
    (("100", "103", "99", "102"), False, ("target", "103")),
    (("100", "102", "97", "98"), False, ("stop", "97")),
    (("100", "104", "96", "100"), False, ("stop", "97")),  # both touched: the stop counts
    (("100", "102", "98", "100"), False, None),
    (("95", "104", "94", "100"), False, ("stop", "95")),  # gapped over the stop: the open
    (("105", "106", "96", "100"), False, ("target", "105")),  # gapped through the target: it came first
    (("100", "104", "99", "100"), True, None),  # the target may have come before the entry
    (("105", "106", "96", "100"), True, ("stop", "97")),  # the open came before the entry: its own price
]


@pytest.mark.parametrize(("prices", "inside", "expected"), PAIRS)
def test_a_protective_pair_of_a_long(
    prices: tuple[str, str, str, str], inside: bool, expected: tuple[str, str] | None
) -> None:
    answer = match_pair(
        order("sell", "stop", "97"),
        order("sell", "limit", "103"),
        bar(*prices),
        GOLD,
        EXACT,
        spread=D(0),
        has_entered_inside=inside,
    )
    if expected is None:
        assert answer is None
        return
    assert answer is not None
    assert answer[1].fill is not None
    assert (answer[0], answer[1].fill.price) == (expected[0], D(expected[1]))


#      side    type      price   fill price now, maker when it was resting
QUOTES = [
    ("buy", "market", None, "100.1"),
    ("sell", "market", None, "99.9"),
    ("buy", "limit", "100.5", "100.1"),
    ("buy", "limit", "100", None),
    ("sell", "limit", "99", "99.9"),
    ("sell", "stop", "99.9", "99.9"),
    ("sell", "stop", "99.8", None),
    ("buy", "stop", "100", "100.1"),
]


@pytest.mark.parametrize(("side", "kind", "price", "expected"), QUOTES)
def test_one_order_on_a_quote(side: str, kind: str, price: str | None, expected: str | None) -> None:
    fill = match_quote(order(side, kind, price), quote(), GOLD, EXACT).fill
    assert (fill and fill.price) == (expected and D(expected))
    assert fill is None or not fill.is_maker


def test_a_resting_limit_is_the_maker_at_its_own_price() -> None:
    fill = match_quote(order("buy", "limit", "100.5"), quote(), GOLD, EXACT, is_resting=True).fill
    assert fill == MarketFill(D(2), D("100.5"), D("0.1005"), True, True)


def test_nothing_fills_while_the_market_is_closed() -> None:
    assert match_quote(order("buy", "market"), quote(is_open=False), GOLD, EXACT).fill is None


def request(side: str = "buy", kind: str = "market", quantity: str = "1", **more: object) -> OrderRequest:
    prices = {name: D(str(value)) for name, value in more.items() if name != "reduce"}
    return OrderRequest(
        "id", "XAUUSD", Side(side), OrderType(kind), D(quantity), **prices, is_reduce_only="reduce" in more
    )


VALID = [
    (request(), ()),
    (request(kind="limit", price="95"), ()),
    (request(kind="limit", price="105"), ()),  # it may fill at once: not a violation
    (request(quantity="0"), ("quantity",)),
    (request(quantity="-1"), ("quantity",)),
    (request(quantity="0.015"), ("lot", "min_notional")),
    (request(quantity="0.005"), ("lot", "min_quantity", "min_notional")),
    (request(quantity="0.01"), ("min_notional",)),
    (request(quantity="0.01", reduce=True), ()),
    (request(price="100"), ("price_unexpected",)),
    (request(kind="limit"), ("price_missing",)),
    (request(kind="limit", price="95.05"), ("tick",)),
    (request(stop_loss="95.05"), ("tick",)),
    (request(kind="stop", price="100.1"), ("price_side",)),
    (request(kind="stop", price="100.2"), ()),
    (request("sell", "stop", price="99.9"), ("price_side",)),
    (request(stop_loss="101"), ("protection_side",)),
    (request(take_profit="99"), ("protection_side",)),
    (request("sell", stop_loss="99"), ("protection_side",)),
    (request("sell", stop_loss="101", take_profit="99"), ()),
    (request(kind="limit", price="90", stop_loss="95"), ("protection_side",)),
]


@pytest.mark.parametrize(("order_", "codes"), VALID)
def test_rules_of_the_venue(order_: OrderRequest, codes: tuple[str, ...]) -> None:
    assert validate_order(order_, GOLD, quote()) == codes


def test_without_a_quote_no_order_is_valid() -> None:
    assert validate_order(request(), GOLD, None) == ("no_quote",)


@pytest.mark.parametrize(
    ("side", "position", "expected"),
    [("sell", "1.5", "1.5"), ("sell", "5", "2"), ("sell", "0", None), ("sell", "-1", None), ("buy", "-1", "1")],
)
def test_reduce_only_never_opens_or_turns(side: str, position: str, expected: str | None) -> None:
    capped = cap_reduce_only(order(side, "market"), D(position))
    assert (capped and capped.quantity) == (expected and D(expected))


@pytest.mark.parametrize("bad", [{"slippage_bps": D(-1)}, {"participation_ratio": D(0)}, {"participation_ratio": D(2)}])
def test_bad_settings_are_refused(bad: dict[str, Decimal]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        MatchingSettings(**bad)


ticks = st.integers(1, 2000).map(lambda n: D(n) / 10)


@st.composite
def random_bars(draw: st.DrawFn) -> PriceBar:
    open_, close, *rest = (draw(ticks) for _ in range(4))
    prices = (open_, close, *rest)
    return PriceBar(AT, open_, max(prices), min(prices), close, draw(st.integers(0, 20).map(D)))


@settings(max_examples=600, deadline=None)
@given(
    random_bars(),
    st.sampled_from(list(Side)),
    st.sampled_from(list(OrderType)),
    ticks,
    st.integers(1, 500).map(lambda n: D(n) / 100),
    st.integers(0, 10).map(lambda n: D(n) / 10),
)
def test_a_fill_lies_in_the_bar_on_the_grid_and_within_its_limit(
    one: PriceBar, side: Side, kind: OrderType, price: Decimal, quantity: Decimal, spread: Decimal
) -> None:
    resting = RestingOrder(side, kind, quantity, None if kind is OrderType.MARKET else price)
    liquidity = bar_liquidity(one, EXACT)
    fill = match_bar(resting, one, GOLD, EXACT, spread=spread, available=liquidity).fill
    if fill is None:
        return
    half = spread / 2 * side.sign
    assert 0 < fill.quantity <= quantity
    assert liquidity is None or fill.quantity <= liquidity
    assert fill.price % GOLD.tick_size == 0
    assert fill.quantity % GOLD.lot_size == 0
    if fill.price > GOLD.tick_size:
        assert one.low + half - GOLD.tick_size < fill.price < one.high + half + GOLD.tick_size
    if kind is OrderType.LIMIT:
        assert (price - fill.price) * side.sign >= 0
    if kind is OrderType.STOP and fill.price > GOLD.tick_size:
        assert (fill.price - price) * side.sign >= 0
