"""`execute_trade` against a real desk: terms whose before and after add up, sizes with their reasons, refusals."""

import pytest

from agents.risk.values import RiskLimits
from engine.domain.signals import Direction
from tests.agents.execution.fakes import CASH, D
from tests.tools.place import CONTEXT, OWNER, Place, make_signal
from tools.results import TicketRefused, TicketTerms, TicketView
from tools.schema import ExecuteTrade


async def refuse(place: Place, **arguments: object) -> TicketRefused:
    told = await place.ask(**arguments)
    assert isinstance(told, TicketRefused), told
    return told


def add_up(terms: TicketTerms) -> None:
    sign = 1 if terms.side == "buy" else -1
    assert terms.notional == terms.quantity * terms.expected_price
    assert terms.cash_after == terms.cash_before - sign * terms.notional - terms.fee
    assert terms.position_after == terms.position_before + sign * terms.quantity


async def test_terms_tell_cash_position_and_exposure_before_and_after(place: Place) -> None:
    terms = (await place.open(amount="2")).terms
    add_up(terms)
    assert (terms.cash_before, terms.position_before, terms.position_after) == (CASH, D(0), D(2))
    assert (terms.exposure_before, terms.exposure_after) == (D(0), D(200))
    assert (terms.venue, terms.is_simulated, terms.max_drift_bps) == ("paper", True, 30)
    assert terms.quote_at == place.market.now()
    assert all(limit.is_ok and limit.room >= 0 for limit in terms.limits)
    assert {limit.name for limit in terms.limits} >= {"position", "exposure", "cash", "daily_loss", "order_notional"}


async def test_what_was_approved_is_what_the_account_shows_afterwards(place: Place) -> None:
    await place.hold("3")
    ticket = await place.open(side="close", amount=None)
    add_up(ticket.terms)
    assert (ticket.terms.is_close, ticket.terms.quantity, ticket.terms.position_after) == (True, D(3), D(0))
    await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    await place.tickets.execute(ticket.ticket_id)
    account = await place.desk.account()
    assert account.cash == ticket.terms.cash_after
    assert account.exposure == ticket.terms.exposure_after == 0


async def test_a_short_of_gold_and_its_way_back_add_up(place: Place) -> None:
    await place.hold("-4", "XAUUSD")
    terms = (await place.open(symbol="XAUUSD", side="buy", amount="50", unit="percent")).terms
    add_up(terms)
    assert (terms.position_before, terms.quantity, terms.position_after) == (D(-4), D(2), D(-2))
    assert terms.exposure_after == terms.exposure_before / 2


async def test_nothing_held_is_a_refusal_with_its_reason(place: Place) -> None:
    assert (await refuse(place, side="close")).reasons == ("nothing_to_close",)
    assert (await refuse(place, side="sell", amount="50", unit="percent")).reasons == ("nothing_to_close",)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"amount": "2000"}, "cash"),
        ({"side": "sell", "amount": "1"}, "short"),
        ({"amount": "0.05"}, "min_notional"),
        ({"amount": "1", "order_type": "limit", "price": "70"}, "price_band"),
    ],
)
async def test_the_gate_and_the_venue_refuse_with_their_reasons(
    place: Place, arguments: dict[str, object], reason: str
) -> None:
    refused = await refuse(place, **arguments)
    assert reason in refused.reasons
    failed = {limit.name for limit in refused.limits if not limit.is_ok}
    assert failed <= set(refused.reasons)
    assert place.tickets.open_for(OWNER) == ()


async def test_a_closed_market_refuses_a_market_order_and_takes_one_that_waits(place: Place) -> None:
    place.market.closed.add("XAUUSD")
    assert (await refuse(place, symbol="XAUUSD", amount="1")).reasons == ("market_closed",)
    assert isinstance(await place.ask(symbol="XAUUSD", amount="1", order_type="limit", price="49"), TicketView)


@pytest.mark.parametrize(
    ("direction", "source", "distance", "stop"),
    [(Direction.LONG, "signal", "3.0", "97.1"), (Direction.SHORT, "atr", "3.0", "97.1"), (None, "atr", "3.0", "97.1")],
)
async def test_without_a_size_the_stop_is_the_signals_if_it_agrees_or_else_the_markets_range(
    place: Place, direction: Direction | None, source: str, distance: str, stop: str
) -> None:
    place.signals.present = None if direction is None else make_signal(direction)
    terms = (await place.open(amount=None)).terms
    assert terms.sizing is not None
    assert (terms.sizing.stop_from, terms.sizing.stop_distance, terms.stop_loss) == (source, D(distance), D(stop))
    assert terms.sizing.risk_money == CASH / 100
    assert terms.quantity == D("333.33")


async def test_the_persons_own_stop_goes_before_any_signal(place: Place) -> None:
    place.signals.present = make_signal(Direction.LONG)
    terms = (await place.open(amount=None, stop_loss="95.1")).terms
    assert terms.sizing is not None
    assert (terms.sizing.stop_from, terms.sizing.stop_distance, terms.quantity) == ("person", D(5), D(200))


async def test_a_size_of_ones_own_gets_no_stop_that_nobody_asked_for(place: Place) -> None:
    terms = (await place.open(amount="1")).terms
    assert (terms.stop_loss, terms.take_profit, terms.sizing) == (None, None, None)


async def test_a_proposed_size_that_meets_a_limit_passes_the_gate(place: Place) -> None:
    limits = RiskLimits()
    tight = Place(place.path, place.market, limits=limits)
    ticket = await tight.open(amount=None, stop_loss="100")
    assert ticket.terms.sizing is not None
    assert ticket.terms.sizing.bounded_by == "position"
    assert ticket.terms.notional < CASH * limits.position_ratio
    tight.database.dispose()


async def test_a_full_position_is_refused_by_the_limits_name(place: Place) -> None:
    await place.hold("250")
    tight = Place(place.path, place.market, limits=RiskLimits())
    refused = await refuse(tight, amount=None, stop_loss="90")
    assert refused.reasons == ("position",)
    assert refused.limits
    tight.database.dispose()


async def test_a_share_of_cash_leaves_what_resting_orders_need(place: Place) -> None:
    ticket = await place.open(order_type="limit", price="99", amount="500")
    await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    await place.tickets.execute(ticket.ticket_id)
    terms = (await place.open(amount="100", unit="percent")).terms
    reserved = D(500) * 100 * (1 + D("0.001"))
    assert terms.notional + terms.fee <= CASH - reserved
    assert CASH - reserved - terms.notional - terms.fee < 5


async def test_drafting_the_same_request_at_the_same_moment_gives_the_same_terms(place: Place) -> None:
    asked = ExecuteTrade(symbol="BTC/USDT", side="buy", amount=D(1))
    assert await place.drafts.draft(asked, OWNER) == await place.drafts.draft(asked, CONTEXT.owner)
