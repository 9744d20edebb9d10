"""A worker that does one thing again and again."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from agents.supervisor import Repeat, SupervisorSettings
from agents.supervisor.keeper import Keeper
from tests.agents.supervisor.fakes import ManualPace

SETTINGS = SupervisorSettings(jitter_ratio=0.0, hang_s=40)


async def test_it_works_again_after_each_pause_and_after_each_failure() -> None:
    pace, done = ManualPace(), list[float]()

    async def work() -> None:
        done.append(pace.present)
        if len(done) == 3:
            raise OSError("once")

    keeper = Keeper(Repeat("settling", 2, work, pace), SETTINGS, pace, pace.now, Random(1), lambda *told: None)
    task = asyncio.ensure_future(keeper.keep(None))
    await pace.advance(10)
    assert done == [0, 2, 4, 5, 7, 9]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_pass_that_never_ends_is_broken_off_and_begun_again() -> None:
    pace, begun = ManualPace(), list[float]()

    async def work() -> None:
        begun.append(pace.present)
        if len(begun) == 1:
            await asyncio.Event().wait()

    keeper = Keeper(Repeat("settling", 2, work, pace), SETTINGS, pace, pace.now, Random(1), lambda *told: None)
    task = asyncio.ensure_future(keeper.keep(None))
    await pace.advance(50)
    assert begun[:2] == [0, 41]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
