"""Breaker and line: a failing model is left alone and tried again; people wait in order, or are not kept waiting."""

from __future__ import annotations

import asyncio

import pytest

from copilot.brain.access import Breaker, Line
from engine.domain.errors import ModelUnavailable
from tests.copilot.brain.rig import FakeClock


def test_lasting_failure_opens_at_once_and_longer_each_time() -> None:
    clock = FakeClock()
    breaker = Breaker(clock, first_pause_s=2, longest_pause_s=5)
    pauses = []
    for _ in range(4):
        breaker.failed("unreachable")
        began = clock.now
        while breaker.trouble is not None:
            assert breaker.trouble == "unreachable"
            clock.now += 0.5
        pauses.append(clock.now - began)
    assert pauses == [2, 4, 5, 5]
    breaker.succeeded()
    breaker.failed("unreachable")
    clock.now += 2
    assert breaker.trouble is None


def test_passing_failures_open_only_in_a_row() -> None:
    breaker = Breaker(FakeClock())
    for code in ("invalid_json", "empty"):
        breaker.failed(code)
        assert breaker.trouble is None
    breaker.succeeded()
    for _ in range(3):
        assert breaker.trouble is None
        breaker.failed("truncated")
    assert breaker.trouble == "truncated"


async def test_line_serves_in_order_and_tells_how_many_come_first() -> None:
    line, served, told = Line(), list[int](), dict[int, list[int]]()

    async def come(person: int) -> None:
        async with line.place(told.setdefault(person, []).append):
            served.append(person)
            await asyncio.sleep(0)

    await asyncio.gather(*(come(person) for person in range(4)))
    assert served == [0, 1, 2, 3]
    assert told == {0: [], 1: [0], 2: [1, 0], 3: [2, 1, 0]}


async def test_full_line_turns_away_at_once() -> None:
    line, is_done = Line(longest=1), asyncio.Event()

    async def hold() -> None:
        async with line.place(lambda ahead: None):
            await is_done.wait()

    holders = [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ModelUnavailable, match="line_full"):
        async with line.place(lambda ahead: None):
            pass
    is_done.set()
    await asyncio.gather(*holders)


async def test_who_leaves_the_line_keeps_nobody_from_the_model() -> None:
    line, is_done = Line(), asyncio.Event()

    async def hold() -> None:
        async with line.place(lambda ahead: None):
            await is_done.wait()

    first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    is_done.set()
    await first
    async with asyncio.timeout(30), line.place(lambda ahead: None):
        pass
    assert second.cancelled()


async def test_several_at_once_where_the_server_takes_them() -> None:
    line, most, now = Line(at_once=2), 0, 0

    async def come() -> None:
        nonlocal most, now
        async with line.place(lambda ahead: None):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(come() for _ in range(6)))
    assert (most, now) == (2, 0)
