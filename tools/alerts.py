"""Alerts as tools: set, list, adjust, cancel. What makes one come true is `tools/alert_watch.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, Field
from sqlalchemy import Engine, Row, func, insert, select

from engine.domain.errors import InvalidRequest
from engine.domain.protocols import MarketData
from tools.alert_rows import change, next_revision, view
from tools.alert_series import DEFAULT_TIMEFRAME
from tools.alert_watch import AlertWatch
from tools.instruments import check_symbol
from tools.notices import Notices
from tools.registry import ToolContext
from tools.results import AlertList, AlertsCancelled, AlertSet, AlertView
from tools.schema import CancelAlert, ListAlerts, SetAlert, ToolArguments
from tools.tables import alerts, inserted_id
from tools.trading import SignalSource

MAX_ALERTS = 100_000
REST_S = 900
"""How long a repeating alert is silent after it was told, unless its owner wants otherwise."""


class AdjustAlert(ToolArguments):
    """What may be changed of an alert; what is left out stays."""

    alert_id: str
    repeats: bool = False
    rest_s: Annotated[int, Field(ge=60, le=7 * 86400)] = REST_S
    expires_at: AwareDatetime | None = None


class Alerts:
    """Alerts in the database, and the tools that set, list and cancel them."""

    def __init__(
        self,
        database: Engine,
        market: MarketData,
        signals: SignalSource,
        notices: Notices,
    ) -> None:
        self._database = database
        self._market = market
        self._signals = signals
        self._watch = AlertWatch(database, market, signals, notices)

    async def set_alert(self, arguments: SetAlert, context: ToolContext) -> AlertSet:
        """Store an alert.

        Raises:
            InvalidRequest: The value is missing or out of range, or there are too many alerts.
        """
        check_symbol(self._market, arguments.symbol)
        price = self._market.quote(arguments.symbol).mid
        self._check(arguments, context.owner)
        values: dict[str, Any] = {
            "owner": context.owner,
            "symbol": arguments.symbol,
            "condition": arguments.condition,
            "value": arguments.value,
            "timeframe": arguments.timeframe,
            "baseline": self._baseline(arguments, price),
            "state": "active",
            "created_at": self._market.now(),
        }
        with self._database.begin() as connection:
            values["revision"] = next_revision(connection)
            alert_id = inserted_id(connection.execute(insert(alerts).values(values)))
        (row,) = self._rows(alerts.c.id == alert_id)
        return AlertSet(alert=view(row), price=price)

    async def list_alerts(self, arguments: ListAlerts, context: ToolContext) -> AlertList:
        """Return the owner's active alerts, oldest first."""
        rows = self._active(context.owner, arguments.symbol)
        return AlertList(symbol=arguments.symbol, alerts=tuple(view(row) for row in rows))

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
            gone = [row for row in rows if change(connection, row.id, {"state": "cancelled"})]
        return AlertsCancelled(alerts=tuple(view(row) for row in gone))

    def adjust(self, arguments: AdjustAlert, owner: str) -> AlertView:
        """Make an alert repeat or not, rest longer, or end by itself; for surfaces, where people press for it.

        Raises:
            InvalidRequest: `alert_not_found`, or `alert_expiry` for one that is not ahead.
        """
        if arguments.expires_at is not None and arguments.expires_at <= self._market.now():
            raise InvalidRequest("alert_expiry", expires_at=arguments.expires_at.isoformat())
        values = arguments.model_dump(exclude={"alert_id"}, exclude_unset=True)
        if values.get("repeats"):
            values.setdefault("rest_s", REST_S)
        rows = [row for row in self._active(owner, None) if str(row.id) == arguments.alert_id.removeprefix("#")]
        if rows:
            with self._database.begin() as connection:
                if change(connection, rows[0].id, values):
                    return view(connection.execute(select(alerts).where(alerts.c.id == rows[0].id)).one())
        raise InvalidRequest("alert_not_found", alert_id=arguments.alert_id)

    def check(self) -> int:
        """Look at every active alert and tell those that became true; return how many."""
        return self._watch.look()

    def _baseline(self, arguments: SetAlert, price: Decimal) -> str | None:
        if arguments.condition in ("change_up", "change_down"):
            return str(price)
        if arguments.condition == "signal_change":
            timeframe = arguments.timeframe or DEFAULT_TIMEFRAME
            return self._signals.signal(arguments.symbol, timeframe).direction.value
        return None

    def _check(self, arguments: SetAlert, owner: str) -> None:
        if arguments.value is None and arguments.condition != "signal_change":
            raise InvalidRequest("alert_needs_value", condition=arguments.condition)
        if arguments.condition.startswith("rsi") and arguments.value is not None and arguments.value >= 100:
            raise InvalidRequest("bad_rsi", value=arguments.value)
        if arguments.condition == "change_down" and arguments.value is not None and arguments.value >= 100:
            raise InvalidRequest("over_hundred_percent", value=arguments.value)
        if self._count(owner) >= MAX_ALERTS:
            raise InvalidRequest("too_many_alerts", limit=MAX_ALERTS)

    def _active(self, owner: str, symbol: str | None) -> list[Row[Any]]:
        where = [alerts.c.owner == owner, alerts.c.state == "active"]
        return self._rows(*where, *([] if symbol is None else [alerts.c.symbol == symbol]))

    def _count(self, owner: str) -> int:
        mine = select(func.count()).where(alerts.c.owner == owner, alerts.c.state == "active")
        with self._database.connect() as connection:
            return int(connection.execute(mine).scalar_one())

    def _rows(self, *where: Any) -> list[Row[Any]]:
        with self._database.connect() as connection:
            return list(connection.execute(select(alerts).where(*where).order_by(alerts.c.id)))
