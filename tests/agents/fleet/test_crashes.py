"""Kill the process at a database action of a moment, start again: the same orders, the same books, once each."""

import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.fleet.fleet import unexplained
from tests.agents.fleet.crash import SYMBOLS, make_stage, play_until
from tests.agents.fleet.stage import Stage

ROOT = Path(__file__).resolve().parents[3]
AFTER = 2
"""Bars played after the crash, so that what it left shows."""


@dataclass(frozen=True)
class Outcome:
    fills: list[Any]
    legs: list[Any]


async def finish(stage: Stage, bars: int) -> Outcome:
    await stage.play(SYMBOLS, bars)
    trades = await stage.desk.trades("all", limit=10_000, book="vega")
    fills = [(t.fill.symbol, t.fill.side, t.fill.quantity, t.fill.price, t.fill.fee, t.fill.at) for t in trades]
    account = await stage.desk.account("vega")
    held = {symbol: each.quantity for symbol, each in account.positions.items()}
    assert unexplained(held, stage.agent.carrier.legs) == {}
    resting = {order.request.client_order_id for order in await stage.desk.open_orders("vega")}
    legs = [
        (leg.source, leg.state, leg.held, replace(leg.request, client_order_id=""), leg.order_id in resting)
        for leg in stage.agent.carrier.legs
    ]
    return Outcome(sorted(fills, key=str), sorted(legs, key=str))


async def prepare(folder: Path, row: int) -> list[Outcome]:
    """Play the bars before the crash, keep them, and return what becomes of them without one."""
    stage = await play_until(folder / "before.db", row)
    stage.database.dispose()
    reference = await play_until(folder / "reference.db", row + 1)
    return [await finish(reference, bars) for bars in (0, AFTER)]


def kill(folder: Path, row: int, *places: int) -> list[str]:
    command = [sys.executable, "-m", "tests.agents.fleet.crash", str(folder), str(row), *map(str, places)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def restart(path: Path, row: int) -> list[Outcome]:
    """Start again in the very moment of the crash; the feed tells what was not decided, as a real one does."""
    stage = make_stage(path)
    stage.market.present = moment_after(stage, row)
    await stage.desk.start()
    await stage.agent.recover()
    decided = stage.fleet._store.cursors("vega")["1h"]
    if decided < stage.market.present:
        await stage.agent.on_bars(stage.event(SYMBOLS))
    return [await finish(stage, bars) for bars in (0, AFTER)]


def moment_after(stage: Stage, row: int) -> datetime:
    return stage.market.present + timedelta(hours=row + 1)


async def check(folder: Path, row: int, places: list[int]) -> int:
    expected = await prepare(folder, row)
    ends = kill(folder, row, *places)
    killed = ends.count("killed")
    assert ends == ["killed"] * killed + ["exit 0"] * (len(ends) - killed)
    for number in range(killed):
        assert await restart(folder / f"{number}.db", row) == expected, f"killed before action {places[number]}"
    return killed


async def test_a_kill_changes_no_order_and_no_fill(tmp_path: Path) -> None:
    assert await check(tmp_path, 20, [60, 200]) == 2


@pytest.mark.prove
@pytest.mark.parametrize("row", [20, 23, 31, 40])
async def test_a_kill_before_every_third_action(tmp_path: Path, row: int) -> None:
    assert await check(tmp_path, row, list(range(1, 900, 3))) >= 60
