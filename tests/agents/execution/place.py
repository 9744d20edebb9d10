"""A database with a market and a paper venue on which desks open, and agents' books that may trade."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from agents.execution.desk import Desk
from agents.execution.kill_file import KillFile
from agents.execution.paper import PaperVenue
from agents.execution.parts import no_checkpoint
from agents.execution.values import Execution, OrderIntent
from agents.risk.values import RiskLimits
from engine.domain.orders import OrderRequest
from engine.domain.protocols import Venue
from engine.ledger import Accounts, replay_events
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, WIDE, D, FakeMarket, open_database

EXACT = MatchingSettings(slippage_bps=D(0), participation_ratio=D("0.5"))


class Place:
    """Where a test trades."""

    def __init__(self, folder: Path) -> None:
        self.market = FakeMarket()
        self.database = open_database(folder / "place.db")
        self.venue = PaperVenue(self.database, self.market, starting_cash=CASH, settings=EXACT)
        self.kill_file = KillFile(folder / "STOP")

    async def desk(
        self,
        *agents: str,
        venue: Venue | None = None,
        limits: RiskLimits = WIDE,
        checkpoint: Callable[[str], None] = no_checkpoint,
        groups: dict[str, str] | None = None,
    ) -> Desk:
        """Open a desk; each agent gets a budget of 20,000 and wide limits."""
        desk = Desk(
            self.database,
            venue or self.venue,
            self.market,
            limits,
            starting_cash=CASH,
            kill_file=self.kill_file,
            checkpoint=checkpoint,
            groups=groups,
        )
        await desk.start()
        for agent in agents:
            await desk.set_book_limits(agent, WIDE)
            await desk.transfer(D(20000), "main", agent, f"budget:{agent}")
        return desk


async def send(desk: Desk, order: OrderRequest, source: str = "ticket:1", book: str = "main") -> Execution:
    """Send an order of a book."""
    return await desk.execute(OrderIntent("ana", source, order, book=book))


def books_of(desk: Desk) -> Accounts:
    """Return all books, after checking them: in balance, equal to their replay, and their sum the account."""
    replayed = replay_events(desk.events())
    stored = desk._journal.snapshot(desk.market.now()).accounts
    assert {name: books for name, books in stored.books.items()} == dict(replayed.books)
    assert all(books.imbalance() == 0 for books in stored.books.values())
    assert stored.total().imbalance() == 0
    return stored


async def check_books(desk: Desk, venue: PaperVenue) -> Accounts:
    """Check the books against each other and against the venue, and return them."""
    await desk.reconcile()
    accounts = books_of(desk)
    assert desk.discrepancies() == ()
    whole = await desk.account()
    parts = [await desk.account(name) for name in accounts.books]
    assert whole.cash == sum((each.cash for each in parts), D(0)) == (await venue.balances())["USD"]
    assert whole.equity == sum((each.equity for each in parts), D(0))
    return accounts


def run(coroutine: object) -> None:
    """Run a coroutine in a loop of its own."""
    asyncio.run(coroutine)  # type: ignore[arg-type]  # coroutines of tests
