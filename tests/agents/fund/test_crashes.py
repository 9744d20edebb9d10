"""Stop a fund at every step and start again: what stands is what an undisturbed life leads to.

A stop is an exception that nothing catches at a checkpoint, or right before and right after each commit; the desk, like
an exchange, lives on. The life: two deposits, a month with profit, fees and payouts, a withdrawal, a refund.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from agents.fund.funds import Funds
from agents.fund.terms import FundTerms
from tests.agents.fund.desk import FakeDesk, at, open_tables

TERMS = FundTerms(
    dealing="monthly", crystallisation="monthly", payout="monthly", management_fee=Decimal("0.02"),
    payout_share=Decimal("0.4"),
)  # fmt: skip


class Stopped(BaseException):
    """The process is gone."""


class Fuse:
    """Stops at the n-th place where it is asked; None never does."""

    def __init__(self, at: int | None) -> None:
        self._at, self.seen = at, 0

    def __call__(self, *_: Any) -> None:
        self.seen += 1
        if self.seen - 1 == self._at:
            raise Stopped

    def around_commits(self, database: Engine) -> None:
        commit: Callable[[Any], None] = database.dialect.do_commit

        def guarded(connection: Any) -> None:
            self()
            commit(connection)
            self()

        database.dialect.do_commit = guarded  # type: ignore[assignment]  # the only hook after a commit


async def live(database: Engine, desk: FakeDesk, fuse: Fuse) -> None:
    """Live on from wherever a life was stopped: every step may be repeated."""
    funds = Funds(database, desk, checkpoint=fuse)
    await funds.open_fund("nova", TERMS)
    desk.clock = max(desk.clock, at("2026-01-05T10:00"))
    await funds.deposit("nova", "ada", Decimal("1000.01"), "a1")
    await funds.deposit("nova", "ben", Decimal("777.77"), "b1", payouts="reinvest")
    if desk.clock < at("2026-01-20T00:00"):
        desk.clock = at("2026-01-20T00:00")
    await funds.value("nova") if desk.clock == at("2026-01-20T00:00") else None
    if not desk.results:
        desk.earn("nova", "345.678901")
    desk.clock = max(desk.clock, at("2026-01-25T00:00"))
    await funds.withdraw("nova", "ada", Decimal(300), "w1")
    await funds.deposit("nova", "cleo", Decimal(50), "c1")
    await funds.cancel("nova", "c1")
    desk.clock = max(desk.clock, at("2026-03-01T09:00"))
    await funds.run_due("nova")
    await funds.settle("nova")


def outcome(database: Engine, desk: FakeDesk) -> tuple[object, ...]:
    funds = Funds(database, desk)
    assert funds.audit("nova") == ()
    _, balances = funds.store.snapshot("nova")
    assert not balances.payable
    assert desk.equity("nova") == balances.transferred + balances.result
    moves = {source: move[1:] for source, move in desk.moves.items()}
    # A payment may be booked before or after a valuation; what is booked is the same.
    return balances.amounts(), moves, dict(desk.cash), sorted(each.source for each in funds.store.entries("nova"))


async def run_with(folder: Path, stop_at: int | None) -> tuple[tuple[object, ...], int]:
    database, desk, fuse = open_tables(folder), FakeDesk(), Fuse(stop_at)
    fuse.around_commits(database)
    try:
        await live(database, desk, fuse)
    except Stopped:
        database.dispose()
        await live(database, desk, fuse)
    seen = fuse.seen
    found = outcome(database, desk)
    await live(database, desk, Fuse(None))
    assert outcome(database, desk) == found, "a second start changed something"
    database.dispose()
    return found, seen


async def stop_everywhere(factory: pytest.TempPathFactory, step: int) -> None:
    undisturbed, places = await run_with(factory.mktemp("whole"), None)
    assert places > 60
    for place in range(0, places, step):
        found, _ = await run_with(factory.mktemp("stopped"), place)
        assert found == undisturbed, f"stopped at place {place}"


async def test_a_fund_stopped_at_any_step_ends_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    await stop_everywhere(tmp_path_factory, 13)


@pytest.mark.prove
async def test_a_fund_stopped_at_every_step_ends_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    await stop_everywhere(tmp_path_factory, 1)
