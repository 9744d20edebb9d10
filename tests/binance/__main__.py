"""Run the local exchange as a program, for any bot that wants to be pointed at it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path

from tests.binance.paths import Move, file_moves, history, random_moves
from tests.binance.rules import DEFAULT_PRICES
from tests.binance.server import KEY, SECRET, BinanceServer


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.binance", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--futures-port", type=int, default=0, help="a second port whose streams are those of USD-M")
    parser.add_argument(
        "--market", default="random", help="`random`, `still`, or a CSV file: seconds,symbol,price,volume"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random market and its history")
    parser.add_argument("--step", type=float, default=1.0, help="seconds between two steps of the random market")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster moves follow each other")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer takes")
    parser.add_argument("--balance", action="append", default=[], metavar="ASSET=AMOUNT")
    parser.add_argument("--futures-balance", type=Decimal, default=Decimal(10_000))
    return parser.parse_args(words)


def build(options: argparse.Namespace) -> BinanceServer:
    """Return a server with history, ready to start."""
    balances = dict(pair.split("=", 1) for pair in options.balance) or {"USDT": "10000"}
    server = BinanceServer(
        balances=balances,
        futures_balance=options.futures_balance,
        latency_s=options.latency,
        host=options.host,
        port=options.port,
        futures_port=options.futures_port,
        seed=options.seed,
    )
    now = server.clock.now_ms()
    for engine in (server.spot, server.futures):
        for symbol, rule in engine.rules.items():
            tape = engine.tapes[symbol]
            tape.seed(history(symbol, tape.last, rule.tick, options.seed, now))
            engine.move(symbol, tape.last)
    return server


async def play(server: BinanceServer, options: argparse.Namespace) -> None:
    """Move the market for ever, or to the end of its file."""
    if options.market == "still":
        await asyncio.Event().wait()
    symbols = {symbol: price for symbol, price in DEFAULT_PRICES.items() if symbol in server.spot.rules}
    moves = random_moves(symbols, options.seed, options.step)
    if options.market != "random":
        moves = file_moves(Path(options.market))
    loop = asyncio.get_running_loop()
    start = loop.time()
    for move in moves:
        await asyncio.sleep(max(0.0, start + move.after_s / options.speed - loop.time()))
        apply(server, move)
    await asyncio.Event().wait()


def apply(server: BinanceServer, move: Move) -> None:
    """Take one move."""
    server.move(move.symbol, move.price, move.volume)


async def main(words: list[str] | None = None) -> None:
    """Serve until interrupted; the first line of output says where, and with which key."""
    options = arguments(words)
    server = build(options)
    async with server:
        line = {"rest": server.rest_url, "ws": server.ws_url, "key": KEY, "secret": SECRET}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        await play(server, options)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
