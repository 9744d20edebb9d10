"""Request weight, order counts, and what happens to those who exceed them: 429, and then a ban with 418."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.binance.errors import ApiError

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
DAY_MS = 86_400_000


@dataclass(slots=True)
class Limits:
    """Limits of one kind of market, counted by address and by account.

    Args:
        weight_per_minute: Request weight of an address.
        orders_per_ten_seconds: New orders of an account.
        orders_per_day: New orders of an account.
        patience: How many requests after a 429 are answered with 429 again before the address is banned.
        ban_s: Length of the first ban; each further one doubles.
    """

    weight_per_minute: int = 6000
    orders_per_ten_seconds: int = 100
    orders_per_day: int = 200_000
    patience: int = 5
    ban_s: int = 120
    _weights: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    _orders: defaultdict[tuple[str, int, int], int] = field(default_factory=lambda: defaultdict(int))
    _offences: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _bans: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _banned_until: dict[str, int] = field(default_factory=dict)

    def published(self) -> list[dict[str, Any]]:
        """Return the limits as the exchange information lists them."""
        rows = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
            ("ORDERS", "SECOND", 10, self.orders_per_ten_seconds),
            ("ORDERS", "DAY", 1, self.orders_per_day),
        )
        return [
            {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
            for kind, interval, number, limit in rows
        ]

    def check_ban(self, ip: str, now_ms: int) -> None:
        """Refuse a banned address."""
        until = self._banned_until.get(ip, 0)
        if now_ms < until:
            raise self._refusal(418, until, now_ms, "banned until")

    def take(self, ip: str, weight: int, now_ms: int) -> None:
        """Count a request's weight, and refuse it above the limit; who goes on is banned."""
        self.check_ban(ip, now_ms)
        window = now_ms // MINUTE_MS
        self._weights[(ip, window)] += weight
        if self._weights[(ip, window)] <= self.weight_per_minute:
            self._offences[ip] = 0
            return
        self._offences[ip] += 1
        if self._offences[ip] > self.patience:
            self.ban(ip, now_ms, self.ban_s * 2 ** self._bans[ip])
            self.check_ban(ip, now_ms)
        raise self._refusal(429, (window + 1) * MINUTE_MS, now_ms, "current limit is")

    def ban(self, ip: str, now_ms: int, seconds: int) -> None:
        """Ban an address."""
        self._bans[ip] += 1
        self._offences[ip] = 0
        self._banned_until[ip] = now_ms + seconds * 1000

    def _refusal(self, status: int, until_ms: int, now_ms: int, words: str) -> ApiError:
        wait = max(1, -(-(until_ms - now_ms) // 1000))
        if status == 418:
            message = f"Way too much request weight used; IP {words} {until_ms}. Please use WebSocket Streams."
        else:
            message = (
                f"Too much request weight used; {words} {self.weight_per_minute} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
        return RateLimited(status, message, wait)

    def take_orders(self, account: str, count: int, now_ms: int) -> None:
        """Count new orders of an account, and refuse them above the limit."""
        for span, limit in ((TEN_SECONDS_MS, self.orders_per_ten_seconds), (DAY_MS, self.orders_per_day)):
            window = now_ms // span
            if self._orders[(account, span, window)] + count > limit:
                wait = max(1, -(-((window + 1) * span - now_ms) // 1000))
                raise RateLimited(
                    429, f"Too many new orders; current limit is {limit} orders per {span // 1000} SECOND.", wait, -1015
                )
        for span in (TEN_SECONDS_MS, DAY_MS):
            self._orders[(account, span, now_ms // span)] += count

    def headers(self, ip: str, account: str | None, now_ms: int) -> dict[str, str]:
        """Return the counters as response headers."""
        used = str(self._weights[(ip, now_ms // MINUTE_MS)])
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        if account is not None:
            for name, span in (("10S", TEN_SECONDS_MS), ("1D", DAY_MS)):
                headers[f"X-MBX-ORDER-COUNT-{name}"] = str(self._orders[(account, span, now_ms // span)])
        return headers

    def usage(self, ip: str, account: str | None, now_ms: int) -> list[dict[str, Any]]:
        """Return the limits with their counters, as the WebSocket API and `rateLimit/order` give them."""
        rows = self.published()
        rows[0]["count"] = self._weights[(ip, now_ms // MINUTE_MS)]
        rows[1]["count"] = self._orders[(account or "", TEN_SECONDS_MS, now_ms // TEN_SECONDS_MS)]
        rows[2]["count"] = self._orders[(account or "", DAY_MS, now_ms // DAY_MS)]
        return rows


class RateLimited(ApiError):
    """A refusal that says when to come back."""

    def __init__(self, status: int, message: str, retry_after_s: int, code: int = -1003) -> None:
        super().__init__(code, message, status)
        self.retry_after_s = retry_after_s
