"""Seeded trouble for desk, adapter and exchange together: no duplicate, no orphan, nothing unprotected for long."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.agents.execution.binance.schedules import Outcome, Schedule
from tests.agents.execution.binance.simulation import run

FOUND = (159, 300, 383, 791, 1062, 2136, 2326, 2328, 10321)
"""Seeds that once lost something: no bids in a market, a fee without a price at a restart, a balance read too early,
rules asked for again and again at a restart, a clock that could not be measured."""
SHORT, LONG = (*range(6), *FOUND), range(10_000)


def play(seed: int) -> Outcome:
    """Play one schedule; at module level, so that another process can."""
    return run(Schedule(seed).play())


def check(outcomes: Iterable[Outcome]) -> None:
    found = list(outcomes)
    totals = {
        name: sum(getattr(each, name) for each in found)
        for name in (
            "orders",
            "fills",
            "faults",
            "kills",
            "closed_unprotected",
            "duplicates",
            "orphans",
            "wrong_books",
            "unprotected_s",
            "away_s",
        )
    }
    longest = max(each.longest_s for each in found)
    print(f"{len(found)} schedules: {totals}, longest without a stop {longest:.2f} s")  # noqa: T201 - it is the result
    assert [each for each in found if not each.is_clean] == []
    assert totals["fills"] > len(found)
    assert totals["faults"] > len(found)


def test_short_schedules_of_trouble_lose_nothing() -> None:
    check(play(seed) for seed in SHORT)


@pytest.mark.prove
def test_ten_thousand_schedules_of_trouble_lose_nothing() -> None:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        check(pool.map(play, LONG, chunksize=20))
