"""Drafting: exact arithmetic, rounded down to the venue's grid, on the right side of the market."""

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.risk.values import AccountState, RiskLimits
from engine.domain.errors import InvalidRequest
from engine.domain.market import Instrument, Quote
from engine.domain.orders import OrderType, Position, Side
from engine.sim.matching import validate_order
from tests.agents.execution.fakes import START, WIDE, D
from tools.drafting import Draft, NothingToClose, Situation, StopHint, draft_order
from tools.schema import ExecuteTrade

BTC = Instrument("BTC/USDT", "BTC", "USDT", D("0.01"), D("0.001"), D("0.001"), D(5), D("0.001"), D("0.0008"), False)
GOLD = Instrument("XAUUSD", "XAU", "USD", D("0.01"), D("0.01"), D("0.01"), D(1), D("0.00003"), D("0.00003"), True)
HINT = StopHint(D(3), "atr")
LIMITS = RiskLimits()

amounts = st.decimals(D("0.0001"), D(100_000), places=4)
prices = st.decimals(D("10"), D(100_000), places=2)
spreads = st.decimals(D("0.01"), D("2"), places=2)
percents = st.decimals(D("0.01"), D(100), places=2)


def situation(
    *,
    bid: str | Decimal = "99.90",
    ask: str | Decimal = "100.10",
    held: str | Decimal = "0",
    cash: str | Decimal = "100000",
    hint: StopHint | None = HINT,
    risk: str | Decimal = "1",
    limits: RiskLimits = WIDE,
    instrument: Instrument = BTC,
) -> Situation:
    quote = Quote(instrument.symbol, D(bid), D(ask), START)
    positions = {instrument.symbol: Position(instrument.symbol, D(held), quote.mid, D(0), D(0))} if D(held) else {}
    equity = D(cash) + D(held) * quote.mid
    account = AccountState(D(cash), positions, {instrument.symbol: quote.mid}, equity, equity, equity, (), 0)
    return Situation(instrument, quote, account, limits, D(risk), hint)


def draft(where: Situation | None = None, **arguments: object) -> Draft:
    now = where or situation()
    fields = {"symbol": now.instrument.symbol, "side": "buy", **arguments}
    return draft_order(ExecuteTrade.model_validate(fields), now, "draft")


def refusal(where: Situation | None = None, **arguments: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        draft(where, **arguments)
    return caught.value.code


def test_a_market_buy_is_priced_at_the_ask_and_a_sell_at_the_bid() -> None:
    assert draft(amount="1").expected_price == D("100.10")
    assert draft(situation(held="5"), side="sell", amount="1").expected_price == D("99.90")


@pytest.mark.parametrize(
    ("unit", "amount", "quantity"),
    [("base", "1.2345", "1.234"), ("quote", "500", "4.995"), ("percent", "50", "499.001")],
)
def test_units_of_a_buy(unit: str, amount: str, quantity: str) -> None:
    assert draft(amount=amount, unit=unit).order.quantity == D(quantity)


@pytest.mark.parametrize(
    ("arguments", "side", "quantity"),
    [
        ({"side": "sell", "amount": "50", "unit": "percent"}, "sell", "1.5"),
        ({"side": "close"}, "sell", "3"),
        ({"side": "close", "amount": "10", "unit": "percent"}, "sell", "0.3"),
        ({"side": "close", "amount": "2"}, "sell", "2"),
        ({"side": "sell"}, "sell", "3"),
    ],
)
def test_what_is_held_is_sold_in_parts_or_whole(arguments: dict[str, Any], side: str, quantity: str) -> None:
    drafted = draft(situation(held="3"), **arguments)
    assert (drafted.order.side, drafted.order.quantity) == (side, D(quantity))
    assert drafted.order.is_reduce_only is (arguments["side"] == "close")
    assert drafted.sizing is None


def test_a_short_is_closed_by_buying_it_back() -> None:
    drafted = draft(situation(held="-2", instrument=GOLD), side="close")
    assert (drafted.order.side, drafted.order.quantity, drafted.order.is_reduce_only) == (Side.BUY, D(2), True)


@pytest.mark.parametrize("arguments", [{"side": "close"}, {"side": "sell", "amount": "50", "unit": "percent"}])
def test_nothing_held_leaves_nothing_to_close(arguments: dict[str, Any]) -> None:
    with pytest.raises(NothingToClose) as caught:
        draft(**arguments)
    assert caught.value.code == "nothing_to_close"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"amount": "0.0009"}, "below_minimum"),
        ({"amount": "0.01", "unit": "quote"}, "below_minimum"),
        ({"amount": "1", "order_type": "limit"}, "price_missing"),
        ({"amount": "1", "price": "99"}, "price_with_market"),
        ({"amount": "1", "order_type": "limit", "price": "110"}, "limit_through_market"),
        ({"amount": "1", "order_type": "limit", "price": "0.001"}, "bad_number"),
        ({"amount": "100", "unit": "quote", "order_type": "limit", "price": "0.001"}, "bad_number"),
        ({"amount": "1", "order_type": "stop", "price": "100.10"}, "stop_already_passed"),
        ({"amount": "1", "order_type": "stop", "price": "90"}, "stop_already_passed"),
        ({"amount": "1", "stop_loss": "101"}, "stop_wrong_side"),
        ({"amount": "1", "stop_loss": "100.10"}, "stop_wrong_side"),
        ({"amount": "1", "stop_loss_pct": "100"}, "stop_wrong_side"),
        ({"amount": "1", "take_profit": "99"}, "target_wrong_side"),
        ({"amount": "1", "stop_loss": "99", "stop_loss_pct": "2"}, "stop_given_twice"),
        ({"amount": "1", "take_profit": "120", "take_profit_pct": "2"}, "target_given_twice"),
        ({"amount": "101", "unit": "percent"}, "over_hundred_percent"),
    ],
)
def test_a_request_that_contradicts_itself_or_the_market_is_refused(arguments: dict[str, Any], code: str) -> None:
    assert refusal(**arguments) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"order_type": "limit", "price": "90"}, "limit_through_market"),
        ({"order_type": "stop", "price": "100"}, "stop_already_passed"),
        ({"stop_loss": "95"}, "stop_wrong_side"),
        ({"take_profit": "105"}, "target_wrong_side"),
        ({"take_profit_pct": "100"}, "target_wrong_side"),
    ],
)
def test_the_same_holds_mirrored_for_sells(arguments: dict[str, Any], code: str) -> None:
    assert refusal(situation(instrument=GOLD), side="sell", amount="1", **arguments) == code


def test_more_than_what_is_held_cannot_be_closed() -> None:
    assert refusal(situation(held="3"), side="close", amount="4") == "more_than_held"


def test_distances_are_taken_from_the_entry() -> None:
    buy = draft(amount="1", order_type="limit", price="95", stop_loss_pct="2", take_profit_pct="4").order
    assert (buy.stop_loss, buy.take_profit) == (D("93.10"), D("98.80"))
    sell = draft(situation(instrument=GOLD), side="sell", amount="1", stop_loss_pct="2", take_profit_pct="4").order
    assert (sell.stop_loss, sell.take_profit) == (D("101.90"), D("95.90"))


def test_a_resting_limit_pays_the_makers_fee_and_one_that_meets_the_market_the_takers() -> None:
    assert draft(amount="1", order_type="limit", price="95").fee == D(95) * D("0.0008")
    assert draft(amount="1", order_type="limit", price="101").fee == D(101) * D("0.001")
    assert draft(amount="1").fee == D("100.10") * D("0.001")


def test_the_proposed_size_is_risk_over_the_distance_to_the_persons_stop() -> None:
    drafted = draft(stop_loss="95.10")
    sizing = drafted.sizing
    assert sizing is not None
    assert (sizing.equity, sizing.risk_money, sizing.stop_distance) == (D(100_000), D(1000), D(5))
    assert (sizing.raw_quantity, sizing.quantity, sizing.bounded_by, sizing.stop_from) == (
        D(200),
        D(200),
        None,
        "person",
    )
    assert drafted.order.quantity == D(200)


@pytest.mark.parametrize(("side", "stop"), [("buy", "97.10"), ("sell", "102.90")])
def test_without_a_stop_the_hint_gives_one_that_the_ticket_then_carries(side: str, stop: str) -> None:
    drafted = draft(situation(instrument=GOLD, hint=StopHint(D(3), "signal"), risk="0.5"), side=side)
    assert drafted.order.stop_loss == D(stop)
    assert drafted.sizing is not None
    assert (drafted.sizing.stop_from, drafted.sizing.stop_distance) == ("signal", D(3))
    assert drafted.order.quantity == D("166.66")


def test_without_any_stop_no_size_can_be_proposed() -> None:
    assert refusal(situation(hint=None)) == "size_needs_stop"
    assert refusal(situation(hint=StopHint(D(500), "atr"))) == "size_needs_stop"


def test_a_proposed_size_stays_inside_the_limits() -> None:
    drafted = draft(situation(limits=LIMITS), stop_loss="100")
    assert drafted.sizing is not None
    assert drafted.sizing.bounded_by == "position"
    assert drafted.sizing.raw_quantity == D(10_000)
    assert drafted.notional < D(25_000)


def test_a_limit_that_leaves_no_room_refuses_instead_of_proposing_nothing() -> None:
    assert refusal(situation(limits=LIMITS, held="400", cash="60000"), stop_loss="95") == "position"


def attempt(where: Situation, **arguments: object) -> Draft | str:
    """Return the draft, or the code that refuses it."""
    try:
        return draft(where, **arguments)
    except InvalidRequest as error:
        return error.code


def sided(side: str, instrument: Instrument) -> str | Decimal:
    return "1000000" if side == "sell" and not instrument.is_shortable else "0"


@given(
    amount=amounts,
    bid=prices,
    spread=spreads,
    side=st.sampled_from(["buy", "sell"]),
    unit=st.sampled_from(["base", "quote"]),
    instrument=st.sampled_from([BTC, GOLD]),
)
def test_a_quantity_is_on_the_lot_never_above_what_was_asked_and_less_than_a_lot_below(
    amount: Decimal, bid: Decimal, spread: Decimal, side: str, unit: str, instrument: Instrument
) -> None:
    where = situation(bid=bid, ask=bid + spread, held=sided(side, instrument), instrument=instrument)
    drafted = attempt(where, side=side, amount=amount, unit=unit)
    if isinstance(drafted, str):
        assert drafted == "below_minimum"
        assert (amount if unit == "base" else amount / bid) < instrument.lot_size * D("1.5")
        return
    with localcontext(prec=80):
        asked = amount if unit == "base" else amount / drafted.expected_price
        assert drafted.order.quantity % instrument.lot_size == 0
        assert drafted.order.quantity <= asked < drafted.order.quantity + instrument.lot_size
        assert drafted.notional == drafted.order.quantity * drafted.expected_price
        assert drafted.fee == drafted.notional * instrument.taker_fee_ratio


@given(
    bid=prices,
    spread=spreads,
    side=st.sampled_from(["buy", "sell"]),
    stop_pct=percents,
    target_pct=percents,
    kind=st.sampled_from(["market", "limit", "stop"]),
    away=percents,
)
def test_what_is_drafted_is_what_the_venue_takes(
    bid: Decimal, spread: Decimal, side: str, stop_pct: Decimal, target_pct: Decimal, kind: str, away: Decimal
) -> None:
    where = situation(bid=bid, ask=bid + spread, instrument=GOLD)
    outward = 1 if (side == "buy") == (kind == "stop") else -1
    touch = bid + spread if side == "buy" else bid
    price = None if kind == "market" else touch * (1 + outward * away / 200)
    pcts = {"stop_loss_pct": stop_pct, "take_profit_pct": target_pct}
    drafted = attempt(where, side=side, amount="100", order_type=kind, price=price, **pcts)
    if isinstance(drafted, str):
        assert drafted in ("stop_wrong_side", "target_wrong_side", "stop_already_passed", "bad_number")
        return
    order = drafted.order
    assert validate_order(order, GOLD, where.quote) == ()
    entry = order.price or touch
    sign = order.side.sign
    assert order.stop_loss is not None
    assert order.take_profit is not None
    assert (entry - order.stop_loss) * sign > 0
    assert (order.take_profit - entry) * sign > 0
    assert (order.order_type is OrderType.MARKET) == (order.price is None)


@given(
    bid=prices,
    spread=spreads,
    cash=st.decimals(D(100), D(1_000_000), places=2),
    risk=st.decimals(D("0.01"), D(5), places=2),
    distance=st.decimals(D("0.01"), D(5000), places=2),
)
def test_a_proposed_size_never_risks_more_than_the_profile_allows(
    bid: Decimal, spread: Decimal, cash: Decimal, risk: Decimal, distance: Decimal
) -> None:
    assume(distance < bid)
    hint = StopHint(distance, "atr")
    where = situation(bid=bid, ask=bid + spread, cash=cash, risk=risk, hint=hint, limits=LIMITS)
    drafted = attempt(where)
    if isinstance(drafted, str):
        assert drafted in ("below_minimum", "position", "exposure", "order_notional", "cash")
        return
    order, sizing = drafted.order, drafted.sizing
    assert sizing is not None
    assert order.stop_loss is not None
    assert (drafted.expected_price - order.stop_loss) * order.quantity <= cash * risk / 100
    assert drafted.notional + drafted.fee <= cash
    assert drafted.notional <= where.account.equity * LIMITS.position_ratio
    assert order.quantity == sizing.quantity <= sizing.raw_quantity
    assert (sizing.bounded_by is None) == (sizing.raw_quantity - sizing.quantity < BTC.lot_size)


@given(held=st.decimals(D("0.01"), D(10_000), places=2), share=percents, is_short=st.booleans())
def test_a_share_of_a_position_never_turns_it(held: Decimal, share: Decimal, is_short: bool) -> None:
    where = situation(held=-held if is_short else held, instrument=GOLD)
    for side in ("close", "buy" if is_short else "sell"):
        drafted = attempt(where, side=side, amount=share, unit="percent")
        if isinstance(drafted, str):
            assert drafted == "below_minimum"
            continue
        assert drafted.order.quantity <= held
        assert drafted.order.side is (Side.BUY if is_short else Side.SELL)


@given(share=percents, bid=prices, spread=spreads, cash=st.decimals(D(100), D(1_000_000), places=2))
def test_a_share_of_cash_is_never_overspent(share: Decimal, bid: Decimal, spread: Decimal, cash: Decimal) -> None:
    where = situation(bid=bid, ask=bid + spread, cash=cash)
    drafted = attempt(where, amount=share, unit="percent")
    if isinstance(drafted, str):
        assert drafted == "below_minimum"
        return
    assert drafted.notional + drafted.fee <= cash * share / 100
