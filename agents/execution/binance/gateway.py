"""The one door to the exchange: ccxt's client, made strict.

ccxt signs, sends and subscribes. What it would make of an answer is not used: its class of an error depends on the
address and on what was asked before, a cut body becomes an order without an id, and numbers may become floats. So
answers are judged here, from status, code and body (`replies`), in the hook that ccxt calls for every answer.

Reads are tried again, with backoff and jitter. What changes something is sent once, with a timestamp and a receive
window that are fixed before it leaves: after that moment the exchange refuses it, however long it was on its way.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import ccxt.async_support as ccxt_async  # type: ignore[import-untyped]  # it ships no types
import ccxt.pro as ccxt_pro  # type: ignore[import-untyped]  # it ships no types

from agents.execution.binance.limiter import Limiter, Urgency
from agents.execution.binance.replies import Failure, Meaning
from engine.domain.errors import VenueUnavailable
from engine.domain.protocols import Clock

READ_TIMEOUT_S = {Urgency.READ: 2.5, Urgency.ORDER: 1.5, Urgency.PROTECTION: 0.8}
WRITE_TIMEOUT_S = 4.0
RECEIVE_WINDOW_MS = {Urgency.READ: 5000, Urgency.ORDER: 3000, Urgency.PROTECTION: 1000}
"""How long a request may be on its way; short where the next attempt must not wait for it."""
CLOCK_MARGIN_S = 0.3
"""How far our idea of the exchange's clock may be off when a request is counted as dead, beside what the measurement
of it could not tell."""
CLOCK_AGE = timedelta(minutes=10)
"""How long a measured difference between the clocks is trusted."""
_ATTEMPTS = {Urgency.READ: 3, Urgency.ORDER: 2, Urgency.PROTECTION: 1}
"""What protects tries again by itself, after a look at what else has changed."""
_MOST_AHEAD = timedelta(seconds=1)
"""How far a request's time may be ahead of the exchange's clock before the exchange refuses it."""
_CLOCK_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.2
_DEFAULT_BAN_S = 30.0
_MS = 1000
_ERROR_STATUS = 400
_USER_EVENTS = frozenset(
    {
        "executionReport",
        "listStatus",
        "outboundAccountPosition",
        "balanceUpdate",
        "ORDER_TRADE_UPDATE",
        "ALGO_UPDATE",
        "ACCOUNT_UPDATE",
        "listenKeyExpired",
        "eventStreamTerminated",
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ccxt's name of the endpoint, its parameters, and what it costs.

    Attributes:
        orders: How many new orders it makes, for the order limits.
    """

    endpoint: str
    params: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1
    orders: int = 0


class Connection(ccxt_pro.binance):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's client with our clock, our judgement of answers, and a bell for user events."""

    on_headers: Callable[[Mapping[str, str]], None] | None = None
    on_event: Callable[[str], None] | None = None
    now_ms: Callable[[], int] | None = None

    def milliseconds(self) -> int:
        """Return the present by our clock, for signing."""
        return self.now_ms() if self.now_ms is not None else int(datetime.now(UTC).timestamp() * _MS)

    def handle_errors(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        headers: Any,
        body: str,
        response: Any,
        requestHeaders: Any,
        requestBody: Any,
    ) -> None:
        """Raise what an answer means, from its own status, code and body alone."""
        if headers and self.on_headers is not None:
            self.on_headers(headers)
        told = response if isinstance(response, dict) else {}
        number = _integer(told.get("code"))
        if code >= _ERROR_STATUS or number < 0:
            retry_after = _seconds(headers)
            raise Failure(code, number, str(told.get("msg") or reason or "")[:200], retry_after_s=retry_after)
        if not isinstance(response, dict | list):
            raise Failure(0, 0, "an answer that is no JSON")

    def handle_message(self, client: Any, message: Any) -> None:
        """Ring the bell for user events, then let ccxt read the message as far as it can."""
        name = _event_name(message)
        if name in _USER_EVENTS and self.on_event is not None:
            self.on_event(name)
        try:
            super().handle_message(client, message)
        except Exception as error:  # an unreadable event must not end the stream: the bell has rung
            self.logger.debug("unreadable event %s: %s", name, type(error).__name__)

    def __repr__(self) -> str:
        return "Connection(binance)"

    def __str__(self) -> str:
        return "binance"


class Gateway:
    """Sends requests within the limits and says what became of them.

    Args:
        connection: ccxt's client.
        limiter: Shared by all that use the account.
        clock: The present.
        jitter: Source of the pauses' random part.
        sleep: Waits some seconds.
        time_endpoint: Where the exchange tells its time.
    """

    def __init__(
        self,
        connection: Connection,
        limiter: Limiter,
        clock: Clock,
        *,
        time_endpoint: str = "publicGetTime",
        jitter: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        self.connection = connection
        self.limiter = limiter
        self._clock = clock
        self._time_endpoint = time_endpoint
        self._jitter = jitter or random.Random()
        self._sleep = sleep
        self._on_failure = on_failure
        self._synced_at: datetime | None = None
        self._clock_error: timedelta | None = None
        self._syncing = asyncio.Lock()
        connection.on_headers = limiter.note_headers
        connection.now_ms = lambda: int(clock.now().timestamp() * _MS)

    def now(self) -> datetime:
        """Return the present by the exchange's clock, as measured."""
        difference = int(self.connection.options.get("timeDifference") or 0)
        return self._clock.now() - timedelta(milliseconds=difference)

    async def read(
        self,
        call: Call,
        *,
        urgency: Urgency = Urgency.READ,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the answer to a question, asked again after a failure that may pass.

        Raises:
            Failure: The exchange said no (`NOT_FOUND`, `REFUSED`).
            VenueUnavailable: No answer.
        """
        attempts = _ATTEMPTS[urgency]
        for attempt in range(attempts):
            try:
                await self.ensure_clock(urgency)
                await self.limiter.take(call.weight, urgency=urgency)
                return await self._send(call, timeout_s or READ_TIMEOUT_S[urgency], None, 0)
            except Failure as failure:
                if not await self._may_go_on(failure, attempt, attempts):
                    if failure.meaning in (Meaning.NOT_FOUND, Meaning.REFUSED):
                        raise
                    raise VenueUnavailable(f"{call.endpoint}: {failure}") from failure
        raise VenueUnavailable(f"{call.endpoint}: no answer")

    async def write(self, call: Call, timestamp: datetime, urgency: Urgency = Urgency.ORDER) -> Any:
        """Send what changes something, once; the limiter was asked before.

        Args:
            call: What to send.
            timestamp: The exchange's present when it was written down; it dies a receive window later.
            urgency: How long it may be on its way.

        Raises:
            Failure: Always tells by `meaning` whether it may stand.
        """
        try:
            return await self._send(call, WRITE_TIMEOUT_S, timestamp, RECEIVE_WINDOW_MS[urgency])
        except Failure as failure:
            if failure.is_clock:
                self._synced_at = None
            raise

    async def prepare(self, call: Call, urgency: Urgency) -> None:
        """Wait for the turn of a write, with a clock that is measured.

        What protects goes on with the last measurement while a new one fails: at worst the exchange refuses it.

        Raises:
            VenueUnavailable: There is no turn, or the exchange does not tell its time; nothing was sent.
        """
        await self.ensure_clock(urgency)
        await self.limiter.take(call.weight, orders=call.orders, urgency=urgency)

    def dies_at(self, timestamp: datetime, urgency: Urgency) -> datetime:
        """Return when a write has surely been refused if it has not arrived."""
        error = _MOST_AHEAD if self._synced_at is None or self._clock_error is None else self._clock_error
        margin = timedelta(seconds=CLOCK_MARGIN_S) + error
        return timestamp + timedelta(milliseconds=RECEIVE_WINDOW_MS[urgency]) + margin

    async def sync_clock(
        self, attempts: int = _CLOCK_ATTEMPTS, timeout_s: float = READ_TIMEOUT_S[Urgency.ORDER]
    ) -> None:
        """Measure the difference between our clock and the exchange's.

        Args:
            attempts: How often it is asked.
            timeout_s: How long one answer is waited for.

        Raises:
            VenueUnavailable: It does not tell its time.
        """
        async with self._syncing:
            for attempt in range(attempts):
                try:
                    await self.limiter.take(1, urgency=Urgency.PROTECTION)
                    begun = self._clock.now()
                    answer = await self._send(Call(self._time_endpoint), timeout_s, None, 0)
                    half = (self._clock.now() - begun) / 2
                    middle, self._clock_error = begun + half, half
                    told = answer["serverTime"]
                    self.connection.options["timeDifference"] = int(middle.timestamp() * _MS) - int(told)
                    self._synced_at = self._clock.now()
                    return
                except (KeyError, TypeError, ValueError) as error:
                    raise VenueUnavailable("the venue told no time") from error
                except Failure as failure:
                    if not await self._may_go_on(failure, attempt, attempts):
                        raise VenueUnavailable(f"the venue does not tell its time: {failure}") from failure

    async def close(self) -> None:
        """Close every connection."""
        await self.connection.close()

    async def ensure_clock(self, urgency: Urgency) -> None:
        """Measure the clock unless that was done lately; what protects goes on with the last measurement.

        Raises:
            VenueUnavailable: The exchange does not tell its time.
        """
        if self._synced_at is not None and abs(self._clock.now() - self._synced_at) <= CLOCK_AGE:
            return
        if urgency is not Urgency.PROTECTION or self._clock_error is None:
            await self.sync_clock()
            return
        self._synced_at = None
        if not self._syncing.locked():
            with suppress(VenueUnavailable):
                await self.sync_clock(1, READ_TIMEOUT_S[urgency])

    async def _may_go_on(self, failure: Failure, attempt: int, attempts: int) -> bool:
        """Pause before the next attempt of a read; False when there is none to make."""
        if failure.is_clock:
            self._synced_at = None
        if not failure.is_transient or attempt + 1 >= attempts or failure.is_ban:
            return False
        await self._sleep(_FIRST_PAUSE_S * 2**attempt * (0.5 + self._jitter.random()))
        return True

    async def _send(self, call: Call, timeout_s: float, timestamp: datetime | None, window_ms: int) -> Any:
        params: dict[str, Any] = dict(call.params)
        if timestamp is not None:
            params |= {"timestamp": int(timestamp.timestamp() * _MS), "recvWindow": window_ms}
        try:
            async with asyncio.timeout(timeout_s):
                return await getattr(self.connection, call.endpoint)(params)
        except TimeoutError as error:
            raise Failure(0, 0, "no answer in time") from error
        except Failure as failure:
            self._note(failure)
            raise
        except ccxt_async.BaseError as error:
            raise Failure(0, 0, type(error).__name__, is_connected=_was_connected(error)) from None
        except (aiohttp.ClientError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Failure(0, 0, type(error).__name__) from None

    def _note(self, failure: Failure) -> None:
        if failure.is_ban:
            until = failure.banned_until_ms / _MS - self.now().timestamp() if failure.banned_until_ms else 0.0
            self.limiter.stay_away(max(failure.retry_after_s, until) or _DEFAULT_BAN_S)
        if self._on_failure is not None:
            self._on_failure(failure)


def _was_connected(error: BaseException) -> bool:
    cause = error.__cause__
    return not isinstance(cause, aiohttp.ClientConnectorError | socket.gaierror)


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _seconds(headers: Any) -> float:
    told = {str(name).lower(): value for name, value in dict(headers or {}).items()}.get("retry-after", "")
    return float(told) if str(told).isdigit() else 0.0


def _event_name(message: Any) -> str:
    inner = message
    for key in ("event", "data"):
        if isinstance(inner, dict) and isinstance(inner.get(key), dict):
            inner = inner[key]
    return str(inner.get("e", "")) if isinstance(inner, dict) else ""
