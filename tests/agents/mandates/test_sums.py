"""The sum of what was allowed on a day never exceeds the mandate: at random, at once, and through crashes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, event, func, select

from agents.execution.rows import DatabaseFailed
from agents.mandates import Allowed, AskTicket, Mandate, MandateState
from agents.mandates.tables import mandate_reservations
from engine.data.database import connect_database, metadata
from tests.agents.mandates.world import NOON, OWNER, TABLES, TERMS, D, World, assert_books_agree

MONEY = strategies.integers(1, 60_000).map(lambda cents: Decimal(cents) / 100)
SYMBOLS = strategies.sampled_from(["BTC/USDT", "ETH/USDT", "SOL/USDT"])


class MandateMachine(RuleBasedStateMachine):
    """Random lives of a mandate and its orders against a plain count of what was allowed."""

    @initialize()
    def open(self) -> None:
        self.database = connect_database("sqlite://")
        metadata.create_all(self.database, TABLES)
        self.world = World(self.database)
        self.standing: Mandate | None = None
        self.orders: dict[str, tuple[str, Decimal, str]] = {}
        self.counted: dict[str, Decimal] = {}
        self.released: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()

    @property
    def day(self) -> str:
        return f"{self.world.present:%Y-%m-%d}"

    @rule(daily=MONEY, share=strategies.integers(1, 100), days=strategies.integers(1, 3))
    def confirm(self, daily: Decimal, share: int, days: int) -> None:
        self.standing = self.world.confirmed(
            daily_notional=daily,
            max_order_notional=max(daily * share / 100, Decimal("0.01")),
            expires_at=self.world.present + timedelta(days=days),
        )

    @precondition(lambda self: self.standing is not None)
    @rule()
    def revoke(self) -> None:
        assert self.standing is not None
        stands = self._stored() is MandateState.CONFIRMED
        assert self.world.mandates.revoke(self.standing.id, OWNER) == stands
        self.standing = None

    @rule(hours=strategies.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.world.wait(hours=hours)

    @rule()
    def close_what_is_over(self) -> None:
        self.world.mandates.expire_due()

    @rule(notional=MONEY, symbol=SYMBOLS, drawdown=strategies.integers(0, 8))
    def ask(self, notional: Decimal, symbol: str, drawdown: int) -> None:
        source = f"mandate:{len(self.orders)}"
        self._ask(source, symbol, notional, Decimal(drawdown) / 100)

    @precondition(lambda self: self.orders)
    @rule(data=strategies.data())
    def ask_again(self, data: strategies.DataObject) -> None:
        source = data.draw(strategies.sampled_from(sorted(self.orders)))
        symbol, notional, _ = self.orders[source]
        answer = self._ask(source, symbol, notional, Decimal("0.01"))
        assert source not in self.released or not isinstance(answer, Allowed)

    @precondition(lambda self: self.orders)
    @rule(data=strategies.data())
    def release(self, data: strategies.DataObject) -> None:
        source = data.draw(strategies.sampled_from(sorted(self.orders)))
        _, notional, day = self.orders[source]
        assert self.world.permission.release(source) == (source not in self.released)
        if source not in self.released:
            self.released.add(source)
            self.counted[day] -= notional

    @invariant()
    def books_agree(self) -> None:
        if hasattr(self, "world"):
            totals = {key[2]: total for key, total in assert_books_agree(self.database).items() if total}
            assert totals == {day: total for day, total in self.counted.items() if total}

    def _ask(self, source: str, symbol: str, notional: Decimal, drawdown: Decimal) -> object:
        answer = self.world.ask(str(notional), source=source, symbol=symbol, drawdown_ratio=drawdown)
        if isinstance(answer, Allowed):
            self._assert_within(answer, symbol, notional, drawdown)
            if source not in self.orders:
                self.orders[source] = (symbol, notional, self.day)
                self.counted[self.day] = self.counted.get(self.day, Decimal(0)) + notional
                assert self.standing is not None
                assert self.counted[self.day] <= self.standing.terms.daily_notional
        return answer

    def _assert_within(self, answer: Allowed, symbol: str, notional: Decimal, drawdown: Decimal) -> None:
        assert self.standing is not None
        terms = self.standing.terms
        assert answer.mandate_id == self.standing.id
        assert symbol in terms.pairs
        assert notional <= terms.max_order_notional
        assert drawdown < terms.drawdown_ratio
        assert self.world.present < terms.expires_at

    def _stored(self) -> MandateState | None:
        assert self.standing is not None
        stored = self.world.mandates.get(self.standing.id)
        return None if stored is None else stored.state


TestMandates = MandateMachine.TestCase
TestMandates.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.mark.prove
def test_mandates_at_length() -> None:
    case = MandateMachine.TestCase
    case.settings = settings(max_examples=1500, stateful_step_count=50, deadline=None)
    case().runTest()


def at_once(url: str, work: Callable[[World, int], Any], number: int, threads: int = 8) -> list[Any]:
    """Do something many times at once, each time on a connection of its own."""

    def one(index: int) -> Any:
        database = connect_database(url)
        try:
            return work(World(database), index)
        finally:
            database.dispose()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(number)))


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask until the database answers: it may break off one of two that wait for each other."""
    while True:
        with suppress(DatabaseFailed):
            return ask()


def test_asked_at_once_the_days_notional_is_reached_exactly(database_url: str, world: World) -> None:
    mandate = world.confirmed()
    answers = at_once(database_url, lambda w, n: patiently(lambda: w.ask("70", source=f"mandate:{n}")), 40)
    assert answers.count(Allowed(mandate.id)) == 14
    assert answers.count(AskTicket("mandate_daily_notional", mandate.id, D(20))) == 26
    assert assert_books_agree(world.database) == {("atlas", "binance", "2026-03-02"): D(980)}


def test_one_order_asked_for_at_once_is_reserved_once(database_url: str, world: World) -> None:
    mandate = world.confirmed()
    answers = at_once(database_url, lambda w, n: patiently(lambda: w.ask("70", source="mandate:x")), 24)
    assert set(answers) == {Allowed(mandate.id)}
    assert world.reserved() == 70


def test_nothing_is_allowed_after_a_revocation_has_returned(database_url: str, world: World) -> None:
    mandate = world.confirmed(daily_notional=D(10_000))

    def work(each: World, number: int) -> tuple[bool, int]:
        if number == 12:
            patiently(lambda: each.mandates.revoke(mandate.id, OWNER))
            query = select(func.count()).select_from(mandate_reservations)
            with each.database.connect() as connection:
                return True, int(connection.execute(query).scalar_one())
        answer = patiently(lambda: each.ask("1", source=f"mandate:{number}"))
        return False, isinstance(answer, Allowed)

    results = at_once(database_url, work, 30)
    (after_revoking,) = [reserved for was_revoking, reserved in results if was_revoking]
    allowed = sum(is_allowed for was_revoking, is_allowed in results if not was_revoking)
    assert allowed == after_revoking
    assert world.ask("1") == AskTicket("no_mandate")


def test_asked_and_released_at_once_the_books_agree(database_url: str, world: World) -> None:
    world.confirmed()

    def work(each: World, number: int) -> None:
        patiently(lambda: each.ask(str(10 + number), source=f"mandate:{number % 20}"))
        if number % 3 == 0:
            patiently(lambda: each.permission.release(f"mandate:{(number * 7) % 20}"))

    at_once(database_url, work, 60)
    totals = assert_books_agree(world.database)
    assert all(total <= TERMS.daily_notional for total in totals.values())


def die_at(database: Engine, edge: int) -> None:
    """Let this process be killed at the n-th edge of a commit, reads included: even before it, odd after it."""
    seen = [0]
    commit = database.dialect.do_commit

    def note() -> None:
        if seen[0] == edge:
            os.kill(os.getpid(), signal.SIGKILL)
        seen[0] += 1

    def counted(connection: Any) -> None:
        note()
        commit(connection)
        note()

    database.dialect.do_commit = counted  # type: ignore[method-assign]  # the only hook after a commit


def in_a_process(url: str, work: Callable[[World], None], edge: int) -> bool:
    """Run work in a process that may be killed; return whether it was."""
    pid = os.fork()
    if pid == 0:
        database = connect_database(url)
        if database.dialect.name == "sqlite":
            event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        die_at(database, edge)
        work(World(database))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_any_commit_the_sum_stays_within_the_mandate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/killed.db"
    database = connect_database(url)
    metadata.create_all(database, TABLES)
    World(database).confirmed()
    database.dispose()
    chance, killed = random.Random(7), 0
    for life in range(25):
        orders = [(f"mandate:{chance.randrange(12)}", str(chance.randrange(50, 300))) for _ in range(4)]

        def work(world: World, orders: list[tuple[str, str]] = orders) -> None:
            for source, notional in orders:
                if isinstance(world.ask(notional, source=source), Allowed) and int(notional) % 4 == 0:
                    world.permission.release(source)

        killed += in_a_process(url, work, life % 12)
        database = connect_database(url)
        totals = assert_books_agree(database)
        database.dispose()
        assert all(total <= TERMS.daily_notional for total in totals.values())
    assert killed >= 15


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_crash_between_allowing_and_sending_costs_room_and_gives_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/killed.db"
    database = connect_database(url)
    metadata.create_all(database, TABLES)
    world = World(database)
    mandate = world.confirmed()
    world.ask("1", source="mandate:first")
    database.dispose()

    def work(each: World) -> None:
        each.ask("400", source="mandate:x")

    assert in_a_process(url, work, 3)
    database = connect_database(url)
    world = World(database)
    assert world.reserved() == 401
    assert world.ask("400", source="mandate:x") == Allowed(mandate.id)
    assert world.reserved() == 401
    assert world.present == NOON
    database.dispose()
