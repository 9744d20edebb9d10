"""USD-M futures: short positions, conditional stops that are read back, and protection that is never away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import wraps
from typing import Any

import pytest

from agents.execution.desk import Desk
from agents.execution.values import OrderIntent
from engine.domain.errors import OrderRejected
from engine.domain.market import Quote
from engine.domain.orders import Fill, OrderStatus, Side
from tests.agents.execution.binance.schedules import ExchangeMarket
from tests.agents.execution.binance.simulation import Bench, memory_database, request, run
from tests.agents.execution.fakes import WIDE
from tests.binance.errors import ApiError
from tests.binance.faults import Empty, Hang, Html, Refuse, When

D = Decimal
ALGO = When("POST", "/algoOrder")


def on_futures(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a case on the demo of futures, in simulated time."""

    @wraps(test)
    def work() -> None:
        async def there() -> None:
            bench = Bench(
                mode="binance-futures-demo", futures_balance=10_000, database=memory_database(everything=True)
            )
            async with bench:
                await test(bench)

        run(there())

    del work.__wrapped__  # else pytest sees a coroutine
    return work


class FuturesMarket(ExchangeMarket):
    """Prices of the local exchange's perpetuals."""

    def quote(self, symbol: str) -> Quote:
        """Return the last price with a spread around it."""
        last = self.bench.server.futures.last(symbol.replace("/", ""))
        return Quote(symbol, last - 1, last + 1, self.now())


def short(source: str = "ticket:1", **terms: str) -> Any:
    return request("sell", "0.1", source=source, **terms)  # type: ignore[arg-type]  # the names of its arguments


async def fills(bench: Bench) -> list[Fill]:
    return [fill for _, fill in await bench.venue.fills(0)]


async def statuses(bench: Bench) -> dict[str, OrderStatus]:
    return {each.request.client_order_id[29:]: each.status for each in await bench.venue.open_orders()}


def position(bench: Bench) -> Decimal:
    """Return the signed position at the exchange."""
    found = bench.server.futures.positions_of(bench.server.account)
    return sum((each.quantity for each in found), D(0))


async def goes(bench: Bench, price: int) -> None:
    bench.server.futures.move("BTCUSDT", price)
    bench.server.futures.set_mark("BTCUSDT", D(price))
    await asyncio.sleep(2)
    await bench.venue.advance()


@on_futures
async def test_an_instrument_may_be_shorted(bench: Bench) -> None:
    assert bench.venue.instruments()["BTC/USDT"].is_shortable


@on_futures
async def test_a_short_is_opened_with_a_stop_above_and_a_target_below(bench: Bench) -> None:
    answer = await bench.venue.submit(short(stop_loss="63000", take_profit="55000"))
    assert (answer.status, answer.request.side) == (OrderStatus.FILLED, Side.SELL)
    assert position(bench) == D("-0.1")
    assert await statuses(bench) == {"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN}


@on_futures
async def test_stops_go_to_the_conditional_endpoint_under_our_id(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000"))
    [sent] = [call for call in bench.server.requests if call.method == "POST" and call.path.endswith("/algoOrder")]
    assert sent.params["clientAlgoId"] == short().client_order_id + "-sl"
    assert sent.params["reduceOnly"] == "true"


@on_futures
async def test_the_stop_closes_a_short_and_takes_the_target_along(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000", take_profit="55000"))
    await goes(bench, 63_500)
    assert position(bench) == 0
    assert [fill.side for fill in await fills(bench)] == [Side.SELL, Side.BUY]
    await asyncio.sleep(5)
    assert await statuses(bench) == {}


@on_futures
async def test_the_target_closes_a_short_and_takes_the_stop_along(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000", take_profit="55000"))
    await goes(bench, 54_900)
    assert position(bench) == 0
    await asyncio.sleep(5)
    assert await statuses(bench) == {}
    assert (await fills(bench))[1].client_order_id.endswith("-tp")


@on_futures
async def test_protection_is_replaced_without_a_moment_without_it(bench: Bench) -> None:
    sent = short(stop_loss="63000")
    await bench.venue.submit(sent)
    before = len(bench.server.requests)
    await bench.venue.protect(sent.client_order_id, stop_loss=D(62_000), take_profit=None)
    changes = [call for call in bench.server.requests[before:] if call.method in ("POST", "DELETE")]
    assert [call.method for call in changes] == ["POST", "DELETE"]
    assert await statuses(bench) == {"-sl2": OrderStatus.OPEN}


@on_futures
async def test_closing_by_hand_takes_the_protection_away(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000", take_profit="55000"))
    await bench.venue.submit(request("buy", "0.1", source="ticket:2", reduce=True))
    await asyncio.sleep(3)
    assert position(bench) == 0
    assert await statuses(bench) == {}


@on_futures
async def test_a_stop_without_an_answer_is_asked_for_by_its_id(bench: Bench) -> None:
    bench.server.faults.add(Hang(accepted=True), ALGO)
    await bench.venue.submit(short(stop_loss="63000"))
    assert await statuses(bench) == {"-sl": OrderStatus.OPEN}
    assert max(bench.server.posts_by_client_id().values()) == 1


@on_futures
async def test_a_stop_that_is_never_accepted_closes_the_position(bench: Bench) -> None:
    bench.server.faults.add(Refuse(ApiError(-4131, "PERCENT_PRICE filter limit.")), ALGO, times=None)
    begun = bench.clock.now()
    await bench.venue.submit(short(stop_loss="63000"))
    assert position(bench) == 0
    assert (bench.clock.now() - begun).total_seconds() < 5
    assert [each.code for each in bench.venue.incidents()] == ["closed_unprotected"]


@on_futures
async def test_half_an_answer_to_a_stop_is_no_stop(bench: Bench) -> None:
    bench.server.faults.add(Empty(), ALGO)
    bench.server.faults.add(Html(502), When("GET", "/algoOrder"), times=2)
    await bench.venue.submit(short(stop_loss="63000"))
    await asyncio.sleep(5)
    resting = [each for each in await bench.venue.open_orders() if each.status is OrderStatus.OPEN]
    assert bool(resting) == (position(bench) != 0)


@on_futures
async def test_a_stop_on_the_wrong_side_is_rejected(bench: Bench) -> None:
    with pytest.raises(OrderRejected, match="protection_side"):
        await bench.venue.submit(short(stop_loss="55000"))
    assert position(bench) == 0


@on_futures
async def test_protection_survives_a_restart(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000", take_profit="55000"))
    await bench.restart()
    assert await statuses(bench) == {"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN}
    await goes(bench, 63_500)
    assert position(bench) == 0


@on_futures
async def test_balances_count_a_position_as_paid_for(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000"))
    [fill] = await fills(bench)
    balances = await bench.venue.balances()
    assert balances["BTC"] == D("-0.1")
    assert balances["USDT"] == 10_000 + fill.quantity * fill.price - fill.fee


@on_futures
async def test_a_cancelled_stop_is_gone_at_the_conditional_endpoint(bench: Bench) -> None:
    sent = short(stop_loss="63000", take_profit="55000")
    await bench.venue.submit(sent)
    assert (await bench.venue.cancel(sent.client_order_id + "-sl")).status is OrderStatus.CANCELLED
    assert await statuses(bench) == {"-tp": OrderStatus.OPEN}


@on_futures
async def test_what_is_paid_for_holding_is_booked_once(bench: Bench) -> None:
    market = FuturesMarket(bench)
    desk = Desk(bench.database, bench.venue, market, WIDE, starting_cash=None, wall_clock=bench.clock.now)
    await desk.start()
    await desk.execute(OrderIntent("ana", "ticket:1", short(stop_loss="63000")))
    for rate in ("0.0001", "-0.00005"):  # within the two minutes after an hour
        await asyncio.sleep(20)
        bench.server.futures.fund("BTCUSDT", rate)
        await asyncio.sleep(6)
        await desk.reconcile()
    assert desk.discrepancies() == ()
    paid = [row.amount for row in bench.server.futures.incomes if row.kind == "FUNDING_FEE"]
    assert len(paid) == 2
    assert (await desk.performance("all")).funding == sum(paid)
    await bench.restart()
    again = Desk(bench.database, bench.venue, market, WIDE, starting_cash=None, wall_clock=bench.clock.now)
    await again.start()
    assert (await again.performance("all")).funding == sum(paid)
    assert again.discrepancies() == ()


@on_futures
async def test_nobody_asks_for_funding_all_the_time(bench: Bench) -> None:
    await bench.venue.submit(short(stop_loss="63000"))
    await asyncio.sleep(180)
    await bench.venue.funding(0)
    before = len(bench.server.requests)
    for _ in range(20):
        assert list(await bench.venue.funding(0)) == []
    assert len(bench.server.requests) == before
