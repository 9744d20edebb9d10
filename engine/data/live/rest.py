"""The public questions to Binance, through ccxt: raw answers, judged here, asked again while that can help.

Numbers stay the text that the exchange wrote. An answer that is cut off, empty, an error page or of another shape is no
answer: it is asked again after a growing pause, within the exchange's request limits.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from engine.data.chunked import TryAgain
from engine.data.live.networks import SPOT, Network
from engine.data.live.rows import read_bars
from engine.data.live.weight import WeightBudget
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from engine.domain.symbols import Timeframe

PAGE_BARS = 1000
MOST_NAMED = 100
"""Symbols that are named in one question about prices; beyond that it is about all."""
_TIMEOUT_S = 10.0
_ATTEMPTS = 5
_LONGEST_PAUSE_S = 30.0
_BAN_STATUSES = (418, 429)
_DEFAULT_BAN_S = 30.0
_CLIENT_ERRORS = range(400, 500)
_MESSAGE_LENGTH = 200

Answer = TypeVar("Answer")
OnMessage = Callable[[str, Any], None]
"""Told the address of a stream and a message from it."""


class Refused(Exception):
    """An answer that says no.

    Attributes:
        status: Of HTTP; 0 when the body was no JSON.
        retry_after_s: How long to stay away, as the exchange asked.
    """

    def __init__(self, status: int, message: str, retry_after_s: float = 0.0) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        super().__init__(f"{status}: {message}" if status else message)

    @property
    def is_final(self) -> bool:
        """Return whether asking again cannot help."""
        return self.status in _CLIENT_ERRORS and self.status not in (408, *_BAN_STATUSES)


@cache
def _client_class() -> Any:
    # Imported here: it takes a second and 100 MB, which only those who use it should pay.
    import ccxt.pro as ccxt_pro  # type: ignore[import-untyped]  # it ships no types

    class PublicClient(ccxt_pro.binance):  # type: ignore[misc]  # ccxt ships no types
        """ccxt's client without its reading of answers and events."""

        on_headers: Callable[[Mapping[str, str]], None] | None = None
        on_stream: OnMessage | None = None

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
            if headers and self.on_headers is not None:
                self.on_headers(headers)
            told = response if isinstance(response, dict) else {}
            if code >= 400:
                message = str(told.get("msg") or reason or "")[:_MESSAGE_LENGTH]
                raise Refused(code, message, _retry_after_s(headers))
            if not isinstance(response, dict | list):
                raise Refused(0, "an answer that is no JSON")

        def handle_message(self, client: Any, message: Any) -> None:
            if self.on_stream is not None:
                self.on_stream(client.url, message)

    return PublicClient


class PublicRest:
    """Asks Binance what everybody may know.

    Args:
        rest_url: Scheme, host and port to use instead of Binance's own, for a mirror.
        network: Whom to ask.
        budget: Request weight, shared with others that ask.
        sleep: Waits some seconds.
        jitter: Source of the random part of pauses.
        first_pause_s: Pause after the first failure; doubled with each.
    """

    def __init__(
        self,
        rest_url: str | None = None,
        *,
        network: Network = SPOT,
        budget: WeightBudget | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: random.Random | None = None,
        first_pause_s: float = 0.5,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self.budget = budget or WeightBudget()
        self._sleep, self._jitter = sleep, jitter or random.Random()
        self._first_pause_s, self._timeout_s = first_pause_s, timeout_s
        self.client = _client_class()({"enableRateLimit": False, "aiohttp_trust_env": True})
        self.client.on_headers = self.budget.note_headers
        self.network = network
        network.point(self.client, rest_url)

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()

    async def time_ms(self) -> int:
        """Return the exchange's present in milliseconds since the epoch."""
        return await self._ask("GetTime", {}, 1, lambda answer: int(answer["serverTime"]), attempts=2)

    async def exchange_info(self) -> Sequence[Mapping[str, Any]]:
        """Return the rules of every symbol."""
        return await self._ask("GetExchangeInfo", {}, 20, _symbol_rows)

    async def klines(
        self, symbol: str, symbol_id: str, timeframe: Timeframe, start_s: int, limit: int
    ) -> tuple[Bars, int]:
        """Return bars that open at a time or later, the open one included, and how many rows were sent.

        Args:
            symbol: Our name of the symbol.
            symbol_id: The exchange's.
            timeframe: Length of the bars.
            start_s: From when, in seconds since the epoch.
            limit: How many at most, up to `PAGE_BARS`.
        """

        def read(answer: Any) -> tuple[Bars, int]:
            rows = _list_rows(answer)
            return read_bars(symbol, timeframe, rows), len(rows)

        params = {"symbol": symbol_id, "interval": timeframe, "startTime": start_s * 1000, "limit": limit}
        return await self._ask("GetKlines", params, 2, read)

    async def best_prices(self, symbol_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Return the present best bid and ask of some symbols (of all, when they are many)."""
        can_name = len(symbol_ids) <= MOST_NAMED and not self.network.is_futures
        params = {"symbols": _names(symbol_ids)} if can_name else {}
        return await self._ask("GetTickerBookTicker", params, 5, _dict_rows, attempts=1)

    async def day_figures(self) -> Sequence[Mapping[str, Any]]:
        """Return the last 24 hours of every symbol."""
        return await self._ask("GetTicker24hr", {}, 80, _dict_rows)

    async def _ask(
        self,
        question: str,
        params: Mapping[str, Any],
        weight: int,
        read: Callable[[Any], Answer],
        *,
        attempts: int = _ATTEMPTS,
    ) -> Answer:
        """Return an answer in the shape that was asked for.

        Raises:
            DataUnavailable: The exchange refuses for good, or does not answer.
        """
        endpoint = self.network.questions + question
        for attempt in range(attempts):
            await self.budget.take(weight)
            try:
                return await self._asked(endpoint, params, read)
            except TryAgain as error:
                if attempt + 1 == attempts:
                    raise DataUnavailable(f"binance does not answer {endpoint} ({error})") from error
                pause_s = min(_LONGEST_PAUSE_S, self._first_pause_s * 2.0**attempt) * (0.5 + self._jitter.random())
                await self._sleep(max(error.wait_s, pause_s))
        raise AssertionError("the last attempt answers or raises")

    async def _asked(self, endpoint: str, params: Mapping[str, Any], read: Callable[[Any], Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await getattr(self.client, endpoint)(dict(params))
            return read(answer)
        except Refused as error:
            if error.is_final:
                raise DataUnavailable(f"binance refuses {endpoint} ({error})") from error
            if error.status in _BAN_STATUSES:
                self.budget.stay_away(error.retry_after_s or _DEFAULT_BAN_S)
            raise TryAgain(str(error), error.retry_after_s) from error
        except TimeoutError as error:
            raise TryAgain(f"no answer within {self._timeout_s:g} s") from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
            raise TryAgain(f"an answer that cannot be read ({type(error).__name__})") from error
        except _ccxt_error() as error:
            raise TryAgain(f"{type(error).__name__}: {str(error)[:_MESSAGE_LENGTH]}") from error


@cache
def _ccxt_error() -> type[Exception]:
    import ccxt

    error: type[Exception] = ccxt.BaseError
    return error


def _retry_after_s(headers: Mapping[str, Any]) -> float:
    told = next((str(value) for name, value in dict(headers or {}).items() if name.lower() == "retry-after"), "")
    return float(told) if told.isdigit() else 0.0


def _names(symbol_ids: Sequence[str]) -> str:
    return json.dumps(list(symbol_ids), separators=(",", ":"))


def _symbol_rows(answer: Any) -> Sequence[Mapping[str, Any]]:
    rows = _dict_rows(answer["symbols"])
    if not rows:
        raise ValueError("no symbols")
    return rows


def _dict_rows(answer: Any) -> Sequence[Mapping[str, Any]]:
    rows = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a list of objects")
    return rows


def _list_rows(answer: Any) -> list[list[Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        raise ValueError("not a list of lists")
    return answer
