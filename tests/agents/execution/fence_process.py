"""One process that sends orders of an agent as long as it lives: `python -m tests.agents.execution.fence_process DB`.

It takes the lease, renews it before every order, and does not care whether that worked: like a leader that was
stopped and wakes up believing that nothing happened. Only the desk's fence keeps its orders back. Every order that
reaches the venue is noted with the term on whose behalf it was sent; every one kept back with the term 0.
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert

from agents.execution.claims import NotLeading
from agents.execution.desk import Desk, client_order_id
from agents.execution.paper import PaperVenue
from agents.execution.values import OrderIntent
from agents.supervisor import LeaseStore, has_fence
from agents.supervisor.lease import Lease
from engine.domain.orders import OrderRequest, OrderType, Side, VenueOrder
from tests.agents.execution.fakes import CASH, WIDE, D, FakeMarket, open_database
from tests.agents.execution.place import EXACT

LEASE_S = 0.5

deeds = Table(
    "test_fenced_deeds",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("term", Integer, nullable=False),
    Column("pid", Integer, nullable=False),
)


class NotingVenue(PaperVenue):
    """The paper venue, which notes on whose behalf an order came."""

    term = 0
    database: Engine

    async def submit(self, order: OrderRequest) -> VenueOrder:
        """Take an order and note it."""
        note(self.database, self.term)
        return await super().submit(order)


def note(database: Engine, term: int) -> None:
    """Write down what was done on behalf of a term."""
    with database.begin() as connection:
        connection.execute(insert(deeds).values(term=term, pid=os.getpid()))


async def take_lease(store: LeaseStore) -> Lease:
    """Wait until this process may lead."""
    while True:
        lease = store.acquire(f"pid:[1]/far|boot|1|1|{os.getpid()}", lease_s=LEASE_S, skew_s=0.1)
        if lease is not None:
            return lease
        await asyncio.sleep(0.02)


async def main(path: str) -> None:
    """Send until killed."""
    database, market = open_database(Path(path)), FakeMarket()
    venue = NotingVenue(database, market, starting_cash=CASH, settings=EXACT)
    venue.database = database
    store = LeaseStore(database)
    lease = await take_lease(store)
    venue.term = lease.fence
    fence = partial(has_fence, fence=lease.fence)
    desk = Desk(database, venue, market, WIDE, starting_cash=CASH, fence=fence)
    await desk.start()
    for number in range(100_000):
        store.renew(lease, lease_s=LEASE_S)
        source = f"moment:{os.getpid()}:{number}"
        request = OrderRequest(client_order_id(source), "XAUUSD", Side.BUY, OrderType.LIMIT, D("0.5"), D(40))
        try:
            await desk.execute(OrderIntent("atlas", source, request, book="atlas"))
        except NotLeading:
            note(database, 0)
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
