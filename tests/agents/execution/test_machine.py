"""Any sequence of orders, fills, cancels, protection, transfers, halts, failures and crashes: the truths hold."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import update

from agents.execution.claims import process_token
from agents.execution.desk import Desk, client_order_id
from agents.execution.tables import order_intents
from agents.risk.states import TradingState
from engine.domain.errors import CopilotError
from tests.agents.execution.fakes import D, FaultyVenue, request
from tests.agents.execution.place import Place, send
from tests.agents.execution.truths import TRUTHS, gather

BOOKS = st.sampled_from(["main", "atlas", "nova"])
SYMBOLS = st.sampled_from(["BTC/USDT", "XAUUSD"])
QUANTITIES = st.integers(20, 400).map(lambda n: str(D(n) / 100))
GONE = "|".join((*process_token().split("|")[:2], "999999", "1", "1"))


class Died(BaseException):
    """The process was killed at a checkpoint."""


class Trading(RuleBasedStateMachine):
    """The desk, driven at random; after every step a new look must find everything in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine"))
        self.runner = asyncio.Runner()
        self.place = Place(self.folder)
        self.venue = FaultyVenue(self.place.venue, 0, 0.3)
        self.venue.is_healthy = True
        self.ids: list[str] = []
        self.number = 0
        self.desk = self.run(self.place.desk("atlas", "nova", venue=self.venue))

    def run(self, work: Awaitable[Desk]) -> Desk:
        async def wait() -> Desk:
            return await work

        return self.runner.run(wait())

    def do(self, work: Callable[[Desk], Awaitable[object]], *, seed: int = 0) -> None:
        """Do something, perhaps with a failing venue (odd seeds) or a death on the way (multiples of 3)."""
        chance = random.Random(seed)
        left = chance.randint(1, 12) if seed % 3 == 0 else 0

        def checkpoint(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died

        async def attempt() -> None:
            desk = self.desk
            if left:
                desk = await self.place.desk(venue=self.venue)
                object.__setattr__(desk._parts, "checkpoint", checkpoint)
            self.venue.is_healthy = seed % 2 == 0
            with suppress(CopilotError, Died):
                await work(desk)
            self.venue.is_healthy = True

        self.runner.run(attempt())
        with self.place.database.begin() as connection:
            connection.execute(update(order_intents).values(claimed_by=GONE))
        self.check()

    def check(self) -> None:
        async def look() -> None:
            self.desk = await self.place.desk(venue=self.venue)
            await self.desk.reconcile()
            facts = await gather(self.desk, self.place, self.ids)
            for truth in TRUTHS:
                truth(facts)
            assert len(self.venue.submits) == len(set(self.venue.submits))

        self.runner.run(look())

    def source(self) -> str:
        self.number += 1
        source = f"ticket:{self.number}"
        self.ids.append(client_order_id(source))
        return source

    @initialize()
    def begin(self) -> None:
        self.check()

    @rule(
        book=BOOKS,
        symbol=SYMBOLS,
        side=st.sampled_from(["buy", "buy", "sell"]),
        quantity=QUANTITIES,
        kind=st.sampled_from(["market", "limit"]),
        stop=st.booleans(),
        goal=st.booleans(),
        seed=st.integers(0, 10**6),
    )
    def order(
        self, book: str, symbol: str, side: str, quantity: str, kind: str, stop: bool, goal: bool, seed: int
    ) -> None:
        mid, sign = self.place.market.mids[symbol], 1 if side == "buy" else -1
        source = self.source()
        order = request(
            side,
            quantity,
            symbol=symbol,
            kind=kind,
            price=None if kind == "market" else str(mid - sign),
            stop_loss=str(mid - 5 * sign) if stop else None,
            take_profit=str(mid + 5 * sign) if goal else None,
            source=source,
        )
        self.do(lambda desk: send(desk, order, source, book), seed=seed)

    @rule(book=BOOKS, symbol=SYMBOLS, quantity=QUANTITIES, seed=st.integers(0, 10**6))
    def reduce(self, book: str, symbol: str, quantity: str, seed: int) -> None:
        source = self.source()
        order = request("sell", quantity, symbol=symbol, reduce=True, source=source)
        self.do(lambda desk: send(desk, order, source, book), seed=seed)

    @rule(
        symbol=SYMBOLS,
        low=st.integers(0, 8),
        high=st.integers(0, 8),
        close=st.integers(0, 8),
        volume=st.sampled_from(["0", "2", "1000"]),
    )
    def minute(self, symbol: str, low: int, high: int, close: int, volume: str) -> None:
        mid = self.place.market.mids[symbol]
        lowest = max(mid - low, D(20))
        highest = mid + high
        last = min(max(mid - low + close, lowest), highest)
        self.place.market.minute(str(mid), str(highest), str(lowest), str(last), volume, symbol)
        self.check()

    @precondition(lambda self: self.ids)
    @rule(pick=st.integers(0, 100), seed=st.integers(0, 10**6))
    def cancel(self, pick: int, seed: int) -> None:
        self.do(lambda desk: desk.cancel(self.ids[pick % len(self.ids)]), seed=seed)

    @precondition(lambda self: self.ids)
    @rule(
        pick=st.integers(0, 100),
        stop=st.one_of(st.none(), st.integers(1, 9)),
        goal=st.one_of(st.none(), st.integers(1, 9)),
        seed=st.integers(0, 10**6),
    )
    def protect(self, pick: int, stop: int | None, goal: int | None, seed: int) -> None:
        order_id = self.ids[pick % len(self.ids)]
        stored = self.desk._journal.intent(order_id)
        if stored is None:
            return
        order = stored.intent.request
        mid, sign = self.place.market.mids[order.symbol], order.side.sign
        self.do(
            lambda desk: desk.protect(
                order_id,
                stop_loss=None if stop is None else mid - stop * sign,
                take_profit=None if goal is None else mid + goal * sign,
            ),
            seed=seed,
        )

    @precondition(lambda self: self.ids)
    @rule(pick=st.integers(0, 100), distance=st.sampled_from(["0.02", "0.05"]), seed=st.integers(0, 10**6))
    def trail(self, pick: int, distance: str, seed: int) -> None:
        self.do(lambda desk: desk.trail(self.ids[pick % len(self.ids)], distance=D(distance)), seed=seed)

    @rule(book=BOOKS, symbol=SYMBOLS, seed=st.integers(0, 10**6))
    def close(self, book: str, symbol: str, seed: int) -> None:
        source = self.source()
        self.do(lambda desk: desk.close(book, symbol, source), seed=seed)

    @rule(book=st.one_of(st.none(), BOOKS), seed=st.integers(0, 10**6))
    def flatten(self, book: str | None, seed: int) -> None:
        self.do(lambda desk: desk.flatten(book), seed=seed)

    @rule(giver=BOOKS, taker=BOOKS, amount=st.integers(1, 5000), seed=st.integers(0, 10**6))
    def transfer(self, giver: str, taker: str, amount: int, seed: int) -> None:
        source = self.source()
        self.ids.pop()
        for _ in range(2):
            self.do(lambda desk: desk.transfer(D(amount), giver, taker, source), seed=seed)

    @rule(book=st.one_of(st.none(), BOOKS), seed=st.integers(0, 10**6))
    def halt(self, book: str | None, seed: int) -> None:
        self.do(lambda desk: desk.halt(book, "ana", "test"), seed=seed)

    @rule(book=BOOKS)
    def restrict(self, book: str) -> None:
        self.do(lambda desk: desk.set_state(book, TradingState.REDUCING, "ana", "test"), seed=2)

    @rule()
    def lift(self) -> None:
        async def lift_all(desk: Desk) -> None:
            for book in (None, "main", "atlas", "nova"):
                await desk.lift(book, "ana")

        self.do(lift_all, seed=2)

    def teardown(self) -> None:
        self.runner.close()
        self.place.database.dispose()
        shutil.rmtree(self.folder)


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_there_are_enough_truths() -> None:
    assert len({truth.__name__ for truth in TRUTHS}) >= 20


def test_the_truths_hold_over_any_sequence() -> None:
    short = settings(max_examples=5, stateful_step_count=6, deadline=None, suppress_health_check=CHECKS)
    run_state_machine_as_test(Trading, settings=short)  # type: ignore[no-untyped-call]  # hypothesis does not type it


@pytest.mark.prove
def test_the_truths_hold_over_thousands_of_sequences() -> None:
    long = settings(max_examples=5000, stateful_step_count=12, deadline=None, suppress_health_check=CHECKS)
    run_state_machine_as_test(Trading, settings=long)  # type: ignore[no-untyped-call]  # hypothesis does not type it
