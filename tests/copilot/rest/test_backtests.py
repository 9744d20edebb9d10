"""Backtests as jobs: in line, told honestly after a restart, dropped with their work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from agents.execution.claims import process_token
from copilot.rest.jobs import MAX_OPEN, BacktestJobs
from copilot.rest.tables import rest_backtests
from copilot.rest.tokens import Scope
from engine.data.database import connect_database, metadata
from tests.copilot.rest import examples
from tests.copilot.rest.place import Place, place_at, until
from tests.tools.world import OWNER, Clock, open_fast
from tools.registry import ToolContext
from tools.results import BacktestResult, Result, Unavailable
from tools.schema import RunBacktest

ASKED = {"target": "grid", "symbol": "btc-usdt", "timeframe": "1h", "days": 30}
GRID = RunBacktest(target="grid", symbol="BTC/USDT", days=30)


class Gated:
    """A toolbox whose backtests end when the test lets them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[tuple[str, Mapping[str, Any], ToolContext]] = []
        self.answer: Result | Exception = BacktestResult.model_validate(examples.BACKTEST)
        self.running = 0
        self.most = 0

    async def run(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Result:
        self.asked.append((name, arguments, context))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def tools() -> Gated:
    return Gated()


@pytest.fixture
async def gated(tmp_path: Path, tools: Gated) -> AsyncIterator[Place]:
    async with place_at(tmp_path, tools=tools) as opened:
        yield opened


async def test_a_job_goes_from_the_line_to_its_result(gated: Place, tools: Gated) -> None:
    client = gated.client(Scope.READ)
    jobs = [(await client.post("/backtests", json=ASKED)) for _ in range(3)]
    assert {each.status_code for each in jobs} == {202}
    paths = [each.headers["location"] for each in jobs]
    assert paths[0] == f"/backtests/{jobs[0].json()['job_id']}"
    await until(lambda: tools.running == 1)
    told = [(await client.get(path)).json() for path in paths]
    assert [each["state"] for each in told] == ["running", "queued", "queued"]
    assert [each["ahead"] for each in told] == [0, 1, 2]
    tools.asked[0][2].progress(0.4)
    tools.asked[0][2].progress(0.3)
    later = [(await client.get(path)).json()["done_ratio"] for path in paths]
    assert (told[0]["done_ratio"], later) == (0.0, [0.4, 0.0, 0.0])
    tools.gate.set()
    await until(lambda: gated.jobs.count_open() == 0)
    done = (await client.get(paths[2])).json()
    assert (done["state"], done["done_ratio"], done["code"]) == ("done", 1.0, None)
    assert done["result"]["verdict"] == "too_small_to_tell"
    assert tools.most == 1, "one after the other"
    name, arguments, context = tools.asked[0]
    assert name == "run_backtest"
    assert arguments == {"target": "grid", "symbol": "BTC/USDT", "timeframe": "1h", "days": 30}
    assert context.owner == OWNER
    listed = (await client.get("/backtests")).json()["backtests"]
    assert {each["state"] for each in listed} == {"done"}
    assert {each["result"] for each in listed} == {None}


async def test_a_dropped_job_is_gone_with_its_work(gated: Place, tools: Gated) -> None:
    client = gated.client()
    running, waiting = [(await client.post("/backtests", json=ASKED)).headers["location"] for _ in range(2)]
    await until(lambda: tools.running == 1)
    for path in (waiting, running):
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404
    await until(lambda: gated.jobs.count_open() == 0)
    assert tools.running == 0
    assert len(tools.asked) == 1, "what waited was never begun"
    assert (await client.get("/backtests")).json() == {"backtests": []}


async def test_a_job_that_is_dropped_before_its_first_step_leaves_the_line(place: Place) -> None:
    job = place.jobs.start(GRID, OWNER, "en")
    assert place.jobs.drop(job.id, OWNER)
    await until(lambda: place.jobs.count_open() == 0)


async def test_a_job_of_somebody_else_looks_like_none(gated: Place) -> None:
    path = (await gated.client().post("/backtests", json=ASKED)).headers["location"]
    eve = gated.client(owner="eve")
    assert (await eve.get(path)).status_code == 404
    assert (await eve.delete(path)).status_code == 404
    assert (await eve.get("/backtests")).json() == {"backtests": []}
    assert gated.jobs.get(path.rpartition("/")[2], OWNER) is not None


async def test_a_job_that_cannot_be_done_says_why(gated: Place, tools: Gated) -> None:
    tools.answer = Unavailable(
        tool="run_backtest", code="period_too_short", params={"days": "1", "timeframe": "1w", "needed": "140"}
    )
    tools.gate.set()
    client = gated.client()
    path = (await client.post("/backtests", json=ASKED)).headers["location"]
    await until(lambda: gated.jobs.count_open() == 0)
    told = (await client.get(path)).json()
    assert (told["state"], told["code"]) == ("failed", "period_too_short")
    assert "140" in told["detail"]


async def test_a_job_that_breaks_tells_nothing_about_the_inside(gated: Place, tools: Gated) -> None:
    tools.answer = RuntimeError("secret")
    tools.gate.set()
    client = gated.client()
    path = (await client.post("/backtests", json=ASKED)).headers["location"]
    await until(lambda: gated.jobs.count_open() == 0)
    response = await client.get(path)
    assert (response.json()["state"], response.json()["code"]) == ("failed", "internal_error")
    assert "secret" not in response.text


async def test_open_jobs_are_bounded(gated: Place) -> None:
    client = gated.client()
    for _ in range(MAX_OPEN):
        assert (await client.post("/backtests", json=ASKED)).status_code == 202
    refused = await client.post("/backtests", json=ASKED)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_backtests")
    assert "retry-after" in refused.headers
    assert (await gated.client(owner="eve").post("/backtests", json=ASKED)).status_code == 202


async def test_a_real_backtest_runs_through_the_toolbox(place: Place) -> None:
    """No history here: the tool's own refusal is what comes back."""
    client = place.client()
    path = (await client.post("/backtests", json=ASKED)).headers["location"]
    await until(lambda: place.jobs.count_open() == 0)
    told = (await client.get(path)).json()
    assert (told["state"], told["code"]) == ("failed", "too_few_bars")


async def test_the_end_of_the_program_is_told(tmp_path: Path, tools: Gated) -> None:
    clock, database = Clock(), open_fast(tmp_path / "jobs.db")
    jobs = BacktestJobs(database, tools, clock.now)
    running, waiting = (jobs.start(GRID, OWNER, "en") for _ in range(2))
    await until(lambda: tools.running == 1)
    await jobs.close()
    after = BacktestJobs(database, tools, clock.now)
    for each in (running, waiting):
        told = after.get(each.id, OWNER)
        assert told is not None
        assert (told.state, told.result) == ("interrupted", None)
        assert told.ended_at is not None
    assert len(tools.asked) == 1, "nothing is begun again by itself"
    database.dispose()


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from copilot.rest.jobs import BacktestJobs
from tests.copilot.rest.test_backtests import GRID, Gated
from tests.tools.world import OWNER, Clock, open_fast
async def run():
    tools = Gated()
    jobs = BacktestJobs(open_fast(Path(sys.argv[1])), tools, Clock().now)
    ids = [jobs.start(GRID, OWNER, "en").id for _ in range(2)]
    while not tools.running:
        await asyncio.sleep(0.01)
    print(*ids, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(run())
"""


async def test_after_a_kill_a_restart_tells_what_was_interrupted(tmp_path: Path, tools: Gated) -> None:
    path = tmp_path / "jobs.db"
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _KILLED, str(path)], capture_output=True, text=True, check=False
    )
    ids = killed.stdout.split()
    assert len(ids) == 2, killed.stderr
    database = open_fast(path)
    jobs = BacktestJobs(database, tools, Clock().now)
    found = [jobs.get(each, OWNER) for each in ids]
    assert [each and each.state for each in found] == ["interrupted", "interrupted"]
    fresh = jobs.start(GRID, OWNER, "en")
    tools.gate.set()
    await until(lambda: jobs.count_open() == 0)
    done = jobs.get(fresh.id, OWNER)
    assert done is not None
    assert done.state == "done"
    database.dispose()


async def test_a_silent_process_elsewhere_is_given_up(tmp_path: Path, tools: Gated) -> None:
    clock, database = Clock(), open_fast(tmp_path / "jobs.db")
    here, elsewhere = (BacktestJobs(database, tools, clock.now) for _ in range(2))
    job = elsewhere.start(GRID, OWNER, "en")
    await until(lambda: tools.running == 1)
    host, _, rest = process_token().partition("|")
    with database.begin() as connection:
        connection.execute(update(rest_backtests).values(process=f"not-{host}|{rest}"))
    told = here.get(job.id, OWNER)
    assert told is not None
    assert told.state == "running", "it may well be alive"
    clock.wait(timedelta(seconds=61).total_seconds())
    told = here.get(job.id, OWNER)
    assert told is not None
    assert told.state == "interrupted"
    tools.gate.set()
    await until(lambda: elsewhere.count_open() == 0)
    told = here.get(job.id, OWNER)
    assert told is not None
    assert told.state == "interrupted", "what was told stands"
    database.dispose()


@pytest.mark.mariadb
async def test_mariadb_keeps_jobs_alike(mariadb_url: str, tools: Gated) -> None:
    database = connect_database(mariadb_url)
    metadata.create_all(database, tables=[rest_backtests])
    clock = Clock()
    jobs = BacktestJobs(database, tools, clock.now)
    first, second = (jobs.start(GRID, OWNER, "es") for _ in range(2))
    assert jobs.drop(second.id, OWNER)
    tools.gate.set()
    await until(lambda: jobs.count_open() == 0)
    done = jobs.get(first.id, OWNER)
    assert done is not None
    assert (done.state, done.result) == ("done", tools.answer)
    assert jobs.get(second.id, OWNER) is None
    database.dispose()
