"""Public market data, the same for spot and futures but for the path."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.binance import render
from tests.binance.calls import Call, Endpoint
from tests.binance.engine import Engine
from tests.binance.errors import ApiError
from tests.binance.market import INTERVALS, Candle
from tests.binance.rules import plain

ZERO = Decimal(0)
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


def depth_weight(call: Call) -> int:
    """Return the weight of a book of the length asked for."""
    limit = call.limit(100, 5000)
    return next(weight for most, weight in DEPTH_WEIGHTS if limit <= most)


class PublicData:
    """Answers about one engine's public market."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def endpoints(self, root: str) -> dict[tuple[str, str], Endpoint]:
        """Return the table of paths below a root such as `/api/v3`."""
        table = {
            "ping": Endpoint(lambda call: {}),
            "time": Endpoint(lambda call: {"serverTime": self.engine.clock.now_ms()}),
            "depth": Endpoint(self.depth, depth_weight),
            "trades": Endpoint(self.trades, 25),
            "historicalTrades": Endpoint(self.trades, 25, "key"),
            "aggTrades": Endpoint(self.agg_trades, 4),
            "klines": Endpoint(self.klines, 2),
            "uiKlines": Endpoint(self.klines, 2),
            "ticker/24hr": Endpoint(self.day, lambda call: 2 if call.text("symbol") else 80),
            "ticker/price": Endpoint(self.prices, lambda call: 2 if call.text("symbol") else 4),
            "ticker/bookTicker": Endpoint(self.best, lambda call: 2 if call.text("symbol") else 4),
            "avgPrice": Endpoint(self.average, 2),
        }
        return {("GET", f"{root}/{name}"): endpoint for name, endpoint in table.items()}

    def symbols(self, call: Call) -> list[str]:
        """Return the symbols a request names, all when it names none."""
        many = call.text("symbols")
        if many:
            try:
                names = json.loads(many)
            except ValueError as error:
                raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.") from error
        else:
            names = [call.text("symbol")] if call.text("symbol") else list(self.engine.rules)
        return [self.engine.rule(str(name)).symbol for name in names]

    def _one_or_all(self, call: Call, rows: list[dict[str, Any]]) -> Any:
        return rows[0] if call.text("symbol") else rows

    def depth(self, call: Call) -> dict[str, Any]:
        """Return the book with the number of its last change."""
        book = self.engine.books[self.engine.rule(call.need("symbol")).symbol]
        bids, asks = book.snapshot(call.limit(100, 5000))
        now = self.engine.clock.now_ms()
        times = {"E": now, "T": now} if self.engine.kind == "futures" else {}
        return {"lastUpdateId": book.update_id, **times, "bids": render.levels(bids), "asks": render.levels(asks)}

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the last public trades, oldest first."""
        prints = self.engine.tapes[self.engine.rule(call.need("symbol")).symbol].prints
        start = call.integer("fromId")
        rows = [one for one in prints if start is None or one.trade_id >= start]
        limit = call.limit(500, 1000)
        return [
            {
                "id": one.trade_id,
                "price": plain(one.price),
                "qty": plain(one.quantity),
                "quoteQty": plain(one.price * one.quantity),
                "time": one.time_ms,
                "isBuyerMaker": one.buyer_is_maker,
                "isBestMatch": True,
            }
            for one in (rows[-limit:] if start is None else rows[:limit])
        ]

    def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the public trades in the aggregated form, each print an aggregate of its own."""
        prints = self.engine.tapes[self.engine.rule(call.need("symbol")).symbol].prints
        from_id, start, end = call.integer("fromId"), call.integer("startTime"), call.integer("endTime")
        rows = [
            one
            for one in prints
            if (from_id is None or one.trade_id >= from_id)
            and (start is None or one.time_ms >= start)
            and (end is None or one.time_ms <= end)
        ]
        limit = call.limit(500, 1000)
        forward = from_id is not None or start is not None
        return [
            {
                "a": one.trade_id,
                "p": plain(one.price),
                "q": plain(one.quantity),
                "f": one.trade_id,
                "l": one.trade_id,
                "T": one.time_ms,
                "m": one.buyer_is_maker,
                "M": True,
            }
            for one in (rows[:limit] if forward else rows[-limit:])
        ]

    def klines(self, call: Call) -> list[list[Any]]:
        """Return bars, oldest first, the last one still open."""
        tape = self.engine.tapes[self.engine.rule(call.need("symbol")).symbol]
        interval = call.choice("interval", tuple(INTERVALS))
        self.engine.tick()
        most = 1500 if self.engine.kind == "futures" else 1000
        rows = tape.klines(interval, call.integer("startTime"), call.integer("endTime"), call.limit(500, most))
        return [render.kline(interval, bar) for bar in rows]

    def day(self, call: Call) -> Any:
        """Return the figures of the last 24 hours."""
        return self._one_or_all(call, [self.day_of(symbol) for symbol in self.symbols(call)])

    def day_of(self, symbol: str) -> dict[str, Any]:
        """Return the figures of the last 24 hours of one symbol."""
        tape, now = self.engine.tapes[symbol], self.engine.clock.now_ms()
        last = tape.last
        day = tape.day(now) or Candle(now, last, last, last, last)
        bids, asks = self.engine.books[symbol].snapshot(1)
        bid, ask = (bids or [(ZERO, ZERO)])[0], (asks or [(ZERO, ZERO)])[0]
        change = last - day.open
        return {
            "symbol": symbol,
            "priceChange": plain(change),
            "priceChangePercent": f"{change / day.open * 100:.3f}" if day.open else "0.000",
            "weightedAvgPrice": plain(day.quote_volume / day.volume if day.volume else last),
            "prevClosePrice": plain(day.open),
            "lastPrice": plain(last),
            "lastQty": plain(tape.prints[-1].quantity if tape.prints else ZERO),
            "bidPrice": plain(bid[0]),
            "bidQty": plain(bid[1]),
            "askPrice": plain(ask[0]),
            "askQty": plain(ask[1]),
            "openPrice": plain(day.open),
            "highPrice": plain(day.high),
            "lowPrice": plain(day.low),
            "volume": plain(day.volume),
            "quoteVolume": plain(day.quote_volume),
            "openTime": now - 86_400_000,
            "closeTime": now,
            "firstId": day.first_id,
            "lastId": day.last_id,
            "count": day.trades,
        }

    def prices(self, call: Call) -> Any:
        """Return the last prices."""
        now = self.engine.clock.now_ms()
        times = {"time": now} if self.engine.kind == "futures" else {}
        rows = [{"symbol": name, "price": plain(self.engine.last(name)), **times} for name in self.symbols(call)]
        return self._one_or_all(call, rows)

    def best(self, call: Call) -> Any:
        """Return the best bids and asks."""
        return self._one_or_all(call, [self.best_of(symbol) for symbol in self.symbols(call)])

    def best_of(self, symbol: str) -> dict[str, Any]:
        """Return the best bid and ask of one symbol."""
        bids, asks = self.engine.books[symbol].snapshot(1)
        bid, ask = (bids or [(ZERO, ZERO)])[0], (asks or [(ZERO, ZERO)])[0]
        now = self.engine.clock.now_ms()
        times = {"time": now} if self.engine.kind == "futures" else {}
        return {
            "symbol": symbol,
            "bidPrice": plain(bid[0]),
            "bidQty": plain(bid[1]),
            "askPrice": plain(ask[0]),
            "askQty": plain(ask[1]),
            **times,
        }

    def average(self, call: Call) -> dict[str, Any]:
        """Return the average price of the last five minutes."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        prints = [p for p in self.engine.tapes[symbol].prints if p.time_ms > self.engine.clock.now_ms() - 300_000]
        volume = sum((p.quantity for p in prints), ZERO)
        worth = sum((p.quantity * p.price for p in prints), ZERO)
        price = worth / volume if volume else self.engine.last(symbol)
        return {"mins": 5, "price": plain(price), "closeTime": self.engine.clock.now_ms()}
