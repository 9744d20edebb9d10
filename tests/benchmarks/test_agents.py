"""Agents: how many symbols one process carries, from the closed bar to the order.

An agent trades a breakout on all symbols of a made-up market; a moment is timed from the news that bars have closed
until its plan is carried out. The ratio that must hold: an order among many symbols and positions costs little more
than one among few, so that the number of symbols is bound by the orders of a moment, not by what stands beside them.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agents.feeds.values import BarsClosed
from tests.agents.fleet.stage import Stage, Tape, make_profile, walk

pytestmark = pytest.mark.benchmark

BARS = 60
MOMENTS = 20
STRATEGY = "[{name: breakout, parameters: {entry_bars: 20, exit_bars: 10, range_bars: 10}}]"
MOST_RATIO = 5.0
"""Fifty times the symbols, at most this many times the time of an order."""


async def _moments(folder: Path, count: int) -> tuple[list[float], list[float], int]:
    """Return seconds of moments without and with orders, and how many orders there were."""
    symbols = [f"S{number:03d}/USDT" for number in range(count)]
    quiet: list[float] = []
    busy: list[float] = []
    orders = 0

    def note(_event: BarsClosed, seconds: float) -> None:
        seen.append(seconds)

    seen: list[float] = []
    tape = Tape([walk(symbol, BARS, seed) for seed, symbol in enumerate(symbols)])
    stage = Stage(folder / f"{count}.db", tape, make_profile(STRATEGY, position="0.5"), options={"on_decided": note})
    await stage.open()
    stage.market.present += timedelta(hours=BARS - MOMENTS)
    for _ in range(MOMENTS - 1):
        before = len(await stage.desk.trades("all", limit=10_000, book="vega"))
        await stage.close_bar(symbols)
        made = len(await stage.desk.trades("all", limit=10_000, book="vega")) - before
        orders += made
        (busy if made else quiet).append(seen[-1] / max(made, 1))
    return quiet, busy, orders


def _at(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


async def test_many_symbols_cost_little_more_than_few(tmp_path: Path) -> None:
    few, some_few, orders_few = await _moments(tmp_path, 4)
    many, some_many, orders_many = await _moments(tmp_path, 200)
    for name, quiet, busy, orders in (("4", few, some_few, orders_few), ("200", many, some_many, orders_many)):
        print(  # noqa: T201
            f"\n{name} symbols: quiet moment p50 {_at(quiet, 0.5):.1f} ms p99 {_at(quiet, 0.99):.1f} ms; "
            f"per order p50 {_at(busy, 0.5):.1f} ms p99 {_at(busy, 0.99):.1f} ms ({orders} orders)"
        )
    assert orders_many > orders_few > 0
    assert _at(some_many, 0.5) < MOST_RATIO * _at(some_few, 0.5)
