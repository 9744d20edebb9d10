"""The supervisor: workers start with a term and end before it can be another's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from random import Random

import pytest
from sqlalchemy import Engine

from agents.supervisor import LeaseStore, NotLeading, Pulse, Supervisor, SupervisorSettings, WorkerState
from agents.supervisor.lease import Lease
from engine.domain.errors import ConfigError
from tests.agents.supervisor.fakes import START, ManualPace, Scripted, Told

SETTINGS = SupervisorSettings(jitter_ratio=0.0)
_numbers = count(1)


class Process:
    """One supervisor on a shared database, with one worker under the leader and one of its own."""

    def __init__(self, database: Engine, pace: ManualPace, *steps: float | str) -> None:
        self.pace = pace
        self.told = Told()
        self.worker = Scripted(pace, *(steps or ("work",)), name="atlas")
        self.feed = Scripted(pace, "work", name="feed")
        self.store = LeaseStore(database, now=pace.database_now)
        self.supervisor = Supervisor(
            database,
            [self.worker],
            local=[self.feed],
            notifier=self.told,
            owner="ana",
            settings=SETTINGS,
            store=self.store,
            pace=pace,
            token=f"pid:[1]/elsewhere|boot|1|1|{next(_numbers)}",
            now=pace.now,
            chance=Random(1),
        )
        self.task = asyncio.ensure_future(self.supervisor.run())

    async def end(self) -> None:
        self.task.cancel()
        await self.pace.advance(30)
        with pytest.raises(asyncio.CancelledError):
            await self.task

    def lease(self) -> Lease:
        lease = self.store.current()
        assert lease is not None
        return lease


async def test_the_first_process_leads_and_the_second_waits(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(1)
    two = Process(sqlite, pace)
    await pace.advance(600)
    assert (one.worker.running, two.worker.running) == (1, 0)
    assert (one.feed.running, two.feed.running) == (1, 1)
    assert one.supervisor.fence == one.worker.fences[0] == 1
    assert two.supervisor.fence is None
    assert one.feed.fences == [0]
    await one.end()
    await two.end()


async def test_a_follower_takes_over_at_once_when_the_leader_ends_in_order(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(1)
    two = Process(sqlite, pace)
    await pace.advance(10)
    await one.end()
    assert one.worker.running == 0
    assert two.worker.running == 1
    assert two.worker.started_at[0] - one.worker.ended_at[0] <= SETTINGS.poll_s
    assert two.worker.fences[0] > one.worker.fences[0]
    await two.end()


@pytest.mark.parametrize("trouble", ["is_down", "is_silent"])
async def test_a_leader_that_cannot_renew_has_ended_its_workers_before_another_may_begin(
    trouble: str, sqlite: Engine
) -> None:
    one_pace = ManualPace()
    one = Process(sqlite, one_pace)
    await one_pace.advance(7)
    end_of_lease = one.lease().expires_at
    setattr(one_pace, trouble, True)
    await one_pace.advance(120)
    assert one.worker.running == 0
    assert START + timedelta(seconds=one.worker.ended_at[0]) < end_of_lease
    setattr(one_pace, trouble, False)
    await one.end()


async def test_a_leader_that_can_renew_again_in_time_goes_on(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(7)
    pace.is_down = True
    await pace.advance(12)
    pace.is_down = False
    await pace.advance(300)
    assert one.worker.runs == 1
    assert one.supervisor.fence == 1
    await one.end()


async def test_a_leader_that_lost_its_lease_leads_again_under_a_new_fence(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(7)
    pace.is_down = True
    await pace.advance(100)
    assert one.supervisor.fence is None
    pace.is_down = False
    await pace.advance(40)
    assert one.worker.runs == 2
    assert one.worker.most_running == 1
    assert one.worker.fences[1] > one.worker.fences[0]
    await one.end()


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(7)
    one.store.release(one.lease())
    other = one.store.acquire("pid:[1]/elsewhere|b|1|1|0", lease_s=30, skew_s=3)
    assert other is not None
    await pace.advance(SETTINGS.renew_s)
    assert one.worker.running == 0
    assert one.supervisor.fence is None
    assert one.lease() == other
    await one.end()


async def test_a_worker_can_ask_whether_its_term_stands(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    pulses: list[Pulse] = []

    async def run(pulse: Pulse) -> None:
        pulses.append(pulse)
        await asyncio.Event().wait()

    one.worker.run = run  # type: ignore[method-assign]  # a worker that lends its pulse
    await pace.advance(1)
    pulses[0].require_term()
    pace.present += 60  # the machine slept: nothing could run meanwhile
    with pytest.raises(NotLeading):
        pulses[0].require_term()
    await one.end()


async def test_a_worker_that_does_not_end_keeps_its_process_from_leading(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace, "stuck", "work")
    one.worker.deaf = 30
    await pace.advance(7)
    pace.is_down = True
    await pace.advance(50)
    pace.is_down = False
    await pace.advance(60)
    assert (one.worker.runs, one.worker.most_running) == (1, 1)
    assert "worker_stuck" in one.told.kinds
    await pace.advance(200)
    assert (one.worker.runs, one.worker.most_running) == (2, 1)
    await one.end()


async def test_the_owner_is_told_of_a_worker_that_keeps_failing(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace, 0.1)
    await pace.advance(120)
    assert one.told.notices == [("ana", "worker_failing", {"worker": "atlas", "error": "OSError"})]
    assert one.feed.runs == 1
    await one.end()


async def test_heartbeats_tell_how_every_process_fares(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(1)
    two = Process(sqlite, pace)
    await pace.advance(60)
    by_token = {process.token: process for process in await two.supervisor.processes()}
    first, second = by_token[one.supervisor.token], by_token[two.supervisor.token]
    assert (first.fence, second.fence) == (1, None)
    assert first.is_alive
    assert second.is_alive
    assert {worker.name: worker.state for worker in first.workers} == {
        "atlas": WorkerState.RUNNING,
        "feed": WorkerState.RUNNING,
    }
    assert {worker.name: worker.state for worker in second.workers}["atlas"] is WorkerState.WAITING
    assert first.workers[0].beat_at is not None
    await one.end()
    assert [process.token for process in await two.supervisor.processes()] == [two.supervisor.token]
    await two.end()


async def test_a_process_that_stops_beating_is_told_as_dead_and_forgotten_after_a_week(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(1)
    two = Process(sqlite, pace)
    await pace.advance(10)
    two.supervisor._heartbeats.end = lambda token: None  # type: ignore[method-assign]  # it dies without a word
    await two.end()
    await pace.advance(30)
    alive = {process.token: process.is_alive for process in await one.supervisor.processes()}
    assert alive == {one.supervisor.token: True, two.supervisor.token: False}
    one.supervisor._heartbeats.forget(pace.now().replace(day=20))
    assert not await one.supervisor.processes()
    await one.end()


async def test_nothing_is_left_running_when_the_supervisor_is_cancelled(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace)
    await pace.advance(10)
    await one.end()
    assert (one.worker.running, one.feed.running) == (0, 0)
    assert {status.state for status in one.supervisor.status()} == {WorkerState.WAITING}
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not others
    assert one.lease().holder == ""


async def test_a_notifier_that_fails_takes_nobody_down(sqlite: Engine) -> None:
    pace = ManualPace()
    one = Process(sqlite, pace, 0.1)

    def broken(*_told: object) -> None:
        raise OSError("no mail")

    one.told.notify = broken  # type: ignore[method-assign]  # a notifier that cannot
    await pace.advance(700)
    assert one.worker.runs > 5
    await one.end()


def test_two_workers_of_one_name_are_refused(sqlite: Engine) -> None:
    pace = ManualPace()
    workers = [Scripted(pace, "work"), Scripted(pace, "work")]
    with pytest.raises(ConfigError, match="one name"):
        Supervisor(sqlite, workers, notifier=Told(), owner="ana")
