"""The board: everything the page shows, as entries under keys, each with the number of its last change.

A frame to a client is "all entries that changed after the last number you were sent". From that one rule follow the
snapshot (after nothing), resuming (after what you had), merging (an entry that changed ten times is told once) and
what a slow client gets: the newest state, never a backlog. An entry is written as JSON once, however many clients
there are. An entry that went away is told as null; how far back that is known is bounded.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

CHART = "chart/"
"""Keys that begin so are told to the clients alone that look at that chart."""
_GONE = "null"


@dataclass(slots=True, eq=False)
class Watcher:
    """What the board knows of one client.

    Attributes:
        chart: Key of the chart it looks at; empty for none.
        sent: Number up to which it was told everything.
        is_new: Whether it knows nothing yet, so that its first frame is a snapshot.
        owes_chart: Whether the chart must be told although it did not change: it was chosen only now.
        woken: Set whenever there may be something new.
    """

    chart: str = ""
    sent: int = 0
    is_new: bool = True
    owes_chart: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one frame carries; `entries` maps keys to JSON texts."""

    sequence: int
    is_snapshot: bool
    entries: Mapping[str, str]

    def text(self) -> str:
        """Return the frame."""
        kind = "snapshot" if self.is_snapshot else "changes"
        entries = ",".join(f"{json.dumps(key)}:{text}" for key, text in self.entries.items())
        return f'{{"type":"{kind}","sequence":{self.sequence},"set":{{{entries}}}}}'


class Board:
    """All entries and those who watch them; belongs to one event loop.

    Args:
        max_forgotten: Entries that went away which are kept as such.
        stream: Name of this run; sequence numbers belong to it.
    """

    def __init__(self, max_forgotten: int, stream: str | None = None) -> None:
        self.stream = stream or secrets.token_hex(8)
        self.sequence = 0
        self.watchers: set[Watcher] = set()
        self._max_forgotten = max_forgotten
        self._known_since = 0
        # In the order of their last change, so that what is newer than a number stands at the end.
        self._entries: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._gone: set[str] = set()

    def put(self, values: Mapping[str, JsonValue]) -> None:
        """Set entries; those that are the same as before change nothing."""
        is_new = False
        for key, value in values.items():
            is_new |= self._set(key, json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
        if is_new:
            self._wake()

    def replace(self, prefixes: Collection[str], values: Mapping[str, JsonValue]) -> None:
        """Set entries and take away all others whose keys begin with one of the prefixes."""
        for prefix in prefixes:
            self.keep(prefix, values)
        self.put(values)

    def keep(self, prefix: str, keys: Collection[str]) -> None:
        """Take away the entries whose keys begin so and are not among some."""
        lost = [key for key in self._entries if key.startswith(prefix) and key not in self._gone and key not in keys]
        self.put(dict.fromkeys(lost))
        if lost:
            self._forget()

    def has(self, key: str) -> bool:
        """Tell whether there is such an entry."""
        return key in self._entries and key not in self._gone

    def charts(self) -> set[str]:
        """Return the keys of the charts that somebody looks at."""
        return {watcher.chart for watcher in self.watchers if watcher.chart}

    def choose_chart(self, watcher: Watcher, key: str) -> None:
        """Have a client told about another chart."""
        watcher.chart, watcher.owes_chart = key, True
        watcher.woken.set()

    def resumes(self, stream: str, after: int) -> bool:
        """Tell whether a client that stopped there can be told what it missed, without a new snapshot."""
        return stream == self.stream and self._known_since <= after <= self.sequence

    def has_news(self, watcher: Watcher) -> bool:
        """Tell whether there may be something that a client was not told."""
        return watcher.is_new or watcher.sent < self.sequence or (watcher.owes_chart and self.has(watcher.chart))

    def take(self, watcher: Watcher) -> Changes:
        """Return what a client was not told, and count it as told; possibly nothing.

        It is a snapshot for a new client, and for one that was so slow that what went away since is forgotten.
        """
        is_snapshot, watcher.is_new = watcher.is_new or watcher.sent < self._known_since, False
        after, watcher.sent = 0 if is_snapshot else watcher.sent, self.sequence
        entries: dict[str, str] = {}
        for key, (sequence, text) in reversed(self._entries.items()):
            if sequence <= after:
                break
            if self._concerns(watcher, key) and not (is_snapshot and text == _GONE):
                entries[key] = text
        if watcher.owes_chart and self.has(watcher.chart):
            entries[watcher.chart] = self._entries[watcher.chart][1]
        if watcher.chart in entries:
            watcher.owes_chart = False
        return Changes(self.sequence, is_snapshot, entries)

    def _concerns(self, watcher: Watcher, key: str) -> bool:
        return not key.startswith(CHART) or key == watcher.chart

    def _set(self, key: str, text: str) -> bool:
        known = self._entries.get(key)
        if known is not None and known[1] == text:
            return False
        self.sequence += 1
        self._entries[key] = (self.sequence, text)
        self._entries.move_to_end(key)
        if text == _GONE:
            self._gone.add(key)
        else:
            self._gone.discard(key)
        return True

    def _forget(self) -> None:
        """Forget the oldest of what went away, once there is much of it."""
        if len(self._gone) <= self._max_forgotten:
            return
        for key in [key for key in self._entries if key in self._gone][: len(self._gone) // 2]:
            self._known_since = max(self._known_since, self._entries.pop(key)[0])
            self._gone.discard(key)

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.woken.set()
