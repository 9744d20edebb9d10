"""What every ingestion in chunks shares: one at a time for a series, attempts, and the report at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from engine.data.quality import QualityReport, make_report
from engine.data.series import SeriesCheck
from engine.data.staging import Staging, open_staging
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.symbols import Timeframe

Answer = TypeVar("Answer")
Progress = Callable[[float, str], None]
"""Told the share of everything that is done, and the symbol at hand."""
ATTEMPTS = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_MOST_BAD_RATIO = 0.5
_log = logging.getLogger(__name__)


class TryAgain(Exception):
    """The other side did not answer, or cut the answer short; the same question may work in a moment.

    Attributes:
        wait_s: How long it asked us to wait, in seconds.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(message)


def tell_nobody(_share: float, _symbol: str) -> None:
    """Take progress and do nothing with it."""


def try_again(work: Callable[[], Answer], pause: Callable[[float], None]) -> Answer:
    """Do some work, again after growing pauses while the other side does not answer.

    Raises:
        DataUnavailable: It stays away.
    """
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except TryAgain as error:
            if attempt + 1 == ATTEMPTS:
                message = f"no answer ({error}); what was read is kept, run it again to go on"
                raise DataUnavailable(message, code="ingest_no_answer", attempts=ATTEMPTS, reason=error) from error
            _log.warning("no answer (%s); attempt %d of %d", error, attempt + 2, ATTEMPTS)
            pause(max(error.wait_s, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)))
    raise AssertionError("the last attempt answers or raises")


def finish(
    staging: Staging,
    store: BarStore,
    source: str,
    label: str,
    symbol: str,
    timeframe: Timeframe,
    watermark: int | None,
) -> QualityReport:
    """Merge what was read into the store and return the report: of the rows read now, and of the series as it is.

    Args:
        staging: What was read.
        store: Where it goes.
        source: The name under which the store keeps it.
        label: What the report calls the table or the exchange.
        symbol: The instrument.
        timeframe: Length of its bars.
        watermark: The key from which the next run reads; None keeps nothing, so that it reads from the start.

    Raises:
        DataUnavailable: Most rows are bad, or there are no bars at all; nothing is merged then.
    """
    tally = staging.tally
    bad = sum(one.count for one in tally.bad)
    if bad > _MOST_BAD_RATIO * tally.rows_read:
        staging.restart()
        first = min((example for kind in tally.bad for example in kind.examples), key=lambda one: one.row)
        reasons = ", ".join(f"{kind.reason} {kind.count}" for kind in tally.bad)
        raise DataUnavailable(
            f"{label}: only {tally.rows_read - bad} of {tally.rows_read} rows are bars of {symbol} ({reasons}); "
            f"first at row {first.row}, column {first.column}: {first.value}"
        )
    tally, counts = staging.merge(watermark)
    check = SeriesCheck(symbol, timeframe)
    for block in store.blocks(source, symbol, timeframe):
        check.update(block)
    found = check.finish()
    if found is None:
        raise DataUnavailable(f"{label} holds no {timeframe} bars of {symbol}")
    report = make_report(
        label,
        symbol,
        timeframe,
        found,
        rows_read=tally.rows_read,
        bad=tally.bad,
        duplicates=counts.duplicates,
        conflicts=counts.conflicts,
        unsorted=tally.unsorted,
    )
    return replace(report, added=counts.added, replaced=counts.replaced, unchanged=counts.unchanged)


@contextmanager
def staging_of(store: BarStore, source: str, symbol: str, timeframe: Timeframe, fingerprint: str) -> Iterator[Staging]:
    """Open the staging of a series.

    Raises:
        InvalidRequest: The source is not a safe name.
        DataUnavailable: Another program ingests the same series now.
    """
    try:
        store.staging_folder(source, symbol, timeframe)
    except ValueError as error:
        raise InvalidRequest("ingest_source", file=symbol, source=source) from error
    with open_staging(store, source, symbol, timeframe, fingerprint) as staging:
        yield staging
