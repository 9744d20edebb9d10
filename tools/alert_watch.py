"""The watcher of alerts: which of very many became true since the last look, told once each.

Levels lie in an index that costs the same however many there are; the database is asked only for what changed. How far
each series was watched is kept, so that a crossing during downtime is told on return, as such. One conditional UPDATE
takes an alert out of its state in one transaction with the notice, so that of several programs one tells; when that
fails, the index is thrown away and built anew from the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from engine.domain.errors import CopilotError
from engine.domain.protocols import MarketData
from engine.watch import Level, Levels
from tools.alert_rows import change
from tools.alert_series import DEFAULT_TIMEFRAME, Series, Ticks, level_of, series_of, ticks_since
from tools.notices import Notices
from tools.tables import alert_looks, alerts
from tools.trading import SignalSource

_LATE_S = 300.0
"""A crossing older than this when it is noticed is told with its time."""


@dataclass(slots=True)
class _Watched:
    """One series with how far it was watched, and the alerts that wait to enter the index at its next look."""

    series: Series
    index: int
    looked_at: datetime | None
    waiting: list[Row[Any]] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)
    """Alerts of which the database says that the value has not gone back since they were told."""


class AlertWatch:
    """Looks at the market for everybody's alerts. One look at a time."""

    def __init__(self, database: Engine, market: MarketData, signals: SignalSource, notices: Notices) -> None:
        self._database = database
        self._market = market
        self._signals = signals
        self._notices = notices
        self._forget()

    def look(self) -> int:
        """Tell what became true since the last look, end what has expired; return how many were told."""
        try:
            self._learn()
            now, before = self._market.now(), {each.series: each.looked_at for each in self._watched.values()}
            told = sum(self._look_at(each, now) for each in self._watched.values())
            told += self._look_at_signals()
            self._expire(now)
            self._keep_looks(each for each in self._watched.values() if each.looked_at != before[each.series])
        except BaseException:
            self._forget()
            raise
        return told

    def _forget(self) -> None:
        self._revision = -1
        self._rows: dict[int, Row[Any]] = {}
        self._watched: dict[Series, _Watched] = {}
        self._by_signal: dict[int, Row[Any]] = {}
        self._levels = Levels(0)

    def _learn(self) -> None:
        """Take in what has changed in the database since the last look."""
        newer = select(alerts).where(alerts.c.revision > self._revision).order_by(alerts.c.revision)
        if self._revision < 0:
            newer = newer.where(alerts.c.state == "active")
        with self._database.connect() as connection:
            rows = connection.execute(newer).all()
        if rows:
            self._drop(row.id for row in rows)
            for row in rows:
                if row.state == "active":
                    self._enter(row)
            self._revision = rows[-1].revision

    def _drop(self, ids: Iterable[int]) -> None:
        gone = set(ids)
        for alert_id in gone & self._rows.keys():
            del self._rows[alert_id]
            self._by_signal.pop(alert_id, None)
        for watched in self._watched.values():
            watched.waiting = [row for row in watched.waiting if row.id not in gone]
            watched.reached -= gone
        self._levels.remove(gone)

    def _enter(self, row: Row[Any]) -> None:
        self._rows[row.id] = row
        series = series_of(row)
        if series is None:
            self._by_signal[row.id] = row
            return
        watched = self._watched.get(series)
        if watched is None:
            watched = self._watched[series] = _Watched(series, len(self._watched), self._last_look(series))
            self._levels.grow(len(self._watched))
        watched.waiting.append(row)
        if row.is_reached:
            watched.reached.add(row.id)

    def _last_look(self, series: Series) -> datetime | None:
        kept = select(alert_looks.c.looked_at).where(alert_looks.c.series == series.key)
        with self._database.connect() as connection:
            return connection.execute(kept).scalar()

    def _look_at(self, watched: _Watched, now: datetime) -> int:
        if not watched.waiting and not self._levels.has(watched.index):
            return 0
        since = watched.looked_at or min(row.created_at for row in watched.waiting)
        try:
            ticks = ticks_since(self._market, watched.series, since)
        except CopilotError:
            return 0  # nothing is known: the next look begins where this one would have begun
        crossed = self._feed(watched, ticks)
        reached = self._levels.reached(watched.index) if crossed or watched.reached else set()
        told = sum(self._tell_crossing(alert_id, at, now, alert_id in reached) for alert_id, at in crossed.items())
        for alert_id in watched.reached - reached - crossed.keys():
            self._keep_left(alert_id)
        watched.looked_at = now
        return told

    def _feed(self, watched: _Watched, ticks: Ticks) -> dict[int, float]:
        """Run the ticks through the levels and return the first crossing of each; alerts enter where they begin."""
        waiting, watched.waiting = watched.waiting, []
        created = np.array([row.created_at.timestamp() for row in waiting])
        first = np.searchsorted(ticks.known_at, created)
        crossed: dict[int, float] = {}
        done = 0
        for begin in [*np.unique(first).tolist(), len(ticks)]:
            part = slice(done, begin)
            index = np.full(begin - done, watched.index)
            for crossing in self._levels.feed(index, ticks.values[part], ticks.at[part]):
                crossed.setdefault(crossing.key, float(ticks.at[done + crossing.tick]))
            self._levels.add(_level(row, watched.index) for row, at in zip(waiting, first, strict=True) if at == begin)
            done = begin
        return crossed

    def _tell_crossing(self, alert_id: int, at: float, now: datetime, is_reached: bool) -> bool:
        row = self._rows[alert_id]
        if row.expires_at is not None and at > row.expires_at.timestamp():
            return False
        price = str(self._market.quote(row.symbol).mid)
        late = {"at": datetime.fromtimestamp(at, UTC).isoformat()} if now.timestamp() - at > _LATE_S else {}
        return self._tell(row, {"price": price, **late}, datetime.fromtimestamp(at, UTC), {"is_reached": is_reached})

    def _tell(self, row: Row[Any], params: dict[str, str], at: datetime, kept: dict[str, Any]) -> bool:
        rested = or_(alerts.c.told_at.is_(None), alerts.c.told_at <= at - timedelta(seconds=row.rest_s))
        values = {"told_at": at, **kept} if row.repeats else {"told_at": at, "state": "fired"}
        with self._database.begin() as connection:
            if not change(connection, row.id, values, rested):
                return False
            self._notices.add(connection, row.owner, "alert_fired", _told_of(row) | params)
        return True

    def _keep_left(self, alert_id: int) -> None:
        """Note of a repeating alert that the value has gone back, so that a restart knows it too."""
        with self._database.begin() as connection:
            change(connection, alert_id, {"is_reached": False})

    def _keep_looks(self, looked: Iterable[_Watched]) -> None:
        """Note how far series were watched. When a crash comes first, what was told is not told again all the same."""
        for each in looked:
            values, same = {"looked_at": each.looked_at}, alert_looks.c.series == each.series.key
            try:
                with self._database.begin() as connection:
                    if not connection.execute(update(alert_looks).where(same).values(values)).rowcount:
                        connection.execute(insert(alert_looks).values(series=each.series.key, **values))
            except IntegrityError:
                continue  # another program has just noted the same look

    def _look_at_signals(self) -> int:
        told, known = 0, dict[tuple[str, str], str | None]()
        for row in list(self._by_signal.values()):
            key = (row.symbol, row.timeframe or DEFAULT_TIMEFRAME)
            if key not in known:
                known[key] = self._direction(*key)
            direction = known[key]
            if direction is not None and direction != row.baseline:
                told += self._tell_direction(row, direction)
        return told

    def _direction(self, symbol: str, timeframe: Any) -> str | None:
        try:
            return self._signals.signal(symbol, timeframe).direction.value
        except CopilotError:
            return None

    def _tell_direction(self, row: Row[Any], direction: str) -> bool:
        try:
            price = str(self._market.quote(row.symbol).mid)
        except CopilotError:
            return False
        return self._tell(row, {"price": price}, self._market.now(), {"baseline": direction})

    def _expire(self, now: datetime) -> None:
        for row in [row for row in self._rows.values() if row.expires_at is not None and row.expires_at <= now]:
            with self._database.begin() as connection:
                if change(connection, row.id, {"state": "expired"}):
                    self._notices.add(connection, row.owner, "alert_expired", _told_of(row))


def _level(row: Row[Any], series: int) -> Level:
    value, is_rising = level_of(row)
    told_at = -np.inf if row.told_at is None else row.told_at.timestamp()
    return Level(
        row.id,
        series,
        value,
        is_rising=is_rising,
        once=not row.repeats,
        rest_s=float(row.rest_s),
        told_at=told_at,
        is_armed=not row.is_reached,
    )


def _told_of(row: Row[Any]) -> dict[str, str]:
    value = "" if row.value is None else str(row.value)
    params = {"alert_id": str(row.id), "symbol": row.symbol, "condition": row.condition, "value": value}
    return params if row.timeframe is None else {**params, "timeframe": row.timeframe}
