"""The desk and the Binance adapter's record on a real MariaDB, with several processes' worth of threads at once."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import Engine

from agents.execution.binance.making import new_leg
from agents.execution.binance.store import Store
from agents.execution.binance.values import Phase, Role, Tracked, VenueTrade
from agents.execution.claims import NotLeading
from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.execution.values import Execution, IntentState
from agents.supervisor import LeaseStore, has_fence
from agents.supervisor.lease import new_holder
from engine.data.database import connect_database, metadata
from engine.domain.orders import OrderStatus
from tests.agents.execution.fakes import CASH, START, WIDE, D, FakeMarket, request
from tests.agents.execution.place import EXACT, check_books, send

pytestmark = pytest.mark.mariadb
THREADS = 4
Result = TypeVar("Result")


@pytest.fixture
def database(mariadb_url: str) -> Iterator[Engine]:
    opened = connect_database(mariadb_url)
    metadata.create_all(opened)
    yield opened
    opened.dispose()


def at_once(work: Callable[[int], Result], times: int = THREADS) -> list[Result]:
    """Call something in several threads at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(times)))


def open_desk(database: Engine, market: FakeMarket) -> tuple[Desk, PaperVenue]:
    venue = PaperVenue(database, market, starting_cash=CASH, settings=EXACT)
    return Desk(database, venue, market, WIDE, starting_cash=CASH), venue


async def started(database: Engine, market: FakeMarket) -> tuple[Desk, PaperVenue]:
    desk, venue = open_desk(database, market)
    await desk.start()
    for name in ("atlas", "nova"):
        await desk.set_book_limits(name, WIDE)
        await desk.transfer(D(20000), "main", name, f"budget:{name}")
    return desk, venue


def test_programs_that_trade_at_once_keep_the_books(mariadb_url: str, database: Engine) -> None:
    market = FakeMarket()
    asyncio.run(started(database, market))

    async def trade(number: int) -> list[Execution]:
        own = connect_database(mariadb_url)
        desk, _ = open_desk(own, market)
        try:
            done = [await send(desk, request(source="ticket:same", stop_loss="90"), "ticket:same")]
            for step in range(3):
                source, book = f"moment:{number}:{step}", "atlas" if number % 2 else "nova"
                done.append(await send(desk, request("buy", "0.5", source=source), source, book))
            return done
        finally:
            own.dispose()

    told = at_once(lambda number: asyncio.run(trade(number)))
    assert {each.state for done in told for each in done} == {IntentState.DONE}
    desk, venue = open_desk(database, market)
    asyncio.run(check_books(desk, venue))
    fills = asyncio.run(venue.fills(0))
    assert len(fills) == 1 + 3 * THREADS


@pytest.mark.prove
async def test_only_the_newest_term_sends_for_an_agent(database: Engine) -> None:
    market = FakeMarket()
    await started(database, market)
    store = LeaseStore(database)
    desks = []
    for _ in range(2):
        lease = store.acquire(new_holder(), lease_s=60, skew_s=0)
        assert lease is not None
        venue = PaperVenue(database, market, starting_cash=CASH, settings=EXACT)
        fence = partial(has_fence, fence=lease.fence)
        desks.append(Desk(database, venue, market, WIDE, starting_cash=CASH, fence=fence))
        assert (await send(desks[-1], request(source=lease.holder), lease.holder, "atlas")).state is IntentState.DONE
        store.release(lease)
    old, _ = desks
    with pytest.raises(NotLeading):
        await send(old, request(source="moment:late"), "moment:late", "atlas")
    assert len(await venue.fills(0)) == 2


def test_the_adapters_record_gives_every_number_out_once(mariadb_url: str, database: Engine) -> None:
    stores = [Store(connect_database(mariadb_url), "binance-testnet") for _ in range(THREADS)]

    def order(name: str) -> bool:
        asked = request(source=name)
        tracked = Tracked(asked, 0, OrderStatus.OPEN, "", None, True, START, START)
        order_id = asked.client_order_id
        leg = new_leg(asked, Role.ENTRY, asked.quantity, START, leg_id=order_id, entry_id=order_id)
        return stores[int(name.rpartition(":")[2]) % THREADS].add_order([tracked], [leg])

    assert at_once(lambda n: order(f"ticket:{n}"), 24) == [True] * 24
    shared = Tracked(request(source="ticket:all"), 0, OrderStatus.OPEN, "", None, True, START, START)
    same = at_once(lambda n: stores[n].add_order([shared], []))
    assert sorted(same) == [False, False, False, True]

    leg = stores[0].legs(client_order_id=request(source="ticket:7").client_order_id)[0]
    moved = replace(leg, phase=Phase.KNOWN, exchange_id="9")
    saved = at_once(lambda n: stores[n].save_leg(replace(moved, updated_at=START + timedelta(seconds=n)), leg))
    assert sorted(saved) == [False, False, False, True]

    trades = [VenueTrade(str(n), "9", D("0.1"), D(100), D("0.01"), "USDT", False, START) for n in range(10)]
    settled = at_once(lambda n: stores[n].add_trades(leg, trades))
    assert settled == [D(1)] * THREADS

    def price(number: int) -> None:
        for row in stores[number].unpriced():
            stores[number].price_fee(row, D("0.01"), D(1))

    at_once(price)
    assert [number for number, _ in stores[0].fills(0)] == list(range(1, 11))
    numbers = [each.number for each in stores[0].orders(unfinished=False)] + [each.number for each in stores[0].legs()]
    assert len(set(numbers)) == len(numbers) == 49
