"""A small server that speaks Binance's public market data: exchange information, server time and klines.

It keeps the protocol's rules that a reader of history meets: pages of at most 1000, 500 unless asked; `startTime`
counts from the bar's opening; prices as text; the bar that is not over is listed; symbols and intervals that do not
exist are refused with Binance's codes; too many requests answer 429 with `Retry-After`. `faults` break the next
answers to klines, one each.

Source:
    https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from tests.servers.wire import Exchange, LocalServer

Kline = tuple[str, str, str, str, str]
"""Open, high, low, close and volume, as Binance writes them."""
Fault = Literal["429", "418", "500", "html", "cut", "short", "garbage", "empty"]
INTERVALS_S = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400, "1d": 86400,
    "1w": 604800,
}  # fmt: skip
_DEFAULT_ROWS, _MOST_ROWS = 500, 1000


class BinanceKlines(LocalServer):
    """A market that stands still.

    Args:
        history: Symbol as Binance writes it to interval to open time in seconds to the bar.
        now_s: The server's clock, in seconds since the epoch.
        faults: How the next answers to klines break.
    """

    def __init__(
        self, history: Mapping[str, Mapping[str, Mapping[int, Kline]]], now_s: int, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__()
        self.history, self.now_s, self.faults = history, now_s, list(faults)
        self.asked: list[dict[str, str]] = []

    def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        parts = urlsplit(exchange.path)
        answers: dict[str, Callable[[Exchange, dict[str, str]], None]] = {
            "/api/v3/exchangeInfo": self._information,
            "/fapi/v1/exchangeInfo": lambda exchange, _: exchange.send_json(200, {"symbols": []}),
            "/dapi/v1/exchangeInfo": lambda exchange, _: exchange.send_json(200, {"symbols": []}),
            "/api/v3/time": lambda exchange, _: exchange.send_json(200, {"serverTime": self.now_s * 1000}),
            "/api/v3/klines": self._klines,
        }
        found = answers.get(parts.path)
        if found is None:
            exchange.send_json(404, {"code": -1, "msg": f"no {parts.path} here"})
        else:
            found(exchange, dict(parse_qsl(parts.query)))

    def _information(self, exchange: Exchange, _query: dict[str, str]) -> None:
        symbols = [_describe(symbol) for symbol in self.history]
        exchange.send_json(200, {"timezone": "UTC", "serverTime": self.now_s * 1000, "symbols": symbols})

    def _klines(self, exchange: Exchange, query: dict[str, str]) -> None:
        self.asked.append(query)
        if self.faults:
            self._break(exchange, self.faults.pop(0), query)
            return
        symbol, interval = query.get("symbol", ""), query.get("interval", "")
        if symbol not in self.history:
            exchange.send_json(400, {"code": -1121, "msg": "Invalid symbol."})
        elif interval not in INTERVALS_S:
            exchange.send_json(400, {"code": -1120, "msg": "Invalid interval."})
        else:
            exchange.send_json(200, self._rows(symbol, interval, query))

    def _rows(self, symbol: str, interval: str, query: dict[str, str]) -> list[list[Any]]:
        step_ms = INTERVALS_S[interval] * 1000
        limit = min(int(query.get("limit", _DEFAULT_ROWS)), _MOST_ROWS)
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", self.now_s * 1000))
        bars = self.history[symbol].get(interval, {})
        times = [time * 1000 for time in sorted(bars) if first <= time * 1000 <= min(last, self.now_s * 1000)]
        chosen = times[:limit] if "startTime" in query else times[-limit:]
        return [_row(time, step_ms, bars[time // 1000]) for time in chosen]

    def _break(self, exchange: Exchange, fault: Fault, query: dict[str, str]) -> None:
        match fault:
            case "429" | "418":
                body = b'{"code":-1003,"msg":"Too many requests."}'
                exchange.started = True
                exchange.send_response(int(fault))
                for name, value in (("Retry-After", "7"), ("Content-Length", str(len(body)))):
                    exchange.send_header(name, value)
                exchange.end_headers()
                exchange.write(body)
            case "500":
                exchange.send_json(500, {"code": -1000, "msg": "An unknown error occurred while processing."})
            case "html":
                exchange.send_bytes(502, "text/html", b"<html><body>Bad Gateway</body></html>")
            case "cut":
                exchange.cut()
            case "short":
                body = json.dumps(self._rows(query["symbol"], query["interval"], query)).encode()
                exchange.begin(200, "application/json", length=len(body))
                exchange.write(body[: len(body) // 2])
                exchange.cut()
            case "garbage":
                exchange.send_bytes(200, "application/json", b'[[1591478520000, "0.025", "0.0')
            case "empty":
                exchange.send_bytes(200, "application/json", b"")


def _row(time_ms: int, step_ms: int, bar: Kline) -> list[Any]:
    return [time_ms, *bar, time_ms + step_ms - 1, "0", 1, "0", "0", "0"]


def _describe(symbol: str) -> dict[str, Any]:
    base, quote = symbol[:-4], symbol[-4:]
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ],
    }
