"""The loop around an agent's moments: it hears bars, looks after legs, follows changes, and can be started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agents.fleet.lifecycle import AgentState
from engine.domain.errors import DataUnavailable
from tests.agents.fleet.stage import Stage, Tape, make_profile, walk

A, B = "AAA/USDT", "BBB/USDT"
PARAMETERS = "{entry_bars: 6, exit_bars: 3, range_bars: 6}"


class Pulse:
    def __init__(self) -> None:
        self.beats = 0
        self.is_over = False

    def beat(self) -> None:
        self.beats += 1

    def require_term(self) -> None:
        if self.is_over:
            raise DataUnavailable("the term is over")


@asynccontextmanager
async def running(stage: Stage, pulse: Pulse) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stage.agent.run(pulse))
    try:
        await settled(lambda: bool(stage.feed.subscribed))
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, DataUnavailable):
            await task


async def settled(is_done: object) -> None:
    for _ in range(2000):
        if is_done():  # type: ignore[operator]
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to pass")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    profile = make_profile(f"[{{name: breakout, parameters: {PARAMETERS}}}]")
    return Stage(tmp_path / "a.db", Tape([walk(A, 80, 3), walk(B, 80, 4)]), profile, options={"housekeeping_s": 0.01})


def hour(stage: Stage) -> None:
    stage.market.present += timedelta(hours=1)
    stage.feed.tell(stage.event([A, B]))


async def test_it_decides_what_it_hears_and_beats(stage: Stage) -> None:
    await stage.open()
    pulse = Pulse()
    async with running(stage, pulse):
        assert stage.feed.subscribed == [((A, B), "1h", None)]
        for _ in range(12):
            hour(stage)
            moment = stage.market.present
            await settled(lambda moment=moment: stage.fleet._store.cursors("vega").get("1h") == moment)
    assert pulse.beats >= 12
    assert await stage.desk.trades("all", book="vega")


async def test_a_new_run_asks_for_what_closed_meanwhile(stage: Stage) -> None:
    await stage.open()
    await stage.play([A, B], 3)
    moment = stage.market.present
    await stage.restart()
    async with running(stage, Pulse()):
        assert stage.feed.subscribed == [((A, B), "1h", moment)]


async def test_it_follows_a_change_of_its_pairs(stage: Stage) -> None:
    await stage.open()
    async with running(stage, Pulse()):
        await stage.fleet.configure("vega", {"pairs": [B]}, "ana")
        await settled(lambda: len(stage.feed.subscribed) == 2)
    assert stage.feed.subscribed[1][0] == (B,)


async def test_it_does_nothing_once_its_term_is_over(stage: Stage) -> None:
    await stage.open()
    pulse = Pulse()
    async with running(stage, pulse) as task:
        pulse.is_over = True
        hour(stage)
        with pytest.raises(DataUnavailable, match="term"):
            await asyncio.wait_for(task, 5)
    assert stage.fleet._store.cursors("vega") == {}


async def test_an_agent_that_was_not_started_listens_and_does_nothing(stage: Stage) -> None:
    await stage.desk.start()
    async with running(stage, Pulse()):
        for _ in range(12):
            hour(stage)
            moment = stage.market.present
            await settled(lambda moment=moment: stage.fleet._store.cursors("vega").get("1h") == moment)
    assert await stage.desk.trades("all", book="vega") == ()
    assert (await stage.fleet.status("vega"))[0].state is AgentState.CREATED


async def test_a_worker_runs_the_agent_under_its_name(stage: Stage) -> None:
    (worker,) = stage.fleet.workers()
    assert worker.name == "agent_vega"
