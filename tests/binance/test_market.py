"""Bars, price paths, and the exchange as a program."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.binance.__main__ import arguments, build
from tests.binance.client import ccxt_client
from tests.binance.clock import SimulatedClock
from tests.binance.market import Candle, Print, Tape, next_open, open_of
from tests.binance.paths import file_moves, history, random_moves
from tests.binance.server import BinanceServer
from tests.parts import REPOSITORY
from tests.waiting import PATIENCE_S, until

MINUTE = 60_000
START = 1_767_225_600_000  # 2026-01-01T00:00Z, a Thursday


@pytest.mark.parametrize(
    ("interval", "at", "opening", "following"),
    [
        ("1m", START + 59_999, START, START + MINUTE),
        ("1d", START + 86_399_999, START, START + 86_400_000),
        ("1w", START, START - 3 * 86_400_000, START + 4 * 86_400_000),
        ("1M", START + 86_400_000, START, START + 31 * 86_400_000),
    ],
)
def test_bars_open_where_the_exchange_opens_them(interval: str, at: int, opening: int, following: int) -> None:
    assert open_of(interval, at) == opening
    assert next_open(interval, opening) == following


def test_a_bar_opens_with_its_first_trade_and_empty_ones_are_flat() -> None:
    tape = Tape()
    for number, (at, price) in enumerate([(0, 10), (30, 12), (59, 9), (60 * 3 + 5, 11)]):
        tape.add(Print(number, Decimal(price), Decimal(2), START + at * 1000, buyer_is_maker=False))
    rows = [(int(b.open), int(b.high), int(b.low), int(b.close), int(b.volume)) for b in tape.bars["1m"]]
    assert rows == [(10, 12, 9, 9, 6), (9, 9, 9, 9, 0), (9, 9, 9, 9, 0), (11, 11, 11, 11, 2)]
    assert [(int(b.open), int(b.high), int(b.low), int(b.close)) for b in tape.bars["5m"]] == [(10, 12, 9, 11)]


def test_rolling_tells_every_bar_that_ended_once() -> None:
    tape = Tape()
    tape.add(Print(1, Decimal(10), Decimal(1), START, buyer_is_maker=False))
    closed = [(name, bar.open_ms - START) for name, bar in tape.roll(START + 3 * MINUTE) if name in ("1m", "3m")]
    assert closed == [("1m", 0), ("1m", MINUTE), ("1m", 2 * MINUTE), ("3m", 0)]
    assert [name for name, _ in tape.roll(START + 3 * MINUTE)] == []


def test_history_ends_at_the_price_and_has_no_gaps() -> None:
    bars = history("BTCUSDT", Decimal(60_000), Decimal("0.01"), 5, START)
    for interval, given in bars.items():
        rows = list(given)
        assert rows[-1].close == 60_000
        assert all(next_open(interval, a.open_ms) == b.open_ms for a, b in pairwise(rows))
        assert all(a.close == b.open for a, b in pairwise(rows))
        assert all(row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high for row in rows)
    assert bars == history("BTCUSDT", Decimal(60_000), Decimal("0.01"), 5, START)


def test_the_same_seed_walks_the_same_way() -> None:
    prices = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}

    def first(seed: int) -> list[Any]:
        return list(islice(random_moves(prices, seed, 1.0), 50))

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_a_file_gives_moves(tmp_path: Path) -> None:
    file = tmp_path / "moves.csv"
    file.write_text("seconds,symbol,price,volume\n0,BTCUSDT,60000,\n1.5,BTCUSDT,59990,0.25\n")
    assert [(move.after_s, move.price, move.volume) for move in file_moves(file)] == [
        (0.0, Decimal(60_000), None),
        (1.5, Decimal(59_990), Decimal("0.25")),
    ]


async def test_seeded_history_is_served() -> None:
    clock = SimulatedClock(START)
    async with BinanceServer(clock=clock) as server:
        prices = [(START - (5 - n) * MINUTE, Decimal(100 + n)) for n in range(5)]
        rows = [Candle(at, price, price, price, price, Decimal(1)) for at, price in prices]
        server.spot.tapes["BTCUSDT"].seed({"1m": rows})
        client = ccxt_client(server)
        try:
            bars = await client.public_get_klines({"symbol": "BTCUSDT", "interval": "1m", "limit": 3})
            since = await client.public_get_klines(
                {"symbol": "BTCUSDT", "interval": "1m", "startTime": START - 5 * MINUTE, "limit": 2}
            )
        finally:
            await client.close()
    assert [row[0] - START for row in bars] == [-2 * MINUTE, -MINUTE, 0]
    assert [row[4] for row in since] == ["100.00000000", "101.00000000"]


def test_the_command_line_builds_an_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.binance.paths.HISTORY", (("1m", 90), ("1h", 30)))
    server = build(arguments(["--balance", "BTC=2", "--balance", "USDT=7", "--seed", "9"]))
    assert server.account.wallet.free == {"BTC": 2, "USDT": 7}
    assert len(server.spot.tapes["BTCUSDT"].bars["1h"]) == 31
    assert server.spot.last("BTCUSDT") == 60_000


async def test_it_runs_as_a_program(tmp_path: Path) -> None:
    moves = tmp_path / "moves.csv"
    moves.write_text("seconds,symbol,price\n0,BTCUSDT,61234.5\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.binance", "--market", str(moves), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        where = json.loads(await asyncio.wait_for(process.stdout.readline(), 2 * PATIENCE_S))
        async with aiohttp.ClientSession() as session:
            for _ in range(1000):
                async with session.get(f"{where['rest']}/api/v3/ticker/price?symbol=BTCUSDT") as answer:
                    price = (await answer.json())["price"]
                if price == "61234.50000000":
                    break
                await asyncio.sleep(0.02)
        assert price == "61234.50000000"
    finally:
        process.terminate()
        await process.wait()


async def test_a_second_port_carries_futures_streams_without_a_prefix(unused_tcp_port: int) -> None:
    async with BinanceServer(futures_port=unused_tcp_port) as server, aiohttp.ClientSession() as session:
        url = f"ws://{server.host}:{unused_tcp_port}/ws/btcusdt@aggTrade"
        async with session.ws_connect(url) as socket:
            await until(lambda: bool(server.hub.connections))
            server.spot.move("BTCUSDT", 60_001)
            server.futures.move("BTCUSDT", 60_002)
            assert (await socket.receive_json(timeout=PATIENCE_S))["p"] == "60002.00000000"
