"""One worker: restarted when it fails, cancelled when it hangs, ended when its keeper is."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from agents.supervisor import SupervisorSettings, WorkerState
from agents.supervisor.keeper import Keeper
from tests.agents.supervisor.fakes import ManualPace, Scripted

SETTINGS = SupervisorSettings(jitter_ratio=0.0, hang_s=40, grace_s=5, stable_s=100)


class Kept:
    """A worker under a keeper, with what the owner was told."""

    def __init__(self, *steps: float | str) -> None:
        self.pace = ManualPace()
        self.worker = Scripted(self.pace, *steps)
        self.told: list[tuple[str, str, str]] = []
        self.keeper = Keeper(
            self.worker, SETTINGS, self.pace, self.pace.now, Random(1), lambda *told: self.told.append(told)
        )
        self.task = asyncio.ensure_future(self.keeper.keep(None))

    async def end(self) -> None:
        self.task.cancel()
        await self.pace.advance(100)
        with pytest.raises(asyncio.CancelledError):
            await self.task

    @property
    def state(self) -> WorkerState:
        return self.keeper.status().state


async def test_a_worker_that_fails_is_started_again_with_growing_pauses() -> None:
    kept = Kept(0.5, 0.5, 0.5, "work")
    await kept.pace.advance(20)
    assert kept.worker.started_at == [0, 1.5, 4, 8.5]
    assert kept.state is WorkerState.RUNNING
    assert kept.keeper.status().restarts == 3
    assert kept.keeper.status().error == "OSError"
    await kept.end()


async def test_a_worker_that_is_down_says_when_it_is_tried_again() -> None:
    kept = Kept(0, 0, "work")
    await kept.pace.advance(0.5)
    assert kept.state is WorkerState.BACKING_OFF
    status = kept.keeper.status()
    assert status.next_try_at is not None
    assert (status.next_try_at - status.since).total_seconds() == 1
    await kept.end()


async def test_a_worker_that_keeps_failing_is_told_once_and_tried_rarely() -> None:
    kept = Kept(0)
    await kept.pace.advance(3600)
    assert kept.told == [("worker_failing", "worker", "OSError")]
    assert kept.state is WorkerState.FAILING
    assert 9 <= kept.worker.runs <= 11
    await kept.end()


async def test_a_worker_that_recovers_is_told() -> None:
    kept = Kept(0, 0, 0, 0, 0, "work")
    await kept.pace.advance(15)
    assert kept.state is WorkerState.FAILING
    await kept.pace.advance(800)
    assert [kind for kind, _, _ in kept.told] == ["worker_failing", "worker_recovered"]
    assert kept.state is WorkerState.RUNNING
    assert kept.keeper.status().failures == 0
    assert kept.keeper.status().error == ""
    await kept.end()


async def test_a_worker_without_a_beat_is_cancelled_and_started_again() -> None:
    kept = Kept("hang", "work")
    await kept.pace.advance(39)
    assert kept.worker.runs == 1
    await kept.pace.advance(10)
    assert kept.worker.runs == 2
    assert kept.keeper.status().error == "hung"
    assert kept.worker.most_running == 1
    await kept.end()


async def test_a_worker_that_beats_is_left_alone() -> None:
    kept = Kept("work")
    await kept.pace.advance(1000)
    assert kept.worker.runs == 1
    beat_at = kept.keeper.status().beat_at
    assert beat_at is not None
    assert (kept.pace.now() - beat_at).total_seconds() <= 1
    await kept.end()


async def test_a_worker_that_ignores_cancellation_is_never_doubled() -> None:
    kept = Kept("stuck", "work")
    kept.worker.deaf = 3
    await kept.pace.advance(48)
    assert kept.state is WorkerState.STUCK
    assert kept.told == [("worker_stuck", "worker", "")]
    await kept.pace.advance(30)
    assert kept.state is WorkerState.RUNNING
    assert (kept.worker.runs, kept.worker.most_running) == (2, 1)
    await kept.end()


async def test_a_worker_that_returns_is_not_run_again() -> None:
    kept = Kept("finish")
    await kept.pace.advance(1000)
    await kept.task
    assert kept.state is WorkerState.FINISHED
    assert kept.worker.runs == 1


async def test_a_worker_that_cancels_itself_counts_as_failed() -> None:
    kept = Kept("work")
    await kept.pace.settle()

    async def cancelled(_pulse: object) -> None:
        raise asyncio.CancelledError

    kept.worker.run = cancelled  # type: ignore[method-assign]  # the next run
    await kept.end()
    keeper = Keeper(kept.worker, SETTINGS, kept.pace, kept.pace.now, Random(1), lambda *told: None)
    task = asyncio.ensure_future(keeper.keep(None))
    await kept.pace.advance(0.5)
    assert keeper.status().error == "cancelled"
    assert keeper.status().state is WorkerState.BACKING_OFF
    task.cancel()
    await kept.pace.settle()


async def test_the_end_of_a_keeper_waits_for_its_worker_however_often_it_is_asked() -> None:
    kept = Kept("stuck")
    kept.worker.deaf = 2
    await kept.pace.settle()
    for _ in range(4):
        kept.task.cancel()
        await kept.pace.settle()
    assert not kept.task.done()
    await kept.pace.advance(20)
    assert kept.task.cancelled()
    assert kept.worker.running == 0


async def test_the_end_of_a_keeper_in_a_pause_is_immediate() -> None:
    kept = Kept(0)
    await kept.pace.advance(0.1)
    assert kept.state is WorkerState.BACKING_OFF
    kept.task.cancel()
    await kept.pace.settle()
    assert kept.task.cancelled()
    assert kept.state is WorkerState.WAITING
