"""Keep what an ingestion has read so far, so that a killed one goes on where it was.

Beside the file of a series lies a folder with the parts that were read and one small state file. A chunk counts once
the state names its part; what lies there unnamed was cut off by a kill and is removed. When everything is read, the
parts are merged into the series in one rename; the state keeps how far the source was read, and the next run reads
only what is newer. The state belongs to one source: after a change of table, columns or zone it starts again.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from engine.data.files import write_atomically
from engine.data.merging import PRICE_COLUMNS, MergeCounts, write_rows
from engine.data.quality import BadRow, BadRows, RawBars, join_bad, judge_rows
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from engine.domain.sessions import BoolArray
from engine.domain.symbols import Timeframe

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Tally:
    """What the rows that were read so far looked like.

    Attributes:
        rows_read: Rows that came from the source.
        unsorted: Rows earlier than the row before them.
        last_time: Time of the last good row, in seconds since the epoch.
        bad: Rows left out, by reason.
    """

    rows_read: int = 0
    unsorted: int = 0
    last_time: int | None = None
    bad: tuple[BadRows, ...] = ()

    def add(self, raw: RawBars, is_good: BoolArray, bad: Sequence[BadRows]) -> Self:
        """Return the tally with more rows, as `judge_rows` found them."""
        times = raw.time[is_good]
        before = times[:1] if self.last_time is None else np.array([self.last_time], dtype=np.int64)
        unsorted = int(np.sum(np.diff(np.concatenate((before, times))) < 0)) if len(times) else 0
        return replace(
            self,
            rows_read=self.rows_read + raw.rows_read,
            unsorted=self.unsorted + unsorted,
            last_time=int(times[-1]) if len(times) else self.last_time,
            bad=join_bad([*self.bad, *bad]),
        )


@dataclass(frozen=True, slots=True)
class _State:
    fingerprint: str
    watermark: int | None = None
    last_stored: int | None = None
    parts: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)


class Staging:
    """What is read and not yet merged of one series; made by `open_staging`.

    Attributes:
        watermark: How far the source is read, in its own key; None when nothing is.
        tally: What the rows of this run, and of the killed ones that it goes on from, looked like.
    """

    def __init__(self, store: BarStore, source: str, symbol: str, timeframe: Timeframe, fingerprint: str) -> None:
        self._store, self._series = store, (source, symbol, timeframe)
        self._folder = store.staging_folder(source, symbol, timeframe)
        self._state = self._read(fingerprint)
        self._pending: list[str] = []
        self._pending_tally = self._state.tally
        self._number = len(self._state.parts)
        self._remove_unnamed()

    @property
    def watermark(self) -> int | None:
        """Return how far the source is read, by this run or an earlier one."""
        return self._state.watermark

    @property
    def tally(self) -> Tally:
        """Return what was read since the last merge."""
        return self._state.tally

    def add(self, raw: RawBars) -> None:
        """Judge rows and keep the good ones in a part that counts from the next `commit` on."""
        is_good, bad = judge_rows(raw)
        self._pending_tally = self._pending_tally.add(raw, is_good, bad)
        if not is_good.any():
            return
        _, symbol, timeframe = self._series
        columns = (getattr(raw, name)[is_good] for name in PRICE_COLUMNS)
        name = f"part-{self._number:05d}.parquet"
        self._number += 1
        write_rows(self._folder / name, Bars(symbol, timeframe, raw.time[is_good], *columns))
        self._pending.append(name)

    def commit(self, watermark: int) -> None:
        """Let everything added so far count, up to a key of the source."""
        parts = (*self._state.parts, *self._pending)
        self._write(replace(self._state, watermark=watermark, parts=parts, tally=self._pending_tally))
        self._pending = []

    def drop(self) -> None:
        """Forget what was added since the last `commit`."""
        self._pending, self._pending_tally = [], self._state.tally
        self._remove_unnamed()

    def restart(self) -> None:
        """Forget everything that was read, so that the source is read from its start; the store keeps its bars."""
        self._write(_State(self._state.fingerprint))
        self.drop()

    def merge(self, watermark: int | None) -> tuple[Tally, MergeCounts]:
        """Merge the parts into the store and begin a new tally; the next run reads from a key of the source on."""
        paths = [self._folder / name for name in self._state.parts]
        counts = self._store.merge_parts(*self._series, paths)
        tally, stored = self._state.tally, self._store.describe(*self._series)
        last = None if stored is None else int(stored.last_at.timestamp())
        self._write(_State(self._state.fingerprint, watermark, last_stored=last))
        self._pending_tally = self._state.tally
        self._remove_unnamed()
        return tally, counts

    def _read(self, fingerprint: str) -> _State:
        state = _load_state(self._folder / "state.json")
        if state is None or state.fingerprint != fingerprint:
            return _State(fingerprint)
        stored = self._store.describe(*self._series)
        last = None if stored is None else int(stored.last_at.timestamp())
        was_removed = state.last_stored is not None and (last is None or last < state.last_stored)
        if was_removed or not all((self._folder / name).exists() for name in state.parts):
            return _State(fingerprint)
        return state

    def _write(self, state: _State) -> None:
        text = json.dumps({"version": _VERSION, **asdict(state)})
        write_atomically(self._folder / "state.json", lambda path: path.write_text(text, encoding="utf-8"))
        self._state = state

    def _remove_unnamed(self) -> None:
        for path in self._folder.glob("*part*"):
            if path.name not in self._state.parts:
                path.unlink(missing_ok=True)


@contextmanager
def open_staging(
    store: BarStore, source: str, symbol: str, timeframe: Timeframe, fingerprint: str
) -> Iterator[Staging]:
    """Open the staging of one series for one ingestion at a time; the system lets go of it when the program dies.

    Args:
        store: Where the series lives.
        source: The name under which the store keeps it.
        symbol: Its instrument.
        timeframe: Length of its bars.
        fingerprint: What identifies the table, columns and zone; never a password.

    Raises:
        DataUnavailable: Another program ingests the same series now.
    """
    folder = store.staging_folder(source, symbol, timeframe)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another program ingests {symbol} {timeframe} into {source!r} now; wait for its end"
            raise DataUnavailable(message, code="ingest_busy", symbol=symbol) from error
        yield Staging(store, source, symbol, timeframe, fingerprint)


def _load_state(path: Path) -> _State | None:
    """Return the stored state; None when there is none or it cannot be understood."""
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found.get("version") != _VERSION:
            return None
        tally = found["tally"]
        bad = tuple(
            BadRows(one["reason"], one["count"], tuple(BadRow(**each) for each in one["examples"]))
            for one in tally["bad"]
        )
        return _State(
            fingerprint=found["fingerprint"],
            watermark=found["watermark"],
            last_stored=found["last_stored"],
            parts=tuple(found["parts"]),
            tally=Tally(tally["rows_read"], tally["unsorted"], tally["last_time"], bad),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
