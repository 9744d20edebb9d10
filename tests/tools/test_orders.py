"""`cancel_order` and `check_portfolio` on a real desk."""

import pytest

from engine.domain.errors import InvalidRequest
from tests.agents.execution.fakes import CASH, D
from tests.tools.place import CONTEXT, OWNER, Place
from tools.results import OrdersCancelled, OrderView, PortfolioResult


async def rest(place: Place, symbol: str = "BTC/USDT", price: str = "90", **more: str) -> str:
    """Let an approved limit order rest and return its short id."""
    ticket = await place.open(symbol=symbol, order_type="limit", price=price, **more)
    await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    done = await place.tickets.execute(ticket.ticket_id)
    assert done.state == "working"
    assert done.fill is not None
    return done.fill.order_id


async def cancel(place: Place, order_id: str, **more: str) -> tuple[OrderView, ...]:
    result = await place.toolbox.run("cancel_order", {"order_id": order_id, **more}, CONTEXT)
    assert isinstance(result, OrdersCancelled)
    return result.orders


async def portfolio(place: Place, view: str = "summary", **more: str) -> PortfolioResult:
    result = await place.toolbox.run("check_portfolio", {"view": view, **more}, CONTEXT)
    assert isinstance(result, PortfolioResult)
    return result


async def test_one_order_is_cancelled_by_the_id_that_people_say(place: Place) -> None:
    first, second = await rest(place), await rest(place, "XAUUSD", "45")
    (gone,) = await cancel(place, f"#{first}")
    assert (gone.order_id, gone.status, gone.symbol) == (first, "cancelled", "BTC/USDT")
    assert [order.order_id for order in (await portfolio(place, "orders")).orders] == [second]
    with pytest.raises(InvalidRequest, match="order_not_found"):
        await cancel(place, first)


async def test_all_orders_or_all_of_a_symbol_are_cancelled(place: Place) -> None:
    await rest(place)
    gold = await rest(place, "XAUUSD", "45")
    assert [order.symbol for order in await cancel(place, "all", symbol="BTC/USDT")] == ["BTC/USDT"]
    assert [order.order_id for order in await cancel(place, "all")] == [gold]
    assert await cancel(place, "all") == ()


async def test_an_id_of_another_symbol_is_not_found(place: Place) -> None:
    order_id = await rest(place)
    with pytest.raises(InvalidRequest, match="order_not_found"):
        await cancel(place, order_id, symbol="XAUUSD")


async def test_cancelling_all_leaves_the_protection_of_a_position(place: Place) -> None:
    ticket = await place.open(amount="2", stop_loss="95", take_profit="110")
    await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    await place.tickets.execute(ticket.ticket_id)
    await rest(place)
    assert [order.role for order in await cancel(place, "all")] == ["entry"]
    seen = await portfolio(place, "orders")
    assert {order.role for order in seen.orders} == {"stop_loss", "take_profit"}
    (position,) = seen.positions
    assert (position.stop_loss, position.take_profit) == (D(95), D(110))


async def test_a_cancelled_order_ends_its_ticket(place: Place) -> None:
    order_id = await rest(place)
    await cancel(place, order_id)
    await place.tickets.follow()
    ticket = place.tickets.view(1, OWNER)
    assert ticket is not None
    assert ticket.fill is not None
    assert (ticket.state, ticket.fill.status, ticket.fill.filled_quantity) == ("executed", "cancelled", D(0))


async def test_an_empty_account_is_cash_and_nothing_else(place: Place) -> None:
    seen = await portfolio(place)
    assert (seen.cash, seen.equity, seen.exposure, seen.pnl) == (CASH, CASH, D(0), D(0))
    assert (seen.positions, seen.orders, seen.trades) == ((), (), ())
    assert {limit.name for limit in seen.limits} >= {"position", "exposure", "daily_loss", "drawdown"}
    assert (seen.venue, seen.market, seen.is_simulated) == ("paper", "fake", True)


async def test_figures_of_an_open_position_add_up(place: Place) -> None:
    await place.hold("2")
    place.market.mids["BTC/USDT"] = D(110)
    seen = await portfolio(place, "pnl")
    (position,) = seen.positions
    assert (position.quantity, position.average_price, position.mark) == (D(2), D("100.1"), D(110))
    assert position.unrealised == seen.unrealised == D("19.8")
    assert seen.exposure == position.notional == D(220)
    assert seen.fees == D("0.2002")
    assert seen.equity == seen.cash + 220 == CASH + D("19.8") - D("0.2002")
    assert seen.pnl == seen.equity - CASH


async def test_trades_are_shown_only_by_the_views_that_ask_for_them(place: Place) -> None:
    await place.hold("2")
    await place.hold("1")
    assert (await portfolio(place)).trades == ()
    trades = (await portfolio(place, "trades", period="today")).trades
    assert [(trade.trade_id, trade.quantity) for trade in trades] == [("2", D(1)), ("1", D(2))]


async def test_protective_order_is_not_cancelled_by_its_id(place: Place) -> None:
    ticket = await place.open(amount="2", stop_loss="95")
    await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    await place.tickets.execute(ticket.ticket_id)
    (stop,) = (await portfolio(place, "orders")).orders
    with pytest.raises(InvalidRequest, match="order_protects"):
        await cancel(place, stop.order_id)
    assert [order.order_id for order in (await portfolio(place, "orders")).orders] == [stop.order_id]
