"""Kill a busy process anywhere, start twice, go on: the books are those of an undisturbed run, or of none of a step."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.execution.desk import client_order_id
from agents.risk.states import TradingState
from tests.agents.execution.crash_scene import play, prepare
from tests.agents.execution.place import Place
from tests.agents.execution.truths import TRUTHS, gather

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ["scene:1", "scene:2", "scene:3", "scene:4", "scene:5"]


def run_scenes(folder: Path, actions: list[int]) -> list[str]:
    command = [sys.executable, "-m", "tests.agents.execution.crash_scene", str(folder), *map(str, actions)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def dump(place: Place) -> str:
    with place.database.connect() as connection:
        return "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]  # sqlite3


async def recover(folder: Path) -> None:
    """Start twice on what the crash left, check everything, then play the scene to its end."""
    place = Place(folder)
    await place.desk()
    before = dump(place)
    desk = await place.desk()
    assert dump(place) == before  # the second restart changes nothing
    ids = [client_order_id(source) for source in SOURCES]
    facts = await gather(desk, place, ids)
    for truth in TRUTHS:
        truth(facts)
    await play(desk, place)
    await desk.reconcile()
    facts = await gather(desk, place, ids)
    for truth in TRUTHS:
        truth(facts)
    assert facts.accounts.book("atlas").open_holdings() == {}
    assert facts.accounts.book("nova").open_holdings() == {}
    assert facts.open_orders == ()
    assert desk.state("nova").state is TradingState.HALTED
    assert desk.state("nova").is_settled
    moved = {name: facts.accounts.book(name).deposits for name in ("atlas", "nova")}
    assert moved == {"atlas": 19500, "nova": 20500}


async def test_the_scene_undisturbed(tmp_path: Path) -> None:
    place = await prepare(tmp_path)
    await play(await place.desk(), place)
    await recover(tmp_path)


async def test_a_kill_anywhere_in_the_scene_loses_nothing(tmp_path: Path) -> None:
    actions = [170, 480, 1205]
    ends = run_scenes(tmp_path, actions)
    assert ends.count("killed") >= 2
    for action in actions:
        await recover(tmp_path / str(action))


@pytest.mark.prove
async def test_a_kill_at_many_places_of_the_scene(tmp_path: Path) -> None:
    actions = list(range(1, 1400, 7))
    ends = run_scenes(tmp_path, actions)
    assert ends.count("killed") >= 30
    for action in actions:
        await recover(tmp_path / str(action))
