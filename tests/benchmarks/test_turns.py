"""How long a person waits: message to first word, approval to the venue, first and later starts.

Measured with the offline model, SQLite and the simulated market; printed as figures beside the wanted limits, never
judged by a clock.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from copilot.bootstrap import Runtime, open_runtime
from copilot.events import AnswerToken, TicketClosed, TicketOpened, TurnEnded
from copilot.settings import load_settings

pytestmark = pytest.mark.benchmark

TURNS = 60
ORDERS = 30
OWNER = "owner"
MESSAGES = ("signal for gold", "¿qué posiciones tengo?", "btc 4h chart with rsi", "hola", "what is a stop loss")


async def _open(folder: Path) -> tuple[Runtime, float]:
    started = time.perf_counter()
    runtime = await open_runtime(load_settings(data_dir=folder), lambda _done, _what: None)
    return runtime, time.perf_counter() - started


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def _first_words(runtime: Runtime) -> list[float]:
    waits = []
    for turn in range(TURNS):
        started = time.perf_counter()
        is_waiting = True
        async for event in runtime.copilot.send(OWNER, f"bench-{turn % 5}", MESSAGES[turn % len(MESSAGES)]):
            if is_waiting and isinstance(event, AnswerToken | TurnEnded):
                waits.append(time.perf_counter() - started)
                is_waiting = False
    return waits


async def _approvals(runtime: Runtime) -> list[float]:
    waits = []
    for order in range(ORDERS):
        opened = [
            event.ticket
            async for event in runtime.copilot.send(OWNER, f"order-{order}", "buy 0.001 btc")
            if isinstance(event, TicketOpened)
        ]
        (ticket,) = opened
        started = time.perf_counter()
        async for event in runtime.copilot.decide(OWNER, ticket.ticket_id, ticket.nonce, "approve", "bench"):
            if isinstance(event, TicketClosed):
                waits.append(time.perf_counter() - started)
    return waits


async def _measure(folder: Path) -> None:
    runtime, cold = await _open(folder)
    async with runtime:
        words = await _first_words(runtime)
        fills = await _approvals(runtime)
    again, warm = await _open(folder)
    async with again:
        pass
    print()  # noqa: T201
    for name, seconds, wanted in (
        ("first start, market and model made", cold, 60.0),
        ("later start", warm, 10.0),
        ("message to first word, p50", _percentile(words, 0.5), 0.150),
        ("message to first word, p95", _percentile(words, 0.95), 0.150),
        ("approval to filled, p50", _percentile(fills, 0.5), 0.100),
        ("approval to filled, p95", _percentile(fills, 0.95), 0.100),
    ):
        print(f"{name:<38} {seconds * 1000:>9.1f} ms   {seconds / wanted:>6.2f} of the wanted limit")  # noqa: T201
    assert len(words) == TURNS
    assert len(fills) == ORDERS


def test_a_person_waits(tmp_path: Path) -> None:
    asyncio.run(_measure(tmp_path))
