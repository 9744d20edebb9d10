"""Alerts: told once, when a condition becomes true, also when it did so while nobody was running.

The rule is pure (`fires`). The watcher looks at every bar that closed since its last look, so that a crossing between
two looks or during downtime is not missed; bars that opened before the alert was set do not count. One conditional
UPDATE takes an alert from `active` to `fired`, in one transaction with the notice: told once, and never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, insert, select, update

from engine.domain.errors import CopilotError, InvalidRequest
from engine.domain.market import Bars
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features.indicators import rsi
from tools.instruments import check_symbol
from tools.notices import Notices
from tools.registry import ToolContext
from tools.results import AlertList, AlertsCancelled, AlertSet, AlertView
from tools.schema import CancelAlert, ListAlerts, SetAlert
from tools.tables import alerts, inserted_id
from tools.trading import SignalSource

MAX_ALERTS = 1000
RSI_PERIOD = 14
_RSI_BARS = 300
_DEFAULT_TIMEFRAME: Timeframe = "1h"
_OVERLAP = timedelta(hours=1)
"""How far a look reaches back before the last one: a bar that was still open then is seen whole only now."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the market did since the last look: extremes of the price, the price now, and one reading."""

    low: Decimal
    high: Decimal
    price: Decimal
    reading: Decimal | None = None
    direction: str | None = None


def fires(condition: str, value: Decimal | None, baseline: str | None, seen: Seen) -> bool:
    """Return whether a condition became true.

    Args:
        condition: As in `SetAlert`.
        value: Price, percent or RSI; None for `signal_change`.
        baseline: For changes the price to compare with, for `signal_change` the direction at the start.
        seen: What the market did.
    """
    match condition:
        case "price_above":
            return value is not None and seen.high >= value
        case "price_below":
            return value is not None and seen.low <= value
        case "change_up":
            return value is not None and baseline is not None and seen.high >= Decimal(baseline) * (1 + value / 100)
        case "change_down":
            return value is not None and baseline is not None and seen.low <= Decimal(baseline) * (1 - value / 100)
        case "rsi_above":
            return value is not None and seen.reading is not None and seen.reading >= value
        case "rsi_below":
            return value is not None and seen.reading is not None and seen.reading <= value
        case _:
            return seen.direction is not None and seen.direction != baseline


class Alerts:
    """Alerts in the database, and the tools that set, list and cancel them."""

    def __init__(
        self,
        database: Engine,
        market: MarketData,
        signals: SignalSource,
        notices: Notices,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._market = market
        self._signals = signals
        self._notices = notices
        self._now = now

    async def set_alert(self, arguments: SetAlert, context: ToolContext) -> AlertSet:
        """Store an alert.

        Raises:
            InvalidRequest: The value is missing or out of range, or there are too many alerts.
        """
        check_symbol(self._market, arguments.symbol)
        price = self._market.quote(arguments.symbol).mid
        self._check(arguments, context.owner)
        at = self._market.now()
        values = {
            "owner": context.owner,
            "symbol": arguments.symbol,
            "condition": arguments.condition,
            "value": arguments.value,
            "timeframe": arguments.timeframe,
            "baseline": self._baseline(arguments, price),
            "state": "active",
            "created_at": at,
            "checked_at": at,
        }
        with self._database.begin() as connection:
            alert_id = inserted_id(connection.execute(insert(alerts).values(values)))
        (row,) = self._rows(alerts.c.id == alert_id)
        return AlertSet(alert=_view(row), price=price)

    async def list_alerts(self, arguments: ListAlerts, context: ToolContext) -> AlertList:
        """Return the owner's active alerts, oldest first."""
        rows = self._active(context.owner, arguments.symbol)
        return AlertList(symbol=arguments.symbol, alerts=tuple(_view(row) for row in rows))

    async def cancel_alert(self, arguments: CancelAlert, context: ToolContext) -> AlertsCancelled:
        """Cancel one alert, or all of them.

        Raises:
            InvalidRequest: `alert_not_found`.
        """
        rows = self._active(context.owner, arguments.symbol)
        if arguments.alert_id != "all":
            rows = [row for row in rows if str(row.id) == arguments.alert_id.removeprefix("#")]
            if not rows:
                raise InvalidRequest("alert_not_found", alert_id=arguments.alert_id)
        with self._database.begin() as connection:
            gone = [row for row in rows if _leave(connection, row.id, "cancelled")]
        return AlertsCancelled(alerts=tuple(_view(row) for row in gone))

    def check(self) -> int:
        """Look at every active alert and tell those that became true; return how many."""
        at, fired, quiet = self._market.now(), 0, []
        for row in self._rows(alerts.c.state == "active"):
            try:
                seen = self._see(row, at)
            except CopilotError:
                continue  # nothing is known: the next look reaches back to where this one would have begun
            if fires(row.condition, row.value, row.baseline, seen):
                fired += self._fire(row, seen.price)
            else:
                quiet.append(row.id)
        if quiet:
            looked = update(alerts).where(alerts.c.id.in_(quiet), alerts.c.checked_at < at).values(checked_at=at)
            with self._database.begin() as connection:
                connection.execute(looked)
        return fired

    def _fire(self, row: Row[Any], price: Decimal) -> bool:
        params = {
            "alert_id": str(row.id),
            "symbol": row.symbol,
            "condition": row.condition,
            "value": "" if row.value is None else str(row.value),
            "price": str(price),
        }
        params |= {} if row.timeframe is None else {"timeframe": row.timeframe}
        with self._database.begin() as connection:
            if not _leave(connection, row.id, "fired"):
                return False
            self._notices.add(connection, row.owner, "alert_fired", params)
        return True

    def _see(self, row: Row[Any], at: datetime) -> Seen:
        mid = self._market.quote(row.symbol).mid
        if row.condition in ("rsi_above", "rsi_below"):
            return Seen(mid, mid, mid, reading=self._rsi(row))
        if row.condition == "signal_change":
            signal = self._signals.signal(row.symbol, row.timeframe or _DEFAULT_TIMEFRAME)
            return Seen(mid, mid, mid, direction=signal.direction.value)
        bars = self._bars_since_last_look(row, at)
        low = min(mid, Decimal(repr(float(bars.low.min())))) if len(bars) else mid
        high = max(mid, Decimal(repr(float(bars.high.max())))) if len(bars) else mid
        return Seen(low, high, mid)

    def _bars_since_last_look(self, row: Row[Any], at: datetime) -> Bars:
        bars = self._market.bars_between(row.symbol, max(row.created_at, row.checked_at - _OVERLAP), at)
        step = timedelta(seconds=TIMEFRAME_S[bars.timeframe])
        if step <= _OVERLAP:
            return bars
        return self._market.bars_between(row.symbol, max(row.created_at, row.checked_at - step), at)

    def _rsi(self, row: Row[Any]) -> Decimal | None:
        """Return the RSI farthest in the alert's direction, of the bars closed since the last look or of the last."""
        timeframe = row.timeframe or _DEFAULT_TIMEFRAME
        bars = self._market.bars(row.symbol, timeframe, _RSI_BARS)
        if len(bars) <= RSI_PERIOD:
            return None
        closed = bars.time + TIMEFRAME_S[timeframe]
        fresh = max(int((closed > row.checked_at.timestamp()).sum()), 1)
        readings = rsi(bars.close, RSI_PERIOD)[-fresh:]
        readings = readings[~np.isnan(readings)]
        if not len(readings):
            return None
        return Decimal(repr(float(readings.max() if row.condition == "rsi_above" else readings.min())))

    def _baseline(self, arguments: SetAlert, price: Decimal) -> str | None:
        if arguments.condition in ("change_up", "change_down"):
            return str(price)
        if arguments.condition == "signal_change":
            timeframe = arguments.timeframe or _DEFAULT_TIMEFRAME
            return self._signals.signal(arguments.symbol, timeframe).direction.value
        return None

    def _check(self, arguments: SetAlert, owner: str) -> None:
        if arguments.value is None and arguments.condition != "signal_change":
            raise InvalidRequest("alert_needs_value", condition=arguments.condition)
        if arguments.condition.startswith("rsi") and arguments.value is not None and arguments.value >= 100:
            raise InvalidRequest("bad_rsi", value=arguments.value)
        if arguments.condition == "change_down" and arguments.value is not None and arguments.value >= 100:
            raise InvalidRequest("over_hundred_percent", value=arguments.value)
        if len(self._active(owner, None)) >= MAX_ALERTS:
            raise InvalidRequest("too_many_alerts", limit=MAX_ALERTS)

    def _active(self, owner: str, symbol: str | None) -> list[Row[Any]]:
        where = [alerts.c.owner == owner, alerts.c.state == "active"]
        return self._rows(*where, *([] if symbol is None else [alerts.c.symbol == symbol]))

    def _rows(self, *where: Any) -> list[Row[Any]]:
        with self._database.connect() as connection:
            return list(connection.execute(select(alerts).where(*where).order_by(alerts.c.id)))


def _leave(connection: Connection, alert_id: int, state: str) -> bool:
    change = update(alerts).where(alerts.c.id == alert_id, alerts.c.state == "active").values(state=state)
    return connection.execute(change).rowcount == 1


def _view(row: Row[Any]) -> AlertView:
    return AlertView(
        alert_id=str(row.id),
        symbol=row.symbol,
        condition=row.condition,
        value=row.value,
        timeframe=row.timeframe,
        created_at=row.created_at,
    )
