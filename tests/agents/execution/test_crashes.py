"""Kill the process at every step of a sending, start again: one order or none, and the books know which."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.execution.desk import Desk
from agents.execution.journal import Journal
from agents.execution.paper import PaperVenue
from agents.execution.values import IntentState
from engine.domain.orders import OrderStatus
from engine.ledger import replay
from tests.agents.execution.crash import EXACT, ORDERS
from tests.agents.execution.fakes import CASH, WIDE, FakeMarket, intent, open_database

ROOT = Path(__file__).resolve().parents[3]
STEPS = ("stored", "assessed", "claimed", "paper: before commit", "paper: after commit", "submitted", "settled")
OUTCOME = {"market": IntentState.DONE, "limit": IntentState.WORKING, "denied": IntentState.DENIED}


def run_crashes(folder: Path, kind: str, *places: str) -> list[str]:
    command = [sys.executable, "-m", "tests.agents.execution.crash", str(folder), kind, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def check_restart(path: Path, kind: str) -> str:
    """Start again twice on what a crash left, then repeat the sending; return what the first start found."""
    market, database = FakeMarket(), open_database(path)
    venue = PaperVenue(database, market, starting_cash=CASH, settings=EXACT)
    order = ORDERS[kind]
    order_id = order.client_order_id
    found = "nothing"
    for _ in range(2):
        desk = Desk(database, venue, market, WIDE, starting_cash=CASH)
        await desk.start()
        told, stands = await desk.execution(order_id), await venue.fetch_order(order_id)
        assert told is not None or stands is None
        if told is not None:
            found = told.state.value
            finals = (IntentState.UNSENT, IntentState.DENIED)
            assert told.state is OUTCOME[kind] if stands else told.state in finals
            assert told.order == stands
        assert desk.discrepancies() == ()
    again = await desk.execute(intent(order))
    assert again.state is OUTCOME[kind] or (again.state is IntentState.UNSENT and found == "unsent")
    at_venue = [fill for _, fill in await venue.fills(0)]
    assert [trade.fill for trade in await desk.trades()] == at_venue
    entries = [each for each in await venue.open_orders() if each.parent_id is None]
    filled = again.order is not None and again.order.status is OrderStatus.FILLED
    assert len(at_venue) == filled
    assert len(entries) + filled == (again.state in (IntentState.DONE, IntentState.WORKING))
    journal = Journal(database, venue.name)
    assert journal.snapshot(market.now()).books.imbalance() == 0
    assert replay(journal.entries())["cash"] == (await venue.balances())["USD"]
    database.dispose()
    return found


@pytest.mark.parametrize("kind", ["market", pytest.param("limit", marks=pytest.mark.prove)])
async def test_a_kill_at_each_named_step_leaves_one_order_or_none(tmp_path: Path, kind: str) -> None:
    assert run_crashes(tmp_path, kind, *STEPS) == ["killed"] * len(STEPS)
    found = [await check_restart(tmp_path / f"{number}.db", kind) for number in range(len(STEPS))]
    sent = OUTCOME[kind].value
    assert found == ["unsent", "unsent", "unsent", "unsent", sent, sent, sent]


async def test_a_kill_before_some_database_actions(tmp_path: Path) -> None:
    places = [str(n) for n in range(2, 100, 12)]
    ends = run_crashes(tmp_path, "market", *places)
    killed = ends.count("killed")
    assert killed >= 4
    assert ends == ["killed"] * killed + ["exit 0"] * (len(places) - killed)
    found = {await check_restart(tmp_path / f"{number}.db", "market") for number in range(killed + 1)}
    assert found == {"nothing", "unsent", "done"}


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["market", "limit", "denied"])
async def test_a_kill_before_every_database_action(tmp_path: Path, kind: str) -> None:
    ends = run_crashes(tmp_path, kind, *(str(n) for n in range(1, 250)))
    killed = ends.count("killed")
    assert killed >= 30
    assert ends[killed:] == ["exit 0"] * (len(ends) - killed)
    for number in range(killed + 1):
        await check_restart(tmp_path / f"{number}.db", kind)


async def test_a_hundred_calls_from_four_processes_are_one_order(tmp_path: Path) -> None:
    assert run_crashes(tmp_path, "race") == []
    assert await check_restart(tmp_path / "0.db", "market") == "done"
