"""Bring bars from an exchange into the store, through ccxt: page by page, at the exchange's pace, resumable.

ccxt gives numbers as the exchange wrote them, as text, and they are read once, exactly. Only bars that are over by the
exchange's own clock are kept. Pages count once they are on the disk, so a killed run goes on where it was, and the next
run asks only for what is newer. An empty page is no end: an exchange that lists nothing for a time is asked on until
the present.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa

from engine.data.cells import NUMBERS, to_raw
from engine.data.chunked import Progress, TryAgain, finish, staging_of, tell_nobody, try_again
from engine.data.naming import parse_symbol
from engine.data.quality import QualityReport, RawBars
from engine.data.staging import Staging
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx

BARS_PER_COMMIT = 10_000
"""Bars that a kill costs at most, about."""
_PAGE_BARS = 1000
_TIMEOUT_MS = 20_000
_MS = 1000
_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


def ingest_exchange(
    exchange: str,
    store: BarStore,
    symbols: Sequence[str],
    timeframe: Timeframe,
    since: datetime | None,
    *,
    source: str | None = None,
    base_url: str | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[QualityReport]:
    """Read bars of one timeframe from an exchange into the store; yield each symbol's report once it is stored.

    Args:
        exchange: A ccxt id, such as `binance` or `kraken`.
        store: Where the bars go.
        symbols: Which, in any usual writing.
        timeframe: Length of the bars.
        since: From when, aware; None goes on from the last run, or begins where the exchange begins.
        source: The name under which the store keeps them; None means the exchange's id.
        base_url: Scheme, host and port to use instead of the exchange's own, for a proxy or a mirror.
        progress: Called while it reads.
        pause: Waits some seconds, between attempts to reach an exchange that does not answer.

    Raises:
        DataUnavailable: The exchange does not answer or has no bars; what was read is kept.
        InvalidRequest: It does not exist, or lists no such symbol or timeframe; the message says what there is.
    """
    tell = progress or tell_nobody
    with Exchange(exchange, base_url, pause) as venue:
        listed = [venue.find(symbol) for symbol in symbols]
        venue.check(timeframe)
        for number, (symbol, theirs) in enumerate(listed):

            def share(done: float, number: int = number, symbol: str = symbol) -> None:
                tell((number + done) / len(listed), symbol)

            place = source or exchange
            fingerprint = repr((exchange, theirs, timeframe, base_url))
            with staging_of(store, place, symbol, timeframe, fingerprint) as staging:
                stored = store.describe(place, symbol, timeframe)
                if since is not None and stored is not None and since < stored.first_at:
                    staging.restart()
                last = _read(venue, theirs, timeframe, since, staging, share)
                report = finish(staging, store, place, exchange, symbol, timeframe, last)
            yield report
        tell(1.0, "")


class Exchange:
    """One exchange's public bars, by ccxt.

    Args:
        name: A ccxt id.
        base_url: Scheme, host and port to use instead of its own.
        pause: Waits some seconds between attempts.

    Raises:
        InvalidRequest: ccxt does not know it.
    """

    def __init__(self, name: str, base_url: str | None, pause: Callable[[float], None]) -> None:
        # Imported here: it takes a second and 100 MB, which only those who use it should pay.
        import ccxt  # type: ignore[import-untyped]  # it ships no types

        if name not in ccxt.exchanges:
            near = get_close_matches(name, ccxt.exchanges, 5, 0.5) or ["binance", "kraken", "coinbase", "bybit", "okx"]
            raise InvalidRequest("ingest_exchange_unknown", exchange=name, found=", ".join(near))
        self._ccxt, self._pause, self.name = ccxt, pause, name
        self._client = getattr(ccxt, name)({"enableRateLimit": True, "timeout": _TIMEOUT_MS})
        self._client.number = str
        self._client.enableLastJsonResponse = True
        if base_url is not None:
            self._client.urls["api"] = _moved(self._client.urls["api"], base_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.session.close()

    def find(self, symbol: str) -> tuple[str, str]:
        """Return a symbol in our writing and in the exchange's.

        Raises:
            InvalidRequest: The exchange does not list it.
        """
        ours = parse_symbol(symbol)
        markets = self._ask(self._client.load_markets)
        candidates = [symbol]
        if ours is not None:
            spot = f"{ours[:3]}/{ours[3:]}" if is_fx(ours) else ours
            candidates += [spot, f"{spot}:{spot.partition('/')[2]}"]
        theirs = next((one for one in candidates if one in markets), None)
        if theirs is None or ours is None:
            near = get_close_matches(candidates[-1], list(markets), 5, 0.3) or list(markets)[:5]
            raise InvalidRequest("ingest_market_missing", symbol=symbol, exchange=self.name, found=", ".join(near))
        return ours, theirs

    def check(self, timeframe: Timeframe) -> None:
        """See that the exchange has bars of that length.

        Raises:
            InvalidRequest: It has none.
        """
        if not self._client.has["fetchOHLCV"] or timeframe not in (self._client.timeframes or {}):
            found = ", ".join(self._client.timeframes or {}) or "-"
            raise InvalidRequest("ingest_timeframe_missing", timeframe=timeframe, exchange=self.name, found=found)

    def now_s(self) -> int:
        """Return the exchange's present in seconds since the epoch; ours where it does not tell."""
        if self._client.has["fetchTime"]:
            return int(self._ask(self._client.fetch_time)) // _MS
        return int(self._client.milliseconds()) // _MS

    def page(self, theirs: str, timeframe: Timeframe, since_s: int) -> list[list[Any]]:
        """Return some bars from a time on, oldest first, numbers as text; perhaps none."""
        return self._ask(lambda: self._page(theirs, timeframe, since_s))

    def _page(self, theirs: str, timeframe: Timeframe, since_s: int) -> list[list[Any]]:
        rows = self._client.fetch_ohlcv(theirs, timeframe, since_s * _MS, _PAGE_BARS)
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) > len(NUMBERS) for row in rows):
            raise TryAgain(f"{self.name} sent something that is no list of bars")
        if not rows and self._client.last_json_response is None:
            # ccxt turns a body that is no JSON into an empty page: taken for one, it would be a hole of a page.
            raise TryAgain(f"{self.name} sent a body that is no JSON")
        return sorted((row for row in rows if row[0] is not None), key=lambda row: int(row[0]))

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        return try_again(lambda: self._asked(question), self._pause)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        errors = self._ccxt
        try:
            return question()
        except (errors.BadSymbol, errors.BadRequest, errors.NotSupported) as error:
            raise InvalidRequest("ingest_exchange_refused", exchange=self.name, detail=_short(error)) from error
        except (errors.AuthenticationError, errors.PermissionDenied) as error:
            raise DataUnavailable(f"{self.name} refuses access: {_short(error)}") from error
        except errors.BaseError as error:
            # A body that is cut off arrives as a plain ExchangeError: nearly everything is worth another attempt.
            raise TryAgain(f"{self.name}: {_short(error)}", self._wait_s()) from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise TryAgain(f"{self.name} sent something that ccxt cannot read ({error!r})") from error

    def _wait_s(self) -> float:
        """Return how long the last answer asked us to stay away."""
        headers = self._client.last_response_headers or {}
        told = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
        return float(told) if str(told).isdigit() else 0.0


def _read(
    venue: Exchange,
    theirs: str,
    timeframe: Timeframe,
    since: datetime | None,
    staging: Staging,
    share: Callable[[float], None],
) -> int | None:
    """Read pages up to the exchange's present; return the time of the last bar, from which the next run goes on."""
    step, now = TIMEFRAME_S[timeframe], venue.now_s()
    cursor = staging.watermark
    if cursor is None:
        cursor = _begin(venue, theirs, timeframe) if since is None else int(since.timestamp())
    begin, last, rows = cursor, staging.watermark, list[list[Any]]()
    while cursor + step <= now:
        page = [row for row in venue.page(theirs, timeframe, cursor) if int(row[0]) // _MS >= cursor]
        closed = [row for row in page if int(row[0]) // _MS + step <= now]
        rows += closed
        if closed:
            last = int(closed[-1][0]) // _MS
            cursor = last + step
        else:
            cursor = now if page else cursor + _PAGE_BARS * step
        if len(rows) >= BARS_PER_COMMIT:
            _commit(staging, rows, cursor)
            rows = []
        share(min(1.0, (cursor - begin) / max(1, now - begin)))
    _commit(staging, rows, min(cursor, now))
    return last


def _begin(venue: Exchange, theirs: str, timeframe: Timeframe) -> int:
    """Return when the exchange's bars begin, as it answers to a question from the epoch on."""
    page = venue.page(theirs, timeframe, 0)
    if not page:
        raise InvalidRequest("ingest_since_needed", exchange=venue.name, symbol=theirs)
    return int(page[0][0]) // _MS


def _commit(staging: Staging, rows: Sequence[Sequence[Any]], cursor: int) -> None:
    if rows:
        staging.add(_to_raw(rows, staging.tally.rows_read + 1))
    staging.commit(cursor)


def _to_raw(rows: Sequence[Sequence[Any]], first_row: int) -> RawBars:
    columns = list(zip(*(row[: len(NUMBERS) + 1] for row in rows), strict=True))
    texts = {
        name: pa.chunked_array([pa.array([None if cell is None else str(cell) for cell in column], pa.string())])
        for name, column in zip(("time", *NUMBERS), columns, strict=True)
    }
    time_s = np.array([int(cell) // _MS for cell in columns[0]], dtype=np.int64)
    return to_raw(texts, time_s, np.ones(len(rows), dtype=np.bool_), first_row=first_row)


def _moved(urls: Any, base_url: str) -> Any:
    """Return ccxt's tree of addresses with another scheme, host and port; paths stay."""
    if isinstance(urls, dict):
        return {name: _moved(url, base_url) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    base = urlsplit(base_url)
    return urlunsplit((base.scheme, base.netloc, urlsplit(urls).path, "", ""))


def _short(error: Exception, most: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]}…"
