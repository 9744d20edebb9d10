"""From a request to its answer, whichever way it came: ban, weight, key, rights, window, signature, then the work."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.binance import security
from tests.binance.accounts import Account, Ledger
from tests.binance.calls import Call, Endpoint
from tests.binance.clock import Clock
from tests.binance.errors import ApiError, key_refused
from tests.binance.limits import Limits, RateLimited

KEPT = 200_000


class Gateway:
    """Checks and answers calls, and remembers all of them.

    Args:
        clock: The exchange's time.
        ledger: Its accounts.
        limits: Limits by first part of the path (`api`, `sapi`, `fapi`).
    """

    def __init__(self, clock: Clock, ledger: Ledger, limits: dict[str, Limits]) -> None:
        self.clock = clock
        self.ledger = ledger
        self.limits = limits
        self.table: dict[tuple[str, str], Endpoint] = {}
        self.calls: deque[Call] = deque(maxlen=KEPT)

    def limits_of(self, path: str) -> Limits:
        """Return the limits that count for a path."""
        return self.limits.get(path.split("/")[1], self.limits["api"])

    def answer(self, call: Call) -> tuple[int, Any]:
        """Return status and body, after all checks; the call notes what became of it."""
        limits, now = self.limits_of(call.path), self.clock.now_ms()
        try:
            body = self._work(call, limits, now)
            status = 200
            call.accepted = True
        except ApiError as error:
            status, body = error.status, error.body()
            if isinstance(error, RateLimited):
                call.headers["Retry-After"] = str(error.retry_after_s)
        name = call.account.name if call.account else None
        call.headers |= limits.headers(call.ip, name, now)
        call.status, call.answer = status, body
        return status, body

    def _work(self, call: Call, limits: Limits, now: int) -> Any:
        limits.check_ban(call.ip, now)
        endpoint = self.table.get((call.method, call.path))
        if endpoint is None:
            raise ApiError(-1099, f"Not found: {call.method} {call.path}", 404)
        limits.take(call.ip, endpoint.cost(call), now)
        if endpoint.security != "none":
            self._identify(call, endpoint)
        if endpoint.orders:
            limits.take_orders(call.owner.name, endpoint.orders, now)
        return endpoint.handler(call)

    def _identify(self, call: Call, endpoint: Endpoint) -> None:
        account: Account = call.account or security.find_account(self.ledger.accounts.values(), call)
        call.account = account
        if endpoint.security == "signed" and call.way != "session":
            security.check_window(call, self.clock.now_ms())
            security.check_signature(call, account.secret)
        elif endpoint.security == "signed":
            security.check_window(call, self.clock.now_ms())
        if endpoint.needs_trading and not account.can_trade:
            raise key_refused()
        if call.path.startswith("/fapi") and not account.can_futures:
            raise key_refused()
