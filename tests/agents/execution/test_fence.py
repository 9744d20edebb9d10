"""A process that lost the lead sends nothing more for an agent; whoever leads now may, under the same id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from agents.execution.claims import NotLeading
from agents.execution.desk import Desk
from agents.execution.values import IntentState
from tests.agents.execution.fakes import CASH, WIDE, D, request
from tests.agents.execution.fence_process import deeds
from tests.agents.execution.place import Place, run, send
from tests.freezing import freeze

ROOT = Path(__file__).resolve().parents[3]


class Lead:
    """A fence that a test lets fall."""

    def __init__(self) -> None:
        self.stands = True

    def __call__(self, connection: object) -> bool:
        return self.stands


async def open_desk(place: Place, lead: Lead, checkpoint: Callable[[str], None] = lambda _: None) -> Desk:
    options = {"starting_cash": CASH, "checkpoint": checkpoint, "fence": lead}
    desk = Desk(place.database, place.venue, place.market, WIDE, **options)  # type: ignore[arg-type]
    await desk.start()
    await desk.set_book_limits("atlas", WIDE)
    await desk.transfer(D(20000), "main", "atlas", "budget:atlas")
    return desk


async def test_an_agents_order_is_left_to_whoever_leads(tmp_path: Path) -> None:
    place, old, new = Place(tmp_path), Lead(), Lead()
    stale, fresh = await open_desk(place, old), await open_desk(place, new)
    old.stands = False
    with pytest.raises(NotLeading):
        await send(stale, request(source="moment:1"), "moment:1", "atlas")
    assert list(await place.venue.fills(0)) == []
    sent = await send(fresh, request(source="moment:1"), "moment:1", "atlas")
    assert sent.state is IntentState.DONE
    assert len(await place.venue.fills(0)) == 1


async def test_the_lead_may_be_lost_between_claim_and_handing_over(tmp_path: Path) -> None:
    place, lead = Place(tmp_path), Lead()

    def lose(name: str) -> None:
        lead.stands = lead.stands and name != "claimed"

    desk = await open_desk(place, lead, lose)
    with pytest.raises(NotLeading):
        await send(desk, request(source="moment:1"), "moment:1", "atlas")
    told = await desk.execution(request(source="moment:1").client_order_id)
    assert told is not None
    assert (told.state, told.reasons) == (IntentState.UNSENT, ("not_leading",))
    assert list(await place.venue.fills(0)) == []


async def test_a_persons_order_and_a_halt_need_no_lead(tmp_path: Path) -> None:
    place, lead = Place(tmp_path), Lead()
    desk = await open_desk(place, lead)
    await send(desk, request(source="moment:1"), "moment:1", "atlas")
    lead.stands = False
    assert (await send(desk, request(), "ticket:1")).state is IntentState.DONE
    await desk.halt("atlas", "ana", "stopped by hand")
    await desk.watch()
    assert not (await desk.account("atlas")).positions


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


def test_a_leader_that_was_stopped_and_wakes_sends_nothing_more(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    place = Place(tmp_path)
    run(place.desk("atlas"))
    path, database = tmp_path / "place.db", place.database
    deeds.create(database)
    for _ in range(2):
        command = [sys.executable, "-m", "tests.agents.execution.fence_process", str(path)]
        processes.append(subprocess.Popen(command, cwd=ROOT))
        until(lambda: count(database, processes[0].pid) >= 3)
    old, new = processes
    freeze(old, path)
    until(lambda: count(database, new.pid) >= 3)
    os.kill(old.pid, signal.SIGCONT)
    until(lambda: count(database, old.pid, term=0) >= 3 and count(database, new.pid) >= 10)
    with database.connect() as connection:
        terms = list(connection.scalars(select(deeds.c.term).where(deeds.c.term > 0).order_by(deeds.c.number)))
    assert terms == sorted(terms)
    assert set(terms) == {1, 2}


def count(database: Engine, pid: int, term: int | None = None) -> int:
    """Return how many orders of a process reached the venue, or how many were kept back (`term` 0)."""
    wanted = deeds.c.term > 0 if term is None else deeds.c.term == term
    with database.connect() as connection:
        return int(
            connection.execute(select(func.count()).select_from(deeds).where(deeds.c.pid == pid, wanted)).scalar_one()
        )


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
